"""Receipts of texts: what every token owes to which document and place, and what stands in the corpus already."""

from smalti.receipts.text.proof import ExactToken, TextPlace, exact_token
from smalti.receipts.text.receipt import NO_DOCUMENT, Origin, TextComposition, TextReceipt
from smalti.receipts.text.verbatim import Span, SpanPlace, TextMatch, Verbatim

__all__ = [
    "NO_DOCUMENT",
    "ExactToken",
    "Origin",
    "Span",
    "SpanPlace",
    "TextComposition",
    "TextMatch",
    "TextPlace",
    "TextReceipt",
    "Verbatim",
    "exact_token",
]
