"""Log lines: an event and its facts. As JSON one object a line, as text `event fact=value`; no value of any request."""

import json
import logging
import sys
from typing import Any, Literal


class Facts(logging.Formatter):
    """Turns `event fact=value …` into JSON; a value with a blank in it belongs in `extra={"facts": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        event, *facts = record.getMessage().split(" ")
        line: dict[str, Any] = {
            "at": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "from": record.name.removeprefix("thoth."),
            "event": event,
        }
        for fact in facts:
            name, equals, value = fact.partition("=")
            line[name if equals else "text"] = value if equals else f"{line.get('text', '')} {fact}".strip()
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"))


def log_to_stderr(form: Literal["json", "text"]) -> None:
    """Send everything that the sidecar logs to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Facts() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("thoth")
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
