"""`smalti credit`: what runs owe, printed and kept."""

from __future__ import annotations

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_program import pictures, smalti
from smalti.cli.terminal import percent
from smalti.corpus import CorpusStore, open_images
from smalti.errors import InputError
from smalti.receipts import UNITS, Ledger, Receipt
from smalti.sampling import open_run

QUICK = ("--machine", "local", "--scales", "3", "--steps", "2")
LICENCES = {"0": "cc0", "1": "cc-by", "2": "cc0", "3": "own", "4": "cc-by"}
PIXELS = 6 * 7


@pytest.fixture(autouse=True)
def _own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_LEDGER", str(tmp_path / "kept" / "ledger.sqlite"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of seeds 0 and 1 from six pictures, five of which have a licence."""
    write_metadata(pictures(tmp_path / "pictures"), LICENCES)
    return made(tmp_path / "pictures", tmp_path / "run")


def write_metadata(folder: Path, licences: dict[str, str]) -> None:
    rows = [f"{name}.png,{licence}" for name, licence in licences.items()]
    (folder / "metadata.csv").write_text("\n".join(["file_name,licence", *rows]) + "\n")


def made(source: object, out: Path, *, seeds: str = "0-1") -> Path:
    done = smalti("generate", source, "-o", out, *QUICK, "--seeds", seeds)
    assert done.code == 0, done.err
    return out


def owed(run: Path, by: str) -> dict[str | None, int]:
    """Totals from the receipts themselves."""
    found: dict[str | None, int] = {}
    for sample in open_run(run).trace:
        for value, units in sample.receipt.by(by).items():
            found[value] = found.get(value, 0) + units
    return found


def units(record: Any) -> dict[str | None, int]:
    return {total["value"]: total["units"] for total in record["totals"]}


def test_credits_by_licence(run: Path, tmp_path: Path) -> None:
    record = smalti("credit", run, "--by", "licence", "--json").json
    assert units(record) == owed(run, "licence")
    assert sum(total["units"] for total in record["totals"]) == record["units"] == 2 * PIXELS * UNITS
    assert record["ledger"] == str(tmp_path / "kept" / "ledger.sqlite")
    assert (record["samples"], record["new"], record["by"], record["export"]) == (2, 2, "licence", None)
    assert record["others"] == {"values": 0, "units": 0}
    assert [entry["folders"] for entry in record["runs"]] == [[str(run)]]
    again = smalti("credit", run, run, "--by", "licence", "--json").json
    assert (again["samples"], again["new"], again["totals"]) == (2, 0, record["totals"])


