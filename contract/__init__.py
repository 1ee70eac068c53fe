"""What both sides of the socket have promised: Request, Decision, Outcome. I have never seen a socket."""

from .decision import Answer, Approval, Ask, Counter, Decision, Reservation, Violation, call_digest
from .effects import MODE_NAMES, STRICTNESS, By, Effect, Mode, strictest
from .errors import OperationError, RequestError
from .reasons import REASONS
from .record import Ending, Outcome, Recorder
from .request import Fault, Json, Request, admit, admit_json, read_json

__all__ = [
    "MODE_NAMES",
    "REASONS",
    "STRICTNESS",
    "Answer",
    "Approval",
    "Ask",
    "By",
    "Counter",
    "Decision",
    "Effect",
    "Ending",
    "Fault",
    "Json",
    "Mode",
    "OperationError",
    "Outcome",
    "Recorder",
    "Request",
    "RequestError",
    "Reservation",
    "Violation",
    "admit",
    "admit_json",
    "call_digest",
    "read_json",
    "strictest",
]
