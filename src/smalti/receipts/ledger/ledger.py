"""The ledger: who is owed how much over many samples and runs, exactly, in one file.

A sample's credits are whole units that sum to H W 2^40 (`smalti.receipts.composition`); the ledger refuses anything
else, and adds them up as whole numbers without bounds, so that the shares of any grouping sum to 1 exactly.

What counts once. A run is its request: everything that decides its pictures, without the seeds, and without how the
corpus was named, notes, versions, command line and date. A sample is a run, a seed and a picture. So a run entered
twice, moved, copied, or extended by more seeds is recognised, and only samples that are new are added.

What is held of items: content id, name, label and metadata of those that are owed something, none of their pixels.
Names and metadata may be corrected without the digest of a corpus changing. Entering a run of that corpus again brings
them up to date: a column that the corpus has now takes the place of what the ledger held in it; a column that the
corpus has no entry in any more stays as it was, so that a copy of the pictures without its metadata erases nothing.
What was corrected or taken out does not stay in the file: it is written anew, see `smalti.corpus.database`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.corpus.catalogue import SHORTEST_PREFIX, Catalogue, begins
from smalti.corpus.database import File, transaction
from smalti.corpus.metadata import normal
from smalti.errors import UsageError
from smalti.progress import SILENT, Progress
from smalti.receipts.composition import UNITS
from smalti.receipts.ledger.check import check
from smalti.receipts.ledger.kinds import OwedDocuments, credits_of, items_of, sites_of
from smalti.receipts.ledger.layout import LEDGER
from smalti.receipts.ledger.records import Entry, Group, SampleTotals, Total, Verified
from smalti.receipts.ledger.rows import (
    corpus_number,
    correct_items,
    corrections,
    credits_id,
    item_numbers,
    picture_id,
    place_of,
    run_id,
    run_number,
)
from smalti.receipts.ledger.sums import About, grouped, metadata_of, totals
from smalti.receipts.ledger.tables import samples_table, totals_table
from smalti.receipts.tables import check_table_name, write_table
from smalti.sampling.files import said_plainly
from smalti.sampling.reopen import OpenRun
from smalti.sampling.run import RunRecord
from smalti.sampling.text_trace import TextTrace
from smalti.sampling.trace import Trace

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ALWAYS", "Ledger", "default_ledger"]

ALWAYS = ("item", "id", "name", "label")
"""What credits can be grouped by whatever the corpora have; all else is a column of metadata.

