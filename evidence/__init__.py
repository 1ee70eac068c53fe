"""What happened: append, verify, prove, export. An auditor needs this room and little else."""

from .read import Record, read
from .salvage import salvage
from .shard import Appended, Shard
from .storage import FileStorage, Storage

__all__ = ["Appended", "FileStorage", "Record", "Shard", "Storage", "read", "salvage"]
