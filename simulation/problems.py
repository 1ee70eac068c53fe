"""What was wrong in the files that were read: counted in full, and the first of each kind named with its place.

A *problem* is something that could not be read, so that no call came of it. A *remark* is something that was read, and
of which a part was not known or not there: a field of another name, a results file that is missing.
"""

from dataclasses import dataclass, field
from typing import Final

from ..contract import OperationError

KEPT_MAX: Final = 100


@dataclass(slots=True)
class Problems:
    """The problems and remarks of one reading. `strict`: the first one ends it."""

    strict: bool = False
    named: list[str] = field(default_factory=list)
    count: int = 0
    remarks: dict[str, tuple[int, str]] = field(default_factory=dict)

    def problem(self, place: str, what: str) -> None:
        """Count something that could not be read.

        Raises:
            OperationError: the reading is strict.
        """
        if self.strict:
            raise OperationError(f"{place}: {what}")
        self.count += 1
        if len(self.named) < KEPT_MAX:
            self.named.append(f"{place}: {what}")

    def remark(self, place: str, what: str) -> None:
        """Count something that was read in part; `place` is where it was seen first.

        Raises:
            OperationError: the reading is strict.
        """
        if self.strict:
            raise OperationError(f"{place}: {what}")
        count, first = self.remarks.get(what, (0, place))
        if count or len(self.remarks) < KEPT_MAX:
            self.remarks[what] = (count + 1, first)

    def add(self, other: "Problems") -> None:
        """Take in what another reader of the same files has found."""
        self.count += other.count
        self.named = sorted([*self.named, *other.named], key=_place)[:KEPT_MAX]
        for what, (count, place) in other.remarks.items():
            had, first = self.remarks.get(what, (0, place))
            self.remarks[what] = (had + count, min(first, place, key=_place))

    def as_json(self) -> dict[str, object]:
        """Return it for machines and reports."""
        return {
            "not_read": self.count,
            "problems": list(self.named),
            "remarks": [
                {"what": what, "count": count, "first": place} for what, (count, place) in self.remarks.items()
            ],
        }


def _place(named: str) -> tuple[str, int]:
    file, _, rest = named.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0