`item` keeps exact copies apart by name and label, `id` takes them together.
"""

_INT64_MAX = 2**63 - 1


def default_ledger() -> Path:
    """The ledger of this user: $SMALTI_LEDGER, else $XDG_DATA_HOME/smalti/ledger.sqlite, where ~/.local/share stands
    for a folder that is not set.
    """
    if os.environ.get("SMALTI_LEDGER"):
        return Path(os.environ["SMALTI_LEDGER"])
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "smalti" / "ledger.sqlite"


@dataclass(frozen=True)
class Ledger:
    """Credits of many runs in one file. Open one with `open`. Tier: *bitwise*.

    Several processes can enter runs and read at the same time. Each sample is entered as a whole or not at all, and is
    on the disk when the call that entered it returns.

    Every method raises `InputError`, one sentence, if the file is damaged, locked for long, cannot be written, or the
    disk is full.

    Attributes:
        path: the file.
    """

    path: Path

    @property
    def _file(self) -> File:
        return File(self.path, LEDGER)

    @classmethod
    def open(cls, path: str | Path, *, missing: Literal["create", "refuse"] = "refuse") -> Ledger:
        """Opens a ledger. Nothing is written to one that is there.

        Args:
            path: the file.

        Keyword Args:
            missing: what to do if there is none, or an empty file: "refuse", or "create" one with its folder.

        Raises:
            InputError: there is none; it is not a ledger, is damaged, or was written by a later version.
        """
        ledger = cls(Path(path))
        if missing == "create":
            ledger._create()
        ledger._file.check()
        return ledger

    def enter(self, run: OpenRun, *, seeds: Iterable[int] | None = None, progress: Progress = SILENT) -> Entry:
        """Enters what the finished pictures of a run owe: the credits of the last step.

        Samples that are in the ledger already are not computed again. Each is kept as soon as it is computed, so that
        an interrupted call is continued by the same call.

        Args:
            run: the run.

        Keyword Args:
            seeds: the seeds to enter; all unless given.
            progress: where progress is shown.

        Raises:
            InputError: a trace is not one that the run's machine makes.
            UsageError: the run has no such seed.
        """
        chosen = run.trace.seeds if seeds is None else tuple(seeds)
        samples = [run.trace.of_seed(seed) for seed in chosen]
        corpus = items_of(run.machine)
        corrected = self._bring_up_to_date(run)
        self._clean()
        missing = [s for s in samples if self._sample(run.record, s.seed, sites_of(s)) is None]
        new = 0
        if missing:
            with progress.task("counting credits", len(missing)) as task:
                for sample in missing:
                    units = credits_of(sample, run.machine, task.advance)
                    new += self.enter_credits(run.folder, run.record, corpus, sample.seed, sites_of(sample), units)
        numbers = [self._sample(run.record, s.seed, sites_of(s)) for s in samples]
        held = tuple(number for number in numbers if number is not None)
        place = place_of(run.folder)
        self._seen(held, place)
        return Entry(run_id(run.record.request), (place,), held, new, corrected)

    def enter_credits(
        self,
        folder: str | Path,
        record: RunRecord,
        corpus: ImageCorpus | OwedDocuments,
        seed: int,
        picture: NDArray[Any],
        units: NDArray[np.int64],
    ) -> bool:
        """Enters the credits of one sample, all of them or nothing.

        Args:
            folder: the run folder.
            record: its record.
            corpus: the corpus of the run.
            seed: the seed of the sample.
            picture: its pixels, uint8 (H, W, C), or the tokens of a text, int32 (L, 1).
            units: units of each item, none negative, sum H W 2^40, or L 2^40. int64, shape (N,).

        Returns:
            Whether it was entered; False if the ledger has it already.

        Raises:
            UsageError: the corpus is not that of the run, or the units are not those of a sample of this size.
        """
        pixels = picture.shape[0] * picture.shape[1]
        total = sum(units.tolist())  # Python's whole numbers: units that are wrong may leave 64 bits
        if units.shape != (len(corpus),) or (units < 0).any() or total != pixels * UNITS or total > _INT64_MAX:
            raise UsageError(
                f"The credits of a sample of {pixels} pixels are {len(corpus)} whole numbers from 0 that sum to "
                f"{pixels * UNITS}, but these have the shape {units.shape} and sum to {total}."
            )
        if corpus.digest != record.request.corpus_digest:
            raise UsageError(
                f"The run was made from the corpus {record.request.corpus_digest[:12]}, and this is "
                f"{corpus.digest[:12]}."
            )
        owed = np.flatnonzero(units).tolist()
        counts = units[owed].tolist()
        proof = credits_id((corpus.ids[index], count) for index, count in zip(owed, counts, strict=True))
        with self._writing() as database:
            number = corpus_number(database, corpus)
            run = run_number(database, record, number)
            added = database.execute(
                "INSERT OR IGNORE INTO samples (run, seed, picture_sha256, folder, pixels, credits_sha256) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (run, seed, picture_id(picture), place_of(folder), pixels, proof),
            )
            if not added.rowcount:
                return False
            items = item_numbers(database, number, corpus, owed)
            database.executemany(
                "INSERT INTO credits (sample, item, units) VALUES (?, ?, ?)",
                [(added.lastrowid, items[index], count) for index, count in zip(owed, counts, strict=True)],
            )
        return True

    def find(self, folder: str | Path, record: RunRecord, trace: Trace | TextTrace) -> Entry | None:
        """The samples of a run, without its pictures; None unless all are in the ledger.

        Args:
            folder: the run folder.
            record: its record.
            trace: its trace.
        """
        found = [self._sample(record, sample.seed, sites_of(sample)) for sample in trace]
        samples = tuple(number for number in found if number is not None)
        return Entry(run_id(record.request), (place_of(folder),), samples) if len(samples) == len(found) else None

    def everything(self) -> tuple[Entry, ...]:
        """All runs with all of their samples, in the order in which they were first entered."""
        return self._entries()

    def columns(self, of: Iterable[Entry] | None = None) -> tuple[str, ...]:
        """What credits can be grouped by: `ALWAYS`, then the columns of metadata of any of the corpora, sorted.

        Args:
            of: the runs; all unless given.
        """
        runs = None if of is None else {entry.run for entry in of}
        with self._reading() as database:
            found = database.execute("SELECT DISTINCT request_sha256, name FROM runs JOIN columns USING (corpus)")
            names = {name for run, name in found if runs is None or run in runs}
        return (*ALWAYS, *sorted(names.difference(ALWAYS)))

    def sources(self, of: Iterable[Entry] | None = None) -> tuple[tuple[str, str], ...]:
        """What the runs were made from: what their corpora were opened from, as last seen, and the corpora's digests.

        Args:
            of: the runs; all unless given.
        """
        runs = None if of is None else {entry.run for entry in of}
        with self._reading() as database:
            found = database.execute("SELECT request_sha256, source, digest FROM runs JOIN corpora USING (corpus)")
            return tuple(sorted({(source, digest) for run, source, digest in found if runs is None or run in runs}))

    def totals(self, by: str = "item", of: Iterable[Entry] | None = None) -> list[Total]:
        """What each group of items is owed by many samples together, most first; each sample counts once.

        Args:
            by: one of `columns`. Items that have no value there, also those of corpora without such a column, are the
                group None; what no document has is the group `NO_DOCUMENT_ID` under any of them.
            of: the samples to count; all unless given.

        Raises:
            UsageError: none of the corpora has such a column.
        """
        units: dict[Group, int] = {}
        samples: dict[Group, int] = {}
        for _, groups in self._grouped(by, of):
            for group, count in groups.items():
                units[group] = units.get(group, 0) + count
                samples[group] = samples.get(group, 0) + 1
        return totals(units, samples)

    def per_sample(self, by: str = "item", of: Iterable[Entry] | None = None) -> Iterator[SampleTotals]:
        """What each sample owes to each group of items, sample by sample; only one is held at a time.

        Args:
            by: as in `totals`.
            of: likewise.

        Raises:
            UsageError: none of the corpora has such a column.
        """
        for about, groups in self._grouped(by, of):
            yield SampleTotals(*about, tuple(totals(groups, dict.fromkeys(groups, 1))))

    def export(
        self,
        path: str | Path,
        *,
        by: str = "item",
        rows: Literal["totals", "samples"] = "samples",
        of: Iterable[Entry] | None = None,
    ) -> None:
        """Writes credits as a table, Parquet or CSV as the name says; a file that is there is replaced.

        Columns are what the rows are about (`run`, `folder`, `seed`, `picture_sha256`, `pixels`, for samples), the
        group (`id`, `name` and `label` with every column of metadata for items one by one, else the column itself),
        `units`, `share` (the float64 nearest to it) and, for totals, `samples`. A column of metadata whose name is
        taken is called `metadata_NAME`. Units of totals may leave 64 bits: Parquet holds them as decimal(38, 0).
        Memory: the whole table, less than 1 KB for each row.

        Args:
            path: the file.

        Keyword Args:
            by: as in `totals`.
            rows: one row for each group over all samples, "totals", or for each group of each sample, "samples".
            of: as in `totals`.

        Raises:
            InputError: pyarrow is not there, or the file cannot be written.
            UsageError: the name ends otherwise, or none of the corpora has such a column.
        """
        check_table_name(path)
        chosen = self.everything() if of is None else tuple(of)
        metadata = metadata_of(self._file, chosen) if by == "item" else {}
        if rows == "totals":
            columns = totals_table(self.totals(by, chosen), by=by, metadata=metadata)
        else:
            columns = samples_table(self.per_sample(by, chosen), by=by, metadata=metadata)
        write_table(path, columns, metadata={"smalti": json.dumps({"by": by, "units_per_pixel": UNITS})})

    def holds(self, ids: Iterable[str]) -> dict[str, int]:
        """Which items the ledger holds something of.

        Args:
            ids: content ids.

        Returns:
            Content id to the number of samples that owe it something; ids that the ledger does not hold are left out.
        """
        with self._reading() as database:
            wanted = json.dumps(sorted(set(ids)))
            found = database.execute(
                "SELECT id, count(DISTINCT sample) FROM credits JOIN items USING (item) "
                "WHERE item IN (SELECT item FROM items WHERE id IN (SELECT value FROM json_each(?))) GROUP BY id",
                (wanted,),
            )
            return dict(found.fetchall())

    def find_runs(self, text: str) -> tuple[Entry, ...]:
        """The runs that a word names: the beginning of a run's name, see `run_id`, or the folder it was last seen in.

        Args:
            text: at least 8 hex digits, or a path.

        Raises:
            UsageError: the ledger has no such run.
        """
        place = place_of(text)
        found = tuple(one for one in self.everything() if begins(text, one.run) or place in one.folders)
        if not found:
            raise UsageError(
                f"The ledger has no run {text!r}: give the folder it was last seen in, or at least the first "
                f"{SHORTEST_PREFIX} digits of what smalti ledger list calls it."
            )
        return found

    def runs_of(self, items: Iterable[str]) -> tuple[Entry, ...]:
        """The runs with samples that owe something to items, with those samples.

        Args:
            items: content ids, at least 8 of their first digits, or exact names; see `ImageCorpus.find`.

        Raises:
            UsageError: the ledger holds no such item, or digits begin several ids.
        """
        with self._reading() as database:
            held = database.execute("SELECT item, id, name FROM items").fetchall()
        catalogue = Catalogue(
            ids=tuple(identity for _, identity, _ in held),
            labels=None,
            names=tuple(name for _, _, name in held),
            metadata=(),
        )
        try:
            named = sorted({held[index][0] for text in items for index in catalogue.find(text)})
        except UsageError as error:
            raise UsageError(f"In the ledger {error}") from error
        with self._reading() as database:
            found = database.execute(
                "SELECT DISTINCT sample FROM credits WHERE item IN (SELECT value FROM json_each(?))",
                (json.dumps(named),),
            )
            owing = {sample for (sample,) in found}
        return self._entries(owing)

    def remove(self, run: str) -> int:
        """Takes a run out, with all of its samples, and every item that nothing else owes; no byte of them stays.

        The file is written anew for that, which needs room for it twice more while it runs. If that is interrupted,
        the run is out, and what is left in unused space goes with the next call of `enter` or `remove`.

        Args:
            run: the run, see `run_id`.

        Returns:
            Number of samples taken out.

        Raises:
            UsageError: the ledger has no such run.
        """
        self._clean()
        with self._writing() as database:
            found = database.execute("SELECT run, corpus FROM runs WHERE request_sha256 = ?", (run,)).fetchone()
            if found is None:
                raise UsageError(f"The ledger has no run {run}: see what it has with its method everything().")
            key, corpus = found
            database.execute("DELETE FROM credits WHERE sample IN (SELECT sample FROM samples WHERE run = ?)", (key,))
            samples = database.execute("DELETE FROM samples WHERE run = ?", (key,)).rowcount
            database.execute("DELETE FROM runs WHERE run = ?", (key,))
            database.execute("DELETE FROM items WHERE corpus = ? AND item NOT IN (SELECT item FROM credits)", (corpus,))
            database.execute("DELETE FROM metadata WHERE item NOT IN (SELECT item FROM items)")
            for table in ("columns", "corpora"):
                database.execute(
                    f"DELETE FROM {table} WHERE corpus = ? AND corpus NOT IN (SELECT corpus FROM runs)", (corpus,)
                )
            _soil(database)
        self._clean()
        return samples

    def verify(self) -> Verified:
        """Reads the whole file and checks it: its structure, that runs are what they are called, and that the credits
        of every sample are those that were entered, item by item, and sum to H W 2^40.

        Raises:
            InputError: something is not as it was written; the sentence says what.
        """
        return check(self._file)

    def _grouped(self, by: str, of: Iterable[Entry] | None) -> Iterator[tuple[About, dict[Group, int]]]:
        entries = self.everything() if of is None else tuple(of)
        by, known = normal(by), self.columns(entries)
        if by not in known:
            raise UsageError(f"None of the pictures has a column {by!r}: choose one of {', '.join(known)}.")
        return grouped(self._file, by, entries)

    def _entries(self, of: Container[int] | None = None) -> tuple[Entry, ...]:
        """Runs with those of their samples that are in `of`; all unless given."""
        runs: dict[str, list[tuple[str, int]]] = {}
        with self._reading() as database:
            for run, *seen in database.execute(
                "SELECT request_sha256, folder, sample FROM runs JOIN samples USING (run) ORDER BY run, seed, sample"
            ):
                if of is None or seen[1] in of:
                    runs.setdefault(run, []).append((seen[0], seen[1]))
        return tuple(
            Entry(run, tuple(dict.fromkeys(folder for folder, _ in seen)), tuple(sample for _, sample in seen))
            for run, seen in runs.items()
        )

    def _seen(self, samples: Sequence[int], place: str) -> None:
        """Notes where samples are now, if that is another place than before."""
        elsewhere = "sample IN (SELECT value FROM json_each(?)) AND folder != ?"
        which = (json.dumps(samples), place)
        with self._reading() as database:
            if not database.execute(f"SELECT EXISTS (SELECT 1 FROM samples WHERE {elsewhere})", which).fetchone()[0]:
                return
        with self._writing() as database:
            database.execute(f"UPDATE samples SET folder = ? WHERE {elsewhere}", (place, *which))

    def _sample(self, record: RunRecord, seed: int, picture: NDArray[Any]) -> int | None:
        """The ledger's number of a sample; None if it has none."""
        with self._reading() as database:
            found = database.execute(
                "SELECT sample FROM samples JOIN runs USING (run) "
                "WHERE request_sha256 = ? AND seed = ? AND picture_sha256 = ?",
                (run_id(record.request), seed, picture_id(picture)),
            ).fetchone()
        return None if found is None else found[0]

    def _bring_up_to_date(self, run: OpenRun) -> int:
        """Names and metadata of the items held, and source and date of the run; number of items that were changed."""
        corpus, record = items_of(run.machine), run.record
        now = (record.request.source, record.created)
        with self._reading() as database:
            key = database.execute("SELECT corpus FROM corpora WHERE digest = ?", (corpus.digest,)).fetchone()
            if key is None:
                return 0
            named = {name for (name,) in database.execute("SELECT name FROM columns WHERE corpus = ?", key)}
            seen = database.execute(
                "SELECT source, created FROM runs WHERE request_sha256 = ?", (run_id(record.request),)
            ).fetchone()
            new = set(corpus.columns) - named - {"label"}
            if seen in (None, now) and not new and not corrections(database, key[0], corpus):
                return 0
        with self._writing() as database:
            number = corpus_number(database, corpus)
            if seen is not None:
                run_number(database, record, number)
            corrected = correct_items(database, corrections(database, number, corpus))
            if corrected:
                _soil(database)
        return corrected

    def _create(self) -> None:
        """Lays an empty file out, or one that is not there."""
        with said_plainly(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and (not self.path.is_file() or self.path.stat().st_size):
                return
        with self._file.connection(missing="make") as database, transaction(database, to="write"):
            self._file.lay_out(database)

    def _clean(self) -> None:
        """Writes the file anew if something was taken out or corrected since: rows that SQLite moved earlier may have
        left copies in unused space.
        """
        with self._reading() as database:
            last = database.execute("SELECT max(mark) FROM unclean").fetchone()[0]
        if last is None:
            return
        self._file.rewrite()
        with self._writing() as database:
            # Not the marks that another process has made since.
            database.execute("DELETE FROM unclean WHERE mark <= ?", (last,))

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._file.session(to="read")

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._file.session(to="write")


def _soil(database: sqlite3.Connection) -> None:
    """Notes, in the transaction that takes something out, that the file must be written anew."""
    database.execute("INSERT INTO unclean (since) VALUES (datetime('now'))")
