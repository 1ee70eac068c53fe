"""The forms of the objects that every decision is about: what comes in, what goes out, what is known."""

from dataclasses import fields
from typing import Any, Final

from ..contract import Counter, Decision, Outcome, Request, Reservation
from ..contract.request import FIELDS
from ..native.counts import Sessions
from ..native.forms import Form
from ..native.limits import Accounts
from .ledger import Account, Ledger
from .session import Call, Session, Told


def form_of(kind: type[Any]) -> Form:
    """Return the form of a dataclass: makes it of all its fields in order, faster than calling it."""
    return Form(kind, tuple(field.name for field in fields(kind)))


REQUEST: Final = Form(Request, FIELDS)
DECISION: Final = Form(Decision, tuple(field.name for field in fields(Decision)))
for _form in (REQUEST, DECISION):
    _form.reuse()  # each decision makes one of both, and most are soon let go
RESERVATION: Final = Form(Reservation, ("limit", "key", "amount"))
COUNTER: Final = Form(Counter, ("limit", "key", "spent"))
SESSION: Final = Form(Session, ("id", "begun", "opened_at", "digest", "said_digest", "root"))
COUNTS: Final = Sessions(
    Form(
        Session,
        ("calls", "labels", "doubtful", "begun", "opened_at", "dropped_until", "counted", "version", "tallies"),
    ),
    Form(Call, ("tool", "classes", "at", "ending", "pending")),
)
CALLS: Final = Form(
    Session,
    (
        "calls",
        "labels",
        "version",
        "counted",
        "digest",
        "tenant",
        "results",
        "remembered_bytes",
        "provenance_bytes",
        "results_cut",
    ),
)
CALL: Final = Form(Call, ("id", "tool", "classes", "at", "ending", "told", "pending", "number"))
OUTCOME: Final = form_of(Outcome)
TOLD: Final = form_of(Told)
ACCOUNTS: Final = Accounts(Form(Ledger, ("spent", "lost_until")), Form(Account, ("times", "sums", "before")))
