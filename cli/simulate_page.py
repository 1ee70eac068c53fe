"""The report of a simulation as one page of HTML that needs nothing else."""

from typing import Any


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    return f"<!doctype html><title>{found['calls']}</title>"
