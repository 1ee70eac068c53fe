"""Break-glass: for a while, for the calls that it names, an operator's signed word lets through what a policy refuses.

It crosses what rules, limits, modes and the default ask, and nothing else: what is not well-formed, does not fit its
tool, came again as something else, cannot be recorded, or was denied by a person stays refused. A held call's arguments
are changed as the policy says, results are filtered, labels and calls count. Each such call has two records: what the
policy said, and that it ran, by whose override. An override is written down before it counts, and ends by itself; one
that was over is over, though the clock go back.
"""

import base64
import binascii
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..contract import Decision, Effect, OperationError, RequestError
from ..engine.embed import CROSSED
from .watched import Watched

KIND: Final = "thoth/override@v1"
CONTEXT: Final = b"thoth/override@v1\n"
"""What is signed before the document, so that no signature of another kind can be taken for one."""
LAST_S: Final = 86_400.0
"""The longest that an override may last."""
EARLY_S: Final = 300.0
"""How much the operator's clock may be ahead of ours."""
SCOPE_MAX: Final = 64
TEXT_CHARS_MAX: Final = 500
REFUSALS: Final = frozenset({Effect.BLOCK, Effect.DEFER, Effect.STEP_UP})
SCHEMA: Final = """
create table if not exists overrides (
    id text primary key, document blob not null, signature blob not null, until real not null, ended real
)
"""


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator signs. Tools, agents, tenants and rules are names or globs; times in epoch seconds.

    `rules` are those that may be crossed: a call goes through where it would if they were not there. All of them cross
    what mode and default ask as well.
    """

    kind: Literal["thoth/override@v1"]
    id: str
    operator: str
    reason: str
    begins: float
    until: float
    tools: tuple[str, ...]
    agents: tuple[str, ...] = ("*",)
    tenants: tuple[str, ...] = ("*",)
    rules: tuple[str, ...] = ("*",)

    @property
    def all_rules(self) -> bool:
        """Whether it crosses whatever refuses a call, and not some rules alone."""
        return "*" in self.rules

    def covers(self, decision: Decision) -> bool:
        """Say whether this crosses what refused a call; whether anything else stands against it is to be asked then."""
        request = decision.request
        if request is None or decision.effect not in REFUSALS or decision.by not in CROSSED:
            return False
        if not self.begins - EARLY_S <= decision.now < self.until:
            return False
        if not self.all_rules and (not decision.rules or decision.rules_more):
            return False
        scopes = ((self.tools, request.tool_name), (self.agents, request.agent_id), (self.tenants, request.tenant_id))
        return all(is_named(names, value) for names, value in scopes) and all(
            is_named(self.rules, id) for id in decision.rules
        )


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An override as it travels: the document's JSON and the Ed25519 signature over it, both in base64."""

    document: str
    signature: str


def is_named(names: Iterable[str], value: object) -> bool:
    """Say whether one of some names and globs stands for a value."""
    return any(name == "*" or (isinstance(value, str) and fnmatchcase(value, name)) for name in names)


def made(
    key: Ed25519PrivateKey, operator: str, reason: str, now: float, seconds: float, tools: Iterable[str], **scope: Any
) -> Signed:
    """Return a new override, signed."""
    override = Override(KIND, secrets.token_hex(8), operator, reason, now, now + seconds, tuple(tools), **scope)
    document = msgspec.json.encode(override)
    signature = key.sign(CONTEXT + document)
    return Signed(base64.b64encode(document).decode(), base64.b64encode(signature).decode())


def opened(document: bytes, signature: bytes, operators: Mapping[str, str]) -> Override:
    """Return what an operator has signed.

    Raises:
        RequestError: it is no override, or none that one of `operators`, name and public key, has signed.
    """
    try:
        override = msgspec.json.decode(document, type=Override)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RequestError(f"this is no override: {error}") from error
    key = operators.get(override.operator)
    try:
        if key is None:
            raise RequestError(
                f"`{override.operator[:64]}` is no operator here; [operators.NAME] in the settings says who is"
            )
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(signature, CONTEXT + document)
    except (InvalidSignature, ValueError) as error:
        raise RequestError(f"`{override.operator[:64]}` has not signed this") from error
    problem = _problem(override)
    if problem:
        raise RequestError(problem)
    return override


