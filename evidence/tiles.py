"""Tiles (C2SP tlog-tiles): a log as static files that anyone can copy, serve and check.

`TileWriter` streams bodies out as hash tiles and entry bundles, in flat memory; `TileReader` reads them back as a
`HashReader`, and believes no tile before it has led it to the root of a checkpoint. Tiles are never changed: a partial
one has its width in its path, and a larger tree writes another file. Write the checkpoint after the tiles it needs.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..contract import OperationError
from .merkle import HASH_SIZE, SIZE_MAX, Frontier, Node, ProofError, leaf_hash, root_of, root_of_subtrees

WIDTH = 256
HEIGHT = 8
BODY_BYTES_MAX = 65_535
CHECKPOINT_PATH = "checkpoint"
ENTRIES = -1  # in place of a level: the entry bundle beside the tile of level 0

Read = Callable[[str], bytes]  # a path to a file's content; FileNotFoundError where there is none
Write = Callable[[str, bytes], None]


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Where a tile is: `tile/<level>/<index>`, with `.p/<width>` if it is partial. `ENTRIES` for an entry bundle."""
    assert ENTRIES <= level < 64
    assert index >= 0
    assert 1 <= width <= WIDTH
    *groups, last = _thousands(index)
    path = "/".join(
        ["tile", "entries" if level == ENTRIES else str(level), *(f"x{group:03}" for group in groups), f"{last:03}"]
    )
    return path if width == WIDTH else f"{path}.p/{width}"


