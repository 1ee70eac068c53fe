"""Cedar, through cedarpy: one `permit` or `forbid` for each rule, parsed once.

Translation: the tool is the action, so that Cedar may slice by it; block, step_up and defer are all `forbid`, and which
it was stands in the ids that come back. Cedar has no regular expressions: a condition that `matches` is computed for it
and told as a fact in the context. `like`, `contains`, `containsAny` and `containsAll` are its own. The context is
handed over as a dict, as cedarpy takes it, and put into JSON by cedarpy itself, inside the measured time.
"""

import json
from typing import Any

from cedarpy import Entities, PolicySet, is_authorized
from driving import Facts, drive, value_at

EFFECTS = {"allow": "permit", "block": "forbid", "step_up": "forbid", "defer": "forbid"}


class Cedar:
    def __init__(self, workload: dict[str, Any]) -> None:
        self.paths = {name: attribute["path"] for name, attribute in workload["attributes"].items()}
        self.facts = Facts(workload, {"matches"})
        self.ids = {f"policy{number}": rule["id"] for number, rule in enumerate(workload["rules"])}
        self.restricting = {rule["id"] for rule in workload["rules"] if rule["effect"] != "allow"}
        self.policies = PolicySet.from_str("\n".join(map(self.rule, workload["rules"])))
        self.entities = Entities.from_json_str("[]")

    def rule(self, rule: dict[str, Any]) -> str:
        asked = " && ".join(map(self.condition, rule["conditions"]))
        return f'{EFFECTS[rule["effect"]]}(principal, action == Action::"{rule["tool"]}", resource) when {{ {asked} }};'

    def condition(self, condition: dict[str, Any]) -> str:
        it, value = f"context.{key(condition['attribute'])}", condition["value"]
        match condition["kind"]:
            case "is":
                return f"{it} == {json.dumps(value)}"
            case "in":
                return f"{json.dumps(value)}.contains({it})"
            case "between":
                return f"{it} >= {value[0]} && {it} <= {value[1]}"
            case "at least":
                return f"{it} >= {value}"
            case "at most":
                return f"{it} <= {value}"
            case "under":
                return f"({it} == {json.dumps(value)} || {it} like {json.dumps(value + '/*')})"
            case "like":
                return f"{it} like {json.dumps(value)}"
            case "any in":
                return f"{it}.containsAny({json.dumps(value)})"
            case "all in":
                return f"{json.dumps(value)}.containsAll({it})"
        return f"context.facts.contains({json.dumps(self.facts.name(condition))})"

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        context = {key(name): value_at(request, path) for name, path in self.paths.items()}
        context["facts"] = self.facts.true(request)
        return {
            "principal": {"type": "Agent", "id": request["agent_id"]},
            "action": {"type": "Action", "id": request["tool_name"]},
            "resource": {"type": "Host", "id": "here"},
            "context": context,
        }

    def ask(self, prepared: dict[str, Any]) -> tuple[bool, list[str]]:
        answer = is_authorized(prepared, self.policies, self.entities)
        return answer.allowed, answer.diagnostics.reasons

    def problem(self, answer: tuple[bool, list[str]], applying: list[str]) -> str:
        restricting = [id for id in applying if id in self.restricting]
        expected = (bool(applying) and not restricting, restricting or applying)
        found = (answer[0], sorted(self.ids[name] for name in answer[1]))
        return "" if found == expected else f"{found}, not {expected}"


def key(attribute: str) -> str:
    return attribute.replace(".", "_")


if __name__ == "__main__":
    drive("cedarpy", Cedar)
