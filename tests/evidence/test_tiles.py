"""Tiles: a log as static files, written in flat memory, read back with every byte accounted for."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.contract import OperationError
from thoth.evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    HashTree,
    Node,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
)
from thoth.evidence.tiles import (
    ENTRIES,
    TileFolder,
    TileReader,
    TileWriter,
    export_tiles,
    read_bundle,
    tile_path,
    tile_paths,
)

SIZES = [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000]
TREE = HashTree(leaf_hash(b"%d" % at) for at in range(70_000))


class Shelf:
    """Tiles in memory, and how often each was written and read."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.written: list[str] = []
        self.asked: list[str] = []

    def write(self, path: str, content: bytes) -> None:
        self.written.append(path)
        self.files[path] = content

    def read(self, path: str) -> bytes:
        self.asked.append(path)
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None


def bodies(begin: int, end: int) -> Iterator[bytes]:
    return (b"%d" % at for at in range(begin, end))


@pytest.fixture(scope="module")
def shelves() -> dict[int, Shelf]:
    """For each size, what an export of its own wrote."""
    found = {}
    for size in SIZES:
        found[size] = Shelf()
        assert export_tiles(bodies(0, size), found[size].write) == (size, tree_root(size, TREE))
    return found


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 273, 112, "tile/0/273.p/112"),
        (1, 1, 17, "tile/1/001.p/17"),
        (63, 999, 1, "tile/63/999.p/1"),
        (0, 1000, 256, "tile/0/x001/000"),
        (2, 1_234_067, 256, "tile/2/x001/x234/067"),
        (ENTRIES, 1_234_067, 255, "tile/entries/x001/x234/067.p/255"),
        (ENTRIES, 0, 256, "tile/entries/000"),
        (0, 10**9, 256, "tile/0/x001/x000/x000/000"),
    ],
)
def test_paths_are_those_of_the_specification(level: int, index: int, width: int, path: str) -> None:
    assert tile_path(level, index, width) == path


def test_a_tree_of_70_000_has_the_tiles_of_the_specification() -> None:
    paths = set(tile_paths(70_000))
    level_0 = {tile_path(0, index) for index in range(273)} | {"tile/0/273.p/112"}
    assert {path for path in paths if path.startswith("tile/0/")} == level_0
    assert {path for path in paths if path.startswith("tile/1/")} == {"tile/1/000", "tile/1/001.p/17"}
    assert {path for path in paths if path.startswith("tile/2/")} == {"tile/2/000.p/1"}
    assert len(paths) == 274 * 2 + 3
    assert set(tile_paths(256)) == {"tile/0/000", "tile/1/000.p/1", "tile/entries/000"}
    assert set(tile_paths(0)) == set()


@pytest.mark.parametrize("size", SIZES)
def test_an_export_writes_each_tile_of_its_tree_once_and_no_other(size: int, shelves: dict[int, Shelf]) -> None:
    assert sorted(shelves[size].written) == sorted(tile_paths(size))


@pytest.mark.parametrize("size", SIZES)
def test_every_body_and_every_hash_comes_back(size: int, shelves: dict[int, Shelf]) -> None:
    reader = TileReader(shelves[size].read, size, tree_root(size, TREE))
    assert list(reader.bodies()) == list(bodies(0, size))
    level = 0
    while size >> level:
        nodes = [Node(level, position) for position in range(0, size >> level, 1 if level >= 8 else 7)]
        assert reader.read_hashes(nodes) == TREE.read_hashes(nodes)
        level += 1


