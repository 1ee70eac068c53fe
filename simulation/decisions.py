"""The decisions file: one row a call, in the order of the recording; JSONL, packed or not, or Parquet."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

from ..contract import OperationError
from .opening import zstd

ROWS_AT_ONCE: Final = 65_536


class Writer(Protocol):
    """Takes rows, each as one line of JSON."""

    def write(self, line: bytes) -> None:
        """Write one row."""


@contextmanager
def writing(file: Path) -> Iterator[Writer]:
    """Open a decisions file; its name says how it is written.

    Raises:
        OperationError: it cannot be written, or the library for it is missing.
    """
    try:
        if file.name.endswith(".parquet"):
            with _parquet(file) as rows:
                yield rows
        else:
            with _opened(file) as stream:
                yield _Lines(stream)
    except OSError as error:
        raise OperationError(f"`{file}` cannot be written: {error.strerror or error}") from error


class _Lines:
    def __init__(self, stream: IO[bytes]) -> None:
        self._write = stream.write

    def write(self, line: bytes) -> None:
        self._write(line)
        self._write(b"\n")


def _opened(file: Path) -> Any:
    if file.name.endswith(".gz"):
        return gzip.GzipFile(file, "wb", mtime=0)  # without a time, so that the same rows make the same file
    if file.name.endswith(".zst"):
        return zstd().open(file, "wb")
    return file.open("wb", buffering=1 << 20)


class _Table:
    """Rows gathered into groups of one size, so that the same rows make the same file."""

    def __init__(self, sink: Any, arrow: Any, schema: Any) -> None:
        self.sink, self.arrow, self.schema = sink, arrow, schema
        self.rows: list[Any] = []

    def write(self, line: bytes) -> None:
        self.rows.append(msgspec.json.decode(line))
        if len(self.rows) == ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.sink.write_table(self.arrow.Table.from_pylist(self.rows, schema=self.schema))
            self.rows.clear()


@contextmanager
def _parquet(file: Path) -> Iterator[_Table]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise OperationError("Parquet needs a library; install `thoth-runtime[arrow]`, or write JSONL") from None
    texts = pa.list_(pa.string())
    schema = pa.schema(
        [
            ("session_id", pa.string()), ("seq", pa.int64()), ("decision", pa.string()),
            ("verdict", pa.string()), ("by", pa.string()), ("rules", texts), ("reason_code", pa.string()),
            ("hypothetical", pa.bool_()), ("was", pa.string()), ("was_rules", texts),
        ]
    )  # fmt: skip
    with parquet.ParquetWriter(file, schema, compression="zstd") as sink:
        table = _Table(sink, pa, schema)
        yield table
        table.flush()
