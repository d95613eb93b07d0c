"""What `smalti explain` writes of pictures, and of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.cli.explain_files import Form
from smalti.sampling import OpenRun, png_bytes

# Most sources in all records that are kept together, and most tokens: about what a page of 40 MB holds.
_MOST_SOURCES, _MOST_TOKENS = 1_600_000, 30_000
_SMALLER = "fewer seeds, steps (--steps last) or sources (--top 3)"

_SHARED = {
    "report.html": "a page to explore it in any browser, without a network",
    "receipt.json": "the whole record",
}
_PICTURES = {
    **_SHARED,
    "receipt.parquet": "the weights, a row for each step, pixel and item",
    "copy-map.png": "how much of each pixel is owed to one item",
    "mosaic.png": "which item each pixel owes most to",
    "effective-sources.png": "how many sources each pixel has",
    "sources.png": "the items it owes most to, beside it",
}
_NETWORK = {
    "report.html": "a page to explore it in any browser, offline",
    "png": "the network's picture",
    "agreement.png": "it beside the machine's own, and how far they are apart",
    "receipt.json": "the whole record",
    "receipt.parquet": "the machine's weights, a row for each step, pixel and item",
    "copy-map.png": "how much of each pixel of the machine's estimate is owed to one item",
    "mosaic.png": "which item each of them owes most to",
    "effective-sources.png": "how many sources each of them has",
    "sources.png": "the items that the machine's estimate owes most to",
}
_TEXTS = {**_SHARED, "receipt.parquet": "the weights, a row for each token and document"}


def form_of(opened: OpenRun) -> Form:
    """What the receipts of a run become."""
    return _of_texts(opened) if opened.record.request.kind == "texts" else _of_pictures(opened)


def most_sources(together: int) -> int:
    """How many sources each of some records that are kept together may list."""
    return _MOST_SOURCES // together


def _of_pictures(opened: OpenRun) -> Form:
    from smalti.receipts.page import page
    from smalti.receipts.pictures import draw
    from smalti.receipts.record import FORMAT, sprites
    from smalti.receipts.rows import about, rows

    request, images = opened.record.request, opened.machine.corpus.images

    def page_of(records: Sequence[Mapping[str, Any]]) -> str:
        return page(records, sprites(records, images))

    def drawn(made: Mapping[str, Any]) -> dict[str, bytes]:
        return {f"{name}.png": png_bytes(picture) for name, picture in draw(made, images).items()}

    return Form(
        contents=_PICTURES,
        format=FORMAT,
        run={
            "corpus_digest": request.corpus_digest,
            "machine": request.machine,
            "label": request.label,
            "size": list(request.size),
            "created": opened.record.created,
        },
        rows=rows,
        about=about,
        page=page_of,
        drawn=drawn,
        smaller=_SMALLER,
    )


def form_of_network(run: Mapping[str, Any], images: NDArray[np.uint8]) -> Form:
    """What the receipts of a network's pictures become.

    Args:
        run: what a record says of machine and network, where receipts that do not belong together differ.
        images: the corpus's pictures. uint8, shape (N, H, W, C).
    """
    from smalti.networks.receipt_page import network_page
    from smalti.networks.receipt_pictures import draw_network
    from smalti.networks.receipt_record import FORMAT, WEIGHTS
    from smalti.receipts.record import sprites
    from smalti.receipts.rows import about, rows

    def drawn(made: Mapping[str, Any]) -> dict[str, bytes]:
        picture = np.array(made["picture"]["pixels"], np.uint8).reshape(*made["run"]["size"], -1)
        files = {f"{name}.png": png_bytes(drawn) for name, drawn in draw_network(made, images).items()}
        return {"png": png_bytes(picture), **files}

    return Form(
        contents=_NETWORK,
        format=FORMAT,
        run=run,
        rows=rows,
        about=lambda records: about(records, text=WEIGHTS),
        page=lambda records: network_page(records, sprites(records, images)),
        drawn=drawn,
        smaller=_SMALLER,
    )


def _of_texts(opened: OpenRun) -> Form:
    from smalti.receipts.page_text import text_page
    from smalti.receipts.text.record import FORMAT
    from smalti.receipts.text.rows import about, rows

    request = opened.record.request
    return Form(
        contents=_TEXTS,
        format=FORMAT,
        run={
            "corpus_digest": request.corpus_digest,
            "settings": request.settings(),
            "created": opened.record.created,
        },
        rows=rows,
        about=about,
        page=text_page,
        drawn=lambda _: {},
        smaller="fewer seeds or sources (--top 3)",
        size=lambda made: len(made["tokens"]),
        most_size=_MOST_TOKENS,
    )
