"""`smalti explain`, `credit` and `effect` for runs of texts: what they write and say, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_program import smalti
from smalti.receipts import UNITS, Ledger
from smalti.receipts.text import TextReceipt
from smalti.receipts.text.effect import text_effect
from smalti.receipts.text.rows import COLUMNS
from smalti.sampling import open_run
from text_receipts import TEXTS


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents and a run of two seeds from them; nothing in it may change."""
    place = tmp_path_factory.mktemp("texts")
    (place / "own" / "deep").mkdir(parents=True)
    for number, text in enumerate(TEXTS):
        (place / "own" / ("deep" if number % 2 else "") / f"{number}.txt").write_text(text)
    (place / "own" / "metadata.csv").write_text("file_name,licence\n0.txt,cc0\ndeep/1.txt,own\n")
    made = smalti(
        "generate", place / "own", "-o", place / "run", "--seeds", "0,4", "--length", "30", "--prompt", "the "
    )
    assert made.code == 0, made.err
    return place


def test_a_folder_holds_everything_of_the_first_seed(place: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (place / "run").iterdir()}
    done = smalti("explain", place / "run", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "000000.receipt.json",
        "000000.receipt.parquet",
        "report.html",
    ]
    assert "note: seed 0, the first of the run: 1 more with --seed LIST or --seed all" in done.err
    assert {path.name: path.read_bytes() for path in (place / "run").iterdir()} == before
    record = json.loads((tmp_path / "out" / "000000.receipt.json").read_bytes())
    run = open_run(place / "run")
    receipt = TextReceipt(run.trace.of_seed(0), run.machine)
    assert record["run"]["source"] == run.record.request.source
    assert record["text"].encode() == (place / "run" / record["file"]).read_bytes()
    assert record["no_document"] == receipt.no_document()
    assert record["groups"]["licence"] == [[value, units] for value, units in receipt.by("licence").items()]
    assert sum(units for _, units in record["credits"]) + sum(record["no_document"].values()) == receipt.whole_units
    page = (tmp_path / "out" / "report.html").read_text()
    block = page.split('data-seed="0">')[1].split("</script>")[0]
    assert json.loads(block) == record
    for said in ("documents have some", "no document: tokens that were given", "By folder:", "By licence:", "Match ("):
        assert said in done.out
    for file in ("report.html", "000000.receipt.json", "000000.receipt.parquet"):
        assert str(tmp_path / "out" / file) in done.out


def test_all_seeds_on_one_page_and_as_a_table(place: Path, tmp_path: Path) -> None:
    done = smalti("explain", place / "run", "--seed", "all", "-o", tmp_path / "report.html")
    assert done.code == 0, done.err
    page = (tmp_path / "report.html").read_text()
    assert all(f'data-seed="{seed}"' in page for seed in (0, 4))
    done = smalti("explain", place / "run", "--seed", "all", "-o", tmp_path / "rows.csv")
    assert done.code == 0, done.err
    lines = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    assert lines.startswith(",".join(COLUMNS))


def test_figures_as_json(place: Path) -> None:
    done = smalti("explain", place / "run", "--seed", "4", "--by", "licence", "--json")
    assert done.code == 0, done.err
    (said,) = json.loads(done.out)["seeds"]
    run = open_run(place / "run")
    receipt = TextReceipt(run.trace.of_seed(4), run.machine)
    assert (said["seed"], said["tokens"], said["drawn"]) == (4, len(receipt.sample.tokens), len(receipt.sample.events))
    assert [one["units"] for one in said["weight"]["documents"]] == [credit.units for credit in receipt.items(8)]
    assert said["weight"]["units"] == said["tokens"] * UNITS
    assert {group["value"]: group["units"] for group in said["groups"]["licence"]} == receipt.by("licence")
    assert said["match"]["uniqueness"] == list(receipt.match().uniqueness)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--pixel", "1,1"), 2, "--pixel and --steps are for pictures, and this run made texts: leave them out"),
        (("--steps", "last"), 2, "--pixel and --steps are for pictures, and this run made texts: leave them out"),
        (("--by", "artist"), 2, "this corpus has no column 'artist'"),
        (("--seed", "7"), 2, "the trace has no sample of seed 7"),
        (("--seed", "all", "-o", "one.json"), 2, "holds the record of one seed, and 2 were asked for"),
    ],
)
def test_what_cannot_be_had(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = smalti("explain", place / "run", *options)
    assert done.code == code
    assert sentence in done.err
    assert list(tmp_path.iterdir()) == []
    assert not (place / "run-receipt").exists()


def test_receipts_inside_the_source_are_refused(place: Path) -> None:
    done = smalti("explain", place / "run", "-o", place / "own" / "receipt")
    assert done.code == 2
    assert "lies in the source" in done.err


def test_the_ledger_counts_documents_and_what_has_none(place: Path, tmp_path: Path) -> None:
    book = tmp_path / "ledger.sqlite"
    done = smalti("credit", place / "run", "--ledger", book, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    run = open_run(place / "run")
    receipts = [TextReceipt(sample, run.machine) for sample in run.trace]
    expected = {
        run.machine.corpus.names[d]: sum(int(receipt.credits()[d]) for receipt in receipts)
        for d in range(len(run.machine.corpus))
    }
    expected["no document"] = sum(sum(receipt.no_document().values()) for receipt in receipts)
    assert {one["name"]: one["units"] for one in said["totals"]} == expected
    assert said["units"] == sum(receipt.whole_units for receipt in receipts)
    assert said["new"] == 2
    again = smalti("credit", place / "run", "--ledger", book, "--by", "licence")
    assert again.code == 0
    assert "2 samples of 1 run, 0 new in the ledger" in again.out
    assert Ledger.open(book).verify().samples == 2


def test_an_effect_is_the_run_that_never_had_the_document(place: Path, tmp_path: Path) -> None:
    done = smalti("effect", place / "run", "--without", "0.txt", "-o", tmp_path / "effect")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "effect" / "effect.json").read_bytes())
    run = open_run(place / "run")
    (document,) = run.machine.corpus.find("0.txt")
    found = text_effect(run, [document])
    assert [entry["seed"] for entry in record["seeds"]] == [0, 4]
    for entry, one in zip(record["seeds"], found, strict=True):
        before, after = (sample.tokens.tolist() for sample in (one.before, one.after))
        changed = [k for k, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        assert entry["tokens_changed"] == len(changed)
        assert entry["first_changed"] == (changed[0] if changed else None)
        for kind, sample in (("before", one.before), ("after", one.after)):
            assert (tmp_path / "effect" / entry["texts"][kind]).read_bytes() == sample.text.encode()
        assert "".join(old for old, _ in entry["pieces"]) == one.before.text
        assert "".join(new for _, new in entry["pieces"]) == one.after.text
        assert (entry["parted"] is None) == (before == after and len(one.before.events) == len(one.after.events))
    assert found[0].after.corpus_digest == run.machine.corpus.without([document]).digest
    assert "without 1 of 5 documents, 2 seeds again" in done.out
    assert "--- seed 0 ---" in done.out
    assert (tmp_path / "effect" / "diff.txt").exists()


def test_an_effect_of_all_or_none(place: Path) -> None:
    done = smalti("effect", place / "run", "--rank")
    assert (done.code, "--rank is for pictures" in done.err) == (2, True)
    names = [f"--without={'deep/' if k % 2 else ''}{k}.txt" for k in range(5)]
    done = smalti("effect", place / "run", *names)
    assert (done.code, "leave at least one" in done.err) == (2, True)
