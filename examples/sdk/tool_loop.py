"""A tool loop: a model asks for calls, each one is decided before it runs, and a refusal is what the model reads next.

The model is a list of what it would ask for, so this runs offline: `python examples/sdk/tool_loop.py`.
"""

import tempfile
from pathlib import Path
from typing import Any

import thoth

HERE = Path(__file__).parent
SCRIPT: list[tuple[str, dict[str, Any]]] = [
    ("read_customer", {"id": "42"}),
    ("send_email", {"to": "eve@evil.example", "body": "customer 42 is Ann"}),
    ("send_email", {"to": "ann@acme.example", "body": "card 4111 1111 1111 1111 was declined"}),
]


def read_customer(id: str) -> dict[str, str]:
    return {"id": id, "name": "Ann"}


def send_email(to: str, body: str) -> str:
    return f"sent to {to}: {body}"


def main() -> None:
    """Run the script."""
    tools = thoth.instrument(
        {"read_customer": read_customer, "send_email": send_email},
        agent_id="desk-bot",
        approved_scope=["read_customer", "send_email"],
        tenant_id="acme",
        policy=HERE / "office.thoth",
        evidence=Path(tempfile.mkdtemp()) / "evidence",
    )
    for name, args in SCRIPT:
        try:
            result: object = tools[name](**args)
        except thoth.ThothPolicyViolation as refused:
            result = f"refused: {refused.tell}"
        print(f"{name}: {result}")
    print(thoth.audit())


if __name__ == "__main__":
    main()
