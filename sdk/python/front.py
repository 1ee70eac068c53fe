"""The functions of `import thoth`: each makes a client of its settings, or uses the one that `configure` named."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, Unpack, overload

from .client import ThothClient, audits, default_client
from .tally import Audit
from .wrapping import govern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .checking import Check
    from .config import Settings

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
CHECKING_MAX: Final = 256


def instrument(agent: T, **settings: Unpack[Settings]) -> T:
    """Return an agent with every tool governed; `thoth.coverage(agent)` says which, and what was not covered.

    An object is changed in place and returned; of a function, a dict or a list a governed one is returned. `settings`
    are those of `ThothConfig`: `agent_id`, `approved_scope` and `tenant_id` are needed, and a `policy` or an `api_url`.

    Raises:
        ConfigurationError: a setting is missing or wrong.
        UngovernableTool: one of the tools cannot be governed.
        PolicyError: the policy of an embedded engine has mistakes.
    """
    return ThothClient(**settings).instrument(agent)


def instrument_anthropic(
    tool_fns: Mapping[str, Callable[..., Any]], **settings: Unpack[Settings]
) -> dict[str, Callable[..., Any]]:
    """Return the functions of an Anthropic tool loop, by tool name, governed; each is called with one dict."""
    return ThothClient(**settings).instrument_anthropic(tool_fns)


def instrument_openai(
    tool_fns: Mapping[str, Callable[..., Any]], **settings: Unpack[Settings]
) -> dict[str, Callable[..., Any]]:
    """Return the functions of an OpenAI tool loop, by tool name, governed."""
    return ThothClient(**settings).instrument_openai(tool_fns)


def instrument_toolchain(
    toolchain: T, *, include_private: bool = False, max_depth: int | None = None, **settings: Unpack[Settings]
) -> T:
    """Return a nested toolchain with every function in it governed, under its dotted name: `db.users.delete`."""
    return ThothClient(**settings).instrument_toolchain(toolchain, include_private, max_depth)


def toolchain_function_map(
    toolchain: Any, *, include_private: bool = False, max_depth: int | None = None, **settings: Unpack[Settings]
) -> dict[str, Callable[..., Any]]:
    """Return the governed functions of a nested toolchain by their dotted names."""
    return ThothClient(**settings).toolchain_function_map(toolchain, include_private, max_depth)


def instrument_claude_agent_sdk(
    options: Any = None, *, emit_tool_lifecycle_hooks: bool = True, **settings: Unpack[Settings]
) -> Any:
    """Return options of the Claude Agent SDK whose hooks ask before each tool call and report its end."""
    return ThothClient(**settings).instrument_claude_agent_sdk(options, emit_tool_lifecycle_hooks)


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def tool(
    *, name: str | None = None, client: ThothClient | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def tool(function: Any = None, /, *, name: str | None = None, client: ThothClient | None = None) -> Any:
    """Decorate a function as a governed tool; a policy sees its parameters by name.

    `client` unsaid: the one that `thoth.configure` has named by the time of the call. Without one a call raises.
    """
    guard = (lambda: default_client().guard) if client is None else (lambda: client.guard)

    def decorate(function: Any) -> Any:
        return govern(function, guard, name=name)

    return decorate if function is None else decorate(function)


_CHECKING: Final[dict[str, ThothClient]] = {}
_LOCK: Final = threading.Lock()


def _client(settings: Any) -> ThothClient:
    """Return the client of these settings, the same for the same ones; the default one where there are none."""
    if not settings:
        return default_client()
    key = repr(sorted(settings.items()))
    with _LOCK:
        client = _CHECKING.get(key)
        if client is None:
            client = _CHECKING[key] = ThothClient(**settings)
            if len(_CHECKING) > CHECKING_MAX:
                _CHECKING.pop(next(iter(_CHECKING)))
        return client


def check(tool_name: str, tool_args: Mapping[str, Any] | None = None, **settings: Unpack[Settings]) -> Check:
    """Ask for one call that you run yourself, and return it once it may run, with the `args` to run it with.

    Example: `with thoth.check("send_email", {"to": to}) as call: send(**call.args)`

    Raises:
        ThothPolicyViolation: it may not run.
    """
    return _client(settings).check(tool_name, tool_args)


async def acheck(tool_name: str, tool_args: Mapping[str, Any] | None = None, **settings: Unpack[Settings]) -> Check:
    """As `check`, on an event loop."""
    return await _client(settings).acheck(tool_name, tool_args)


def audit() -> Audit:
    """Return how decisions and executions agree, over all clients of this process."""
    every = audits()
    numbers = [name for name in Audit.__dataclass_fields__ if name not in ("escapes", "running_tools")]
    return Audit(
        **{name: sum(getattr(one, name) for one in every) for name in numbers},
        escapes=tuple(dict.fromkeys(escape for one in every for escape in one.escapes)),
        running_tools=tuple(tool for one in every for tool in one.running_tools),
    )
