"""What wrapping has covered: each tool and by which ways it can be called, and what could not be covered."""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass, field
from typing import Any, Final

LOG: Final = logging.getLogger("thoth")


@dataclass(frozen=True, slots=True)
class Covered:
    """One tool: its name as the policy sees it, and the ways to call it that are governed."""

    name: str
    ways: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.ways)})"


@dataclass(slots=True)
class Coverage:
    """What is governed of one object. `escapes` are ways around that were found, `notes` what else to know."""

    agent_id: str
    enforcer: str
    tools: list[Covered] = field(default_factory=list)
    escapes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """The tools, by name."""
        return tuple(covered.name for covered in self.tools)

    def cover(self, name: str, *ways: str) -> None:
        """Take in one governed tool."""
        for place, covered in enumerate(self.tools):
            if covered.name == name:
                self.tools[place] = Covered(name, tuple(dict.fromkeys((*covered.ways, *ways))))
                return
        self.tools.append(Covered(name, ways))

    def __str__(self) -> str:
        lines = [f"agent {self.agent_id}, decided by {self.enforcer}: {len(self.tools)} tools are governed"]
        lines += [f"  {covered}" for covered in self.tools]
        lines += [f"  NOT governed: {escape}" for escape in self.escapes]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def tell(self) -> None:
        """Log what was covered, and warn of each way around."""
        LOG.info("wrapped agent=%s enforcer=%s tools=%s", self.agent_id, self.enforcer, ",".join(self.names))
        for escape in self.escapes:
            LOG.warning("not_governed agent=%s what=%s", self.agent_id, escape)
        for note in self.notes:
            LOG.warning("note agent=%s %s", self.agent_id, note)


_OF: Final[dict[int, tuple[Any, Coverage]]] = {}


def remember(wrapped: object, coverage: Coverage) -> None:
    """Keep a coverage for as long as what it is about lives."""
    key = id(wrapped)
    try:
        reference: Any = weakref.ref(wrapped, lambda _: _OF.pop(key, None))
    except TypeError:
        reference = lambda: wrapped  # noqa: E731 - it cannot be weakly held, so it lives on
    _OF[key] = (reference, coverage)


def coverage(wrapped: object) -> Coverage:
    """Return what wrapping covered of an object that an `instrument…` function returned.

    Raises:
        LookupError: it was not wrapped.
    """
    found = _OF.get(id(wrapped))
    if found is None or found[0]() is not wrapped:
        raise LookupError(f"{type(wrapped).__name__} is not instrumented; call `thoth.instrument` with it")
    return found[1]