@pytest.mark.parametrize("size", SIZES[1:])
def test_proofs_from_tiles_are_accepted(size: int, shelves: dict[int, Shelf]) -> None:
    root = tree_root(size, TREE)
    reader = TileReader(shelves[size].read, size, root)
    for index in {0, 1, 254, 255, 256, 257, 65_534, 65_535, 65_536, size // 2, size - 2, size - 1} & set(range(size)):
        proof = inclusion_proof(index, size, reader)
        check_inclusion(leaf_hash(b"%d" % index), index, size, proof, root)
        assert reader.body(index) == b"%d" % index
    for old in {*SIZES, 3, 100, 256 * 200, size - 1} & set(range(size + 1)):
        check_consistency(old, tree_root(old, TREE), size, root, consistency_proof(old, size, reader))


def test_a_partial_tile_that_was_deleted_is_taken_from_the_full_one(shelves: dict[int, Shelf]) -> None:
    """The checkpoint of an older size, on the tiles of a newer one."""
    for old, new in ((65_535, 65_536), (65_537, 70_000), (2, 256)):
        shelf = Shelf()
        shelf.files = {path: tile for path, tile in shelves[new].files.items() if ".p/" not in path}
        missing = [path for path in tile_paths(old) if ".p/" in path and path.partition(".p/")[0] not in shelf.files]
        shelf.files |= {path: shelves[old].files[path] for path in missing}
        reader = TileReader(shelf.read, old, tree_root(old, TREE))
        assert list(reader.bodies(old - 2)) == list(bodies(old - 2, old))
        with pytest.raises(ProofError, match=f"there is no record {old}"):
            reader.body(old)


def test_writing_in_pieces_gives_the_tiles_of_one_export(shelves: dict[int, Shelf]) -> None:
    shelf = Shelf()
    writer = TileWriter(shelf.write)
    for begin, end in ((0, 1), (1, 2), (2, 255), (255, 256), (256, 257), (257, 65_535), (65_535, 65_536)):
        for body in bodies(begin, end):
            writer.append(body)
        assert writer.flush() == tree_root(end, TREE)
        assert {path: shelf.files[path] for path in tile_paths(end)} == shelves[end].files


def test_an_export_is_resumed_where_the_last_one_ended(shelves: dict[int, Shelf]) -> None:
    shelf = Shelf()
    for begin, end in ((0, 0), (0, 1), (1, 255), (255, 256), (256, 257), (257, 65_537), (65_537, 70_000)):
        writer = TileWriter.resume(shelf.write, TileReader(shelf.read, begin, tree_root(begin, TREE)))
        assert writer.size == begin
        for body in bodies(begin, end):
            writer.append(body)
        assert writer.flush() == tree_root(end, TREE)
    assert {path: shelf.files[path] for path in tile_paths(70_000)} == shelves[70_000].files


@given(st.lists(st.binary(max_size=40), max_size=600), st.integers(0, 600))
def test_any_bodies_come_back(records: list[bytes], cut: int) -> None:
    shelf = Shelf()
    writer = TileWriter(shelf.write)
    frontier = Frontier()
    for at, body in enumerate(records):
        if at == cut:
            writer.flush()
        writer.append(body)
        frontier.append(leaf_hash(body))
    assert writer.flush() == frontier.root()
    assert list(TileReader(shelf.read, len(records), frontier.root()).bodies()) == records


def test_the_largest_body_fits_and_a_larger_one_is_refused() -> None:
    shelf = Shelf()
    size, root = export_tiles([b"", b"a" * 65_535], shelf.write)
    assert list(TileReader(shelf.read, size, root).bodies()) == [b"", b"a" * 65_535]
    with pytest.raises(ProofError, match="a record has 65536 bytes, and a leaf holds at most 65535"):
        export_tiles([b"a" * 65_536], shelf.write)


def test_an_export_that_could_not_write_goes_on_from_its_tiles_only(shelves: dict[int, Shelf]) -> None:
    """Every write of a growing export fails once; what it left is resumed from the last root it gave."""
    for failing in range(8):
        shelf = Shelf()

        def write(path: str, content: bytes, shelf: Shelf = shelf, failing: int = failing) -> None:
            if len(shelf.written) == failing:
                raise OSError(28, "no space left on device")
            shelf.write(path, content)

        writer = TileWriter(write)
        done = [(0, EMPTY_ROOT)]
        with pytest.raises(OSError, match="no space"):
            grow(writer, done)
        size, root = done[-1]
        if failing in (2, 3):  # in the middle of an append
            with pytest.raises(OperationError, match="resume it from the tiles"):
                writer.append(b"more")
        writer = TileWriter.resume(shelf.write, TileReader(shelf.read, size, root))
        for body in bodies(size, 257):
            writer.append(body)
        assert writer.flush() == tree_root(257, TREE)
        assert {path: shelf.files[path] for path in tile_paths(257)} == shelves[257].files


def grow(writer: TileWriter, done: list[tuple[int, bytes]]) -> None:
    for begin, end in ((0, 255), (255, 256), (256, 257)):
        for body in bodies(begin, end):
            writer.append(body)
        done.append((end, writer.flush()))


def test_memory_stays_flat() -> None:
    """30,000 records of 1,000 bytes, exported while less than 1 MiB is held."""
    tracemalloc.start()
    try:
        export_tiles((b"%d" % at * 200 for at in range(30_000)), lambda path, content: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_proof_reads_few_tiles(shelves: dict[int, Shelf]) -> None:
    shelf = shelves[70_000]
    reader = TileReader(shelf.read, 70_000, tree_root(70_000, TREE))
    shelf.asked.clear()
    inclusion_proof(30_000, 70_000, reader)
    assert sorted(shelf.asked) == ["tile/0/117", "tile/1/000"]


# What was forged


@pytest.mark.parametrize("size", [1, 2, 257])
def test_any_flipped_bit_of_any_tile_is_refused(size: int, shelves: dict[int, Shelf]) -> None:
    """Exhaustive: every bit of hash tiles and entry bundles of sizes 1 and 2, one bit of every third byte at 257."""
    shelf, root = shelves[size], tree_root(size, TREE)
    for path, content in shelf.files.items():
        for at in range(0, len(content), 1 if size < 3 else 3):
            for bit in range(8) if size < 3 else [at % 8]:
                forged = Shelf()
                forged.files = shelf.files | {path: flipped(content, at, bit)}
                with pytest.raises(ProofError):
                    use_all(forged, size, root)


@pytest.mark.parametrize("size", [65_535, 65_537, 70_000])
def test_a_flipped_bit_of_a_tile_of_a_large_tree_is_refused(size: int, shelves: dict[int, Shelf]) -> None:
    """A bit in each of about 40 tiles and bundles, the whole right edge among them."""
    shelf, root = shelves[size], tree_root(size, TREE)
    edge = [path for path in shelf.files if ".p/" in path or path.startswith("tile/1/")]
    for path in [*sorted(shelf.files)[::16], *edge]:
        content = shelf.files[path]
        forged = Shelf()
        forged.files = shelf.files | {path: flipped(content, len(content) // 2, 3)}
        index = int(path.partition(".p")[0].rpartition("/")[2])
        with pytest.raises(ProofError):
            use(forged, size, root, index * 256)


def use(shelf: Shelf, size: int, root: bytes, begin: int) -> None:
    """Read a bundle and all tiles above it."""
    reader = TileReader(shelf.read, size, root)
    reader.read_hashes([Node(8, 0)])
    for _ in reader.bodies(begin, begin + 256):
        pass


def use_all(shelf: Shelf, size: int, root: bytes) -> None:
    reader = TileReader(shelf.read, size, root)
    reader.read_hashes([Node(0, index) for index in range(size)])
    for _ in reader.bodies():
        pass


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_two_tiles_that_changed_places_are_refused(shelves: dict[int, Shelf]) -> None:
    forged = Shelf()
    files = shelves[70_000].files
    for kind in ("tile/0", "tile/entries"):
        forged.files = files | {f"{kind}/007": files[f"{kind}/008"], f"{kind}/008": files[f"{kind}/007"]}
        reader = TileReader(forged.read, 70_000, tree_root(70_000, TREE))
        with pytest.raises(ProofError, match="is not the one of this tree"):
            reader.body(7 * 256)


def test_a_record_and_its_leaf_forged_together_are_refused(shelves: dict[int, Shelf]) -> None:
    files = shelves[70_000].files
    body, leaf = b"700", leaf_hash(b"700")
    forged = Shelf()
    forged.files = files | {
        "tile/entries/002": files["tile/entries/002"].replace(body, b"007"),
        "tile/0/002": files["tile/0/002"].replace(leaf, leaf_hash(b"007")),
    }
    with pytest.raises(ProofError, match="the tile `tile/0/002` is not the one of this tree: the tile above says"):
        TileReader(forged.read, 70_000, tree_root(70_000, TREE)).body(700)


def test_tiles_of_another_tree_are_refused_at_once(shelves: dict[int, Shelf]) -> None:
    with pytest.raises(ProofError, match=f"have the root {tree_root(256, TREE).hex()} instead of"):
        TileReader(shelves[256].read, 256, tree_root(255, TREE))
    with pytest.raises(ProofError, match="instead of"):
        TileReader(shelves[256].read, 0, tree_root(1, TREE))
    assert TileReader(shelves[256].read, 0, EMPTY_ROOT).read_hashes([]) == []


def test_a_missing_tile_is_named(shelves: dict[int, Shelf]) -> None:
    root = tree_root(70_000, TREE)
    for path, index in (("tile/0/007", 7 * 256), ("tile/entries/007", 7 * 256), ("tile/1/000", 7 * 256)):
        kept = Shelf()
        kept.files = {name: tile for name, tile in shelves[70_000].files.items() if name != path}
        reader = TileReader(kept.read, 70_000, root)
        with pytest.raises(ProofError, match=f"the tile `{path}` is missing"):
            reader.body(index)
    # What was dropped after its time takes nothing from the rest.
    kept = Shelf()
    kept.files = {name: tile for name, tile in shelves[70_000].files.items() if name != "tile/entries/007"}
    assert TileReader(kept.read, 70_000, root).body(8 * 256) == b"2048"


@pytest.mark.parametrize("length", [0, 31, 33, 64, 8192 - 32])
def test_a_tile_of_another_length_is_refused(length: int, shelves: dict[int, Shelf]) -> None:
    forged = Shelf()
    forged.files = {"tile/0/000.p/1": bytes(length)}
    with pytest.raises(ProofError, match=f"has {length} bytes instead of 32"):
        TileReader(forged.read, 1, tree_root(1, TREE))


@pytest.mark.parametrize("bundle", [b"\0", b"\0\1", b"\0\2a", b"\0\1a\0", b"\xff\xffa"])
def test_a_cut_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(ProofError, match="`entry bundle` ends within record"):
        read_bundle(bundle)
    assert read_bundle(b"") == []
    assert read_bundle(b"\0\0\0\1a") == [b"", b"a"]


def test_a_bundle_with_a_record_too_many_or_too_few_is_refused() -> None:
    shelf = Shelf()
    size, root = export_tiles([b"a", b"b"], shelf.write)
    for bundle, count in ((b"\0\1a", 1), (b"\0\1a\0\1b\0\1c", 3)):
        shelf.files["tile/entries/000.p/2"] = bundle
        with pytest.raises(ProofError, match=f"has {count} records instead of 2"):
            TileReader(shelf.read, size, root).body(0)


@pytest.mark.parametrize("node", [Node(0, 257), Node(8, 1), Node(9, 0), Node(0, -1), Node(1, 128)])
def test_a_subtree_outside_the_tree_is_refused(node: Node, shelves: dict[int, Shelf]) -> None:
    reader = TileReader(shelves[257].read, 257, tree_root(257, TREE))
    with pytest.raises(ProofError, match="there is no complete subtree"):
        reader.read_hashes([node])


def test_tiles_live_in_a_folder(tmp_path: Path) -> None:
    folder = TileFolder(tmp_path)
    size, root = export_tiles(bodies(0, 300), folder.write)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(tile_paths(300))
    assert list(TileReader(folder.read, size, root).bodies()) == list(bodies(0, 300))
    with pytest.raises(FileNotFoundError):
        folder.read("tile/0/999")
