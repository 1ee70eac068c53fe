"""Which files a place means, and their bytes: files, folders and globs, plain or packed (`.gz`, `.zst`)."""

import glob
import gzip
import io
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from ..contract import OperationError

PACKED: Final = ("", ".gz", ".zst")
LINES: Final = tuple(f"{end}{packed}" for end in (".jsonl", ".ndjson") for packed in PACKED)
"""Endings of what a folder is searched for; a file that is named may have any."""
TABLES: Final = (".parquet",)
LOG: Final = "log.json"
BESIDE: Final = ("sessions", "results")
CHUNK: Final = 1 << 20


class Progress:
    """How many bytes of how many have been read, as the files lie on disk."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Ask every file for its size; what cannot be asked counts as nothing."""
        self.bytes_max = sum(file.stat().st_size for file in files if file.is_file())
        self.bytes_before = 0
        self.stream: IO[bytes] | None = None

    def begin(self, stream: IO[bytes]) -> None:
        """Follow one more file."""
        self.stream = stream

    def end(self, file: Path) -> None:
        """Count a file as read."""
        self.bytes_before += file.stat().st_size
        self.stream = None

    def share(self) -> float:
        """Return how much has been read, between 0 and 1."""
        at = 0
        if self.stream is not None and not self.stream.closed:
            at = self.stream.tell()
        return min(1.0, (self.bytes_before + at) / self.bytes_max) if self.bytes_max else 0.0


def find(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that places mean, each once: a file, a folder of them, or a glob; an evidence log is its folder.

    Raises:
        OperationError: a place is not there, or holds no recording.
    """
    found: list[Path] = []
    for place in (os.fspath(one) for one in places):
        paths = [Path(place)]
        if not paths[0].exists():
            paths = [Path(one) for one in sorted(glob.glob(place, recursive=True))]  # noqa: PTH207 - a place may be anywhere
            if not paths:
                raise OperationError(f"`{place}` is not there; name a trace file or a folder of them")
        for path in paths:
            if not path.is_dir() or is_log(path):
                found.append(path)
                continue
            inside = sorted(
                one
                for one in path.iterdir()
                if (one.name.endswith((*LINES, *TABLES)) and not is_beside(one)) or (one.is_dir() and is_log(one))
            )
            if not inside:
                raise OperationError(
                    f"`{path}` holds no trace, no file `*.jsonl`, `*.jsonl.gz`, `*.jsonl.zst` or `*.parquet`"
                )
            found.extend(inside)
    return list(dict.fromkeys(found))


def is_log(path: Path) -> bool:
    """Say whether a folder is an evidence log."""
    return (path / LOG).is_file() and (path / "shards").is_dir()


def stem(file: Path) -> str:
    """Return a file's name without its endings."""
    return next((file.name.removesuffix(end) for end in (*LINES[::-1], *TABLES) if file.name.endswith(end)), file.stem)


def is_beside(file: Path) -> bool:
    """Say whether a file holds sessions or results, by its name."""
    return any(stem(file) == kind or stem(file).endswith(f"-{kind}") for kind in BESIDE)


def beside(file: Path, kind: str) -> Path | None:
    """Return the file of this kind that belongs to a trace: `NAME-sessions` before `sessions`."""
    ends = [f"{end}{packed}" for packed in (".gz", ".zst", "") for end in (".jsonl",)]
    candidates = [file.with_name(name + end) for name in (f"{stem(file)}-{kind}", kind) for end in ends]
    return next((path for path in candidates if path.is_file()), None)


def lines(file: Path, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a file that are not blank, numbered from 1; `.gz` and `.zst` are unpacked.

    Raises:
        OperationError: the file cannot be read.
    """
    try:
        with file.open("rb") as raw, unpacked(file, raw) as stream:
            if progress is not None:
                progress.begin(raw)
            for number, line in enumerate(stream, 1):
                if not line.isspace():
                    yield number, line
        if progress is not None:
            progress.end(file)
    except (OSError, EOFError, _zstd_error()) as error:
        raise OperationError(f"`{file}` cannot be read: {getattr(error, 'strerror', None) or error}") from error


def unpacked(file: Path, raw: IO[bytes]) -> Any:
    """Return a stream of what a file holds.

    Raises:
        OperationError: it is packed with zstd, and nothing here unpacks that.
    """
    if file.name.endswith(".gz"):
        # A buffer around it: a packed file on its own gives out each line by way of Python.
        return io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), CHUNK)
    if file.name.endswith(".zst"):
        return zstd().open(raw, "rb")
    return raw


def zstd() -> Any:
    """Return the module that unpacks zstd: the standard library's, or what stands in for it before Python 3.14.

    Raises:
        OperationError: there is none.
    """
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd as module
        else:
            from backports import zstd as module
    except ImportError:
        raise OperationError("`.zst` needs a library; install `thoth-runtime[zstd]`, or pack with gzip") from None
    return module


def _zstd_error() -> type[Exception]:
    module: Any = sys.modules.get("compression.zstd") or sys.modules.get("backports.zstd")
    return module.ZstdError if module is not None else EOFError
