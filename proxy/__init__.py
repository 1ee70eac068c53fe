"""The enforcement point in front of MCP servers: what a client sends passes through here, and tool calls are decided.

`thoth run` is the way in; `docs/mcp.md` says what passes and what is governed.
"""
