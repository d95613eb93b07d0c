"""The ledger: exact sums over many samples, each counted once, and one sentence for every file that is none."""

from __future__ import annotations

import csv
import dataclasses
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ledgers import LICENCES, corpus_of, run_of, units_of
from smalti.corpus import ImageCorpus, database
from smalti.corpus.database import File
from smalti.errors import InputError, UsageError
from smalti.progress import Silent, Task
from smalti.receipts import UNITS, Receipt
from smalti.receipts.ledger import LEDGER, Ledger, Total, default_ledger, run_id
from smalti.sampling import OpenRun


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger.sqlite", missing="create")


def units(totals: list[Total]) -> dict[str | None, int]:
    return {total.value: total.units for total in totals}


def raw(ledger: Ledger, statement: str, *values: object) -> None:
    """Changes the file behind the ledger's back."""
    with closing(sqlite3.connect(ledger.path)) as database, database:
        database.execute(statement, values)


def by_hand(runs: list[OpenRun], column: Callable[[ImageCorpus], tuple[str | None, ...]]) -> Counter[str | None]:
    """Totals from the receipts themselves."""
    found: Counter[str | None] = Counter()
    for run in runs:
        for sample in run.trace:
            credits = Receipt(sample, run.machine).credits().tolist()
            for value, count in zip(column(run.machine.corpus), credits, strict=True):
                found[value] += count
    return +found


@pytest.mark.parametrize("by", ["id", "name", "label", "licence"])
def test_totals_are_the_sums_of_the_receipts(by: str, ledger: Ledger) -> None:
    runs = [
        run_of(corpus_of(), seeds=[0, 7]),
        run_of(corpus_of(licences=None, labels=["a", "b", "a", "a", "b", "b"]), seeds=[3]),
        run_of(corpus_of(4, seed=5), seeds=[1, 2]),
    ]
    entries = [ledger.enter(run) for run in runs]

    def column(corpus: ImageCorpus) -> tuple[str | None, ...]:
        if by in ("id", "name"):
            return corpus.ids if by == "id" else corpus.names
        return corpus.values(by) if by in corpus.columns else (None,) * len(corpus)

    totals = ledger.totals(by)
    assert units(totals) == by_hand(runs, column)
    assert sum(total.share for total in totals) == 1
    assert [total.units for total in totals] == sorted((total.units for total in totals), reverse=True)
    assert units(ledger.totals(by, entries[:1])) == by_hand(runs[:1], column)
    assert ledger.verify().samples == 5


def test_items_one_by_one(ledger: Ledger) -> None:
    """Exact copies of a picture are items of their own by name, and one by content id."""
    images = corpus_of(2).images
    copies = ImageCorpus.from_arrays(images[[0, 0, 1]], names=["first", "copy", "other"])
    run = run_of(copies, seeds=[0])
    ledger.enter(run)
    credits = Receipt(run.trace[0], run.machine).credits().tolist()
    expected = {(i, n): c for i, n, c in zip(copies.ids, copies.names, credits, strict=True) if c}
    assert {(total.value, total.name): total.units for total in ledger.totals()} == expected
    assert units(ledger.totals("id")) == by_hand([run], lambda corpus: corpus.ids)


def test_each_sample_sums_to_one(ledger: Ledger) -> None:
    run = run_of(corpus_of())
    ledger.enter(run)
    found = list(ledger.per_sample("licence"))
    assert [sample.seed for sample in found] == [0, 1, 2]
    for sample, made in zip(found, run.trace, strict=True):
        assert sum(total.share for total in sample.totals) == 1
        assert sum(total.units for total in sample.totals) == sample.pixels * UNITS == 20 * UNITS
        credits = Receipt(made, run.machine).by("licence")
        assert [(total.value, total.units) for total in sample.totals] == list(credits.items())


