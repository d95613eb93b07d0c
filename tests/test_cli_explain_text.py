"""`smalti explain`, `credit` and `effect` for runs of texts: what they write and say, and how they refuse."""

from __future__ import annotations

import csv
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from cli_program import smalti
from smalti.receipts import UNITS, Ledger
from smalti.receipts.text import TextReceipt
from smalti.receipts.text.effect import text_effect
from smalti.receipts.text.ranking import rank_documents
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


def test_figures_as_json(place: Path, tmp_path: Path) -> None:
    done = smalti("explain", place / "run", "--seed", "4", "-o", tmp_path / "four.json", "--json")
    assert done.code == 0, done.err
    (said,) = json.loads(done.out)["seeds"]
    run = open_run(place / "run")
    receipt = TextReceipt(run.trace.of_seed(4), run.machine)
    assert (said["seed"], said["tokens"], said["drawn"]) == (4, len(receipt.sample.tokens), len(receipt.sample.events))
    assert [one["units"] for one in said["weight"]["documents"]] == [credit.units for credit in receipt.items(8)]
    assert said["weight"]["units"] == said["tokens"] * UNITS
    assert {group["value"]: group["units"] for group in said["groups"]["licence"]} == receipt.by("licence")
    assert said["match"]["uniqueness"] == list(receipt.match().uniqueness)


def test_groups_alone_write_nothing(place: Path) -> None:
    said = smalti("explain", place / "run", "--seed", "4", "--by", "licence", "--json").json["seeds"][0]
    run = open_run(place / "run")
    receipt = run.trace.of_seed(4).receipt
    assert {group["value"]: group["units"] for group in said["by"]["groups"]} == receipt.by("licence")
    assert {name: one["units"] for name, one in said["by"]["no_document"].items()} == receipt.no_document()
    assert not {"weight", "match"} & set(said)
    assert not (place / "run-receipt").exists()
    done = smalti("explain", place / "run", "--seed", "4", "--by", "licence")
    assert done.out.splitlines()[1] == "By licence, weight of the tokens at the steps at which they were drawn"


def test_groups_of_several_texts_are_summed(place: Path) -> None:
    said = smalti("explain", place / "run", "--seed", "all", "--by", "licence", "--json").json["total"]
    receipts = [sample.receipt for sample in open_run(place / "run").trace]
    expected: Counter[str | None] = Counter()
    without: Counter[str] = Counter()
    for receipt in receipts:
        expected.update(receipt.by("licence"))
        without.update(receipt.no_document())
    assert (said["column"], said["texts"]) == ("licence", 2)
    assert said["units"] == sum(receipt.whole_units for receipt in receipts)
    assert {group["value"]: group["units"] for group in said["groups"]} == expected
    assert {name: one["units"] for name, one in said["no_document"].items()} == without
    shares = [one["share"] for one in (*said["groups"], *said["no_document"].values())]
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    done = smalti("explain", place / "run", "--seed", "all", "--by", "licence")
    assert "All 2 texts together" in done.out.splitlines()
    assert "explaining: 0 of 0" not in done.err


def test_what_a_text_stands_after_is_said(place: Path, tmp_path: Path) -> None:
    for name, after in (("short", "cat"), ("long", TEXTS[0]), ("none", "")):
        words = ("--seeds", "0", "--length", "8", "--after", after)
        assert smalti("generate", place / "own", "-o", tmp_path / name, *words).code == 0
        done = smalti("explain", tmp_path / name, "-o", tmp_path / f"{name}.json")
        near = after if len(after) <= 40 else f"…{after[-40:]}"
        head = f"8 tokens (characters), 8 of them drawn, hybrid noise{f', after {near!r}' if after else ''}"
        assert done.out.splitlines()[0].endswith(head)
        assert json.loads((tmp_path / f"{name}.json").read_bytes())["after"] == after


