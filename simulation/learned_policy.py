"""A least-privilege policy as text, from what recorded sessions did: readable, commented with counts, with tests.

What the policy permits is what was seen: these agents, these tools, arguments of these shapes, so many calls a session.
Whatever had to be guessed is marked as a guess, and what could not be generalised is said at the top.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..contract import Fault, admit
from ..engine.checked import CheckedPolicy, Tool, Type
from ..engine.reference_binding import bind
from ..grammar import write
from .calls import Call, request_of
from .observe import Observed, ToolSeen, guessed_keys

QUIET_CLASSES: Final = frozenset({"read"})
"""Classes that ask nobody: what only looks is not held for a new value."""
TEST_TEXT_MAX: Final = 200
"""A call with longer arguments makes no test: nobody would read it."""
TESTS_MAX: Final = 60
SECRET: Final = re.compile(r"(?i)passw|secret|token|otp\b|\bpin\b|credential|private|api_?key|ssh")
"""Names of tools and arguments whose values do not belong into the text of a policy."""
MANY: Final = 10
"""So many values without one that comes again say that new ones will come."""
FEW: Final = 3
"""What was seen in fewer sessions is said to rest on little."""


@dataclass(slots=True)
class Declarations:
    """What tools a policy declares for what was seen: `tools` in writing order, `guessed` names among them."""

    tools: list[Tool] = field(default_factory=list)
    seen: dict[tuple[str, tuple[str, ...] | None], list[ToolSeen]] = field(default_factory=dict)
    guessed: set[str] = field(default_factory=set)


def declarations(observed: Observed, policy: CheckedPolicy | None) -> Declarations:
    """Return a declaration for each tool that was seen: the given policy's, else one that all its calls fit.

    A tool that took different arguments in different environments is declared in each.
    """
    found = Declarations()
    by_name: dict[str, list[tuple[str, ToolSeen]]] = defaultdict(list)
    for (env, name), seen in sorted(observed.tools.items()):
        by_name[name].append((env, seen))
    for name, places in sorted(by_name.items()):
        declared = policy.tools.get(name, ()) if policy is not None else ()
        if declared:
            for tool in declared:
                found.tools.append(tool)
                found.seen[name, tool.envs] = [seen for _, seen in places]
            continue
        found.guessed.add(name)
        keys = frozenset(guessed_keys(seen for _, seen in places))
        shapes: dict[str, list[tuple[str, ToolSeen]]] = defaultdict(list)
        for env, seen in places:
            plain = seen.declared(None, keys)
            shapes[repr([(param.name, param.type, param.optional) for param in plain.params])].append((env, seen))
        for group in shapes.values():
            envs = tuple(sorted(env for env, _ in group))
            tool = group[0][1].declared(None if len(shapes) == 1 or not all(envs) else envs, keys)
            found.tools.append(tool)
            found.seen[name, tool.envs] = [seen for _, seen in group]
    return found


def policy_text(
    observed: Observed, found: Declarations, where: str, name: str, tests: Sequence[str], odd: Sequence[str]
) -> str:
    """Return the policy, not yet in canonical form."""
    parts = [
        f"# Learned from {count(observed.sessions, 'session')}, {count(observed.ran, 'call')} that ran and succeeded",
        *([f"# picked by: {where}"] if where else []),
        "#",
        "# It permits what was seen and nothing else. Read it as a proposal: what a person has not reviewed is only",
        "# what happened, not what is right.",
        *(_noted(odd) if odd else ()),
        f"policy {write.word(name) if name else 'learned'}",
        "    default block",
        '    approvers "owner"',
        "",
        "# ---------------------------------------------------------------- tools: what they took",
        *_tools(found),
        "",
        *_agents(observed),
        *_new_values(found),
        *_limits(found),
        "# ---------------------------------------------------------------- tests, drawn from the sessions",
        *tests,
    ]
    return "\n".join(parts) + "\n"


def _noted(odd: Sequence[str]) -> Iterator[str]:
    yield "#"
    yield "# What could not be generalised:"
    yield from (f"#   - {line}" for line in odd)


# ---------------------------------------------------------------- tools and agents


def _tools(found: Declarations) -> Iterator[str]:
    grouped: dict[tuple[str, ...] | None, list[Tool]] = defaultdict(list)
    for tool in found.tools:
        grouped[tool.envs].append(tool)
    for envs, tools in sorted(grouped.items(), key=lambda pair: pair[0] or ()):
        pad = "" if envs is None else "    "
        if envs is not None:
            yield f"for env {', '.join(write.word(env) for env in envs)} {{"
        for tool in tools:
            seen = found.seen[tool.name, tool.envs]
            calls, sessions = sum(one.calls for one in seen), sum(one.sessions for one in seen)
            guess = "; keys, types and class are guesses" if tool.name in found.guessed else ""
            yield f"{pad}# {count(calls, 'call')} in {count(sessions, 'session')}{guess}"
            yield pad + _tool(tool)
        if envs is not None:
            yield "}"


def _tool(tool: Tool) -> str:
    params = [
        f"{write.word(param.name)}{'?' if param.optional else ''}: {'key ' if param.key else ''}"
        f"{'shown ' if param.shown else ''}{_type(param.type)}"
        for param in tool.params
    ]
    text = f"tool {write.tool_name(tool.name)}({', '.join([*params, *(['...'] if tool.more else [])])})"
    if tool.classes:
        text += f" is {', '.join(sorted(tool.classes))}"
    return text + (f" risk {tool.risk}" if tool.risk != "medium" else "") + (" atomic" if tool.atomic else "")


def _type(given: Type) -> str:
    if given.name == "list":
        return f"list of {_type(given.items or Type('any'))}"
    if given.name == "enum":
        return f"enum {{{', '.join(write.word(value) for value in given.values)}}}"
    return given.name


def _agents(observed: Observed) -> Iterator[str]:
    if not observed.agents:
        names = sorted({write.tool_name(name) for _, name in observed.tools})
        yield f"allow {', '.join(names)} as learned"
        yield '    because "somebody used this tool; no call says which agent"'
        yield ""
        return
    yield "# ---------------------------------------------------------------- agents: what each of them used"
    for agent, places in sorted(observed.agents.items()):
        tools = sorted({name for _, name in places})
        calls = sum(observed.tools[place].agents[agent] for place in places)
        yield f"# {count(observed.agent_sessions[agent], 'session')}, {count(calls, 'call')}"
        yield f"agent {write.quote(_literal(agent))} scope {', '.join(write.tool_name(tool) for tool in tools)}"
    yield "allow * as learned when tool in scope"
    yield '    because "this agent used this tool"'
    yield ""


def _literal(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\*?" else sign for sign in text)


# ---------------------------------------------------------------- rules


def _new_values(found: Declarations) -> Iterator[str]:
    """Hold what acts on somebody or something that neither the user nor the past has named."""
    asking = sorted(
        {
            tool.name
            for tool in found.tools
            if any(param.key for param in tool.params) and not (tool.classes & QUIET_CLASSES)
        }
    )
    if asking:
        yield f"step_up {', '.join(write.tool_name(name) for name in asking)} as new-value"
        yield "    unless args.key from user or args.key in baseline"
        yield '    ask "owner" within 10m'
        yield "    code unrequested_action"
        yield '    because "neither its user nor the recorded past has named whom or what this is about"'
        yield ""


def _limits(found: Declarations) -> Iterator[str]:
    """Suggest limits: twice the most that one session was seen to do, for what does more than look."""
    yield "# Suggested limits: twice the most that was seen in one session."
    most: dict[str, int] = defaultdict(int)
    for tool in found.tools:
        if not tool.classes & QUIET_CLASSES:
            for seen in found.seen[tool.name, tool.envs]:
                most[tool.name] = max(most[tool.name], seen.most_in_session)
    for place, (name, calls) in enumerate(sorted(most.items()), 1):
        yield f"limit {write.tool_name(name)} as often-{place} to {2 * calls} calls per 1h by session else step_up"
        yield f'    because "one session was seen to do this {count(calls, "time")} at most"'
        yield ""


# ---------------------------------------------------------------- tests


def tests(calls: Iterable[Call], policy: CheckedPolicy, observed: Observed) -> list[str]:
    """Return tests as text: one call of each tool that goes ahead, and what must not."""
    written: list[str] = []
    done: set[tuple[str, str]] = set()
    for call in calls:
        place = (call.suite or "", str(call.tool_name))
        if place in done or len(written) >= TESTS_MAX or bool(call.agent_id) != bool(observed.agents):
            continue
        text = _test(call, policy)
        if text:
            done.add(place)
            written.append(text)
    agent = min(observed.agents, default="")
    if not agent:
        written.append(
            'test "a tool that was never used is not permitted" {\n    call never_seen_tool()\n    expect block\n}'
        )
    else:
        tool = min(name for _, name in observed.agents[agent])
        written.append(
            f'test "who was never seen may do nothing" {{\n    given agent "somebody-else"{_env_of(observed, tool)}\n'
            f"    call {write.tool_name(tool)}()\n    expect block\n}}"
        )
        written.append(
            'test "a tool that was never used is not permitted" {\n'
            f"    given agent {write.quote(agent)}\n    call never_seen_tool()\n    expect block\n}}"
        )
    return written


def _env_of(observed: Observed, tool: str) -> str:
    env = min(env for env, name in observed.tools if name == tool)
    return f", env {write.word(env)}" if env else ""


def _test(call: Call, policy: CheckedPolicy) -> str:
    """Return a test in which a recorded call goes ahead; "" where it would be too long, or tell a secret."""
    if not isinstance(call.tool_args, dict) or len(json.dumps(call.tool_args)) > TEST_TEXT_MAX:
        return ""
    if any(SECRET.search(name) for name in (str(call.tool_name), *call.tool_args)):
        return ""
    request = admit(request_of(call))
    if isinstance(request, Fault):
        return ""
    bound = bind(policy, request)
    if bound.problem or bound.tool is None:
        return ""
    usual = [
        f"given baseline {call.tool_name}.{param.name} {write.quote(item)}"
        for param in bound.tool.params
        if param.key
        for item in _texts(call.tool_args.get(param.name))
    ]
    where = f", env {write.word(call.suite)}" if call.suite else ""
    args = ", ".join(f"{write.word(name)}: {_value(value)}" for name, value in call.tool_args.items())
    title = f"{call.tool_name}{f' in {call.suite}' if call.suite else ''}, as it was used"
    lines = [f"test {write.quote(title)} {{", f"    given agent {write.quote(call.agent_id or 'somebody')}{where}"]
    lines += [f"    {line}" for line in dict.fromkeys(usual)]
    return "\n".join(
        [*lines, f"    call {write.tool_name(str(call.tool_name))}({args})", "    expect allow by learned", "}"]
    )


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _value(value: Any) -> str:
    match value:
        case str():
            return write.quote(value)
        case dict():
            return "{" + ", ".join(f"{write.word(name)}: {_value(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


# ---------------------------------------------------------------- what is said


def remarks(observed: Observed, found: Declarations) -> list[str]:
    """Return what could not be generalised, each in one line."""
    said = [
        f"nothing is learned from {count(number, 'call')} that {why}" for why, number in sorted(observed.odd.items())
    ]
    guessed = sorted(found.guessed)
    if guessed:
        said.append(
            f"nobody declared {_some(guessed)}: which arguments are keys, their types and the class are guesses"
        )
    rare = sorted({seen.name for seen in observed.tools.values() if seen.sessions < FEW})
    if rare:
        said.append(f"seen in fewer than {FEW} sessions, so its shape rests on little: {_some(rare)}")
    once = sorted(agent for agent, sessions in observed.agent_sessions.items() if sessions < FEW)
    if once:
        said.append(f"seen in fewer than {FEW} sessions, so its scope rests on little: {_some(once)}")
    if not observed.agents:
        said.append("no call names its agent, so every agent may use what one of them used")
    for (env, name), seen in sorted(observed.tools.items()):
        where = f"`{name}`{f' in {env}' if env else ''}"
        if seen.unreadable:
            said.append(
                f"{where}: {count(seen.unreadable, 'call')} without named arguments; further ones are permitted"
            )
        keys = {param.name for tool in found.tools if tool.name == name for param in tool.params if param.key}
        for argument, shape in sorted(seen.shapes.items()):
            if name in found.guessed and shape.type().name == "any":
                kinds = " and ".join(sorted(shape.kinds)) or "never said"
                said.append(f"{where}: `{argument}` was {kinds}; any value is permitted")
            if argument in keys and len(shape.distinct) >= MANY and len(shape.distinct) == sum(shape.kinds.values()):
                said.append(f"{where}: `{argument}` never had the same value twice; a baseline of it permits little")
    return said


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 call, 2 calls."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
