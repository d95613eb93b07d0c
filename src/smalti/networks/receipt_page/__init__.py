"""The receipt of a network's picture as one page: that of a receipt (`smalti.receipts.page`), and before it how far to
trust the machine that explains the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from smalti.receipts.page import page

__all__ = ["network_page"]


def network_page(records: Sequence[Mapping[str, Any]], sprites: Mapping[str, bytes]) -> str:
    """A self-contained page of receipts of a network's pictures. Tier: *bitwise*.

    Args:
        records: records of `smalti.networks.receipt_record`, one for each seed, in the order in which seeds are
            offered.
        sprites: as for `smalti.receipts.page.page`.

    Returns:
        The HTML, for a file in UTF-8; the same for the same receipts.

    Raises:
        UsageError: there is no receipt, or one of the seeds is there twice.
    """
    return page(
        records,
        sprites,
        before=_text("trust.html"),
        words=_text("words.html"),
        style=_text("network.css"),
        script=_text("network.js"),
    )


def _text(name: str) -> str:
    return (resources.files(__name__) / name).read_text(encoding="utf-8")
