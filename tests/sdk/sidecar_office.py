"""The office behind a sidecar's HTTP door."""

from pathlib import Path

from thoth.http_enforcer import HttpEnforcer
from thoth.server.keys import Keys

from .office import POLICY
from .sidecar import UnixWorld


class SidecarHttpWorld(UnixWorld):
    """The same office behind the HTTP door of a sidecar that really runs."""

    def __init__(self, policy: str = POLICY, mode: str = "") -> None:
        super().__init__(policy, mode, http="127.0.0.1:0")
        self.enforcer.close()
        sidecar = self.live.sidecar
        keys = Keys(Path(sidecar.settings.state) / "keys.db")
        key, _ = keys.create("desk-bot-key", ("execute",), self.clock())
        keys.close()
        (sock,) = sidecar.listeners.sockets
        self.enforcer = HttpEnforcer(f"http://127.0.0.1:{sock.getsockname()[1]}", api_key=key, poll_s=0.01)
