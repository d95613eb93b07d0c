"""Where `smalti explain` writes, and what: a folder of all there is, or one file.

A folder gathers receipts of one run, each file under the name of its seed; its page, report.html, shows all of them
and is made anew with every one that is added.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smalti.cli.terminal import counted
from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError
from smalti.sampling.files import check_creatable, said_plainly, write_file

# Most seeds of a page.
_MOST_ON_PAGE = 64
_LARGE_PAGE = 50_000_000

What = Literal["nothing", "folder", "page", "record", "table"]
Record = Mapping[str, Any]
_PAGE, _RECORD, _TABLE = "report.html", "receipt.json", "receipt.parquet"
_SUFFIXES: dict[str, What] = {".html": "page", ".json": "record", ".parquet": "table", ".csv": "table"}


@dataclass(frozen=True)
class Form:
    """What receipts of one kind of sample become.

    Attributes:
        contents: kinds of files, each with what it holds.
        format: that of a record.
        run: what a record says of the run that is open, where runs differ.
        rows: the table of records.
        about: what the file of a table says of itself.
        page: the page of records.
        drawn: files beside each record, by kind.
        smaller: what makes a page smaller, as the end of a sentence.
        size: how much of a page a record takes, and `most_size` how much there may be.
    """

    contents: Mapping[str, str]
    format: str
    run: Record
    rows: Callable[[Sequence[Record]], Mapping[str, Any]]
    about: Callable[[Sequence[Record]], Mapping[str, str]]
    page: Callable[[Sequence[Record]], str]
    drawn: Callable[[Record], Mapping[str, bytes]]
    smaller: str
    size: Callable[[Record], int] = lambda _: 0
    most_size: int = 0


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


def check_free(place: Place, form: Form, seeds: Sequence[int], *, force: bool) -> tuple[Path, ...]:
    """Refuses, before any work, a folder in which something would be written over.

    Args:
        place: what is written, and where.
        form: what the run's receipts become.
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
        for kind in form.contents:
            if kind != _PAGE and (path := _named(folder, seed, kind)).exists() and not force:
                raise _taken(path)
    others = tuple(path for seed, path in records.items() if seed not in seeds)
    for path in others:
        run = read_record(path, form)["run"]
        if any(run.get(name) != value for name, value in form.run.items()):
            raise InputError(
                f"'{shown(path)}' is of another run, and a folder holds receipts of one: choose another place with -o"
            )
    return others


def check_one(place: Place, seeds: Sequence[int]) -> None:
    """Raises `UsageError` if several seeds are to go into a file that holds one."""
    if place.what == "record" and place.path is not None and len(seeds) > 1:
        raise UsageError(
            f"'{shown(place.path)}' holds the record of one seed, and {len(seeds)} were asked for: name a folder, "
            "which gets a file for each"
        )


def read_record(path: Path, form: Form) -> dict[str, Any]:
    """A record that an earlier command wrote.

    Raises:
        InputError: it is none of this form, or none that this Smalti reads.
    """
    try:
        found = json.loads(path.read_bytes())
        if found["format"] == form.format:
            return found
    except OSError as error:
        raise InputError(f"'{shown(path)}' cannot be read ({error.strerror or error}): make it readable") from error
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"'{shown(path)}' is not a record that this Smalti reads, or of another kind of run: move it away, or choose "
        "another place with -o"
    )


