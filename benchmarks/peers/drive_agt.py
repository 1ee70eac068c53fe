"""Agent Governance Toolkit: its policy engine of expressions (`agentmesh.governance`), one rule for each of ours.

Translation: its expressions know equality, lists, numbers and `and`. Folders, globs, regular expressions and list
quantifiers are computed for it and told as facts in the context. block and defer are `deny`, step_up is
`require_approval`; the strictest has the highest priority, so that the first match is the strictest, which it names.
The other evaluator of the toolkit (`agent_os.policies`) has one condition a rule and cannot say these rules.
"""

from typing import Any

from agentmesh.governance.policy import Policy, PolicyEngine, PolicyRule
from driving import Facts, drive, strictest

ACTIONS = {"allow": ("allow", 0), "step_up": ("require_approval", 1), "defer": ("deny", 2), "block": ("deny", 3)}


class Toolkit:
    def __init__(self, workload: dict[str, Any]) -> None:
        self.paths = {name: ".".join(attribute["path"]) for name, attribute in workload["attributes"].items()}
        self.facts = Facts(workload, {"under", "like", "matches", "any in", "all in"})
        self.strictest = strictest(workload)
        self.engine = PolicyEngine()
        rules = [self.rule(rule) for rule in workload["rules"]]
        self.engine.load_policy(Policy(name="benchmark", agents=["*"], rules=rules, default_action="deny"))

    def rule(self, rule: dict[str, Any]) -> PolicyRule:
        asked = [f"tool_name == '{rule['tool']}'", *map(self.condition, rule["conditions"])]
        action, priority = ACTIONS[rule["effect"]]
        return PolicyRule(name=rule["id"], condition=" and ".join(asked), action=action, priority=priority)

    def condition(self, condition: dict[str, Any]) -> str:
        it, value = self.paths[condition["attribute"]], condition["value"]
        match condition["kind"]:
            case "is":
                return f"{it} == '{value}'"
            case "in":
                return f"{it} in [{', '.join(map(repr, value))}]"
            case "between":
                return f"{it} >= {value[0]} and {it} <= {value[1]}"
            case "at least":
                return f"{it} >= {value}"
            case "at most":
                return f"{it} <= {value}"
        return f"facts.{self.facts.name(condition)}"

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        return request | {"facts": dict.fromkeys(self.facts.true(request), True)}

    def ask(self, prepared: dict[str, Any]) -> tuple[bool, str, str | None]:
        decision = self.engine.evaluate(prepared["agent_id"], prepared)
        return decision.allowed, decision.action, decision.matched_rule

    def problem(self, answer: tuple[bool, str, str | None], applying: list[str]) -> str:
        permitted, ids = self.strictest(applying)
        if answer[0] is permitted and (answer[2] in ids if ids else answer[2] is None):
            return ""
        return f"{answer}, not {permitted} by one of {ids}"


if __name__ == "__main__":
    drive("agent-governance-toolkit-core", Toolkit)