def _problem(override: Override) -> str:
    scopes = (override.tools, override.agents, override.tenants, override.rules)
    if not all(0 < len(names) <= SCOPE_MAX and all(names) for names in scopes):
        return f"tools, agents, tenants and rules each name 1 to {SCOPE_MAX}"
    if not override.reason.strip() or len(override.reason) > TEXT_CHARS_MAX:
        return f"an override says why, in at most {TEXT_CHARS_MAX} characters"
    if not override.id.isalnum() or len(override.id) > 64:
        return "an override's id has 1 to 64 letters and digits"
    if not 0 < override.until - override.begins <= LAST_S:
        return f"an override lasts at most {LAST_S / 3600:.0f} hours"
    return ""


def check_operators(operators: Mapping[str, str]) -> None:
    """Make sure that every operator has a public key.

    Raises:
        OperationError: naming the one that has none.
    """
    for name, key in operators.items():
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        except (ValueError, binascii.Error) as error:
            raise OperationError(
                f"[operators.{name}] has no Ed25519 public key of 32 bytes in base64; `thoth override key` makes one"
            ) from error


class Overrides(Watched):
    """The overrides of one sidecar, in a database that its workers have in common. Used from one thread."""

    def __init__(self, path: Path, operators: Mapping[str, str]) -> None:
        """Open the database, and make it if there is none.

        Raises:
            OperationError: it cannot be opened.
        """
        super().__init__(path, SCHEMA)
        self._operators = dict(operators)
        self._all: dict[str, Override] = {}
        self._ended: set[str] = set()
        self._over: set[str] = set()
        self.refresh()

    def _load(self) -> None:
        self._all, self._ended = {}, set()
        for id, document, signature, ended in self._db.execute("select id, document, signature, ended from overrides"):
            if ended is not None:
                self._ended.add(id)
            if ended is not None or id in self._over:
                continue
            try:
                override = opened(document, signature, self._operators)
            except RequestError:
                continue  # its operator is one no longer
            self._all[override.id] = override

    def begin(self, signed: Signed, now: float) -> tuple[Override, bytes, bytes]:
        """Return an override that may be written down, its document and its signature; it does not count yet.

        Raises:
            RequestError: it is none, not signed by an operator, over, not begun, or was here before.
        """
        try:
            document = base64.b64decode(signed.document, validate=True)
            signature = base64.b64decode(signed.signature, validate=True)
        except (ValueError, binascii.Error) as error:
            raise RequestError("document and signature are base64") from error
        override = opened(document, signature, self._operators)
        self.refresh()
        if override.id in self._ended or override.id in self._over or override.id in self._all:
            raise RequestError("this override was here before; sign a new one")
        if not override.begins - EARLY_S <= now < override.until:  # as `covers` says of each call
            raise RequestError("this override is over, or begins later")
        return override, document, signature

    def count(self, override: Override, document: bytes, signature: bytes) -> None:
        """Have an override count, here and in every other worker.

        Raises:
            OperationError: it cannot be written.
        """
        row = (override.id, document, signature, override.until, None)
        self._change("insert into overrides values (?, ?, ?, ?, ?)", row)

    def end(self, id: str, now: float) -> Override:
        """End an override for good, before its time.

        Raises:
            RequestError: there is none of this id.
            OperationError: it cannot be written.
        """
        self.refresh()
        override = self._all.get(id)
        if override is None:
            raise RequestError(f"there is no override `{id[:64]}`")
        self._change("update overrides set ended = ? where id = ?", (now, id))
        return override

    def _change(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise OperationError(f"the override cannot be written: {error}") from error
        self._load()

    def find(self, decision: Decision) -> list[Override]:
        """Return the overrides that cross what refused a call: those of all rules first, then by their ids."""
        self.refresh()
        self.pass_by(decision.now)
        found = [one for one in self._all.values() if one.covers(decision)]
        return sorted(found, key=lambda one: (not one.all_rules, one.id))

    def open_at(self, now: float) -> list[Override]:
        """Return the overrides that count at a time, the first to end first."""
        self.refresh()
        self.pass_by(now)
        return sorted(self._all.values(), key=lambda one: (one.until, one.id))

    def pass_by(self, now: float) -> None:
        """Let go of the overrides that are over at a time; to be called now and then."""
        for id in [one.id for one in self._all.values() if now >= one.until]:
            self._over.add(id)
            del self._all[id]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
