"""A receipt as one page: a file that opens in any browser, without network, server or anything beside it.

The page is put together from the HTML, the style and the scripts of this folder. It carries the receipts as the very
JSON of receipt.json, one block for each seed, and the pictures of the items they name; all that it shows is read from
these. Names and metadata are whatever people wrote, so nothing of them is ever read as HTML: in the blocks every "<"
and everything beyond ASCII is escaped, the scripts only ever make text of them, and a content security policy lets
nothing run or load but the page's own style and script.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from smalti.errors import UsageError

__all__ = ["SHARED_SCRIPTS", "assembled", "credit_section", "filled", "page", "page_file", "placed"]

SHARED_SCRIPTS = ("shared.js", "sorted.js", "frame.js")
"""What the pages of pictures and of texts have in common."""

# In the order in which they are needed; page.js comes last, and starts.
_SCRIPTS = (*SHARED_SCRIPTS, "data.js", "colours.js", "views.js", "stage.js", "panel.js", "tables.js")


def page(
    records: Sequence[Mapping[str, Any]],
    sprites: Mapping[str, bytes],
    *,
    before: str = "",
    words: str | None = None,
    style: str = "",
    script: str = "",
) -> str:
    """A self-contained page of receipts. Tier: *bitwise*.

    Args:
        records: receipts as receipt.json holds them, one for each seed, in the order in which seeds are offered.
        sprites: by content id, the PNG files of items that the records name; an item without one is shown by its name
            and place alone, and what no record names is left out.

    Keyword Args:
        before: HTML that stands before the picture, on pages that show more than a receipt.
        words: what their words mean, as HTML; those of receipts unless given.
        style: further style.
        script: a script that comes before the one that starts the page.

    Returns:
        The HTML, for a file in UTF-8; the same for the same receipts.

    Raises:
        UsageError: there is no receipt, or one of the seeds is there twice.
    """
    named = dict.fromkeys(item["id"] for record in records for item in record["items"])
    pictures = {
        id_: f"data:image/png;base64,{base64.b64encode(sprites[id_]).decode()}" for id_ in named if id_ in sprites
    }
    return assembled(
        records,
        main=placed(page_file("main.html"), {"before": before, "credit": credit_section(sites="pixels")}),
        words=page_file("words.html") if words is None else words,
        style=page_file("page.css") + style,
        scripts=[*map(page_file, _SCRIPTS), script, page_file("page.js")],
        data=f'<script type="application/json" id="sprites">{_json(pictures)}</script>\n',
    )


def assembled(
    records: Sequence[Mapping[str, Any]], *, main: str, words: str, style: str, scripts: Iterable[str], data: str = ""
) -> str:
    """A self-contained page of receipts from its parts, in the frame that pages of receipts share. Tier: *bitwise*.

    Args:
        records: receipts, one for each seed.

    Keyword Args:
        main: the HTML that shows a receipt.
        words: what the words of the page mean, as HTML.
        style: the style sheet.
        scripts: the scripts, in the order in which they are needed.
        data: elements with what the scripts read beside the receipts.

    Raises:
        UsageError: there is no receipt, or one of the seeds is there twice.
    """
    seeds = [str(record["seed"]) for record in records]
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(
            f"a page shows one receipt for each of one or more seeds, and these are {', '.join(seeds) or 'none'}"
        )
    blocks = (
        f'<script type="application/json" class="receipt" data-seed="{html.escape(seed)}">{_json(record)}</script>'
        for seed, record in zip(seeds, records, strict=True)
    )
    title = html.escape(f"Receipt of seed {seeds[0]}")
    parts = {"title": title, "main": main, "words": words, "data": data, "receipts": "\n".join(blocks)}
    return filled(page_file("frame.html"), style=style, scripts=scripts, parts=parts)


def credit_section(*, sites: str, text: str = "") -> str:
    """The HTML that shows who is owed how much.

    Keyword Args:
        sites: what owes, in the plural.
        text: what the credit is, where no script says it.
    """
    return placed(page_file("credit.html"), {"sites": sites, "text": text})


def filled(template: str, *, style: str, scripts: Iterable[str], parts: Mapping[str, str]) -> str:
    """A self-contained page from its parts, which lets nothing run or load but this style and these scripts.

    Tier: *bitwise*.

    Args:
        template: the HTML after its head, with the place `{{script}}` and those of `parts`; `{{title}}` is in the
            head.

    Keyword Args:
        style: the style sheet.
        scripts: the scripts, in the order in which they are needed.
        parts: what goes into other places, as it is: text must have been escaped.
    """
    script = f'(() => {{\n"use strict";\n{"".join(scripts)}}})();\n'
    places = {
        "style hash": _hash(style),
        "script hash": _hash(script),
        "style": style,
        "script": script,
        **parts,
    }
    return placed(page_file("head.html") + template, places)


def placed(template: str, parts: Mapping[str, str]) -> str:
    """A template with what goes into its places, `{{name}}`, as it is: text must have been escaped."""
    # The template is cut at its places first, so that nothing put in can be taken for a place.
    first, *rest = template.split("{{")
    cut = (piece.split("}}", 1) for piece in rest)
    return first + "".join(parts[name] + after for name, after in cut)


def _json(value: object) -> str:
    """JSON that may stand in a script element: equal when read, without "<" and in ASCII."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def page_file(name: str) -> str:
    """A file of this folder, as text."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
