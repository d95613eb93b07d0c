"""Where `smalti explain` writes, and what: a folder of all there is, or one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.errors import InputError
from smalti.sampling import png_bytes
from smalti.sampling.files import said_plainly, write_file

# Most sources in all records that are kept together: about what a page of 40 MB holds; and most seeds of a page.
_MOST_SOURCES, _MOST_ON_PAGE = 1_600_000, 64
_LARGE_PAGE = 50_000_000

What = Literal["nothing", "folder", "page", "record", "table"]
_SUFFIXES: dict[str, What] = {".html": "page", ".json": "record", ".parquet": "table", ".csv": "table"}

_CONTENTS = {
    "report.html": "a page to explore it in any browser, without a network",
    "receipt.json": "the whole record",
    "receipt.parquet": "the weights, a row for each step, pixel and item",
    "copy-map.png": "how much of each pixel is owed to one item",
    "mosaic.png": "which item each pixel owes most to",
    "effective-sources.png": "how many sources each pixel has",
    "sources.png": "the items it owes most to, beside it",
}


@dataclass(frozen=True)
class Place:
    """What is written, and where; None for nothing."""

    what: What
    path: Path | None


def place_of(run: Path, out: Path | None, *, asks: bool) -> Place:
    """What is written: what the name says, a folder beside the run, or nothing where something is only asked."""
    if out is not None:
        return Place(_SUFFIXES.get(out.suffix.lower(), "folder"), out)
    if asks:
        return Place("nothing", None)
    named = run if run.name else run.resolve()
    return Place("folder", named.with_name(f"{named.name}-receipt"))


def check_place(place: Place, *, force: bool) -> None:
    """Refuses, before any work, a place that is taken and a file that cannot be made here.

    Raises:
        InputError: it is either.
    """
    if place.path is None:
        return
    if place.what == "table":
        from smalti.receipts.tables import check_table_name

        check_table_name(place.path)
    if place.what == "folder" and place.path.exists() and not place.path.is_dir():
        raise InputError(f"'{shown(place.path)}' is a file, and receipts need a folder: choose another place")
    if place.what != "folder" and place.path.is_dir():
        raise InputError(f"'{shown(place.path)}' is a folder, and its name is that of a file: choose another place")
    if place.path.exists() and not force:
        raise InputError(
            f"'{shown(place.path)}' is there already: choose another place with -o, or write over it with --force"
        )


class Writer:
    """Writes records as they come, and last what holds several of them.

    Attributes:
        most_sources: how many sources each record may list.
        files: names of the files written, each with what it holds.
        notes: what a person should know of them.
    """

    def __init__(self, place: Place, corpus: ImageCorpus, *, seeds: int) -> None:
        """For `seeds` records on a corpus; nothing is written yet."""
        self.files: dict[str, str] = {}
        self.notes: list[str] = []
        self._place, self._images = place, corpus.images
        self._together = seeds if place.what == "table" else min(seeds, _MOST_ON_PAGE)
        self.most_sources = _MOST_SOURCES // self._together
        self._records: list[Mapping[str, Any]] = []
        self._with_tables = place.what == "folder" and self._can_write_tables()
        if place.what in ("folder", "page") and self._together < seeds:
            self.notes.append(f"the page shows the first {self._together} of {seeds} seeds: name others with --seed")

    def add(self, made: Mapping[str, Any]) -> None:
        """Writes what is of one seed alone."""
        if self._place.what == "folder":
            self._add_to_folder(made)
        if self._place.what != "nothing" and len(self._records) < self._together:
            self._records.append(made)

    def finish(self) -> None:
        """Writes what holds all records."""
        from smalti.receipts.record import to_json
        from smalti.receipts.rows import about, rows
        from smalti.receipts.tables import write_table

        path = self._place.path
        if path is None:
            return
        if self._place.what == "record":
            self._write(path, "receipt.json", to_json(self._records[0]))
        elif self._place.what == "table":
            write_table(path, rows(self._records), metadata=about(self._records))
            self.files[path.name] = _CONTENTS["receipt.parquet"]
        elif self._place.what == "page":
            self._write(path, "report.html", self._page())
        else:
            self._write(path / "report.html", "report.html", self._page())

    def _add_to_folder(self, made: Mapping[str, Any]) -> None:
        from smalti.receipts.pictures import draw
        from smalti.receipts.record import to_json
        from smalti.receipts.rows import about, rows
        from smalti.receipts.tables import write_parquet

        folder = self._place.path
        assert folder is not None
        with said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        names = {kind: folder / f"{made['seed']:06d}.{kind}" for kind in _CONTENTS}
        self._write(names["receipt.json"], "receipt.json", to_json(made))
        if self._with_tables:
            path = names["receipt.parquet"]
            write_parquet(path, rows([made]), metadata=about([made]))
            self.files[path.name] = _CONTENTS["receipt.parquet"]
        for name, picture in draw(made, self._images).items():
            self._write(names[f"{name}.png"], f"{name}.png", png_bytes(picture))

    def _page(self) -> bytes:
        from smalti.receipts.page import page
        from smalti.receipts.record import sprites

        html = page(self._records, sprites(self._records, self._images)).encode()
        if len(html) > _LARGE_PAGE:
            self.notes.append(
                f"the page has {len(html) / 1e6:,.0f} MB: fewer seeds, steps (--steps last) or sources (--top 3) make "
                "it smaller"
            )
        return html

    def _write(self, path: Path, kind: str, content: bytes) -> None:
        write_file(path, content)
        self.files[path.name] = _CONTENTS[kind]

    def _can_write_tables(self) -> bool:
        from smalti.receipts.tables import check_table_name

        try:
            check_table_name("receipt.parquet")
        except InputError as error:
            self.notes.append(f"no tables of rows were written ({error})")
            return False
        return True


def files_said(place: Path, files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Paths with what they hold, the page first; of several of a kind the first."""
    first: dict[str, str] = {}
    for name, content in files.items():
        first.setdefault(content, name)
    folder = place if place.is_dir() else place.parent
    return [(shown(folder / first[content]), content) for content in _CONTENTS.values() if content in first]
