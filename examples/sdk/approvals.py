"""Held calls: a hundred payments at once, of which a few wait for a person, and the others wait for nobody.

Runs offline: `python examples/sdk/approvals.py`.
"""

import asyncio
import tempfile
from pathlib import Path

import thoth

HERE = Path(__file__).parent


async def pay(amount: float, to: str) -> str:
    return f"paid {amount:,.0f} to {to}"


async def main() -> None:
    """Make payments, and answer those that are held."""
    waiting: asyncio.Queue[thoth.Hold] = asyncio.Queue()
    client = thoth.ThothClient(
        agent_id="treasury-bot",
        approved_scope=["pay"],
        tenant_id="acme",
        user_id="ann",
        policy=HERE / "office.thoth",
        evidence=Path(tempfile.mkdtemp()) / "evidence",
        on_hold=waiting.put_nowait,
    )
    governed = client.tool(pay)
    amounts = [100 if n % 25 else 50_000 for n in range(100)]
    payments = [asyncio.ensure_future(governed(amount, f"supplier {n}")) for n, amount in enumerate(amounts)]
    small = [payment for payment, amount in zip(payments, amounts, strict=True) if amount == 100]
    await asyncio.gather(*small)
    print(f"{len(small)} payments are made, {waiting.qsize()} wait for {', '.join(thoth.holds()[0].approvers)}")
    first = await waiting.get()
    first.deny("finance-leads", "bob")
    while not waiting.empty():
        (await waiting.get()).approve("finance-leads", "bob")
    for result in await asyncio.gather(*payments, return_exceptions=True):
        if "100" not in str(result):
            print(result)
    print(client.audit())


if __name__ == "__main__":
    asyncio.run(main())
