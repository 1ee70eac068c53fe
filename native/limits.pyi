from fractions import Fraction
from typing import Any

from .facts import Facts, Reader
from .forms import Form

class Accounts:
    def __init__(self, ledger: Form, account: Form) -> None: ...

class Limit:
    def __init__(
        self,
        accounts: Accounts,
        form: Form,
        counter: Form,
        id: str,
        key: Reader | None,
        amount: Reader | None,
        spelled: bool,
        most: Fraction | int,
        window_s: float,
    ) -> None: ...
    def reserve(self, facts: Facts) -> Any: ...
    def has_room(self, reservation: Any, now: float, ledger: Any, leave_out: str, counters: list[Any]) -> bool: ...
