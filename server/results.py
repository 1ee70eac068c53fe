"""How a decision is spelled in a `result` frame, slot by slot: the bytes that `result_of` and `message` give."""

from typing import Any, Final

import msgspec

from ..contract.result import Result
from ..engine.forms import DECISION, REQUEST
from ..native.results import ABSENT, ALWAYS, ASKED_ARGS, OTHER_THAN, UNLESS, Results

SLOTS: Final = {"decision": "effect"}
NOT_OF_A_DECISION: Final = ("hold_token", "resolved")
AT_LEISURE: Final = ("asks", "reservations", "violation")
"""What takes another form than it has in a decision, and is there rarely."""


def members() -> list[tuple[str, int, str, str, Any]]:
    """Return each member of a result, as `Results` takes it."""
    found: list[tuple[str, int, str, str, Any]] = []
    for field in msgspec.structs.fields(Result):
        name, default = field.name, field.default
        slot = SLOTS.get(name, name)
        if name in NOT_OF_A_DECISION:
            continue
        if name == "verdict":
            found.append((name, OTHER_THAN, slot, "effect", None))
        elif name == "args":
            found.append((name, ASKED_ARGS, slot, "", None))
        elif name in AT_LEISURE:
            found.append((name, ABSENT, slot, "", default))
        elif default is msgspec.NODEFAULT:
            found.append((name, ALWAYS, slot, "", None))
        else:
            found.append((name, UNLESS, slot, "", default))
    return found


RESULTS: Final = Results(DECISION, REQUEST, members(), "request", "tool_args")
