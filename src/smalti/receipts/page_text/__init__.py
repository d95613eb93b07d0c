"""A text's receipt as one page, of the same make and look as that of a picture (`smalti.receipts.page`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from smalti.receipts.page import SHARED_SCRIPTS, assembled, credit_section, page_file, placed

__all__ = ["text_page"]

# In the order in which they are needed; text.js starts.
_SCRIPTS = ("receipt.js", "views.js", "panel.js", "lists.js", "text.js")
_CREDIT = "Weight of the tokens at the steps at which they were drawn, summed over the text."


def text_page(records: Sequence[Mapping[str, Any]]) -> str:
    """A self-contained page of receipts of texts. Tier: *bitwise*.

    Args:
        records: receipts as receipt.json holds them, one for each seed, in the order in which seeds are offered.

    Returns:
        The HTML, for a file in UTF-8; the same for the same receipts.

    Raises:
        UsageError: there is no receipt, or one of the seeds is there twice.
    """
    return assembled(
        records,
        main=placed(_text("main.html"), {"credit": credit_section(sites="tokens", text=_CREDIT)}),
        words=_text("words.html"),
        style=page_file("page.css") + _text("text.css"),
        scripts=[*map(page_file, SHARED_SCRIPTS), *map(_text, _SCRIPTS)],
    )


def _text(name: str) -> str:
    return (resources.files(__name__) / name).read_text(encoding="utf-8")