def holds_network_receipts(place: Path) -> bool:
    """Whether a folder or file holds the record of a network's picture, which no run is."""
    from smalti.networks.receipt_record import FORMAT

    start = f'{{"format":"{FORMAT}"'.encode()
    for path in sorted(place.glob(f"*.{_RECORD}")) if place.is_dir() else [place]:
        try:
            with path.open("rb") as file:
                if file.read(len(start)) == start:
                    return True
        except OSError:
            continue
    return False


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
        files: names of the files written, each with what it holds.
        notes: what a person should know of them.
        writes: whether there is anything to write.
        together: how many records are kept together, at most.
    """

    def __init__(self, place: Place, form: Form, *, seeds: int, beside: Iterable[Path] = ()) -> None:
        """For `seeds` records; nothing is written yet. A page shows those of `beside` as well, as far as they fit."""
        self.writes = place.what != "nothing"
        self.files: dict[str, str] = {}
        self.notes: list[str] = []
        self.together = seeds if place.what == "table" else min(seeds, _MOST_ON_PAGE)
        self._place, self._form, self._seeds = place, form, seeds
        self._records: list[Record] = []
        self._with_tables = place.what == "folder" and _can_write_tables(self.notes)
        self._beside = tuple(beside)

    def add(self, made: Record) -> None:
        """Writes what is of one seed alone."""
        if self._place.what == "folder":
            self._add_to_folder(made)
        if self._place.what == "table" or (self.writes and self._fits(made)):
            self._records.append(made)

    def finish(self) -> None:
        """Writes what holds all records."""
        from smalti.receipts.record import to_json
        from smalti.receipts.tables import write_table

        path, what = self._place.path, self._place.what
        if path is None:
            return
        folder = path if what == "folder" else path.parent
        with said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if what == "record":
            self._write(path, _RECORD, to_json(self._records[0]))
        elif what == "table":
            write_table(path, self._form.rows(self._records), metadata=self._form.about(self._records))
            self.files[path.name] = self._form.contents[_TABLE]
        else:
            self._write(path if what == "page" else path / _PAGE, _PAGE, self._page())

    def what_is_left(self) -> str:
        """What a person should know who stopped the work."""
        if not self.files or self._place.path is None:
            return "stopped; nothing was written: repeat the command"
        return (
            f"stopped; '{shown(self._place.path)}' has the files of some seeds and no page of them: repeat the command "
            "with --force"
        )

    def files_said(self) -> list[tuple[str, str]]:
        """Paths with what they hold, the page first; of several of a kind the first."""
        place = self._place.path
        assert place is not None
        first: dict[str, str] = {}
        for name, content in self.files.items():
            first.setdefault(content, name)
        folder = place if place.is_dir() else place.parent
        ordered = dict.fromkeys([*self._form.contents.values(), *first])
        return [(shown(folder / first[content]), content) for content in ordered if content in first]

    def _fits(self, made: Record) -> bool:
        """Whether a record goes onto the page; the first always does."""
        size = sum(map(self._form.size, [*self._records, made]))
        return not self._records or (len(self._records) < _MOST_ON_PAGE and size <= self._form.most_size)

    def _add_to_folder(self, made: Record) -> None:
        from smalti.receipts.record import to_json
        from smalti.receipts.tables import write_parquet

        folder = self._place.path
        assert folder is not None
        with said_plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
        names = {kind: _named(folder, made["seed"], kind) for kind in self._form.contents}
        self._write(names[_RECORD], _RECORD, to_json(made))
        if self._with_tables:
            write_parquet(names[_TABLE], self._form.rows([made]), metadata=self._form.about([made]))
            self.files[names[_TABLE].name] = self._form.contents[_TABLE]
        for kind, content in self._form.drawn(made).items():
            self._write(names[kind], kind, content)

    def _page(self) -> bytes:
        if len(self._records) < self._seeds:
            self.notes.append(
                f"the page shows the first {len(self._records)} of {self._seeds} seeds: name others with --seed"
            )
        more = 0
        for made in (read_record(path, self._form) for path in self._beside):
            if self._fits(made):
                self._records.append(made)
                more += 1
        if more:
            self.notes.append(f"the page shows {counted(more, 'seed')} more, whose receipts are in the folder")
        self._records.sort(key=lambda made: made["seed"])
        html = self._form.page(self._records).encode()
        if len(html) > _LARGE_PAGE:
            self.notes.append(f"the page has {len(html) / 1e6:,.0f} MB: {self._form.smaller} make it smaller")
        return html

    def _write(self, path: Path, kind: str, content: bytes) -> None:
        write_file(path, content)
        self.files[path.name] = self._form.contents[kind]


def _can_write_tables(notes: list[str]) -> bool:
    """Whether there is a library for tables of rows; if not, that goes into the notes."""
    from smalti.receipts.tables import check_table_name

    try:
        check_table_name(_TABLE)
    except InputError:
        notes.append("no tables of rows were written: run pip install pyarrow to have them")
        return False
    return True
