"""The frame that pages of measurements share: head, masthead, style and the one button."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib import resources

from smalti.receipts.page import SHARED_SCRIPTS, filled, page_file
from smalti.temperature.report.markup import Markup, joined

__all__ = ["page_of"]


def page_of(*, title: str, name: str, about: str, main: Iterable[Markup], footer: Iterable[Markup]) -> str:
    """A self-contained page. Tier: *bitwise*.

    Keyword Args:
        title: of the window.
        name: the heading.
        about: a line below it.
        main: the parts.
        footer: what stands below them.
    """
    return filled(
        _file("report.html"),
        style=page_file("page.css") + _file("report.css"),
        # The first of the shared scripts has the button's code.
        scripts=[page_file(SHARED_SCRIPTS[0]), "buildLook();\n"],
        parts={
            "title": html.escape(title),
            "name": html.escape(name),
            "about": html.escape(about),
            "main": joined(main, between="\n"),
            "footer": joined(footer, between="\n"),
        },
    )


def _file(name: str) -> str:
    return (resources.files("smalti.temperature.report") / name).read_text(encoding="utf-8")
