"""The table of frameworks in docs/sdk.md, from what the last run of each left in out/frameworks; or it is compared.

`python tests/frameworks/table.py docs/sdk.md` exits 1 where the page says something else; `--write` mends the page.
"""

import json
import sys
from pathlib import Path

BEGIN, END = "<!-- frameworks -->", "<!-- /frameworks -->"
ROWS = ("allow", "block", "step_up_approved", "step_up_denied", "step_up_timed_out", "modify", "defer", "tool_raises",
        "cancelled", "enforcer_away")  # fmt: skip
NAMES = {
    "langgraph": "LangChain, LangGraph",
    "openai_agents": "OpenAI Agents SDK",
    "openai_loop": "OpenAI tool loop",
    "anthropic_loop": "Anthropic tool loop and runner",
    "claude_agent_sdk": "Claude Agent SDK",
    "pydantic_ai": "Pydantic AI",
    "mcp_session": "MCP client session",
}
REQUIREMENTS = Path("tests/frameworks/requirements")
PACKAGES = {
    "langgraph": ("langchain", "langgraph"),
    "openai_agents": ("openai-agents",),
    "openai_loop": ("openai",),
    "anthropic_loop": ("anthropic",),
    "claude_agent_sdk": ("claude-agent-sdk",),
    "pydantic_ai": ("pydantic-ai-slim",),
    "mcp_session": ("mcp",),
}


def table(results: Path) -> str:
    """Return the table: a line for each framework, a word for each row of the matrix."""
    pins = dict(
        line.split("==")
        for file in sorted(REQUIREMENTS.glob("*.txt"))
        for line in file.read_text().splitlines()
        if "==" in line
    )
    lines = [
        "| | "
        + " | ".join(row.replace("_", " ").replace("step up", "step_up") for row in ROWS)
        + " | ways around tried |",
        "|---|" + "---|" * (len(ROWS) + 1),
    ]
    for name, title in NAMES.items():
        words = json.loads((results / f"{name}.json").read_text())
        versions = ", ".join(f"{package} {pins[package]}" for package in PACKAGES[name])
        cells = [{"passed": "✓", "failed": "✗"}.get(words.get(row, ""), "–") for row in ROWS]
        slips = {row: word for row, word in words.items() if row.startswith("nothing_slips_through")}
        ways = f"{sum(word == 'passed' for word in slips.values())} of {len(slips)} caught"
        lines.append(f"| {title} ({versions}) | " + " | ".join(cells) + f" | {ways} |")
    return "\n".join(lines)


def main() -> int:
    """Compare or write the table of a page."""
    page = Path(sys.argv[1])
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = f"{before}{BEGIN}\n{table(Path('out/frameworks'))}\n{END}{after}"
    if "--write" in sys.argv:
        page.write_text(made, encoding="utf-8")
    elif made != text:
        print(f"{page}: the table of frameworks is not what the runs say; run `python {sys.argv[0]} {page} --write`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
