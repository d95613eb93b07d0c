"""The check of everything in a ledger."""

from __future__ import annotations

import hashlib

from smalti.corpus.database import File
from smalti.receipts.composition import UNITS
from smalti.receipts.ledger.records import Verified
from smalti.receipts.ledger.rows import credits_id

__all__ = ["check"]


def check(file: File) -> Verified:
    """See `Ledger.verify`. The credits of one sample at a time are in memory."""
    with file.session(to="read") as database:
        (structure,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if structure != "ok":
            raise file.damaged(structure)
        loose = database.execute("PRAGMA foreign_key_check").fetchone()
        if loose is not None:
            raise file.damaged(f"a row of {loose[0]} belongs to none of {loose[2]}")
        for run, request in database.execute("SELECT request_sha256, request FROM runs"):
            if hashlib.sha256(request.encode()).hexdigest() != run:
                raise file.damaged(f"run {run[:12]} is not the request it is named by")
        samples = database.execute(
            "SELECT sample, seed, pixels, credits_sha256, request_sha256, corpus FROM samples JOIN runs USING (run)"
        ).fetchall()
        for sample, seed, pixels, proof, run, corpus in samples:
            credits = database.execute(
                "SELECT id, units FROM credits JOIN items USING (item) WHERE sample = ? AND corpus = ?",
                (sample, corpus),
            ).fetchall()
            if sum(units for _, units in credits) != pixels * UNITS or credits_id(credits) != proof:
                raise file.damaged(f"the credits of seed {seed} of run {run[:12]} are not those entered")
        tables = ("runs", "samples", "credits")
        return Verified(*(database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables))
