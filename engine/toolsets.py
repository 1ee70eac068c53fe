"""Sets of tools as policies name them, laid out: exact names in one set, globs and classes beside it."""

from collections.abc import Callable

from ..native.glob import match_glob
from ..native.names import nfc
from .binding import glob_of
from .checked import ToolPattern


class ToolSet:
    """Some tool patterns: `fits` says whether a tool is one of those meant."""

    __slots__ = ("any", "classes", "globs", "names")

    def __init__(self, tools: tuple[ToolPattern, ...]) -> None:
        self.any = any(pattern.kind == "any" for pattern in tools)
        self.names = frozenset(nfc(pattern.value) for pattern in tools if pattern.kind == "name")
        self.globs = tuple(glob_of(pattern.value) for pattern in tools if pattern.kind == "glob")
        self.classes = frozenset(pattern.value for pattern in tools if pattern.kind not in ("any", "name", "glob"))

    def fits(self, name: str, classes: frozenset[str] | None) -> bool | None:
        """Say whether a tool (name in NFC) fits; whether one without a declaration has a class is None, unknown."""
        if self.any or name in self.names:
            return True
        for glob in self.globs:
            if match_glob(glob, name):
                return True
        if not self.classes:
            return False
        return None if classes is None else not classes.isdisjoint(self.classes)

    def remembering(self) -> Callable[[str, frozenset[str] | None], bool | None]:
        """Return `fits` for many calls of few tools: each tool is asked once."""
        known: dict[tuple[str, frozenset[str] | None], bool | None] = {}

        def fits(tool: str, classes: frozenset[str] | None) -> bool | None:
            key = (tool, classes)
            if key not in known:
                known[key] = self.fits(nfc(tool), classes)
            return known[key]

        return fits
