"""Time zones, the same on every machine: from the `tzdata` package, never from the system.

The policy's digest covers the bytes of every zone that it uses.
"""

import functools
import importlib.resources
from zoneinfo import ZoneInfo


@functools.cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    listing = importlib.resources.files("tzdata").joinpath("zones").read_text("utf-8")
    return frozenset(listing.split())


@functools.cache
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of a name.

    Raises:
        KeyError: there is no such zone.
    """
    if name not in zone_names():
        raise KeyError(name)
    with importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def zone_bytes(name: str) -> bytes:
    """Return the bytes that define a zone (RFC 9636), for digests."""
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
