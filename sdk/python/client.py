"""`ThothClient`: one agent under one enforcer, and everything that can be wrapped for it."""

from __future__ import annotations

import atexit
import threading
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from .checking import Check, achecked, checked
from .config import EMBEDDED, ThothConfig, configured
from .coverages import LOG, Coverage, remember
from .guard import Guard
from .objects import GovernedList, GovernedMap, Wrapper, governed_now, is_function, name_of
from .violation import ConfigurationError, UngovernableTool
from .wrapping import govern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .enforcer import Enforcer
    from .sessions import Session, SessionScope
    from .tally import Audit

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
TRANSPORTS: Final = {"unix": ".unix_enforcer", "https": ".http_enforcer", "http": ".http_enforcer"}
HOLDS_TOOLS: Final = ("tools", "function_map", "_function_map", "functions")


def connect(config: ThothConfig) -> Enforcer:
    """Return the enforcer that a configuration names.

    Raises:
        ConfigurationError: none is named, or it cannot be used.
        PolicyError: an embedded engine's policy has mistakes.
    """
    if config.enforcer is not None:
        return config.enforcer
    where = config.where
    if where == EMBEDDED:
        from .embedded import embedded

        return embedded(config.policy_files(), config.evidence_folder(), config.recording or "async")
    scheme = where.partition(":")[0]
    try:
        transport = import_module(TRANSPORTS[scheme], __package__)
    except ModuleNotFoundError:
        raise ConfigurationError(f"`{where}`: this transport is not built yet; name a policy with `policy=`") from None
    enforcer: Enforcer = transport.connect(config)
    return enforcer


