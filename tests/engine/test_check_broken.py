"""Items that cannot be read do not hide what is wrong with the others."""

import pytest

from thoth.engine import Engine
from thoth.grammar import PolicyError


def messages_of(text: str, **modules: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        Engine.from_text(text, modules=modules)
    return [f"{m.source}:{m.at.line}: {m.text}" for m in caught.value.messages]


def test_a_mistake_in_the_text_and_one_in_the_meaning_are_told_in_one_run() -> None:
    text = "alow pay\ntool pay(amount: number) is write\nblock pay as big when args.amout > 5\n"
    text += "block pay as odd when now in office\n"
    assert messages_of(text) == [
        "policy.thoth:1: no item begins with `alow`; did you mean `allow`?",
        "policy.thoth:3: unknown argument `args.amout` of pay; did you mean `args.amount`?",
        "policy.thoth:4: unknown hours `office`",
    ]


def test_a_name_that_a_broken_item_may_give_is_not_called_unknown() -> None:
    text = 'set mail = "*@acme.com" "*@acme.org"\nblock * as out when agent like mail\n'
    assert len(messages_of(text)) == 1


def test_the_mistakes_of_a_module_are_told_with_those_of_the_root() -> None:
    found = messages_of("use pack\nblock * as a when purpose == 1\n", pack="block * as b when purpose = 2\n")
    assert [line.split(":")[:2] for line in found] == [["pack.thoth", "1"], ["policy.thoth", "2"]]