def _thousands(index: int) -> list[int]:
    groups = [index % 1000]
    while index := index // 1000:
        groups.append(index % 1000)
    return groups[::-1]


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes this tile has in a tree of this size; 0 where there is no such tile."""
    return max(0, min(WIDTH, (size >> HEIGHT * max(level, 0)) - index * WIDTH))


def tile_paths(size: int) -> Iterator[str]:
    """Every tile and entry bundle of a tree of this size, and nothing else."""
    level = ENTRIES
    while level <= 0 or size >> HEIGHT * level:
        index = 0
        while width := tile_width(level, index, size):
            yield tile_path(level, index, width)
            index += 1
        level += 1


class TileWriter:
    """Writes the tiles of a growing tree. Memory: one tile a level and one entry bundle."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._size = 0
        self._stopped = False
        self._bundle = bytearray()
        self._levels: list[list[bytes]] = [[]]  # of each level, the hashes of its last tile, never yet 256

    @property
    def size(self) -> int:
        return self._size

    @classmethod
    def resume(cls, write: Write, tiles: "TileReader") -> "TileWriter":
        """Continue where the tiles of an earlier export end, which are verified first."""
        writer = cls(write)
        size = writer._size = tiles.size
        level = 0
        while size >> HEIGHT * level:
            index, width = divmod(size >> HEIGHT * level, WIDTH)
            hashes = tiles.read_hashes([Node(HEIGHT * level, index * WIDTH + at) for at in range(width)])
            writer._levels[level:] = [hashes]
            level += 1
        for body in tiles.bodies(size - size % WIDTH, size):
            writer._bundle += _framed(body)
        return writer

    def append(self, body: bytes) -> None:
        """Add a record's exact bytes. What becomes full is written.

        Raises:
            ProofError: where they are more than the 65,535 that an entry bundle can hold.
            OperationError: after a write that failed, for what was written is not known; resume from the tiles.
        """
        if self._stopped:
            raise OperationError("the export stopped when a tile could not be written; resume it from the tiles")
        self._bundle += _framed(body)
        self._levels[0].append(leaf_hash(body))
        self._size += 1
        if len(self._levels[0]) == WIDTH:
            self._stopped = True
            self._write(tile_path(ENTRIES, self._size // WIDTH - 1), bytes(self._bundle))
            self._bundle.clear()
            self._climb()
            self._stopped = False

    def _climb(self) -> None:
        for level, hashes in enumerate(self._levels):
            if len(hashes) < WIDTH:
                return
            self._write(tile_path(level, (self._size >> HEIGHT * (level + 1)) - 1), b"".join(hashes))
            if level + 1 == len(self._levels):
                self._levels.append([])
            self._levels[level + 1].append(root_of(hashes))
            hashes.clear()

    def flush(self) -> bytes:
        """Write the partial tiles of the tree as it is now, and return its root. Appending may go on after it."""
        if self._stopped:
            raise OperationError("the export stopped when a tile could not be written; resume it from the tiles")
        frontier: list[bytes] = []
        for level, hashes in enumerate(self._levels):
            index, width = divmod(self._size >> HEIGHT * level, WIDTH)
            assert len(hashes) == width
            if not hashes:
                continue
            if level == 0:
                self._write(tile_path(ENTRIES, index, width), bytes(self._bundle))
            self._write(tile_path(level, index, width), b"".join(hashes))
            frontier = [*_frontier(hashes), *frontier]
        return root_of_subtrees(frontier)


def export_tiles(bodies: Iterable[bytes], write: Write) -> tuple[int, bytes]:
    """Write the tiles of a whole log, in flat memory. Returns its size and root, to hold the checkpoint against."""
    writer = TileWriter(write)
    for body in bodies:
        writer.append(body)
    root = writer.flush()
    return writer.size, root


class TileReader:
    """A `HashReader` over tiles, for the tree of one checkpoint: give it the size and root of a verified one.

    The tiles at the right edge together give the root; every other tile is full, and is the child of a hash in one that
    is already believed. So each tile that is read costs at most one more a level, and a forged one is never used.
    Memory: `cached` tiles of 8 KiB.
    """

    def __init__(self, read: Read, size: int, root: bytes, *, cached: int = 256) -> None:
        """Raises:
        ProofError: where the tiles at the right edge are missing, or give another root.
        """
        assert 0 <= size <= SIZE_MAX
        self._read = read
        self._size = size
        self._cached = max(cached, 16)
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._edge: dict[tuple[int, int], bytes] = {}
        frontier: list[bytes] = []
        level = 0
        while size >> HEIGHT * level:
            index, width = divmod(size >> HEIGHT * level, WIDTH)
            if width:
                tile = self._edge[level, index] = self._fetch(level, index, width)
                frontier = [*_frontier(_hashes(tile)), *frontier]
            level += 1
        found = root_of_subtrees(frontier)
        if found != root:
            raise ProofError(f"the tiles of size {size} have the root {found.hex()} instead of {root.hex()}")

    @property
    def size(self) -> int:
        return self._size

    def read_hashes(self, nodes: Sequence[Node]) -> list[bytes]:
        """Raises:
        ProofError: where a tile is missing or forged, or a node lies outside the tree.
        """
        return [self._node(node) for node in nodes]

    def _node(self, node: Node) -> bytes:
        level, below = divmod(node.level, HEIGHT)
        first = node.position << below
        if not 0 <= first < first + (1 << below) <= self._size >> HEIGHT * level:
            raise ProofError(
                f"there is no complete subtree {node.position} of level {node.level} in a tree of size {self._size}"
            )
        at = first % WIDTH * HASH_SIZE
        tile = self._tile(level, first // WIDTH)
        return root_of(_hashes(tile[at : at + (HASH_SIZE << below)]))

    def _tile(self, level: int, index: int) -> bytes:
        """The tile, believed: from the edge, or a full one whose own root is in the tile above."""
        edge = self._edge.get((level, index))
        if edge is not None:
            return edge
        tile = self._tiles.get((level, index))
        if tile is not None:
            self._tiles.move_to_end((level, index))
            return tile
        tile = self._fetch(level, index, WIDTH)
        above = self._node(Node(HEIGHT * (level + 1), index))
        if root_of(_hashes(tile)) != above:
            raise ProofError(
                f"the tile `{tile_path(level, index)}` is not the one of this tree: the tile above says otherwise"
            )
        self._tiles[level, index] = tile
        if len(self._tiles) > self._cached:
            self._tiles.popitem(last=False)
        return tile

    def _fetch(self, level: int, index: int, width: int) -> bytes:
        path, content = self._content(level, index, width)
        if len(content) not in (width * HASH_SIZE, WIDTH * HASH_SIZE):
            raise ProofError(f"the tile `{path}` has {len(content)} bytes instead of {width * HASH_SIZE}")
        return content[: width * HASH_SIZE]

    def _content(self, level: int, index: int, width: int) -> tuple[str, bytes]:
        """A file's content, or that of the full tile: a partial one may be deleted once it has grown full."""
        path = tile_path(level, index, width)
        for candidate in dict.fromkeys((path, tile_path(level, index))):
            try:
                return candidate, self._read(candidate)
            except FileNotFoundError:
                continue
        raise ProofError(
            f"the tile `{path}` is missing; it may have been dropped after its time, or not been exported yet"
        )

    def body(self, index: int) -> bytes:
        """The exact bytes of one record, verified."""
        if not 0 <= index < self._size:
            raise ProofError(f"there is no record {index} in a tree of size {self._size}")
        (body,) = self.bodies(index, index + 1)
        return body

    def bodies(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The exact bytes of the records from `begin` to `end`, each verified before it is given out."""
        assert begin >= 0
        end = self._size if end is None else min(end, self._size)
        for index in range(begin // WIDTH, -(-end // WIDTH)):
            width = tile_width(ENTRIES, index, self._size)
            path, bundle = self._content(ENTRIES, index, width)
            bodies = read_bundle(bundle, path)
            if len(bodies) not in (width, WIDTH):
                raise ProofError(f"the entry bundle `{path}` has {len(bodies)} records instead of {width}")
            leaves = _hashes(self._tile(0, index))
            for at in range(max(begin - index * WIDTH, 0), min(end - index * WIDTH, width)):
                if leaf_hash(bodies[at]) != leaves[at]:
                    raise ProofError(f"record {index * WIDTH + at} in `{path}` is not the one of this tree")
                yield bodies[at]


class TileFolder:
    """Tiles in a folder: `read` and `write` for the reader and the writer. A file appears whole or not at all."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def read(self, path: str) -> bytes:
        return self._folder.joinpath(path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f"{target.name}.new")
        beside.write_bytes(content)
        beside.replace(target)


def read_bundle(bundle: bytes, path: str = "entry bundle") -> list[bytes]:
    """The records in an entry bundle: two bytes of length, big endian, and so many bytes, over and over."""
    bodies: list[bytes] = []
    at = 0
    while at < len(bundle):
        begin = at + 2
        at = begin + int.from_bytes(bundle[at:begin], "big")
        if len(bundle) < begin or len(bundle) < at:
            raise ProofError(f"`{path}` ends within record {len(bodies)}")
        bodies.append(bundle[begin:at])
    return bodies


def _framed(body: bytes) -> bytes:
    if len(body) > BODY_BYTES_MAX:
        raise ProofError(f"a record has {len(body)} bytes, and a leaf holds at most {BODY_BYTES_MAX}")
    return len(body).to_bytes(2, "big") + body


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_SIZE] for at in range(0, len(tile), HASH_SIZE)]


def _frontier(hashes: list[bytes]) -> tuple[bytes, ...]:
    frontier = Frontier()
    for digest in hashes:
        frontier.append(digest)
    return frontier.hashes
