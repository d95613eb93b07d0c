"""The ledger: who is owed how much over many samples and runs."""

from smalti.receipts.ledger.layout import LEDGER
from smalti.receipts.ledger.ledger import ALWAYS, Ledger, default_ledger
from smalti.receipts.ledger.records import NO_DOCUMENT_ID, Entry, SampleTotals, Total, Verified
from smalti.receipts.ledger.rows import run_id

__all__ = [
    "ALWAYS",
    "LEDGER",
    "NO_DOCUMENT_ID",
    "Entry",
    "Ledger",
    "SampleTotals",
    "Total",
    "Verified",
    "default_ledger",
    "run_id",
]