def test_what_is_printed(run: Path, tmp_path: Path) -> None:
    done = smalti("credit", run, "--by", "licence")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    found = owed(run, "licence")
    assert lines[0].split() == ["licence", "share", "units", "samples"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    assert set(rows) == {"(none)", "cc0", "cc-by", "own", "total"}
    for value, count in found.items():
        expected = [*percent(Fraction(count, 2 * PIXELS * UNITS)).split(), f"{count:,}", "2"]
        assert rows["(none)" if value is None else value] == expected
    assert rows["total"] == ["100", "%", f"{2 * PIXELS * UNITS:,}"]
    assert lines[-1].startswith(f"2 samples of 1 run, 2 new in the ledger '{tmp_path}/kept/ledger.sqlite', ")


def test_items_are_listed_unless_asked_otherwise_and_the_rest_is_summed(run: Path) -> None:
    record = smalti("credit", run, "--top", "2", "--json").json
    corpus = open_run(run).machine.corpus
    assert all(total["name"] == corpus.names[corpus.ids.index(total["value"])] for total in record["totals"])
    assert len(record["totals"]) == 2
    assert record["others"]["values"] == 4
    assert sum(units(record).values()) + record["others"]["units"] == record["units"] == 2 * PIXELS * UNITS
    done = smalti("credit", run, "--top", "2")
    lines = done.out.splitlines()
    assert lines[0].split() == ["item", "id", "share", "units", "samples"]
    assert lines[3].startswith("4 others ")
    assert f"{record['others']['units']:,}" in lines[3]
    assert lines[1].split()[1] == record["totals"][0]["value"][:12]


def test_per_sample(run: Path) -> None:
    record = smalti("credit", run, "--by", "licence", "--per-sample", "--json").json
    assert [sample["seed"] for sample in record["per_sample"]] == [0, 1]
    for sample, made_here in zip(record["per_sample"], open_run(run).trace, strict=True):
        assert units(sample) == made_here.receipt.by("licence")
        assert sample["units"] == PIXELS * UNITS
    text = smalti("credit", run, "--by", "licence", "--per-sample").out
    assert f"'{run}', seed 1\nlicence " in text
    assert text.count("total ") == 3


def test_many_runs_and_all_of_the_ledger(run: Path, tmp_path: Path) -> None:
    other = made(pictures(tmp_path / "others", seed=3), tmp_path / "other", seeds="5")
    longer = made(tmp_path / "pictures", tmp_path / "longer", seeds="0-2")
    both = smalti("credit", run, other, "--by", "licence", "--json").json
    assert (both["samples"], both["new"]) == (3, 3)
    assert units(both)[None] == owed(run, "licence")[None] + PIXELS * UNITS
    assert smalti("credit", longer, "--json").json["new"] == 1
    assert smalti("credit", run, "--json").json["samples"] == 2
    whole = smalti("credit", "--all", "--by", "licence", "--json").json
    assert (whole["samples"], whole["new"], len(whole["runs"])) == (4, 0, 2)
    assert whole["units"] == 4 * PIXELS * UNITS


def test_export(run: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    totals, each = tmp_path / "totals.csv", tmp_path / "each.parquet"
    done = smalti("credit", run, "--by", "licence", "--top", "1", "--export", totals)
    assert done.out.splitlines()[-1] == f"written to '{totals}'"
    with totals.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["licence"] or None: int(row["units"]) for row in rows} == owed(run, "licence")
    record = smalti("credit", run, "--per-sample", "--export", each, "--json").json
    assert record["export"] == str(each)
    table = pq.read_table(each).to_pydict()
    assert sum(table["units"]) == 2 * PIXELS * UNITS
    by_licence: dict[str | None, int] = {}
    for value, count in zip(table["licence"], table["units"], strict=True):
        by_licence[value] = by_licence.get(value, 0) + count
    assert by_licence == owed(run, "licence")
    before = totals.read_bytes()
    blocked = smalti("credit", run, "--export", run / "run.json" / "a.csv", "--ledger", tmp_path / "none.sqlite")
    assert (blocked.code, "cannot be written" in blocked.failure) == (1, True)
    assert not (tmp_path / "none.sqlite").exists()
    refused = smalti("credit", run, "--export", totals)
    assert refused.failure == f"'{totals}' is there already: choose another name, or add --force to replace it"
    assert totals.read_bytes() == before
    assert smalti("credit", run, "--export", totals, "--force").code == 0
    assert totals.read_bytes() != before


def test_a_moved_run_whose_pictures_moved(run: Path, tmp_path: Path) -> None:
    first = smalti("credit", run, "--by", "licence", "--json").json
    (tmp_path / "pictures").rename(tmp_path / "moved")
    run.rename(tmp_path / "away")
    known = smalti("credit", tmp_path / "away", "--by", "licence", "--json")
    assert known.json["totals"] == first["totals"]
    assert known.err.startswith("note: the pictures of this run are not at ")
    assert known.err.endswith(f"; '{tmp_path / 'away'}' is counted as the ledger has it\n")
    found = smalti("credit", tmp_path / "away", "--by", "licence", "--source", tmp_path / "moved", "--json")
    assert (found.json["totals"], found.json["new"], found.err) == (first["totals"], 0, "")
    unknown = smalti("credit", tmp_path / "away", "--ledger", tmp_path / "new.sqlite")
    assert "are not at" in unknown.failure


def test_corrected_metadata(run: Path, tmp_path: Path) -> None:
    smalti("credit", run)
    write_metadata(tmp_path / "pictures", LICENCES | {"5": "own"})
    done = smalti("credit", run, "--by", "licence", "--json")
    assert units(done.json) == owed(run, "licence")
    assert None not in units(done.json)
    assert done.err == "note: names or metadata of 1 item brought up to date in the ledger\n"


def test_a_store_remembers_the_ledger(tmp_path: Path) -> None:
    corpus = open_images(pictures(tmp_path / "pictures"))
    store = CorpusStore.create(tmp_path / "store.smalti", corpus, source=str(tmp_path / "pictures"))
    run = made(store.path, tmp_path / "run")
    assert smalti("credit", run).code == 0
    uses = [(use.kind, use.path, use.digest) for use in store.uses_of(corpus.ids[:1])]
    assert ("ledger", str(tmp_path / "kept" / "ledger.sqlite"), corpus.digest) in uses


def test_a_store_that_cannot_be_written_is_told_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise InputError("'store' cannot be written: make it writable.")

    corpus = open_images(pictures(tmp_path / "pictures"))
    store = CorpusStore.create(tmp_path / "store.smalti", corpus, source="pictures")
    run = made(store.path, tmp_path / "run")
    monkeypatch.setattr(CorpusStore, "record_use", refuse)
    done = smalti("credit", run, "--json")
    assert done.json["new"] == 2
    assert done.err.startswith(
        "note: 'store' cannot be written: make it writable; smalti corpus forget will not name this ledger\n"
    )


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (Fraction(0), "0 %"),
        (Fraction(1), "100 %"),
        (Fraction(1, 10**9), "<0.01 %"),
        (1 - Fraction(1, 10**9), ">99.99 %"),
        (Fraction(1, 3), "33.33 %"),
        (Fraction(1, 1000), "0.10 %"),
        (Fraction(9999, 10000), "99.99 %"),
    ],
)
def test_per_cent(share: Fraction, text: str) -> None:
    assert percent(share) == text


