"""pycasbin: attribute-based rules in the policy, evaluated by the matcher; `FastEnforcer` holds them by tool.

Translation: `eval(p.rule)` is Casbin's way to a condition for each rule; block, step_up and defer are all `deny`.
Globs, folders and lists are functions added to the enforcer, plain Python; `regexMatch` is Casbin's own. Only yes or
no comes back: `enforce_ex`, which would name a rule, does not work with `FastEnforcer` and one key.
"""

import json
from fnmatch import fnmatchcase
from typing import Any

import casbin
from casbin.model import FastModel
from driving import drive

MODEL = """
[request_definition]
r = tool, call

[policy_definition]
p = tool, rule, eft, id

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.tool == p.tool && eval(p.rule)
"""


class Casbin:
    def __init__(self, workload: dict[str, Any]) -> None:
        self.paths = {name: attribute["path"] for name, attribute in workload["attributes"].items()}
        self.restricting = {rule["id"] for rule in workload["rules"] if rule["effect"] != "allow"}
        model = FastModel([0])
        model.load_model_from_text(MODEL)
        self.enforcer = casbin.FastEnforcer(model, cache_key_order=[0])
        self.enforcer.add_function("like", fnmatchcase)
        self.enforcer.add_function("under", lambda path, folder: path == folder or path.startswith(folder + "/"))
        self.enforcer.add_function("is_in", lambda item, *wanted: item in wanted)
        self.enforcer.add_function("any_in", lambda items, *wanted: any(item in wanted for item in items))
        self.enforcer.add_function("all_in", lambda items, *wanted: all(item in wanted for item in items))
        self.enforcer.add_policies([self.rule(rule) for rule in workload["rules"]])
        self.tools = {rule["tool"] for rule in workload["rules"]}

    def rule(self, rule: dict[str, Any]) -> list[str]:
        asked = " && ".join(map(self.condition, rule["conditions"]))
        return [rule["tool"], asked, "allow" if rule["effect"] == "allow" else "deny", rule["id"]]

    def condition(self, condition: dict[str, Any]) -> str:
        it, value = f"r.call.{'.'.join(self.paths[condition['attribute']])}", condition["value"]
        match condition["kind"]:
            case "is":
                return f"{it} == {json.dumps(value)}"
            case "in":
                return f"is_in({it}, {', '.join(map(json.dumps, value))})"
            case "between":
                return f"{it} >= {value[0]} && {it} <= {value[1]}"
            case "at least":
                return f"{it} >= {value}"
            case "at most":
                return f"{it} <= {value}"
            case "matches":
                return f"regexMatch({it}, {json.dumps(value)})"
            case "under" | "like":
                return f"{condition['kind']}({it}, {json.dumps(value)})"
        return f"{condition['kind'].replace(' ', '_')}({it}, {', '.join(map(json.dumps, value))})"

    def prepare(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return request["tool_name"], request

    def ask(self, prepared: tuple[str, dict[str, Any]]) -> bool:
        # Casbin refuses to decide where it holds no rule.
        return prepared[0] in self.tools and self.enforcer.enforce(*prepared)

    def problem(self, answer: bool, applying: list[str]) -> str:
        expected = bool(applying) and not self.restricting.intersection(applying)
        return "" if answer is expected else f"{answer}, not {expected}"


if __name__ == "__main__":
    drive("casbin", Casbin)
