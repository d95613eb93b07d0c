"""Elements of a page from values: every text is escaped on its way in, so that nothing of it is ever read as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["Markup", "Piece", "joined", "tag"]

_VOID = {"circle", "line", "polyline", "polygon", "rect", "br"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Piece = str | None
"""What an element may hold: `Markup` as it is, any other text escaped, None as nothing."""


def tag(name: str, *children: Piece, **attributes: str | float | None) -> Markup:
    """An element. In names of attributes a trailing underscore is dropped, others are hyphens; None leaves it out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_number(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = joined(children)
    return Markup(f"<{name}{written}/>" if name in _VOID and not inside else f"<{name}{written}>{inside}</{name}>")


def joined(pieces: Iterable[Piece], *, between: str = "") -> Markup:
    """Several pieces one after the other."""
    return Markup(between.join(p if isinstance(p, Markup) else html.escape(p) for p in pieces if p is not None))


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
