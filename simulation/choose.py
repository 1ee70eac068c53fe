"""Which recorded sessions a condition picks: `--where 'run_kind is "benign" and utility is true'`.

The condition is in the policy language's own words; a field of a trace is named as it stands in the trace. It is asked
of every call of a session, and a session is picked where it is true of all of them: what is unknown picks nothing.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ..contract import Effect, OperationError
from ..engine import Engine
from ..grammar import PolicyError
from ..grammar.messages import did_you_mean
from .calls import LABELS, Call, RecordedSession, request_of

FIELDS: Final = frozenset({*LABELS, "suite", "session_id", "agent_id", "seq", "executed", "tool_error"})
"""Fields of a trace that a condition may name; `agent`, `env`, `tool` and `args.…` are the call's own."""

SOURCE: Final = "--where"
HEAD: Final = "allow * as chosen when "
_piece: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_.-]*|.', re.DOTALL)
_asked: Final = re.compile(r"(?:is|in|like|matches|contains|not|starts|ends|between|<=?|>=?)\b")


class Choice:
    """A condition over recorded sessions; called with one, it says whether the session is picked."""

    def __init__(self, condition: str) -> None:
        """Read the condition.

        Raises:
            OperationError: it is none, or names a field that a trace does not have; the message says where.
        """
        self.condition = condition
        try:
            self._engine = Engine.from_text(HEAD + _rewritten(condition), source=SOURCE)
        except PolicyError as error:
            what = error.messages[0].text
            raise OperationError(
                f"`{SOURCE}`: {what}; the fields of a trace are {', '.join(sorted(FIELDS))}"
            ) from error

    def __call__(self, session: RecordedSession) -> bool:
        """Say whether the condition is true of every call of a session."""
        return all(self._picks(call) for call in session.calls)

    def _picks(self, call: Call) -> bool:
        request = request_of(call)
        fields = {name: getattr(call, name) for name in FIELDS - {*LABELS}}
        request["metadata"] = {name: value for name, value in {**fields, **call.labels}.items() if value is not None}
        return self._engine.weigh(request).effect is Effect.ALLOW


def chosen(sessions: Iterable[RecordedSession], choice: Choice | None) -> Iterator[RecordedSession]:
    """Return the sessions that are picked: all of them where nothing is asked."""
    return (session for session in sessions if choice is None or choice(session))


def _rewritten(condition: str) -> str:
    """Return the condition with the trace's fields as members of the context, which they are for this question.

    Raises:
        OperationError: a word where a field must stand is none.
    """
    pieces = _piece.findall(condition)
    found = []
    for place, piece in enumerate(pieces):
        if piece in FIELDS:
            piece = f"context.{piece}"
        elif re.fullmatch(r"[A-Za-z_]\w*_\w*", piece):
            rest = "".join(pieces[place + 1 :]).lstrip()
            near = did_you_mean(piece, FIELDS)
            if near and _asked.match(rest):
                raise OperationError(f"`{SOURCE}`: a trace has no field `{piece}`{near}")
        found.append(piece)
    return "".join(found).replace("\n", " ")
