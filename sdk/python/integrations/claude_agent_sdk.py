"""The Claude Agent SDK: hooks before and after each tool, for they see every call, also one that is allowed beforehand.

`PreToolUse` asks, and denies or changes; `PostToolUse` and `PostToolUseFailure` report. A held call waits inside the
hook, whose time is set so that it outlasts the hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..contract import Ending
from ..plain import told
from ..runs import WITHHELD, seen
from ..violation import ThothPolicyViolation
from .calls import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import ThothClient
    from ..coverages import Coverage
    from ..runs import Run

HOOK_S: Final = 86_400.0
RUNNING_MAX: Final = 10_000


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs options, None for anything else of the SDK."""
    from claude_agent_sdk import ClaudeAgentOptions

    if not isinstance(thing, ClaudeAgentOptions):
        return None
    return lambda client, options, coverage: instrument_options(client, options, coverage, True)


def instrument_options(client: ThothClient, options: Any, coverage: Coverage, report: bool) -> Any:
    """Return options with our hooks before all others; those that were given are left as they are.

    `report` says whether the ends of calls are reported; without that every call stays open in the audit.
    """
    from dataclasses import replace

    from claude_agent_sdk import ClaudeAgentOptions, HookMatcher

    options = ClaudeAgentOptions() if options is None else options
    hooks = Hooks(client)
    before = options.hooks or {}
    mine = {"PreToolUse": hooks.before, "UserPromptSubmit": hooks.prompted}
    if report:
        mine |= {"PostToolUse": hooks.after, "PostToolUseFailure": hooks.failed}
    else:
        coverage.notes.append("ends of calls are not reported, so every call stays open in the audit")
    together = dict(before)
    for event, hook in mine.items():
        together[event] = [HookMatcher(matcher=None, hooks=[hook], timeout=HOOK_S), *before.get(event, ())]
    coverage.cover("every tool of the session", *mine)
    return replace(options, hooks=together)


class Hooks:
    """The hooks of one client; calls under way are known by the id of their tool use."""

    def __init__(self, client: ThothClient) -> None:
        self.client = client
        self.running: dict[str, Run] = {}

    async def before(self, data: Any, tool_use_id: str | None, context: Any) -> dict[str, Any]:
        """Ask about a call: nothing to say lets it through, for other rules and hooks may still refuse it."""
        name, args = str(data.get("tool_name", "")), data.get("tool_input")
        try:
            run = await self.client.guard.abegin(name, shown(args if isinstance(args, dict) else {}))
        except ThothPolicyViolation as refused:
            return _decided("deny", permissionDecisionReason=refused.tell)
        except BaseException as error:
            if not isinstance(error, Exception):
                raise
            return _decided("deny", permissionDecisionReason=f"this call could not be decided ({type(error).__name__})")
        key = tool_use_id or str(data.get("tool_use_id") or id(run))
        self.running[key] = run
        while len(self.running) > RUNNING_MAX:
            self.running.pop(next(iter(self.running)))
        if run.modified:
            changed = dict(run.args or {})
            if changed.keys() == {"args", "kwargs"} and not changed["args"] and "args" not in (args or {}):
                changed = changed["kwargs"]
            return _decided("allow", updatedInput=changed)
        return {}

    def _run(self, data: Any, tool_use_id: str | None) -> Run | None:
        return self.running.pop(tool_use_id or str(data.get("tool_use_id") or ""), None)

    async def after(self, data: Any, tool_use_id: str | None, context: Any) -> dict[str, Any]:
        """Report a call that completed; what the policy withholds or redacts of its result is put in its place."""
        run = self._run(data, tool_use_id)
        if run is None:
            return {}
        result = data.get("tool_response")
        json, whole = told(result)
        passed = await self.client.guard.aend(run, Ending.COMPLETED, json, whole=whole)
        instead = seen(result, passed, json)
        if instead is result:
            return {}
        output = {"hookEventName": "PostToolUse", "updatedToolOutput": WITHHELD if instead is None else instead}
        return {"hookSpecificOutput": output}

    async def failed(self, data: Any, tool_use_id: str | None, context: Any) -> dict[str, Any]:
        """Report a call that failed, or that the user interrupted."""
        run = self._run(data, tool_use_id)
        if run is not None:
            ending = Ending.CANCELLED if data.get("is_interrupt") else Ending.FAILED
            message = str(data.get("error", ""))
            if ending is Ending.FAILED:
                await self.client.guard.aend(run, ending, message)
            else:
                await self.client.guard.aend(run, ending)
        return {}

    async def prompted(self, data: Any, tool_use_id: str | None, context: Any) -> dict[str, Any]:
        """Take in what the user said."""
        prompt = data.get("prompt")
        if isinstance(prompt, str):
            self.client.guard.seat().session.said(prompt)
        return {}


def _decided(decision: str, **more: Any) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": decision, **more}}
