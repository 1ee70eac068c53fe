"""Takes overrides in and ends them: recorded, then counted. A signature says whose they are; a key lets one ask."""

import logging
from collections.abc import Callable
from typing import Final

from ..contract import OperationError, RequestError
from ..contract.envelope import OverrideList, OverrideView
from ..evidence import EvidenceLog
from .overrides import Override, Overrides, Signed, is_named

BEGUN: Final = "begun"
ENDED: Final = "ended"

log = logging.getLogger(__name__)


class Glass:
    """What may be broken, and who has."""

    def __init__(self, overrides: Overrides, evidence: EvidenceLog | None, clock: Callable[[], float]) -> None:
        self._overrides, self._evidence, self._clock = overrides, evidence, clock

    def begin(self, signed: Signed, key: str) -> OverrideView:
        """Have an override count; `key` is who sent it.

        Raises:
            RequestError: it is none that counts.
            OperationError: it cannot be written down.
        """
        override, document, signature = self._overrides.begin(signed, self._clock())
        self._record(override, BEGUN, key)
        self._overrides.count(override, document, signature)
        log.warning("override_begun override=%s until=%.0f key=%s", override.id, override.until, key)
        return view_of(override)

    def end(self, id: str, key: str, tenant: str | None) -> OverrideView:
        """End an override before its time; that only closes, and so it needs no signature. `tenant` is the key's.

        Raises:
            RequestError: there is none of this id.
            OperationError: it cannot be written down.
        """
        if all(override.id != id for override in self.open(tenant).data):
            raise RequestError(f"there is no override `{id[:64]}`")
        override = self._overrides.end(id, self._clock())
        log.warning("override_ended override=%s key=%s", override.id, key)
        self._record(override, ENDED, key)
        return view_of(override)

    def open(self, tenant: str | None) -> OverrideList:
        """Return the overrides that count, for a tenant where one is named."""
        held = self._overrides.open_at(self._clock())
        found = [view_of(one) for one in held if tenant is None or is_named(one.tenants, tenant)]
        return OverrideList(found, len(found))

    def _record(self, override: Override, what: str, key: str) -> None:
        if self._evidence is None:
            return
        facts = {
            "key": key,
            "reason": override.reason,
            "tools": override.tools,
            "agents": override.agents,
            "tenants": override.tenants,
            "rules": override.rules,
            "begins_us": round(override.begins * 1e6),
            "until_us": round(override.until * 1e6),
        }
        try:
            self._evidence.overridden(override.id, override.operator, what, facts)
        except Exception as error:
            raise OperationError(f"the override could not be recorded ({type(error).__name__})") from error


def view_of(override: Override) -> OverrideView:
    """Return an override as it is shown."""
    return OverrideView(
        id=override.id,
        operator=override.operator,
        reason=override.reason,
        tools=override.tools,
        agents=override.agents,
        tenants=override.tenants,
        rules=override.rules,
        begins=override.begins,
        until=override.until,
    )
