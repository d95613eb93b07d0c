"""`smalti ledger`: what the ledger holds, listed, checked and taken out."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from cli_program import pictures, smalti
from smalti.corpus import CorpusStore, open_images
from smalti.receipts import Ledger

QUICK = ("--machine", "local", "--scales", "3", "--steps", "2")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Runs of two pictures and of one, from different corpora, in the ledger."""
    made: list[Path] = []
    for seed, name in enumerate(("first", "second")):
        pictures(tmp_path / f"pictures of {name}", seed=seed)
        run = tmp_path / name
        words = ("generate", tmp_path / f"pictures of {name}", "-o", run, *QUICK, "--seeds", f"0-{1 - seed}")
        assert smalti(*words).code == 0
        assert smalti("credit", run).code == 0
        made.append(run)
    return made[0], made[1]


def test_runs_are_listed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    record = smalti("ledger", "list", "--json").json
    assert record["ledger"] == str(tmp_path / "ledger.sqlite")
    assert [(run["folders"], run["samples"]) for run in record["runs"]] == [([str(runs[0])], 2), ([str(runs[1])], 1)]
    lines = smalti("ledger", "list").out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == [run["run"][:16] for run in record["runs"]]
    assert lines[0].endswith(f"2 samples  {runs[0]}")
    assert lines[2] == f"2 runs in the ledger '{tmp_path / 'ledger.sqlite'}'"


def test_runs_that_owe_to_an_item_are_found_and_taken_out(runs: tuple[Path, Path]) -> None:
    """What somebody does whom `corpus forget` has told that a ledger holds an item."""
    totals = smalti("credit", "--all", "--by", "name", "--json").json
    owed = open_images("pictures of first").ids
    found = smalti("ledger", "list", "--json", *(word for item in owed for word in ("--item", item[:8]))).json["runs"]
    assert [run["folders"] for run in found] == [[str(runs[0])]]
    (name,) = {total["value"] for total in totals["totals"][:1]}
    assert str(runs[0]) in smalti("ledger", "list", "--item", name).out
    for unknown in ("0" * 64, owed[0][:7], "tom.png"):
        failed = smalti("ledger", "list", "--item", unknown)
        assert failed.code == 2
        assert failed.failure.startswith(f"in the ledger there is no item '{unknown}': give a content id, at least 8")
    (digits,) = (smalti("ledger", "list", "--json").json["runs"][0]["run"][:4],)
    assert "or at least the first 8 digits of" in smalti("ledger", "remove", digits).failure
    tried = smalti("ledger", "remove", found[0]["run"][:8], "--dry-run")
    assert tried.out == f"2 samples of '{runs[0]}' would be taken out\n"
    assert smalti("credit", "--all", "--by", "name", "--json").json["totals"] == totals["totals"]
    done = smalti("ledger", "remove", found[0]["run"][:8], "first", "--json").json
    assert (done["done"], done["runs"]) == (True, found)
    assert Ledger.open("ledger.sqlite").holds(owed) == {}
    assert [run["folders"] for run in smalti("ledger", "list", "--json").json["runs"]] == [[str(runs[1])]]
    assert smalti("ledger", "verify").out.startswith("sound: 1 run, 1 sample, ")


def test_every_folder_of_a_run_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    more = tmp_path / "more"
    assert smalti("generate", "pictures of first", "-o", more, *QUICK, "--seeds", "2").code == 0
    counted = smalti("credit", runs[0], "first/../more")
    assert counted.out.splitlines()[-1].startswith("3 samples of 1 run in 2 folders, 1 new in the ledger ")
    assert f"  3 samples  {runs[0]}, {more}\n" in smalti("ledger", "list").out
    assert smalti("ledger", "remove", more).out == f"3 samples of '{runs[0]}', '{more}' taken out\n"


def test_a_moved_run_is_known_by_its_record(runs: tuple[Path, Path], tmp_path: Path) -> None:
    runs[0].rename(tmp_path / "moved")
    assert smalti("ledger", "remove", tmp_path / "moved").out == f"2 samples of '{runs[0]}' taken out\n"
    shutil.rmtree(runs[1])
    assert smalti("ledger", "remove", runs[1]).out == f"1 sample of '{runs[1]}' taken out\n"
    assert smalti("ledger", "list").out == f"0 runs in the ledger '{tmp_path / 'ledger.sqlite'}'\n"


def test_forgetting_an_item_names_the_ledger_and_how_to_take_it_out(runs: tuple[Path, Path], tmp_path: Path) -> None:
    store = CorpusStore.create(tmp_path / "x.smalti", open_images("pictures of first"), source="here")
    told = smalti("corpus", "forget", store.path, store.items()[0].name, "--dry-run").out
    assert "; see smalti ledger remove" in told
    assert smalti("ledger", "remove", runs[0]).code == 0
    assert "ledger" not in smalti("corpus", "forget", store.path, store.items()[0].name, "--dry-run").out


def test_damage_is_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    record = smalti("ledger", "verify", "--json").json
    assert (record["runs"], record["samples"]) == (2, 3)
    with contextlib.closing(sqlite3.connect("ledger.sqlite")) as database, database:
        database.execute("DELETE FROM credits WHERE sample = 1")
    found = smalti("ledger", "verify")
    assert found.code == 1
    assert "' is damaged (the credits of seed 0 of run " in found.failure


@pytest.mark.parametrize("words", [("list",), ("remove", "x"), ("verify",)])
def test_what_cannot_be_done_is_one_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    missing = smalti("ledger", *words)
    assert (missing.code, missing.failure) == (
        1,
        f"there is no ledger at '{tmp_path / 'ledger.sqlite'}': enter runs into it first, with smalti credit RUN",
    )
    Ledger.open("ledger.sqlite", missing="create")
    found = smalti("ledger", *words)
    if words[0] == "remove":
        assert (found.code, found.failure) == (
            2,
            "the ledger has no run 'x': give the folder it was last seen in, or at least the first 8 digits of "
            "what smalti ledger list calls it",
        )
    else:
        assert found.code == 0
    (tmp_path / "text").write_text("text")
    assert "' is no ledger, or its" in smalti("ledger", *words, "--ledger", tmp_path / "text").failure