def test_a_run_counts_once_however_it_comes_again(ledger: Ledger) -> None:
    """Twice, moved, copied, extended, by another version, from pictures under another name: one run."""
    corpus = corpus_of()
    first = ledger.enter(run_of(corpus, seeds=[0, 1]))
    assert (first.new, len(first.samples)) == (2, 2)
    again = ledger.enter(
        run_of(corpus, seeds=[0, 1], folder="/moved/b", source="elsewhere", versions={}, command=("x",), notes=("n",))
    )
    assert (again.new, again.run, again.samples) == (0, first.run, first.samples)
    assert [(entry.run, entry.folders) for entry in ledger.everything()] == [(first.run, ("/moved/b",))]
    longer = ledger.enter(run_of(corpus, seeds=[1, 4, 0]))
    assert (longer.new, longer.run, len(longer.samples)) == (1, first.run, 3)
    assert set(first.samples) < set(longer.samples)
    whole = sum(total.units for total in ledger.totals("licence", [first, again, longer]))
    assert whole == 3 * 20 * UNITS
    other = ledger.enter(run_of(corpus, seeds=[0, 1], steps=3))
    assert (other.new, other.run == first.run) == (2, False)
    assert ledger.verify().runs == 2


def test_chosen_seeds(ledger: Ledger) -> None:
    run = run_of(corpus_of(), seeds=[0, 1, 2])
    assert ledger.enter(run, seeds=[2]).new == 1
    assert ledger.enter(run).new == 2
    with pytest.raises(UsageError, match="no sample of seed 9"):
        ledger.enter(run, seeds=[9])


def test_another_picture_of_the_same_seed_is_another_sample(ledger: Ledger) -> None:
    run = run_of(corpus_of(), seeds=[0])
    corpus, picture = run.machine.corpus, run.trace.images[0]
    given = units_of(corpus, 20, seed=0)
    assert ledger.enter_credits("/a", run.record, corpus, 0, picture, given)
    assert not ledger.enter_credits("/a", run.record, corpus, 0, picture, given)
    assert ledger.enter_credits("/a", run.record, corpus, 0, picture ^ 1, given)
    assert ledger.verify().samples == 2


