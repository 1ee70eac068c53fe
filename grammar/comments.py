"""Comments to the nodes that they stand at.

A comment belongs to the item above or inside which it stands, or behind which on its line. Of the
comments behind something, an item keeps the first as `trailing`; the others move above it, for the
canonical form has one line end to put them at.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from .chunks import Chunk
from .syntax import Comment, Expect, ForItem, Given, Item, PolicyItem, Setting, Span, TestCall, TestItem

Inner = Item | Setting | Given | TestCall | Expect

N = TypeVar("N", bound=Inner)


def settle(comments: Iterable[Comment]) -> tuple[Comment, ...]:
    """Return one node's comments in their canonical order: those above it, then at most one trailing."""
    above: list[Comment] = []
    trailing: list[Comment] = []
    for comment in comments:
        if comment.trailing and not trailing:
            trailing.append(comment)
        else:
            above.append(replace(comment, trailing=False))
    return (*above, *trailing)


def attach(item: Item, chunk: Chunk) -> Item:
    """Return the item with the comments of its chunk, each at the node where it stands."""
    if isinstance(item, PolicyItem):
        shares = _share(item.settings, chunk, (chunk.line, 0), None)
        settings = tuple(_with(node, share) for node, share in zip(item.settings, shares.inner, strict=True))
        return replace(item, settings=settings, comments=settle(shares.outer))
    if isinstance(item, ForItem) and chunk.opened:
        shares = _share(item.items, chunk, chunk.opened, chunk.closed)
        items = tuple(_with(node, share) for node, share in zip(item.items, shares.inner, strict=True))
        return replace(item, items=items, comments=settle(shares.outer), closing=_plain(shares.closing))
    if isinstance(item, TestItem) and chunk.opened:
        call = (item.call,) if item.call else ()
        nodes = sorted(
            (*item.given, *item.after, *call, *item.expects), key=lambda node: (node.at.line, node.at.column)
        )
        shares = _share(nodes, chunk, chunk.opened, chunk.closed)
        new = {id(node): _with(node, share) for node, share in zip(nodes, shares.inner, strict=True)}
        return replace(
            item,
            given=tuple(new[id(node)] for node in item.given),
            after=tuple(new[id(node)] for node in item.after),
            call=new[id(item.call)] if item.call else None,
            expects=tuple(new[id(node)] for node in item.expects),
            comments=settle(shares.outer),
            closing=_plain(shares.closing),
        )
    return replace(item, comments=settle(chunk.comments))


class _Shares:
    def __init__(self, count: int) -> None:
        self.outer: list[Comment] = []
        self.inner: list[list[Comment]] = [[] for _ in range(count)]
        self.closing: list[Comment] = []


def _share(nodes: "Iterable[Inner]", chunk: Chunk, opened: tuple[int, int], closed: tuple[int, int] | None) -> _Shares:
    """Share the comments of a chunk out to the nodes between two places, in the order of the text."""
    places = [node.at for node in nodes]
    shares = _Shares(len(places))
    following = 0
    for comment in chunk.comments:
        here = (comment.at.line, comment.at.column)
        while following < len(places) and _end(places[following]) <= here:
            following += 1
        before = places[following - 1] if following else None
        inside = following < len(places) and (places[following].line, places[following].column) <= here
        if here < opened or (closed and here > closed):
            shares.outer.append(comment)
        elif comment.trailing and not inside and before and before.end_line == comment.at.line:
            shares.inner[following - 1].append(comment)
        elif comment.trailing and not inside and before is None and comment.at.line == opened[0]:
            shares.outer.append(comment)
        elif following < len(places):
            shares.inner[following].append(comment)
        else:
            (shares.closing if closed else shares.outer).append(comment)
    return shares


def _end(place: Span) -> tuple[int, int]:
    return (place.end_line, place.end_column)


def _plain(comments: list[Comment]) -> tuple[Comment, ...]:
    return tuple(replace(comment, trailing=False) for comment in comments)


def _with(node: N, comments: list[Comment]) -> N:
    return replace(node, comments=settle(comments)) if comments else node
