"""The forms of the two objects that every decision is about: what comes in, and what goes out."""

from dataclasses import fields
from typing import Final

from ..contract import Counter, Decision, Request, Reservation
from ..contract.request import FIELDS
from ..native.forms import Form

REQUEST: Final = Form(Request, FIELDS)
DECISION: Final = Form(Decision, tuple(field.name for field in fields(Decision)))
RESERVATION: Final = Form(Reservation, ("limit", "key", "amount"))
COUNTER: Final = Form(Counter, ("limit", "key", "spent"))
