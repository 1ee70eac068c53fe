"""API keys: 256 random bits, shown once, kept as SHA-256, found by a prefix that is no secret.

A key says who speaks (its principal), for which tenant and agent, what it may do, and until when. The database is
shared with `thoth keys`: what is made or revoked there counts here within a second.
"""

import hmac
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ..contract import OperationError
from ..native.posts import Asker
from ..native.replies import digest_of
from .watched import Watched

Permission: TypeAlias = Literal["read", "write", "execute"]
PREFIX_BYTES: Final = 6
SECRET_BYTES: Final = 32
MARK: Final = "thoth_"
KEY_CHARS_MAX: Final = 128
SCHEMA: Final = """
create table if not exists keys (
    prefix text primary key, digest blob not null, principal text not null, tenant text, agent text,
    permissions text not null, created real not null, expires real, revoked real
)
"""
COLUMNS: Final = "prefix, digest, principal, tenant, agent, permissions, created, expires, revoked"


class Key(msgspec.Struct, frozen=True):
    """One key without its secret. Times in epoch seconds; `tenant` and `agent` are None where it is for all."""

    prefix: str
    digest: bytes
    principal: str
    tenant: str | None
    agent: str | None
    permissions: frozenset[str]
    created: float
    expires: float | None
    revoked: float | None

    def valid(self, now: float) -> bool:
        """Say whether the key counts at a time."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def speaks_for(self, tenant: object, agent: object) -> bool:
        """Say whether a call of this tenant and this agent is any business of the key's."""
        return (self.tenant is None or self.tenant == tenant) and (self.agent is None or self.agent == agent)


def _key(row: tuple[Any, ...]) -> Key:
    prefix, digest, principal, tenant, agent, permissions, created, expires, revoked = row
    return Key(prefix, digest, principal, tenant, agent, frozenset(permissions.split()), created, expires, revoked)


def _asker(key: Key) -> Asker:
    return Asker(asker_of(key), "execute" in key.permissions, key.expires, key.tenant, key.agent)


def asker_of(key: Key) -> str:
    """Return what stands for whoever asks with a key."""
    return f"key:{key.prefix}"


def prefix_of(text: str) -> str:
    """Return the part of a key that is no secret."""
    return text.removeprefix(MARK).partition("_")[0]


class Keys(Watched):
    """All keys of a sidecar. One connection, used from one thread."""

    def __init__(self, path: Path, tenant: str | None = None) -> None:
        """Open the database, and make it if there is none. With `tenant` every key is that tenant's, whatever it says
        of others: one for all is for this one, and one for another does not count.

        Raises:
            OperationError: it cannot be opened.
        """
        super().__init__(path, SCHEMA)
        self._tenant = tenant
        self._known: dict[str, Key] = {}
        self.askers: dict[bytes, Asker] = {}
        """Who may ask for decisions, by the digest of the key; this one dict, whatever changes."""
        self.refresh()

    def _load(self) -> None:
        rows = self._db.execute(f"select {COLUMNS} from keys")
        known = [_key(row) for row in rows]
        if self._tenant is not None:
            mine = (None, self._tenant)
            known = [msgspec.structs.replace(key, tenant=self._tenant) for key in known if key.tenant in mine]
        self._known = {key.prefix: key for key in known}
        self.askers.clear()
        self.askers |= {key.digest: _asker(key) for key in known if key.revoked is None}

    def has(self, prefix: str) -> bool:
        """Say whether a key of this prefix was ever made, as far as is known; `refresh` takes in what others made."""
        return prefix in self._known

    def principal_behind(self, asker: str) -> str | None:
        """Return whose key it is, or was, that somebody asks with; see `asker_of`."""
        prefix = asker.removeprefix("key:")
        if prefix not in self._known:
            self.refresh()
        key = self._known.get(prefix)
        return None if key is None or prefix == asker else key.principal

    def find(self, text: str, now: float) -> Key | None:
        """Return the key that a client shows, None where it is none of ours, revoked or over."""
        if len(text) > KEY_CHARS_MAX or not text.isascii() or not text.startswith(MARK):
            return None
        prefix = prefix_of(text)
        digest = digest_of(text.encode())
        key = self._known.get(prefix)
        if key is None:
            self.refresh()
            key = self._known.get(prefix)
        # Compared though there is no such key: what an answer costs does not tell which prefixes there are.
        same = hmac.compare_digest(digest, b"\0" * 32 if key is None else key.digest)
        return key if key is not None and same and key.valid(now) else None

    def create(
        self,
        principal: str,
        permissions: Iterable[Permission],
        now: float,
        *,
        tenant: str | None = None,
        agent: str | None = None,
        expires: float | None = None,
    ) -> tuple[str, Key]:
        """Make a key; return its text, which is kept nowhere, and the key.

        Raises:
            OperationError: it cannot be written.
        """
        prefix = secrets.token_hex(PREFIX_BYTES)
        text = f"{MARK}{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
        digest = digest_of(text.encode())
        allowed = frozenset(permissions)
        key = Key(prefix, digest, principal, tenant, agent, allowed, now, expires, None)
        row = (prefix, digest, principal, tenant, agent, " ".join(sorted(allowed)), now, expires, None)
        try:
            self._db.execute(f"insert into keys ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise OperationError(f"the key cannot be written: {error}") from error
        self._load()
        return text, key

    def revoke(self, prefix: str, now: float) -> bool:
        """Revoke a key for good; say whether there was one that was not revoked yet."""
        changed = self._db.execute("update keys set revoked = ? where prefix = ? and revoked is null", (now, prefix))
        self._load()
        return changed.rowcount > 0

    def all(self) -> list[Key]:
        """Return every key, oldest first."""
        return sorted(self._known.values(), key=lambda key: key.created)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