class ThothClient:
    """One agent under one enforcer: one session, unless `with thoth.session(…)` says another."""

    def __init__(self, config: ThothConfig | None = None, **given: Any) -> None:
        """Take a `ThothConfig`, or its fields by name.

        Raises:
            ConfigurationError: something is missing or wrong, and what to write.
        """
        self.config = config if config is not None else configured(**given)
        enforcer = connect(self.config)
        spool = None
        if not enforcer.immediate:
            from .spool import Spool

            spool = Spool.shared(self.config.spool_folder(), enforcer)
        self.guard = Guard(self.config, enforcer, spool)
        self.coverage = Coverage(self.config.agent_id, getattr(enforcer, "where", "") or enforcer.name)
        self._wrapped: list[weakref.ref[Any]] = []
        self._said_mode = False
        _CLIENTS.add(self)
        _at_exit()

    def _guard(self) -> Guard:
        return self.guard

    @property
    def session(self) -> Session:
        """The session of this client."""
        return self.guard.session

    def enter(self) -> SessionScope:
        """Return a context in which the client's session is the current one."""
        from .sessions import SessionScope

        return SessionScope(self.guard.session)

    # ------------------------------------------------------------ wrapping

    def _begin(self) -> Coverage:
        coverage = Coverage(self.coverage.agent_id, self.coverage.enforcer)
        if not self._said_mode:
            self._said_mode = True
            kept = self.guard.enforcer.loosens(self.config.enforcement)  # type: ignore[arg-type]
            if kept:
                coverage.notes.append(f"enforcement={str(self.config.enforcement)!r} only tightens here: {kept}")
        return coverage

    def _done(self, wrapped: T, coverage: Coverage) -> T:
        if not coverage.tools:
            raise UngovernableTool(
                f"nothing to govern was found in a {type(wrapped).__name__}; give it the function, the tool, or an "
                "object with `tools`"
            )
        for covered in coverage.tools:
            self.coverage.cover(covered.name, *covered.ways)
        self.coverage.escapes += coverage.escapes
        self.coverage.notes += coverage.notes
        coverage.tell()
        remember(wrapped, coverage)
        try:
            self._wrapped.append(weakref.ref(wrapped))
        except TypeError:
            pass
        return wrapped

    def instrument(self, agent: T) -> T:
        """Return an agent with every tool governed: a function, a tool, a map or list of them, an object with `tools`.

        An object is changed in place and returned; of a function, a dict or a list a governed one is returned.

        Raises:
            UngovernableTool: one of the tools cannot be governed; nothing may run as if it were.
        """
        from .integrations import integration_for

        coverage = self._begin()
        integration = integration_for(agent)
        if integration is not None:
            made: T = integration(self, agent, coverage)
        else:
            made = self._instrumented(agent, Wrapper(self._guard, coverage))
        return self._done(made, coverage)

    wrap = instrument

    def _instrumented(self, agent: Any, wrapper: Wrapper) -> Any:
        if is_function(agent):
            return wrapper.function(agent)
        if isinstance(agent, dict):
            return GovernedMap(agent, lambda name, tool: self._tool(tool, wrapper, name))
        if isinstance(agent, list | tuple):
            return self._container(agent, wrapper)
        places = [place for place in HOLDS_TOOLS if isinstance(getattr(agent, place, None), dict | list | tuple)]
        for place in places:
            held = getattr(agent, place)
            made = self._container(held, wrapper)
            try:
                setattr(agent, place, made)
            except (AttributeError, TypeError, ValueError):
                pass  # found out below
            if not all(map(governed_now, _tools_of(getattr(agent, place)))):
                raise UngovernableTool(
                    f"`{type(agent).__name__}.{place}` cannot be replaced and holds functions; wrap them before the "
                    "agent is made"
                )
        if not places:
            wrapper.tool(agent)
        return agent

    def _container(self, held: Any, wrapper: Wrapper) -> Any:
        if isinstance(held, dict):
            return GovernedMap(held, lambda name, tool: self._tool(tool, wrapper, name))
        made = GovernedList(held, lambda tool: self._tool(tool, wrapper))
        return made if isinstance(held, list) else tuple(made)

    def _tool(self, tool: Any, wrapper: Wrapper, name: str | None = None) -> Any:
        from .integrations import integration_for

        integration = integration_for(tool)
        if integration is not None:
            return integration(self, tool, wrapper.coverage)
        return wrapper.tool(tool, name)

    def _map(self, tool_fns: Mapping[str, Callable[..., Any]]) -> GovernedMap:
        coverage = self._begin()
        wrapper = Wrapper(self._guard, coverage)
        return self._done(GovernedMap(tool_fns, lambda name, tool: self._tool(tool, wrapper, name)), coverage)

    def instrument_anthropic(self, tool_fns: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
        """Return the functions of an Anthropic tool loop, by tool name, governed; each is called with one dict."""
        return self._map(tool_fns)

    def instrument_openai(self, tool_fns: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
        """Return the functions of an OpenAI tool loop, by tool name, governed."""
        return self._map(tool_fns)

    wrap_anthropic_tools = instrument_anthropic
    wrap_openai_tools = instrument_openai

    def instrument_toolchain(self, toolchain: T, include_private: bool = False, max_depth: int | None = None) -> T:
        """Return a nested toolchain with every function in it governed, under its dotted name."""
        from .toolchain import Toolchain

        coverage = self._begin()
        walk = Toolchain(Wrapper(self._guard, coverage), include_private=include_private, max_depth=max_depth)
        made: T = walk.govern(toolchain)
        return self._done(made, coverage)

    wrap_toolchain = instrument_toolchain

    def toolchain_function_map(
        self, toolchain: Any, include_private: bool = False, max_depth: int | None = None
    ) -> dict[str, Callable[..., Any]]:
        """Return the governed functions of a nested toolchain by their dotted names."""
        from .toolchain import Toolchain

        coverage = self._begin()
        walk = Toolchain(Wrapper(self._guard, coverage), include_private=include_private, max_depth=max_depth)
        walk.govern(toolchain)
        return self._done(
            GovernedMap(walk.functions, lambda name, tool: self._tool(tool, walk.wrapper, name)), coverage
        )

    build_function_map = toolchain_function_map

    def instrument_claude_agent_sdk(self, options: Any = None, emit_tool_lifecycle_hooks: bool = True) -> Any:
        """Return options of the Claude Agent SDK whose hooks ask before each tool call and report its end."""
        integration = import_module(".integrations.claude_agent_sdk", __package__)
        coverage = self._begin()
        return self._done(integration.instrument_options(self, options, coverage, emit_tool_lifecycle_hooks), coverage)

    wrap_claude_agent_sdk = instrument_claude_agent_sdk

    @overload
    def tool(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def tool(self, /, *, name: str | None = None) -> Any: ...
    def tool(self, function: Any = None, /, *, name: str | None = None) -> Any:
        """Decorate a function as a governed tool; a policy sees its parameters by name."""

        def decorate(function: Any) -> Any:
            return govern(function, self._guard, name=name)

        return decorate if function is None else decorate(function)

    # ------------------------------------------------------------ asking

    def check(self, tool_name: str, tool_args: Mapping[str, Any] | None = None) -> Check:
        """Ask for one call that you run yourself; see `thoth.check`."""
        return checked(self.guard, tool_name, tool_args)

    async def acheck(self, tool_name: str, tool_args: Mapping[str, Any] | None = None) -> Check:
        """As `check`, on an event loop."""
        return await achecked(self.guard, tool_name, tool_args)

    def audit(self) -> Audit:
        """Return how the decisions and the executions of this client agree; objects are looked through again."""
        escapes: list[str] = list(self.coverage.escapes)
        for reference in self._wrapped:
            agent = reference()
            if agent is not None:
                escapes += [t if isinstance(t, str) else name_of(t) or repr(t)[:60] for t in _ungoverned(agent)]
        return self.guard.tally.audit(self.guard.unreported, self.guard.untaken, tuple(dict.fromkeys(escapes)))


def _tools_of(held: Any) -> list[Any]:
    return list(held.values()) if isinstance(held, dict) else list(held)


def _ungoverned(agent: Any) -> list[Any]:
    """Return the tools that an instrumented object holds now and that are not governed."""
    from .integrations import integration_for

    integration = integration_for(agent)
    if integration is not None:
        look = getattr(import_module(integration.__module__), "ungoverned", None)
        return list(look(agent)) if look is not None else []
    places = [agent] if isinstance(agent, dict | list) else [getattr(agent, place, None) for place in HOLDS_TOOLS]
    held = [tool for place in places if isinstance(place, dict | list | tuple) for tool in _tools_of(place)]
    return [tool for tool in held if not governed_now(tool) and integration_for(tool) is None]


# ---------------------------------------------------------------- all clients of the process

_CLIENTS: Final[weakref.WeakSet[ThothClient]] = weakref.WeakSet()
_DEFAULT: list[ThothClient] = []
_LOCK: Final = threading.Lock()
_EXIT: list[bool] = []


def configure(**given: Any) -> ThothClient:
    """Name the client that `@thoth.tool` and `thoth.check` use where none is given; settings as in `ThothConfig`."""
    client = ThothClient(**given)
    with _LOCK:
        _DEFAULT[:] = [client]
    return client


def default_client() -> ThothClient:
    """Return the client that `configure` named.

    Raises:
        ConfigurationError: it was not called.
    """
    if not _DEFAULT:
        raise ConfigurationError(
            "no client is configured: call `thoth.configure(agent_id=…, approved_scope=[…], tenant_id=…, policy=…)`"
        )
    return _DEFAULT[0]


def audits() -> list[Audit]:
    """Return the audit of every client of this process."""
    return [client.audit() for client in list(_CLIENTS)]


def _at_exit() -> None:
    with _LOCK:
        if not _EXIT:
            _EXIT.append(True)
            atexit.register(_reconcile)


def _reconcile() -> None:
    """At exit: send what waits, and say where decisions and executions do not agree."""
    for client in list(_CLIENTS):
        spool = client.guard.spool
        if spool is not None:
            spool.flush(final=True)
        audit = client.guard.tally.audit(client.guard.unreported, client.guard.untaken, ())
        if not audit.balanced:
            LOG.warning("unbalanced agent=%s %s", client.config.agent_id, audit)
