"""Decides for one tenant: whose a call is says the key or the socket that it came by, never its body."""

from typing import Any

from msgspec.structs import replace

from ..contract import Decision, Fault, Request, RequestError, admit
from ..engine.decide import admitted_bytes
from .dispatch import Dispatcher, Given


class TenantDispatcher(Dispatcher):
    """A dispatcher behind doors that only one tenant can reach.

    A call that names no tenant is this one's, a call that names another is BLOCK `request_invalid`.
    """

    def __init__(self, tenant: str, *parts: Any) -> None:
        super().__init__(*parts)
        self.tenant = tenant

    def decide(self, given: object, asker: str, give: Given) -> Decision | None:
        """Decide one call of the tenant."""
        admitted = admitted_bytes(given) if isinstance(given, bytes | str) else admit(given)
        if isinstance(admitted, Request):
            if admitted.tenant_id is None:
                admitted = replace(admitted, tenant_id=self.tenant)
            elif admitted.tenant_id != self.tenant:
                admitted = Fault(f"calls of tenant `{self.tenant}` are taken here, of no other", "tenant_id")
        return super().decide(admitted, asker, give)

    def said(self, session_id: str, text: str, tenant_id: str | None) -> None:
        """Take in what the user of a session said.

        Raises:
            RequestError: the session is another tenant's.
        """
        if tenant_id not in (None, self.tenant):
            raise RequestError(f"sessions of tenant `{self.tenant}` are kept here, of no other")
        super().said(session_id, text, self.tenant)
