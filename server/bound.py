"""Who stands behind the approvers' names of a policy: nobody is found out before the first hold, not after it."""

from collections.abc import Iterable
from typing import Any

from ..contract import OperationError
from ..contract.decision import USER
from ..engine.checked import CheckedPolicy
from .settings import Settings


def check_bound(policy: CheckedPolicy, settings: Settings) -> None:
    """Make sure that every name which the policy may ask has people behind it, and that calls can be held.

    Raises:
        OperationError: naming everybody who is missing, and what to write.
    """
    asked = asked_by(policy)
    unbound = sorted(asked - {USER} - settings.approvers.keys())
    empty = sorted(name for name, bound in settings.approvers.items() if not bound.members)
    if unbound:
        names = ", ".join(f"`{name}`" for name in unbound)
        raise OperationError(
            f"the policy asks {names}, and the settings bind nobody to it; write [approvers.{unbound[0]}] "
            'with members = ["…"]'
        )
    if empty:
        raise OperationError(f"[approvers.{empty[0]}] has no members; name the principals who may answer")
    if asked and not settings.state:
        raise OperationError("the policy holds calls, and there is no folder to keep them in; write `--state DIR`")


def asked_by(policy: CheckedPolicy) -> set[str]:
    """Return every approver's name that a policy may ask."""
    rules: Iterable[Any] = policy.rules
    names = {name for rule in rules for name in rule.ask.approvers}
    return names | set(policy.approvers)
