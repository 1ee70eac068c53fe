"""GoRules Zen: one decision table, a column for the tool and each attribute, a row for each rule, all hits collected.

Translation: every kind of condition has words in Zen; a glob is `startsWith` and `endsWith`. A decision is made of the
ids that come back (which effect wins is left to the caller and not measured).
"""

import json
from typing import Any

import zen
from driving import drive


class Zen:
    def __init__(self, workload: dict[str, Any]) -> None:
        columns = {"tool": "tool_name"}
        columns |= {name: ".".join(attribute["path"]) for name, attribute in workload["attributes"].items()}
        places = {name: f"c{number}" for number, name in enumerate(columns)}
        table = {
            "hitPolicy": "collect",
            "inputs": [{"id": places[name], "name": name, "field": field} for name, field in columns.items()],
            "outputs": [{"id": "o", "name": "id", "field": "id"}],
            "rules": [self.rule(rule, places) for rule in workload["rules"]],
        }
        nodes = [
            {"id": "in", "type": "inputNode", "name": "in", "position": {"x": 0, "y": 0}},
            {"id": "t", "type": "decisionTableNode", "name": "t", "position": {"x": 0, "y": 0}, "content": table},
            {"id": "out", "type": "outputNode", "name": "out", "position": {"x": 0, "y": 0}},
        ]
        edges = [
            {"id": "e1", "sourceId": "in", "targetId": "t", "type": "edge"},
            {"id": "e2", "sourceId": "t", "targetId": "out", "type": "edge"},
        ]
        content = zen.ZenDecisionContent(json.dumps({"nodes": nodes, "edges": edges}))
        self.decision = zen.ZenEngine().create_decision(content)

    def rule(self, rule: dict[str, Any], places: dict[str, str]) -> dict[str, str]:
        row = dict.fromkeys(places.values(), "")
        row |= {"_id": rule["id"], "o": json.dumps(rule["id"]), places["tool"]: json.dumps(rule["tool"])}
        for condition in rule["conditions"]:
            row[places[condition["attribute"]]] = cell(condition)
        return row

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def ask(self, prepared: dict[str, Any]) -> list[str]:
        return [hit["id"] for hit in self.decision.evaluate(prepared)["result"]]

    def problem(self, answer: list[str], applying: list[str]) -> str:
        return "" if sorted(answer) == applying else f"{sorted(answer)}, not {applying}"


def cell(condition: dict[str, Any]) -> str:
    value = condition["value"]
    match condition["kind"]:
        case "is":
            return json.dumps(value)
        case "in":
            return ", ".join(map(json.dumps, value))
        case "between":
            return f"[{value[0]}..{value[1]}]"
        case "at least":
            return f">= {value}"
        case "at most":
            return f"<= {value}"
        case "under":
            return f"$ == {json.dumps(value)} or startsWith($, {json.dumps(value + '/')})"
        case "like":
            first, _, last = value.partition("*")
            tests = [f"startsWith($, {json.dumps(first)})"] if first else []
            tests += [f"endsWith($, {json.dumps(last)})"] if last else []
            return " and ".join(tests)
        case "matches":
            return f"matches($, {json.dumps(value)})"
        case "any in":
            return f"some($, # in {json.dumps(value)})"
    return f"all($, # in {json.dumps(value)})"


if __name__ == "__main__":
    drive("zen-engine", Zen)
