"""Changed arguments in the shape in which arguments came, for a client that would otherwise run the old ones.

Public clients look for changed arguments in several places and, where they find none they know, run what they have.
So each is answered in the one shape that it cannot misread; where there is none, the answer is BLOCK.
"""

from typing import Any, Final, Literal, TypeAlias

from ..engine.binding import by_name
from ..engine.checked import Tool

ClientKind: TypeAlias = Literal["python", "plain", "unknown"]
PYTHON: Final = (b"python", b"aiohttp", b"httpx")
PLAIN: Final = (b"node", b"undici", b"axios", b"go-http-client", b"deno", b"bun")
"""User agents whose clients take a plain object as it is."""


def client_kind(user_agent: bytes) -> ClientKind:
    """Return how a client reads changed arguments; one that is not known is taken for the one that is harmed most."""
    agent = user_agent.lower()
    if agent.startswith(PYTHON):
        return "python"
    return "plain" if agent.startswith(PLAIN) else "unknown"


def mirrored(
    given: dict[str, Any], changed: dict[str, Any], tool: Tool | None, kind: ClientKind
) -> dict[str, Any] | None:
    """Return changed arguments, which have names, in the shape of those that were given; None where none is safe."""
    if not changed:
        return None  # an empty object is read as: run what you have
    places = list(_places(given))
    if tool is None or not places:
        return _by_name(given, changed, kind) if by_name(given, None) is given else None
    names = [param.name for param in tool.params]
    if places[0] in names:
        return _by_name(given, changed, kind)  # a parameter is called so: it was no positional call
    taken = names[: len(places)]
    if len(taken) < len(places) or any(name not in changed for name in taken):
        return None  # a place cannot be left empty
    rest = {name: value for name, value in changed.items() if name not in taken}
    if "args" not in given:
        return None if rest else {place: changed[name] for place, name in zip(places, taken, strict=True)}
    values = [changed[name] for name in taken]
    if "kwargs" in given:
        return {"args": values, "kwargs": rest}
    if rest:
        return {"args": values, "kwargs": rest} if kind == "python" else None
    return {"args": values}


def _places(given: dict[str, Any]) -> list[str]:
    """Return the places of a positional call: `args` as often as there are values, or arg0, arg1, …"""
    if isinstance(given.get("args"), list) and given.keys() <= {"args", "kwargs"}:
        return ["args"] * len(given["args"])
    if "arg0" in given:
        numbered = [f"arg{place}" for place in range(len(given))]
        return numbered if given.keys() == set(numbered) else []
    return []


def _by_name(given: dict[str, Any], changed: dict[str, Any], kind: ClientKind) -> dict[str, Any] | None:
    if kind == "plain":
        return None if isinstance(changed.get("args"), list) else changed
    return {"args": [], "kwargs": changed}