def test_sums_beyond_64_bits_are_exact(ledger: Ledger, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run = run_of(corpus_of(), seeds=[0])
    corpus, pixels = run.machine.corpus, 2**23 - 1
    given = [units_of(corpus, pixels, seed=seed) for seed in range(5)]
    for seed, one in enumerate(given):
        ledger.enter_credits("/a", run.record, corpus, seed, np.zeros((1, pixels, 1), np.uint8), one)
    expected: Counter[str | None] = Counter()
    for one in given:
        for value, count in zip(corpus.values("licence"), one.tolist(), strict=True):
            expected[value] += count
    totals = ledger.totals("licence")
    assert units(totals) == expected
    assert sum(expected.values()) == 5 * pixels * UNITS > 2**64
    assert sum(total.share for total in totals) == 1
    assert ledger.verify().samples == 5
    ledger.export(tmp_path / "a.parquet", by="licence", rows="totals")
    ledger.export(tmp_path / "a.csv", by="licence", rows="totals")
    table = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert dict(zip(table["licence"], map(int, table["units"]), strict=True)) == expected
    with (tmp_path / "a.csv").open(newline="") as file:
        assert {row["licence"] or None: int(row["units"]) for row in csv.DictReader(file)} == expected


def test_credits_that_do_not_sum_to_the_pixels_are_refused(ledger: Ledger) -> None:
    run = run_of(corpus_of(), seeds=[0])
    corpus, picture = run.machine.corpus, run.trace.images[0]
    good = units_of(corpus, 20, seed=1)
    one_less, negative, wraps = good.copy(), good.copy(), good.copy()
    one_less[int(good.argmax())] -= 1
    negative[:2] = [-1, good[0] + good[1] + 1]
    wraps[:4] += 2**62  # sums to the same number modulo 2^64
    for wrong in (one_less, negative, wraps, good[:-1], np.append(good, 0)):
        with pytest.raises(UsageError, match=r"^The credits of a sample of 20 pixels are 6 whole numbers from 0 that"):
            ledger.enter_credits("/a", run.record, corpus, 0, picture, wrong)
    large = np.zeros((1, 2**23, 1), np.uint8)
    with pytest.raises(UsageError, match="The credits of a sample of 8388608 pixels"):
        ledger.enter_credits("/a", run.record, corpus, 0, large, np.full(6, 2**61, np.int64))
    with pytest.raises(UsageError, match=r"^The run was made from the corpus [0-9a-f]{12}, and this is"):
        ledger.enter_credits("/a", run.record, corpus_of(seed=9), 0, picture, good)
    assert ledger.verify() == dataclasses.replace(ledger.verify(), runs=0, samples=0, credits=0)


def test_a_column_that_no_corpus_has(ledger: Ledger) -> None:
    licensed, bare = ledger.enter(run_of(corpus_of())), ledger.enter(run_of(corpus_of(seed=4, licences=None)))
    assert ledger.columns() == ("item", "id", "name", "label", "licence")
    assert ledger.columns([bare]) == ("item", "id", "name", "label")
    assert None in units(ledger.totals("licence", [licensed, bare]))
    with pytest.raises(
        UsageError, match=r"^None of the pictures has a column 'artist': choose one of item, id, name, "
    ):
        ledger.totals("artist")
    with pytest.raises(UsageError, match="has a column 'licence'"):
        ledger.totals("licence", [bare])


def test_metadata_is_corrected_when_a_run_is_entered_again(ledger: Ledger) -> None:
    ledger.enter(run_of(corpus_of()))
    before = units(ledger.totals("licence"))
    named = [f"new {k}" for k in range(6)]
    corrected = run_of(corpus_of(licences=["by-sa" if value == "cc-by" else value for value in LICENCES], names=named))
    entry = ledger.enter(corrected)
    assert (entry.new, entry.corrected > 0) == (0, True)
    assert units(ledger.totals("licence")) == {
        "by-sa" if value == "cc-by" else value: count for value, count in before.items()
    }
    assert {total.name for total in ledger.totals()} <= set(named)
    assert ledger.enter(corrected).corrected == 0
    assert ledger.verify().samples == 3


def test_what_was_corrected_is_not_left_in_the_file(ledger: Ledger) -> None:
    """Rows that SQLite moves leave copies in unused space. Here it moves some: without a rewrite, two names stay."""
    count = 300
    given = np.full(count, 20 * UNITS // count, np.int64)
    given[0] += 20 * UNITS - int(given.sum())
    for turn in range(4):
        long = [1 + (k * k + 5 * turn) % 23 for k in range(count)]
        licences = [f"turn {turn} licence {k} " * times for k, times in enumerate(long)]
        names = [f"turn {turn} name {k} " * times for k, times in enumerate(long)]
        run = run_of(corpus_of(count, licences=licences, names=names), seeds=[0])
        if turn == 0:
            ledger.enter_credits("/a", run.record, run.machine.corpus, 0, run.trace.images[0], given)
        else:
            assert ledger.enter(run, seeds=[]).corrected == count
        content = ledger.path.read_bytes()
        assert b"turn %d name" % turn in content
        assert not any(b"turn %d " % earlier in content for earlier in range(turn))
    assert ledger.verify().samples == 1


def test_taking_out_ends_later_if_it_is_interrupted(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may be killed when the run is out, but the file not yet written anew."""
    run = run_of(corpus_of(names=[f"name to forget {k}" for k in range(6)]))
    entry = ledger.enter(run)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(File, "rewrite", stop)
        with pytest.raises(KeyboardInterrupt):
            ledger.remove(entry.run)
    assert ledger.everything() == ()
    with ledger.path.open("ab") as file:  # what a kill while the file is shortened can leave behind its end
        file.write(b"name to forget" * 1000)
    ledger.enter(run_of(corpus_of(seed=7)))
    assert b"to forget" not in ledger.path.read_bytes()
    assert ledger.verify().samples == 3


def test_runs_by_name_by_folder_and_by_item(ledger: Ledger) -> None:
    first = ledger.enter(run_of(corpus_of(), seeds=[0, 1], folder="/runs/first"))
    second = ledger.enter(run_of(corpus_of(4, seed=2), seeds=[0], folder="/runs/second"))
    assert [one.run for one in ledger.find_runs("/runs/first")] == [first.run]
    assert [one.run for one in ledger.find_runs(second.run[:8].upper())] == [second.run]
    for text in ("/runs", second.run[:7], "0" * 64):
        with pytest.raises(
            UsageError, match=r"^The ledger has no run '.*': .* in, or at least the first 8 digits of what"
        ):
            ledger.find_runs(text)
    for identity in corpus_of().ids:
        owing = ledger.runs_of([identity[:8]])
        assert [one.run for one in owing] == [first.run][: len(owing)]
        assert sum(len(one.samples) for one in owing) == ledger.holds([identity]).get(identity, 0)
    assert {one.run for one in ledger.runs_of([*corpus_of().ids, *corpus_of(4, seed=2).ids])} == {first.run, second.run}
    for name in corpus_of().names:
        owing = [
            ledger.runs_of([item])
            for item, said in zip(corpus_of().ids, corpus_of().names, strict=True)
            if said == name
        ]
        assert {sample for found in owing for one in found for sample in one.samples} <= {
            sample for one in ledger.runs_of([name]) for sample in one.samples
        }
    for text in ("0" * 64, corpus_of().ids[0][:7], "picture"):
        with pytest.raises(UsageError, match=r"^In the ledger there is no item '.*': give a content id, at least 8 of"):
            ledger.runs_of([text])


def test_each_folder_of_a_run_is_named(ledger: Ledger, tmp_path: Path) -> None:
    """Two folders with other seeds of one run; each sample is where it was last seen, by the folder's one name."""
    corpus = corpus_of()
    first = run_of(corpus, seeds=[0, 1], folder=f"{tmp_path}/x/../a")
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    second = run_of(corpus, seeds=[2], folder=f"{tmp_path}/link")
    assert ledger.enter(first).folders == (f"{tmp_path}/a",)
    assert ledger.enter(second).folders == (f"{tmp_path}/b",)
    (whole,) = ledger.everything()
    assert (whole.folders, len(whole.samples)) == ((f"{tmp_path}/a", f"{tmp_path}/b"), 3)
    found = {sample.seed: Path(sample.folder).name for sample in ledger.per_sample()}
    assert found == {0: "a", 1: "a", 2: "b"}
    for folder in ("a", "b", "link", "b/../a"):
        assert ledger.find_runs(str(tmp_path / folder)) == (whole,)
    ledger.enter(dataclasses.replace(first, folder=tmp_path / "c"), seeds=[1])
    assert ledger.everything()[0].folders == tuple(f"{tmp_path}/{name}" for name in "acb")
    assert ledger.verify().samples == 3


def test_pictures_without_their_metadata_erase_nothing(ledger: Ledger) -> None:
    ledger.enter(run_of(corpus_of()))
    before = ledger.totals("licence")
    ledger.enter(run_of(corpus_of(licences=None)))
    assert ledger.totals("licence") == before


def test_a_label_of_metadata_is_a_label(ledger: Ledger) -> None:
    corpus = corpus_of(2, licences=None)
    corpus = dataclasses.replace(corpus, metadata=({"label": "x"}, {"label": "y"}))
    run = run_of(corpus)
    ledger.enter(run)
    assert units(ledger.totals("label")) == by_hand([run], lambda corpus: corpus.values("label"))
    ledger.enter(run_of(corpus_of(2, licences=None)))
    assert None not in units(ledger.totals("label"))


def test_what_the_ledger_holds_of_items(ledger: Ledger) -> None:
    run = run_of(corpus_of(), seeds=range(8))
    ids = run.machine.corpus.ids
    given = [units_of(run.machine.corpus, 20, seed=seed) for seed in range(8)]
    for seed, one in enumerate(given):
        ledger.enter_credits("/a", run.record, run.machine.corpus, seed, run.trace.images[seed], one)
    expected = {id: int(sum(one[k] > 0 for one in given)) for k, id in enumerate(ids)}
    assert ledger.holds(ids) == {id: count for id, count in expected.items() if count}
    assert ledger.holds(ids[:1]) == {ids[0]: expected[ids[0]]}
    assert ledger.holds(["0" * 64]) == ledger.holds([]) == {}


def test_a_run_taken_out_leaves_nothing(ledger: Ledger) -> None:
    kept = ledger.enter(run_of(corpus_of(seed=3), folder="/kept"))
    before = ledger.totals()
    corpus = corpus_of(licences=["a licence to forget"] * 6, names=[f"name to forget {k}" for k in range(6)])
    run = run_of(corpus, seeds=range(8), folder="/folder to forget")
    entry = ledger.enter(run)
    assert b"to forget" in ledger.path.read_bytes()
    assert ledger.remove(entry.run) == 8
    content = ledger.path.read_bytes()
    assert b"to forget" not in content
    assert not any(id.encode() in content for id in corpus.ids)
    assert ledger.totals() == before
    assert [found.run for found in ledger.everything()] == [kept.run]
    assert ledger.verify().runs == 1
    with pytest.raises(UsageError, match=rf"^The ledger has no run {entry.run}: "):
        ledger.remove(entry.run)
    assert ledger.enter(run).new == 8


def test_taking_out_a_run_keeps_the_items_of_others(ledger: Ledger) -> None:
    first, second = ledger.enter(run_of(corpus_of())), ledger.enter(run_of(corpus_of(), steps=3))
    before = ledger.totals("licence", [second])
    ledger.remove(first.run)
    assert ledger.totals("licence") == before
    ledger.remove(second.run)
    assert ledger.totals() == []
    assert ledger.verify().credits == 0


def test_what_was_counted_before_an_interruption_is_kept(ledger: Ledger) -> None:
    class Stop(Silent):
        @contextmanager
        def task(self, title: str, total: int) -> Iterator[Task]:
            class Counting:
                done = 0.0

                def advance(self, count: float = 1) -> None:
                    self.done += count
                    if self.done > 1.2:
                        raise KeyboardInterrupt

            yield Counting()

    run = run_of(corpus_of(), seeds=range(5))
    with pytest.raises(KeyboardInterrupt):
        ledger.enter(run, progress=Stop())
    assert ledger.verify().samples == 1
    assert ledger.enter(run).new == 4


def test_two_programs_at_once(ledger: Ledger) -> None:
    run, other = run_of(corpus_of()), run_of(corpus_of(seed=8))
    second = Ledger.open(ledger.path)
    corpus, picture = run.machine.corpus, run.trace.images
    for seed in range(3):
        given = units_of(corpus, 20, seed=seed)
        assert ledger.enter_credits("/a", run.record, corpus, seed, picture[seed], given)
        assert not second.enter_credits("/a", run.record, corpus, seed, picture[seed], given)
        assert len(list(second.per_sample())) == seed + 1
    assert second.enter(other).new == 3
    listing = second.per_sample("id")
    next(listing)
    ledger.remove(run_id(run.record.request))
    assert len(list(listing)) == 3
    assert second.totals() == ledger.totals()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_export_of_samples_has_all_that_is_known(suffix: str, ledger: Ledger, tmp_path: Path) -> None:
    corpus = corpus_of()
    row: list[dict[str, str]] = [{"licence": "cc0", "seed": str(k), "metadata_seed": "m"} for k in range(6)]
    run = run_of(dataclasses.replace(corpus, metadata=tuple(row)), seeds=[5])
    ledger.enter(run)
    ledger.export(tmp_path / f"a{suffix}")
    table = read_table(tmp_path / f"a{suffix}")
    assert list(table[0]) == [
        *("run", "folder", "seed", "picture_sha256", "pixels", "id", "name", "label", "licence"),
        *("metadata_seed", "metadata_metadata_seed", "units", "share"),
    ]
    credits = Receipt(run.trace[0], run.machine).credits()
    places = run.machine.corpus.names
    assert {line["name"]: int(line["units"]) for line in table} == {
        name: count for name, count in zip(places, credits.tolist(), strict=True) if count
    }
    for line in table:
        index = places.index(line["name"])
        assert line["metadata_metadata_seed"] == run.machine.corpus.metadata[index]["seed"]
        assert (line["metadata_seed"], line["licence"], line["label"] or None) == ("m", "cc0", None)
        assert float(line["share"]) == float(Fraction(int(line["units"]), 20 * UNITS))
        assert (line["run"], int(line["seed"]), int(line["pixels"])) == (run_id(run.record.request), 5, 20)


def read_table(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"smalti"]) == {"by": "item", "units_per_pixel": UNITS}
    return table.to_pylist()


def test_export_names_a_column_that_is_taken_otherwise(ledger: Ledger, tmp_path: Path) -> None:
    metadata: tuple[dict[str, str], ...] = ({"units": "cm"}, {"units": "mm"})
    ledger.enter(run_of(dataclasses.replace(corpus_of(2), metadata=metadata)))
    ledger.export(tmp_path / "a.csv", by="units", rows="totals")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "metadata_units,units,share,samples"


# --- files that are no ledgers ---------------------------------------------------------------------------------------


def test_a_missing_ledger(tmp_path: Path) -> None:
    place = tmp_path / "new" / "folder" / "a b?#%.sqlite"
    with pytest.raises(InputError, match=r"^There is no ledger at '.*': enter runs into it first"):
        Ledger.open(place)
    assert not place.parent.exists()
    made = Ledger.open(place, missing="create")
    assert made.totals() == []
    assert made.everything() == ()
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    opened = Ledger.open(place)
    assert opened.verify().runs == 0


def test_files_that_are_no_ledger(tmp_path: Path) -> None:
    text, other, empty = tmp_path / "text", tmp_path / "other", tmp_path / "empty"
    text.write_text("this is not a ledger" * 100)
    empty.touch()
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE a (b)")
    for place, sentence in (
        (text, r"^'.*text' is no ledger, or its beginning is damaged: give another path, or restore it from a"),
        (other, r"^'.*other' is a database of another kind, and no ledger: give another path\.$"),
        (empty, r"^'.*empty' is no ledger, or its beginning is damaged: give another path, or restore it from a"),
        (tmp_path, r"^'.*' is not a file: give the path of a ledger\.$"),
    ):
        with pytest.raises(InputError, match=sentence):
            Ledger.open(place)
    for place in (text, other):
        before = place.read_bytes()
        with pytest.raises(InputError):
            Ledger.open(place, missing="create")
        assert place.read_bytes() == before
    with pytest.raises(InputError, match="cannot be written"):
        Ledger.open(text / "inside" / "a", missing="create")
    laid_out = Ledger.open(empty, missing="create")  # what a killed start leaves
    assert laid_out.totals() == []


def test_a_later_version_and_other_tables(ledger: Ledger) -> None:
    raw(ledger, "CREATE VIEW of_my_own AS SELECT * FROM credits")
    Ledger.open(ledger.path)
    raw(ledger, "PRAGMA user_version = 2")
    with pytest.raises(
        InputError, match=r"was written by a later Smalti \(layout 2; this one reads 1\): update Smalti"
    ):
        Ledger.open(ledger.path)
    raw(ledger, "PRAGMA user_version = 1")
    raw(ledger, "CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM credits; END")
    with pytest.raises(InputError, match=r"is damaged \(its tables are not those of a ledger\): restore it from a"):
        Ledger.open(ledger.path)
    raw(ledger, "DROP TRIGGER t")
    raw(ledger, "DROP TABLE credits")
    with pytest.raises(InputError, match="is damaged"):
        Ledger.open(ledger.path)
    assert int.from_bytes(ledger.path.read_bytes()[68:72], "big") == LEDGER.mark


@pytest.mark.parametrize("part", range(12))
def test_a_truncated_ledger_is_one_sentence(part: int, ledger: Ledger) -> None:
    ledger.enter(run_of(corpus_of(), seeds=range(4)))
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[: 1 + part * (len(content) - 2) // 11])
    with pytest.raises(InputError, match=r"is damaged|is no ledger"):
        Ledger.open(ledger.path, missing="create")


def test_a_damaged_ledger_never_gives_another_sum(ledger: Ledger) -> None:
    """Bytes overwritten anywhere: `verify` says so unless it is a description, and totals are right or refused."""
    ledger.enter(run_of(corpus_of(), seeds=range(6)))
    before = units(ledger.totals("id"))
    content = ledger.path.read_bytes()
    rng = np.random.default_rng(0)
    found = 0
    for place in rng.integers(0, len(content), 150).tolist():
        broken = bytearray(content)
        broken[place] ^= int(rng.integers(1, 256))
        ledger.path.write_bytes(broken)
        try:
            opened = Ledger.open(ledger.path)
            opened.verify()
            assert units(opened.totals("id")) == before
        except InputError:
            found += 1
    assert found > 10


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credits SET units = units + 1 WHERE sample = 2 AND item = (SELECT min(item) FROM credits)",
        "DELETE FROM credits WHERE sample = 1",
        "UPDATE samples SET pixels = pixels + 1",
        "DELETE FROM items",
    ],
)
def test_changed_credits_are_found_when_they_are_read(change: str, ledger: Ledger) -> None:
    ledger.enter(run_of(corpus_of()))
    raw(ledger, change)
    for read in (ledger.totals, ledger.verify, lambda: list(ledger.per_sample("licence"))):
        with pytest.raises(InputError, match=r"^'.*' is damaged \(.*\): restore it from a backup, or move it away"):
            read()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE runs SET request = replace(request, 'ideal', 'local')",
        "UPDATE items SET id = upper(id)",
        "DELETE FROM runs",
        "INSERT INTO metadata VALUES (99999, 'a', 'b')",
    ],
)
def test_verify_finds_what_sums_do_not_show(change: str, ledger: Ledger) -> None:
    ledger.enter(run_of(corpus_of()))
    raw(ledger, change)
    with pytest.raises(InputError, match="is damaged"):
        ledger.verify()


