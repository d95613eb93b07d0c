"""Where `smalti explain` writes, and what: a folder of all there is, or one file.

A folder gathers receipts of one run, each file under the name of its seed; its page, report.html, shows all of them
and is made anew with every one that is added.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smalti.cli.terminal import counted
from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError
from smalti.sampling import OpenRun, png_bytes
from smalti.sampling.files import check_creatable, said_plainly, write_file

# Most sources in all records that are kept together: about what a page of 40 MB holds; and most seeds of a page.
_MOST_SOURCES, _MOST_ON_PAGE = 1_600_000, 64
_LARGE_PAGE = 50_000_000

What = Literal["nothing", "folder", "page", "record", "table"]
_PAGE, _RECORD = "report.html", "receipt.json"
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
    """What is written: what the name says, a folder beside the run, or nothing where something is only asked.

    Raises:
        UsageError: the name is that of another kind of file.
    """
    if out is not None:
        what = _SUFFIXES.get(out.suffix.lower(), "folder")
        # A folder that is there may be called anything; a new one called like a file would be a slip.
        if what == "folder" and re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,4}", out.suffix) and not out.is_dir():
            raise UsageError(
                f"-o '{shown(out)}' ends in {out.suffix}, which explain does not write: give a name that ends in "
                f"{', '.join(_SUFFIXES)}, or a folder"
            )
        return Place(what, out)
    if asks:
        return Place("nothing", None)
    named = run if run.name else run.resolve()
    return Place("folder", named.with_name(f"{named.name}-receipt"))


def check_place(place: Place, *, force: bool) -> None:
    """Refuses, before any work, a place that is of the wrong kind, taken, or where nothing can be made.

    Raises:
        InputError: it is one of these.
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
    if place.what != "folder" and place.path.exists() and not force:
        raise _taken(place.path)
    check_creatable(place.path)


def check_free(place: Place, opened: OpenRun, seeds: Sequence[int], *, force: bool) -> tuple[Path, ...]:
    """Refuses, before any work, a folder in which something would be written over.

    Args:
        place: what is written, and where.
        opened: the run.
        seeds: the seeds to be explained.

    Keyword Args:
        force: whether files of these seeds may be written over.

    Returns:
        The records of other seeds that the folder holds.

    Raises:
        InputError: files of these seeds are there, or receipts of another run, or other files only.
    """
    folder = place.path
    if place.what != "folder" or folder is None or not folder.exists():
        return ()
    found = {path: _seed_of(path) for path in sorted(folder.glob(f"*.{_RECORD}"))}
    records = {seed: path for path, seed in found.items() if seed is not None}
    if not records and not force and any(folder.iterdir()):
        raise InputError(
            f"'{shown(folder)}' holds files that are no receipts: choose a new or empty folder with -o, or write into "
            "it with --force"
        )
    for seed in seeds:
        for kind in _CONTENTS:
            if kind != _PAGE and (path := _named(folder, seed, kind)).exists() and not force:
                raise _taken(path)
    others = tuple(path for seed, path in records.items() if seed not in seeds)
    for path in others:
        if not _is_of(read_record(path), opened):
            raise InputError(
                f"'{shown(path)}' is of another run, and a folder holds receipts of one: choose another place with -o"
            )
    return others


def read_record(path: Path) -> dict[str, Any]:
    """A record that an earlier command wrote.

    Raises:
        InputError: it is none that this Smalti reads.
    """
    from smalti.receipts.record import FORMAT

    try:
        found = json.loads(path.read_bytes())
        if found["format"] == FORMAT:
            return found
    except OSError as error:
        raise InputError(f"'{shown(path)}' cannot be read ({error.strerror or error}): make it readable") from error
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"'{shown(path)}' is not a record that this Smalti reads: move it away, or choose another place with -o"
    )