def test_what_cannot_be_counted_is_one_sentence(run: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "ledger.sqlite"
    for words, code, sentence in (
        ((), 2, "there is nothing to count: name a run's folder, or count the whole ledger with --all"),
        (("--all",), 1, f"there is no ledger at '{kept}': enter runs into it first, with smalti credit RUN"),
        (("--all", "--source", "x"), 2, "--source 'x' says where the pictures of a run are: name the run's folder too"),
        (
            (run, "--by", "artist"),
            2,
            "none of the pictures has a column 'artist': choose one of item, id, name, label, ",
        ),
        ((run, "--export", "a.xlsx"), 2, "a.xlsx does not say what kind of table it is: give a name that ends in .pa"),
        ((run, "--ledger", tmp_path), 1, f"'{tmp_path}' is not a file: give the path of a ledger"),
        ((tmp_path / "none",), 1, f"{tmp_path / 'none'}"),
    ):
        done = smalti("credit", *words)
        assert done.failure.startswith(sentence), (words, done)
        assert done.code == code
    assert not kept.exists() or Ledger.open(kept).verify().samples == 0


def test_an_unfinished_an_altered_and_a_foreign_run(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    shutil.copytree(run, tmp_path / "cut")
    (tmp_path / "cut" / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert "is not finished" in smalti("credit", tmp_path / "cut").failure
    shutil.copytree(run, tmp_path / "altered")
    trace = bytearray((run / "trace.safetensors").read_bytes())
    trace[-1] ^= 1
    (tmp_path / "altered" / "trace.safetensors").write_bytes(trace)
    assert "trace.safetensors" in smalti("credit", tmp_path / "altered").failure


def test_a_stopped_command_says_how_to_go_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> np.ndarray:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Receipt, "credits", stop)
        done = smalti("credit", run)
    assert done.code == 130
    assert done.err.splitlines()[-1] == (
        "smalti: stopped; the ledger keeps what is counted: repeat the command to count the rest."
    )
    assert smalti("credit", run, "--json").json["new"] == 2
