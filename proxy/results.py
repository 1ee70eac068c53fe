"""What a tool returned: told to the enforcer as the texts that the agent would read, and put back as it may read them.

Names that the protocol gives to the parts (`type`, `text`, `mimeType`) are not told: they are no words of the tool's,
and to redact one would break the message.
"""

from typing import Any, Final

STRUCTURE: Final = frozenset(("type", "mimeType"))
OUTSIDE: Final = frozenset(("content", "isError", "resultType"))


def told(result: Any) -> list[Any]:
    """Return everything in a tool's result that the agent may read: texts of the content, then the rest as JSON."""
    if not isinstance(result, dict):
        return [result]
    texts: list[Any] = []
    _texts(result.get("content"), texts)
    rest = {key: value for key, value in result.items() if key not in OUTSIDE}
    return [*texts, list(rest.values())]


def put_back(result: Any, passed: Any) -> Any:
    """Return a result with what was told replaced by what `passed` holds in its places.

    Raises:
        ValueError: `passed` has another shape.
    """
    if not isinstance(passed, list) or not passed:
        raise ValueError("a result came back in another shape")
    if not isinstance(result, dict):
        return passed[0]
    *texts, rest = passed
    left = iter(texts)
    changed = dict(result)
    if "content" in result:
        changed["content"] = _replaced(result["content"], left)
    names = [key for key in result if key not in OUTSIDE]
    if next(left, None) is not None or not isinstance(rest, list) or len(rest) != len(names):
        raise ValueError("a result came back in another shape")
    return {**changed, **dict(zip(names, rest, strict=True))}


def _texts(value: Any, found: list[Any]) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, list):
        for item in value:
            _texts(item, found)
    elif isinstance(value, dict):
        for key, member in value.items():
            if key not in STRUCTURE:
                _texts(member, found)


def _replaced(value: Any, left: Any) -> Any:
    if isinstance(value, str):
        text = next(left, None)
        if not isinstance(text, str):
            raise ValueError("a result came back in another shape")
        return text
    if isinstance(value, list):
        return [_replaced(item, left) for item in value]
    if isinstance(value, dict):
        return {key: member if key in STRUCTURE else _replaced(member, left) for key, member in value.items()}
    return value