def _is_of(found: Mapping[str, Any], opened: OpenRun) -> bool:
    """Whether a record is of this run, wherever its folder was then."""
    request, run = opened.record.request, found["run"]
    now = (request.corpus_digest, request.machine, request.label, list(request.size), opened.record.created)
    return now == tuple(run[name] for name in ("corpus_digest", "machine", "label", "size", "created"))


def _seed_of(path: Path) -> int | None:
    number = path.name.removesuffix(f".{_RECORD}")
    return int(number) if re.fullmatch(r"[0-9]{6,18}", number) else None


def _named(folder: Path, seed: int, kind: str) -> Path:
    return folder / f"{seed:06d}.{kind}"


def _taken(path: Path) -> InputError:
    return InputError(f"'{shown(path)}' is there already: choose another place with -o, or write over it with --force")


class Writer:
    """Writes records as they come, and last what holds several of them.

    Attributes:
        most_sources: how many sources each record may list.
        files: names of the files written, each with what it holds.
        notes: what a person should know of them.
        writes: whether there is anything to write.
    """

    def __init__(self, place: Place, corpus: ImageCorpus, *, seeds: int, beside: Iterable[Path] = ()) -> None:
        """For `seeds` records on a corpus; nothing is written yet. A page shows those of `beside` as well."""
        self.writes = place.what != "nothing"
        self.files: dict[str, str] = {}
        self.notes: list[str] = []
        self._place, self._images = place, corpus.images
        self._together = seeds if place.what == "table" else min(seeds, _MOST_ON_PAGE)
        self.most_sources = _MOST_SOURCES // self._together
        self._records: list[Mapping[str, Any]] = []
        self._with_tables = place.what == "folder" and can_write_tables(self.notes)
        self._beside = tuple(beside)[: _MOST_ON_PAGE - min(seeds, _MOST_ON_PAGE)]
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
        folder = path if self._place.what == "folder" else path.parent
        with said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if self._place.what == "record":
            self._write(path, _RECORD, to_json(self._records[0]))
        elif self._place.what == "table":
            write_table(path, rows(self._records), metadata=about(self._records))
            self.files[path.name] = _CONTENTS["receipt.parquet"]
        elif self._place.what == "page":
            self._write(path, _PAGE, self._page())
        else:
            self._records += map(read_record, self._beside)
            self._records.sort(key=lambda made: made["seed"])
            if self._beside:
                seeds = counted(len(self._beside), "seed")
                self.notes.append(f"the page shows {seeds} more, whose receipts are in the folder")
            self._write(path / _PAGE, _PAGE, self._page())

    def what_is_left(self) -> str:
        """What a person should know who stopped the work."""
        if not self.files or self._place.path is None:
            return "stopped; nothing was written: repeat the command"
        return (
            f"stopped; '{shown(self._place.path)}' has the files of some seeds and no page of them: repeat the command "
            "with --force"
        )

    def _add_to_folder(self, made: Mapping[str, Any]) -> None:
        from smalti.receipts.pictures import draw
        from smalti.receipts.record import to_json
        from smalti.receipts.rows import about, rows
        from smalti.receipts.tables import write_parquet

        folder = self._place.path
        assert folder is not None
        with said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        names = {kind: _named(folder, made["seed"], kind) for kind in _CONTENTS}
        self._write(names[_RECORD], _RECORD, to_json(made))
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


def can_write_tables(notes: list[str]) -> bool:
    """Whether there is a library for tables of rows; if not, that goes into the notes."""
    from smalti.receipts.tables import check_table_name

    try:
        check_table_name("receipt.parquet")
    except InputError as error:
        notes.append(f"no tables of rows were written ({error})")
        return False
    return True


def files_said(place: Path, files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Paths with what they hold, the page first; of several of a kind the first."""
    first: dict[str, str] = {}
    for name, content in files.items():
        first.setdefault(content, name)
    folder = place if place.is_dir() else place.parent
    ordered = dict.fromkeys([*_CONTENTS.values(), *first])
    return [(shown(folder / first[content]), content) for content in ordered if content in first]
