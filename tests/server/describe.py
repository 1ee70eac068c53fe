"""The HTTP door held against its own description by schemathesis, which draws requests from it and judges the answers.

`python tests/server/describe.py [--max-examples 50]` is `make openapi`; schemathesis comes with the extra `openapi`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from thoth.server import Approvers
from thoth.server.keys import Keys

sys.path.insert(0, str(Path(__file__).parent))
from live import live  # type: ignore[import-not-found]

POLICY = """
allow * as all
block wipe as wiped
step_up pay as large ask "leads"
modify export as short set args.rows = 10
defer later as later retry after 45s
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="thoth-openapi-") as folder:
        told = {"approvers": {"leads": Approvers(["cfo"])}, "http": "127.0.0.1:0"}
        with live(Path(folder), POLICY, **told) as running:
            keys = Keys(Path(running.sidecar.settings.state) / "keys.db")
            key, _ = keys.create("cfo", ("read", "write", "execute"), running.sidecar.clock())
            keys.close()
            (sock,) = running.sidecar.listeners.sockets
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/openapi.json"
            tool = os.environ.get("SCHEMATHESIS", str(Path(sys.executable).with_name("st")))
            command = [tool, "run", url, "-H", f"x-api-key: {key}"]
            return subprocess.run([*command, "--no-color", *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
