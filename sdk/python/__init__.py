"""Thoth decides, before a tool call runs, whether an agent may make it, and keeps evidence of the answer.

This is what an agent's developer imports: the Policy Enforcement Point (PEP). Names are loaded when they are used, so
importing it stays light; the compiler and the parser are loaded only when an engine is embedded.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .checking import Check
    from .client import ThothClient, configure
    from .config import EnforcementMode, ThothConfig
    from .coverages import Coverage, coverage
    from .front import (
        acheck,
        audit,
        check,
        instrument,
        instrument_anthropic,
        instrument_claude_agent_sdk,
        instrument_openai,
        instrument_toolchain,
        tool,
        toolchain_function_map,
    )
    from .sessions import Session, get_current_session, session
    from .tally import Audit
    from .violation import (
        ConfigurationError,
        EnforcerUnavailable,
        ThothDeferredError,
        ThothHeldError,
        ThothPolicyViolation,
        UngovernableTool,
    )
    from .waiting import Hold, holds

__all__ = [
    "Audit",
    "Check",
    "ConfigurationError",
    "Coverage",
    "EnforcementMode",
    "EnforcerUnavailable",
    "Hold",
    "Session",
    "ThothClient",
    "ThothConfig",
    "ThothDeferredError",
    "ThothHeldError",
    "ThothPolicyViolation",
    "UngovernableTool",
    "__version__",
    "acheck",
    "audit",
    "check",
    "configure",
    "coverage",
    "get_current_session",
    "holds",
    "instrument",
    "instrument_anthropic",
    "instrument_claude_agent_sdk",
    "instrument_openai",
    "instrument_toolchain",
    "session",
    "tool",
    "toolchain_function_map",
]

__version__: Final = "0.1.0"

_WHERE: Final = {
    # no module is called as one of the names is: importing it would take the name's place
    "checking": ("Check",),
    "client": ("ThothClient", "configure"),
    "config": ("EnforcementMode", "ThothConfig"),
    "coverages": ("Coverage", "coverage"),
    "front": (
        "acheck",
        "audit",
        "check",
        "instrument",
        "instrument_anthropic",
        "instrument_claude_agent_sdk",
        "instrument_openai",
        "instrument_toolchain",
        "tool",
        "toolchain_function_map",
    ),
    "sessions": ("Session", "get_current_session", "session"),
    "tally": ("Audit",),
    "violation": (
        "ConfigurationError",
        "EnforcerUnavailable",
        "ThothDeferredError",
        "ThothHeldError",
        "ThothPolicyViolation",
        "UngovernableTool",
    ),
    "waiting": ("Hold", "holds"),
}


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            import importlib

            found = getattr(importlib.import_module(f".{module}", __name__), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
