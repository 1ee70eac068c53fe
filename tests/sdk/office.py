"""A small world to govern tools in: a policy, a clock that stands still, a recorder, and clients of it."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import thoth
from thoth.client import ThothClient
from thoth.contract import Decision, Outcome
from thoth.embedded import Embedded
from thoth.engine import Engine
from thoth.http_enforcer import HttpEnforcer

from .loopback import Loopback

POLICY = """
policy office
    approvers "finance-leads"
    {mode}

set our_mail = "*@acme.example"

tool read_customer(id: key string) is read yields pii
tool send_email(to: key email, body: string) is send
tool pay(amount: number, to: key string, note?: string) is write risk high
tool deploy(service: string) is execute
tool wipe(path: string) is delete
tool read_page(url: string) is read
tool secrets(name: string) is read

allow   *          as in-scope      when tool in scope
block   send_email as no-leak       when session.labels contains pii and any args.to not like our_mail
                                    tell "send it to an internal address"
modify  send_email as mask-cards    when args.body matches card_number
                                    redact args.body matching card_number with "[card]"
step_up pay        as large         when args.amount > 10_000 unless args.to from user
                                    ask "finance-leads" within 15m
modify  pay        as capped        when args.amount > 500 and args.amount < 1_000
                                    cap args.amount at 500
defer   deploy     as later         retry after 30m
block   wipe       as never
on result read_page as no-cards     redact result matching card_number with "[card]"
on result secrets   as no-secrets   withhold
"""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_767_614_400.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Recorder:
    """Everything that the engine wrote down, in order; or it fails."""

    decisions: list[Decision] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    broken: bool = False

    def decided(self, decision: Decision) -> None:
        if self.broken:
            raise OSError("no space left")
        self.decisions.append(decision)

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        if self.broken:
            raise OSError("no space left")
        self.outcomes.append(outcome)

    @property
    def effects(self) -> list[tuple[str, str]]:
        return [(d.request.tool_name if d.request else "", d.effect.value) for d in self.decisions]

    @property
    def endings(self) -> list[str]:
        return [outcome.ending.value for outcome in self.outcomes]


SCOPE = ["read_customer", "send_email", "pay", "deploy", "wipe", "read_page", "secrets"]


class World:
    """An enforcer, and what it has seen."""

    def __init__(self, policy: str = POLICY, mode: str = "") -> None:
        self.clock = Clock()
        self.recorder = Recorder()
        self.engine = Engine.from_text(policy.replace("{mode}", mode), recorder=self.recorder, clock=self.clock)
        self.enforcer: Any = Embedded(self.engine, clock=self.clock)
        self._numbers = itertools.count(1)

    def client(self, **settings: Any) -> ThothClient:
        given: dict[str, Any] = {
            "agent_id": "desk-bot",
            "approved_scope": SCOPE,
            "tenant_id": "acme",
            "user_id": "ann",
            "enforcer": self.enforcer,
        }
        return ThothClient(**given | settings)

    def expire(self, hold: thoth.Hold) -> None:
        """Let the time of a hold run out."""
        self.later(901)

    def close(self) -> None: ...

    def later(self, seconds: float) -> None:
        self.clock.now += seconds

    def approve(self, hold: thoth.Hold) -> None:
        hold.approve("finance-leads", "bob")

    def deny(self, hold: thoth.Hold) -> None:
        hold.deny("finance-leads", "bob")


class HttpWorld(World):
    """The same office behind an enforcer on loopback."""

    def __init__(self, policy: str = POLICY, mode: str = "") -> None:
        super().__init__(policy, mode)
        self.server = Loopback(self.engine)
        self.enforcer = HttpEnforcer(self.server.url, api_key="thoth_test_1", poll_s=0.01)

    def approve(self, hold: thoth.Hold) -> None:
        self.server.resolve(hold.token, True)

    def deny(self, hold: thoth.Hold) -> None:
        self.server.resolve(hold.token, False)

    def expire(self, hold: thoth.Hold) -> None:
        hold.expires = 0.0

    def close(self) -> None:
        self.enforcer.close()
        self.server.stop()