def test_of_one_document_it_is_not_said_that_all_is_owed_to_one(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(TEXTS[0])
    assert smalti("generate", tmp_path / "own.txt", "-o", tmp_path / "run", "--seeds", "0", "--length", "8").code == 0
    done = smalti("explain", tmp_path / "run")
    assert "Weight: 1 of 1 document has some" in done.out
    assert "owed to one document" not in done.out


def test_a_token_is_proved(place: Path) -> None:
    """The number leads to the token, and documents and prior sum to its probability as fractions do."""
    run = open_run(place / "run")
    receipt = run.trace.of_seed(0).receipt
    first = next(k for k in range(34) if receipt.last_event(k) is not None)
    said = smalti("explain", place / "run", "--token", f"0,{first}-33", "--json").json["seeds"][0]
    given, *drawn = said["token"]
    assert (given["token"], given["drawn"], "posterior" in given) == (0, False, False)
    assert [one["token"] for one in drawn] == list(range(first, 34))
    made = receipt.at()
    for one in drawn:
        low, high = one["running_sum"]
        assert low <= one["number"] < high
        assert high - low == pytest.approx(one["probability"], abs=1e-12)
        weights = [Fraction(document["weight_exactly"]) for document in one["documents"]]
        assert sum(weights) + Fraction(one["prior"]["weight_exactly"]) == Fraction(one["mixture_exactly"])
        shares = sum(document["share"] for document in one["documents"]) + one["prior"]["share"]
        assert shares + one["noise"]["share"] == pytest.approx(1.0, abs=1e-12)
        listed = zip(made.document[one["token"]].tolist(), made.document_units[one["token"]].tolist(), strict=True)
        exact = {document["index"]: document["share"] for document in one["documents"]}
        assert all(units / UNITS == pytest.approx(exact[d], abs=1e-9) for d, units in listed if d >= 0)
        for at in one["places"]:
            text = run.machine.corpus.documents[at["index"]]
            assert text[at["begin"] : at["end"]] == at["text"].replace("↵", "\n") == receipt.sample.text[one["begin"]]
    done = smalti("explain", place / "run", "--token", f"0,{first}")
    assert "Token 0, 't', was not drawn" in done.out
    assert "Proof: the weights of" in done.out
    assert not (place / "run-receipt").exists()


def test_fractions_of_any_length(tmp_path: Path) -> None:
    """Hundreds of matches, each worth a factor of 53 bits: more digits than Python writes of a whole number."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "1.txt").write_text("ab" * 600)
    (tmp_path / "own" / "2.txt").write_text("ba")
    words = ("--noise", "uniform", "--radius", "450", "--length", "900", "--steps", "3", "--seeds", "0")
    made = smalti("generate", tmp_path / "own", "-o", tmp_path / "run", *words)
    assert made.code == 0, made.err
    (one,) = smalti("explain", tmp_path / "run", "--token", "450", "--json").json["seeds"][0]["token"]
    long = [document["weight_exactly"] for document in one["documents"]]
    assert max(map(len, long)) > 2 * 4300
    done = smalti("explain", tmp_path / "run", "--token", "450")
    assert (done.code, f"sum to a fraction of {len(one['mixture_exactly']) - 1:,} digits" in done.out) == (0, True)


def test_a_folder_of_receipts_is_not_written_over(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert smalti("explain", place / "run", "-o", out).code == 0
    again = smalti("explain", place / "run", "-o", out)
    assert (again.code, "is there already" in again.failure) == (1, True)
    assert smalti("explain", place / "run", "-o", out, "--force").code == 0
    more = smalti("explain", place / "run", "-o", out, "--seed", "4")
    assert more.code == 0, more.err
    assert "the page shows 1 seed more, whose receipts are in the folder" in more.err
    page = (out / "report.html").read_text()
    assert all(f'data-seed="{seed}"' in page for seed in (0, 4))
    own = smalti("generate", place / "own", "-o", tmp_path / "run", "--seeds", "9", "--length", "20")
    assert own.code == 0, own.err
    other = smalti("explain", tmp_path / "run", "-o", out)
    assert (other.code, "is of another run, and a folder holds receipts of one" in other.failure) == (1, True)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--pixel", "1,1"), 2, "--pixel is for pictures, and this run made texts: leave it out"),
        (("--steps", "last"), 2, "--steps is for pictures, and this run made texts: leave it out"),
        (("--token", "34"), 2, "there is no token 34: the text's tokens are 0 to 33"),
        (("--token", "x"), 2, "--token 'x' has no meaning"),
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


def test_what_has_no_document_is_a_group_of_its_own(place: Path, tmp_path: Path) -> None:
    """Also where documents have that very text for a licence, and where others have no licence."""
    own = tmp_path / "own"
    own.mkdir()
    for number, text in enumerate(TEXTS[:3]):
        (own / f"{number}.txt").write_text(text)
    (own / "metadata.csv").write_text("file_name,licence\n0.txt,no document\n1.txt,cc0\n")
    words = ("--seeds", "0", "--length", "20", "--prompt", "the ")
    assert smalti("generate", own, "-o", tmp_path / "run", *words).code == 0
    sample = open_run(tmp_path / "run").trace[0]
    by, none = sample.receipt.by("licence"), sum(sample.receipt.no_document().values())
    assert min(none, by[None], by["no document"], by["cc0"]) > 0
    book = ("--ledger", tmp_path / "ledger.sqlite")
    said = smalti("credit", tmp_path / "run", *book, "--by", "licence", "--json").json
    found = {(one["value"], one.get("name")): one["units"] for one in said["totals"]}
    assert found == {**{(value, None): units for value, units in by.items()}, ("no document", "no document"): none}
    for column in ("id", "label", "name"):
        totals = smalti("credit", tmp_path / "run", *book, "--by", column, "--json").json["totals"]
        assert [one["units"] for one in totals if one["value"] == "no document"] == [none]
    # Another corpus, whose documents have folders: there, what has no document is apart as well.
    both = smalti("credit", tmp_path / "run", place / "run", *book, "--by", "folder", "--json").json["totals"]
    more = sum(sum(one.receipt.no_document().values()) for one in open_run(place / "run").trace)
    assert [one["units"] for one in both if one["value"] == "no document"] == [none + more]
    for by_item, rows in (((), "id"), (("--by", "licence"), "licence")):
        table = tmp_path / f"{rows}.csv"
        assert smalti("credit", tmp_path / "run", *book, *by_item, "--export", table).code == 0
        with table.open(newline="") as file:
            lines = [line for line in csv.DictReader(file) if line[rows] == "no document"]
        assert str(none) in [line["units"] for line in lines]
        assert {line["licence"] for line in lines} == {"no document"}


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


def test_a_ranking_of_documents(place: Path, tmp_path: Path) -> None:
    words = ("effect", place / "run", "--rank", "--budget", 3, "--seeds", 4)
    record = smalti(*words, "--json").json
    run = open_run(place / "run")
    found = rank_documents(run, 4, runs=3)
    assert (record["format"], record["seed"], record["runs"]) == ("smalti.text-effect-ranking/1", 4, 3)
    assert [entry["index"] for entry in record["documents"]] == [one.document for one in found.documents]
    for entry, one in zip(record["documents"], found.documents, strict=True):
        assert entry["units"] == one.units
        if one.effect is None:
            assert entry["effect"] == "not run"
        else:
            assert entry["effect"]["tokens_changed"] == one.effect.tokens_changed
            assert entry["effect"]["after"] == one.effect.after.text
    done = smalti(*words, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.out.startswith("seed 4: 3 of 5 documents, each run again without, with ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["diff.txt", "effect.json"]
    assert json.loads((tmp_path / "out" / "effect.json").read_bytes()) == {
        name: value for name, value in record.items() if name != "seconds"
    }
    assert (tmp_path / "out" / "diff.txt").read_text().count("--- seed 4 without ") == 3
    listed = [line.split()[5] for line in done.out.splitlines()[2:5]]
    assert listed == [run.machine.corpus.ids[one.document][:12] for one in found.documents[:3]]
    near = smalti("effect", place / "run", "--without", "1.txt")
    sentence = "there is no item '1.txt', but there is 'deep/1.txt': give the whole name, or at least 8 digits of the"
    assert (near.code, sentence in near.failure) == (2, True)
    wrong = smalti("effect", place / "run", "--rank", "--seeds", "0,4")
    assert (wrong.code, "and --seeds names 2: give one" in wrong.err) == (2, True)


def test_an_effect_of_all_or_none(place: Path) -> None:
    names = [f"--without={'deep/' if k % 2 else ''}{k}.txt" for k in range(5)]
    done = smalti("effect", place / "run", *names)
    assert (done.code, "leave at least one" in done.err) == (2, True)
