"""A headless Chromium to look at pages with: it is spoken to over a pipe, in its own DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe",
]  # fmt: skip


def find() -> str | None:
    """Return where a Chromium is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Page:
    """What one visit saw: every request, and whatever was written to the console or went wrong."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Chromium:
    """One browser with one page; use it as a context manager."""

    def __init__(self, path: str) -> None:
        self.path, self.number, self.page, self.session = path, 0, Page(), ""

    def __enter__(self) -> "Chromium":
        self.folder = tempfile.TemporaryDirectory(prefix="thoth-browser-", ignore_cleanup_errors=True)
        to_read, self.write = os.pipe()
        read, to_write = os.pipe()
        # A browser reads from 3 and writes to 4; the shell puts our pipes there.
        line = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        command = ["bash", "-c", line, self.path, *QUIET, f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self.stream = os.fdopen(read, "rb")
        self.rest = b""
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.stream.close()
        os.close(self.write)
        self.folder.cleanup()

    def call(self, method: str, **params: Any) -> Any:
        """Ask the browser for something, and return its answer."""
        self.number += 1
        asked = {"id": self.number, "method": method, "params": params}
        os.write(self.write, json.dumps(asked | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self.number:
                assert "error" not in told, told["error"]
                return told["result"]
            self._note(told)

    def visit(self, file: Path, width: int, height: int, dark: bool = False) -> Page:
        """Open a file and return what was seen until it had loaded."""
        self.page = Page()
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=file.resolve().as_uri())
        while self._note(self._next()) != "Page.loadEventFired":
            pass
        return self.page

    def run(self, script: str) -> Any:
        """Return what a piece of JavaScript comes to."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            given = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **given)

    def picture(self, file: Path) -> None:
        """Write what is to be seen, the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> Any:
        while b"\0" not in self.rest:
            more = os.read(self.stream.fileno(), 1 << 16)
            assert more, "the browser has gone"
            self.rest += more
        told, _, self.rest = self.rest.partition(b"\0")
        return json.loads(told)

    def _note(self, told: Any) -> str:
        method, params = told.get("method", ""), told.get("params", {})
        match method:
            case "Network.requestWillBeSent":
                self.page.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.page.complaints.append(str(params["exceptionDetails"].get("text")))
            case "Runtime.consoleAPICalled":
                self.page.complaints.append(str([one.get("value") for one in params["args"]]))
            case "Log.entryAdded":
                self.page.complaints.append(str(params["entry"]["text"]))
        return str(method)