def test_credits_moved_to_another_item_are_found(ledger: Ledger) -> None:
    """The sum stays the same; the proof of the sample does not."""
    run = run_of(corpus_of(), seeds=[0])
    given = np.array([20 * UNITS - 5, 5, 0, 0, 0, 0])
    ledger.enter_credits("/a", run.record, run.machine.corpus, 0, run.trace.images[0], given)
    raw(ledger, "UPDATE credits SET units = CASE units WHEN 5 THEN ? ELSE 5 END", 20 * UNITS - 5)
    with pytest.raises(InputError, match=r"the credits of seed 0 of run [0-9a-f]{12} are not those entered"):
        ledger.verify()


def test_a_locked_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for work in (lambda: ledger.enter(run_of(corpus_of())), ledger.totals):
            with pytest.raises(InputError, match=r"is in use by another process: wait until that is done, and repeat"):
                work()
        other.execute("ROLLBACK")
    assert ledger.enter(run_of(corpus_of())).new == 3


def test_a_ledger_that_cannot_be_written(someone: Path) -> None:
    path = someone / "folder" / "ledger.sqlite"
    ledger = Ledger.open(path, missing="create")
    ledger.enter(run_of(corpus_of()))
    before = ledger.totals()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    ledger = Ledger.open(path, missing="create")
    assert ledger.totals() == before
    assert ledger.verify().samples == 3
    with pytest.raises(InputError, match=r"cannot be opened or written \(.*\): see that it is there, and that you may"):
        ledger.enter(run_of(corpus_of(seed=1)))
    path.chmod(0o000)
    with pytest.raises(InputError, match=r"^'.*' cannot be opened or written \(unable to open database file\): see"):
        Ledger.open(path)


