"""What `smalti explain` writes of texts: a folder of all there is, or one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smalti.cli.explain_files import Place, can_write_tables
from smalti.sampling.files import said_plainly, write_file

# Most tokens of all seeds of a page: about what 40 MB hold; and most seeds.
_MOST_TOKENS, _MOST_ON_PAGE = 30_000, 64

TEXT_CONTENTS = {
    "report.html": "a page to explore it in any browser, without a network",
    "receipt.json": "the whole record",
    "receipt.parquet": "the weights, a row for each token and document",
}


class TextWriter:
    """Writes records as they come, and last what holds several of them.

    Attributes:
        files: names of the files written, each with what it holds.
        notes: what a person should know of them.
    """

    def __init__(self, place: Place, *, seeds: int) -> None:
        """For `seeds` records; nothing is written yet."""
        self.files: dict[str, str] = {}
        self.notes: list[str] = []
        self._place, self._seeds = place, seeds
        self._records: list[Mapping[str, Any]] = []
        self._with_tables = place.what == "folder" and can_write_tables(self.notes)

    def add(self, made: Mapping[str, Any]) -> None:
        """Writes what is of one seed alone."""
        from smalti.receipts.record import to_json
        from smalti.receipts.tables import write_parquet
        from smalti.receipts.text.rows import about, rows

        if self._place.what == "folder":
            folder = self._place.path
            assert folder is not None
            with said_plainly(folder):
                folder.mkdir(parents=True, exist_ok=True)
            self._write(folder / f"{made['seed']:06d}.receipt.json", "receipt.json", to_json(made))
            if self._with_tables:
                path = folder / f"{made['seed']:06d}.receipt.parquet"
                write_parquet(path, rows([made]), metadata=about([made]))
                self.files[path.name] = TEXT_CONTENTS["receipt.parquet"]
        if self._place.what != "nothing" and (self._place.what == "table" or self._fits(made)):
            self._records.append(made)

    def finish(self) -> None:
        """Writes what holds all records."""
        from smalti.receipts.page_text import text_page
        from smalti.receipts.record import to_json
        from smalti.receipts.tables import write_table
        from smalti.receipts.text.rows import about, rows

        path, what = self._place.path, self._place.what
        if path is None:
            return
        if what == "record":
            self._write(path, "receipt.json", to_json(self._records[0]))
        elif what == "table":
            write_table(path, rows(self._records), metadata=about(self._records))
            self.files[path.name] = TEXT_CONTENTS["receipt.parquet"]
        else:
            if len(self._records) < self._seeds:
                self.notes.append(
                    f"the page shows the first {len(self._records)} of {self._seeds} seeds: name others with --seed"
                )
            page = path if what == "page" else path / "report.html"
            self._write(page, "report.html", text_page(self._records).encode())

    def _fits(self, made: Mapping[str, Any]) -> bool:
        """Whether a record goes onto the page; the first always does."""
        tokens = sum(len(record["tokens"]) for record in [*self._records, made])
        return not self._records or (len(self._records) < _MOST_ON_PAGE and tokens <= _MOST_TOKENS)

    def _write(self, path: Path, kind: str, content: bytes) -> None:
        write_file(path, content)
        self.files[path.name] = TEXT_CONTENTS[kind]
