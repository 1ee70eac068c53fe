"""A regular expression read into parts: of the plain sort for automata, of RE2's whole syntax for samples."""

import re
import sys
import unicodedata
from functools import lru_cache
from typing import Any, Final

ALL: Final = frozenset(range(128))
DIGITS: Final = frozenset(b"0123456789")
WORDS: Final = DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
SPACES: Final = frozenset(b"\t\n\f\r ")
ESCAPED: Final = {
    "d": DIGITS, "D": ALL - DIGITS, "w": WORDS, "W": ALL - WORDS, "s": SPACES, "S": ALL - SPACES,
    "t": frozenset(b"\t"), "n": frozenset(b"\n"), "r": frozenset(b"\r"), "f": frozenset(b"\f"),
}  # fmt: skip
BEGIN, END = -1, -2


class NotPlain(Exception):
    """Something that is not read, or of which no automaton is made."""


class Reader:
    """Reads an expression into parts: a set of characters, BEGIN or END, ("all", parts), ("any", parts), or
    ("again", part, least, most).

    Only what RE2 and everybody else mean alike is read.
    """

    def __init__(self, regex: str) -> None:
        self.fold = self.dot_all = False
        if not regex.isascii() or not regex.isprintable():
            raise NotPlain
        while regex.startswith(("(?i)", "(?s)", "(?is)", "(?si)")):
            flags, _, regex = regex.partition(")")
            self.fold |= "i" in flags
            self.dot_all |= "s" in flags
        self.regex, self.at = regex, 0

    def read(self) -> Any:
        part = self.alternatives()
        if self.at != len(self.regex):
            raise NotPlain
        return part

    def peek(self) -> str:
        return self.regex[self.at : self.at + 1]

    def alternatives(self) -> Any:
        parts = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            parts.append(self.sequence())
        return ("any", parts)

    def sequence(self) -> Any:
        parts = []
        while self.peek() not in ("", "|", ")"):
            part = self.one()
            least, most = self.count()
            if (least, most) != (1, 1):
                # Anchors repeated, lazy and possessive marks, marks upon marks are left to RE2.
                if part in (BEGIN, END) or self.peek() in ("*", "+", "?", "{"):
                    raise NotPlain
                part = ("again", part, least, most)
            parts.append(part)
        return ("all", parts)

    def count(self) -> tuple[int, int | None]:
        mark = self.peek()
        if mark and mark in "*+?":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark]
        if mark != "{":
            return 1, 1
        inner, closed, _ = self.regex[self.at + 1 :].partition("}")
        least, comma, most = inner.partition(",")
        if not closed or not least.isdigit() or (most and not most.isdigit()) or len(least) > 3 or len(most) > 3:
            raise NotPlain
        self.at += len(inner) + 2
        found = (int(least), None if comma and not most else int(most or least))
        if found[1] == 0 or (found[1] is not None and found[1] < found[0]):
            raise NotPlain
        return found

    def one(self) -> Any:
        mark = self.peek()
        if mark == "(":
            self.at += 1
            if self.regex.startswith("?:", self.at):
                self.at += 2
            elif self.peek() == "?":
                raise NotPlain
            part = self.alternatives()
            if self.peek() != ")":
                raise NotPlain
            self.at += 1
            return part
        if mark in ("^", "$"):
            self.at += 1
            return BEGIN if mark == "^" else END
        return self.folded(self.taken())

    def taken(self) -> frozenset[int]:
        mark = self.peek()
        self.at += 1
        if mark == ".":
            return ALL if self.dot_all else ALL - {10}
        if mark == "[":
            return self.bracketed()
        if mark == "\\":
            return self.escaped()
        if mark in ("*", "+", "?", "{", "}", "]", ""):
            raise NotPlain
        return frozenset((ord(mark),))

    def escaped(self) -> frozenset[int]:
        mark = self.peek()
        self.at += 1
        if mark in ESCAPED:
            return ESCAPED[mark]
        if not mark or mark.isalnum() or mark == "_":
            raise NotPlain
        return frozenset((ord(mark),))

    def bracketed(self) -> frozenset[int]:
        turned = self.peek() == "^"
        self.at += turned
        found: set[int] = set()
        first = True
        while first or self.peek() != "]":
            mark = self.peek()
            self.at += 1
            if mark in ("", "[") or (first and mark == "]"):
                raise NotPlain
            first = False
            taken = self.escaped() if mark == "\\" else frozenset((ord(mark),))
            if self.peek() == "-" and self.regex[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = self.peek()
                self.at += 1
                if mark == "\\" or last in ("", "\\", "[") or ord(last) < ord(mark):
                    raise NotPlain
                taken = frozenset(range(ord(mark), ord(last) + 1))
            elif mark == "-" and (found or self.peek() != "]"):
                raise NotPlain
            found |= taken
        self.at += 1
        folded = self.folded(frozenset(found))
        return ALL - folded if turned else folded

    def folded(self, taken: frozenset[int]) -> frozenset[int]:
        if not self.fold:
            return taken
        both = {c ^ 32 for c in taken if chr(c).isalpha()}
        return taken | both


CLASSES: Final = {
    "alnum": WORDS - frozenset(b"_"),
    "alpha": WORDS - DIGITS - frozenset(b"_"),
    "ascii": ALL,
    "blank": frozenset(b"\t "),
    "cntrl": frozenset(range(32)) | {127},
    "digit": DIGITS,
    "graph": frozenset(range(33, 127)),
    "lower": frozenset(b"abcdefghijklmnopqrstuvwxyz"),
    "print": frozenset(range(32, 127)),
    "punct": frozenset(range(33, 127)) - (WORDS - frozenset(b"_")),
    "space": SPACES | {11},
    "upper": frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "word": WORDS,
    "xdigit": frozenset(b"0123456789abcdefABCDEF"),
}
GROUP: Final = re.compile(r"\?(?:P?<\w+>|[a-zA-Z]*(?:-[a-zA-Z]+)?(?P<end>[:)]))")
NOTHING: Final[Any] = ("all", [])


class WholeReader(Reader):
    """Reads RE2's whole syntax, well enough to make a text that an expression may find; RE2 is asked whether it does.

    Flags do not change what is read, edges of words are nothing, and of the characters of a script some are taken.
    """

    def __init__(self, regex: str) -> None:
        self.fold = self.dot_all = False
        self.regex, self.at = regex, 0

    def sequence(self) -> Any:
        parts = []
        while self.peek() not in ("", "|", ")"):
            part, before = self.one(), -1
            while before != self.at:
                before = self.at
                least, most = self.count()
                if before != self.at:
                    part = ("again", part, least, most)
                    self.at += self.peek() == "?"
            parts.append(part)
        return ("all", parts)

    def count(self) -> tuple[int, int | None]:
        if self.peek() == "{":
            bounds = re.compile(r"\{(\d+)(,?)(\d*)\}").match(self.regex, self.at)
            if bounds is None:
                return 1, 1
            self.at = bounds.end()
            least, comma, most = bounds.groups()
            return int(least), int(most) if most else None if comma else int(least)
        return super().count()

    def one(self) -> Any:
        if self.regex.startswith("(?", self.at):
            opened = GROUP.match(self.regex, self.at + 1)
            if opened is None:
                raise NotPlain
            if opened["end"] == ")":
                self.at = opened.end()
                return NOTHING
            # What is left of the group is one without a name.
            self.regex, self.at = f"({self.regex[opened.end() :]}", 0
        if self.peek() == "\\":
            mark = self.regex[self.at + 1 : self.at + 2]
            if mark and mark in "bBAz":
                self.at += 2
                return {"A": BEGIN, "z": END}.get(mark, NOTHING)
            if mark == "Q":
                literal, _, _ = self.regex[self.at + 2 :].partition("\\E")
                self.at = min(len(self.regex), self.at + 4 + len(literal))
                return ("all", [frozenset((ord(sign),)) for sign in literal])
        return super().one()

    def taken(self) -> frozenset[int]:
        if self.peek() in ("{", "}", "]"):
            self.at += 1
            return frozenset((ord(self.regex[self.at - 1]),))
        return super().taken()

    def escaped(self) -> frozenset[int]:
        rest = self.regex[self.at :]
        if coded := re.match(r"x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([0-7]{1,3})", rest):
            self.at += coded.end()
            code = int(coded[3], 8) if coded[3] else int(coded[1] or coded[2], 16)
            if code > sys.maxunicode:
                raise NotPlain
            return frozenset((code,))
        if named := re.match(r"([pP])(?:\{(\^?)(\w+)\}|(\w))", rest):
            self.at += named.end()
            return of_script(named[3] or named[4], turned=(named[1] == "P") != bool(named[2]))
        if rest[:1] in ("a", "v", "C"):
            self.at += 1
            return {"a": frozenset((7,)), "v": frozenset((11,)), "C": ALL}[rest[0]]
        return super().escaped()

    def bracketed(self) -> frozenset[int]:
        turned = self.peek() == "^"
        self.at += turned
        found: set[int] = set()
        first = True
        while first or self.peek() != "]":
            first = False
            if posix := re.compile(r"\[:(\^?)(\w+):\]").match(self.regex, self.at):
                self.at = posix.end()
                named = CLASSES.get(posix[2], ALL)
                found |= ALL - named if posix[1] else named
                continue
            taken = self.member()
            if self.peek() == "-" and self.regex[self.at + 1 : self.at + 2] not in ("]", "") and len(taken) == 1:
                self.at += 1
                taken = frozenset(range(min(taken), max(self.member()) + 1))
            found |= taken
        self.at += 1
        return frozenset(ALL - found if turned else found)

    def member(self) -> frozenset[int]:
        mark = self.peek()
        self.at += 1
        if not mark:
            raise NotPlain
        return self.escaped() if mark == "\\" else frozenset((ord(mark),))


@lru_cache(maxsize=64)
def of_script(name: str, turned: bool) -> frozenset[int]:
    """Return characters of a general category, or of a script by its name, or such as are not of it."""
    wanted = name.upper()

    def fits(sign: str) -> bool:
        short = len(name) < 3
        return unicodedata.category(sign).startswith(name) if short else unicodedata.name(sign, "").startswith(wanted)

    found = frozenset(
        code for code in (*range(32, 0x0600), *range(0x3040, 0x3100), *range(0x4E00, 0x4E10)) if fits(chr(code))
    )
    return ALL - found if turned else found