def test_a_full_disk_loses_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.enter(run_of(corpus_of()))
    before = ledger.totals()
    large = run_of(corpus_of(40, seed=2, licences=["a long licence " * 20] * 40), seeds=range(2))
    connect, pages = sqlite3.connect, ledger.path.stat().st_size // 4096

    def small(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        made = connect(*arguments, **settings)
        made.execute(f"PRAGMA max_page_count = {pages}").close()
        return made

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", small)
        with pytest.raises(InputError, match=r"^The disk is full: '.*' could not be written; free some space and rep"):
            ledger.enter(large)
    assert ledger.totals() == before
    assert ledger.verify().samples == 3
    assert ledger.enter(large).new == 2


def test_where_the_ledger_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMALTI_LEDGER", str(tmp_path / "mine"))
    assert default_ledger() == tmp_path / "mine"
    monkeypatch.delenv("SMALTI_LEDGER")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_ledger() == tmp_path / "data" / "smalti" / "ledger.sqlite"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_ledger() == tmp_path / ".local" / "share" / "smalti" / "ledger.sqlite"


def test_a_mark_that_another_process_made_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path, missing="create")
    ledger.enter(run_of(corpus_of(seed=1)))
    run = ledger.everything()[0].run
    rewrite = File.rewrite

    def rewrite_and_correct(self: File) -> None:
        rewrite(self)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("INSERT INTO unclean (since) VALUES ('meanwhile')")

    monkeypatch.setattr(File, "rewrite", rewrite_and_correct)
    ledger.remove(run)
    with closing(sqlite3.connect(path)) as database:
        assert [since for (since,) in database.execute("SELECT since FROM unclean")] == ["meanwhile"]
