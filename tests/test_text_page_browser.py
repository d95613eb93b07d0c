"""The page of texts in a real browser: what it shows is what the record says, for every way of asking."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys

from smalti.corpus.text import TextCorpus
from smalti.receipts import UNITS
from smalti.receipts.page_text import text_page
from smalti.receipts.text import TextReceipt
from smalti.receipts.text.record import text_record
from smalti.sampling.text_trace import TextTrace
from test_receipt_page_browser import CONTRAST, Shown, driver, percent, pytestmark
from text_receipts import TEXTS, corpus_of, texts_of

__all__ = ["driver", "pytestmark"]

Record = dict[str, Any]


def records_of(trace: TextTrace, *, top: int = 4) -> list[Record]:
    assert trace.machine is not None
    return [
        text_record(TextReceipt(sample, trace.machine), top=top, folder="out/run", name=f"{sample.seed:06d}.txt")
        for sample in trace
    ]


def opened(driver: Chrome, folder: Path, name: str, records: Sequence[Record]) -> Shown:
    path = folder / f"{name}.html"
    path.write_text(text_page(records), encoding="utf-8")
    return Shown(driver, path.as_uri(), records)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def shown(driver: Chrome, folder: Path) -> Iterator[Shown]:
    records = records_of(texts_of(corpus_of(), length=60, seeds=(0, 5)))
    page = opened(driver, folder, "texts", records)
    yield page
    # Nothing but the page itself was asked for, and nothing went wrong.
    asked = [
        entry["params"]["request"]["url"]
        for entry in (json.loads(line["message"])["message"] for line in driver.get_log("performance"))
        if entry["method"] == "Network.requestWillBeSent"
    ]
    own = (folder.as_uri(), "about:blank", "data:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert [line for line in driver.get_log("browser") if line["level"] == "SEVERE"] == []


def visible(text: str) -> str:
    signs = {" ": "␣", "\n": "↵", "\t": "⇥"}
    return "".join(signs[c] for c in text) if text and set(text) <= set(signs) else text


def check_panel(shown: Shown, record: Record, index: int) -> None:
    """The label says of a token what the record says."""
    token = record["tokens"][index]
    assert shown.text("#place") == f"Token {index}: “{visible(token['token'])}”"
    if token["origin"] != "drawn":
        assert shown.text("#undrawn").startswith("This token was given")
        assert not shown.one("#drawn").is_displayed()
        return
    assert shown.text("#place-text").endswith(f"drawn at step {token['step']}")
    assert shown.texts("#facts dd") == [
        percent(token["probability"]),
        percent(token["documents"][0][1] / UNITS),
        f"{token['entropy']:.2f} bits",
        f"{token['effective_sources']:.2f}",
    ]
    sources = shown.run(
        """return [...document.querySelectorAll("#sources li")].map((li) => [
            li.querySelector(".figure").textContent, li.querySelector(".name").textContent,
            li.querySelector(".where").textContent, li.querySelector(".context").textContent,
            li.querySelector("mark").textContent])"""
    )
    expected = []
    for document, begin, end, share in token["sources"]:
        about = record["documents"][document]
        text = corpus_of().documents[about["index"]]
        first, last = max(0, begin - 40), min(len(text), end + 40)
        context = f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}".replace("\n", "↵")
        mark = text[begin:end].replace("\n", "↵")
        expected.append([percent(share), about["name"], f"character {begin}", context, mark])
    assert sources == expected
    bars = [(record["documents"][d]["name"], units) for d, units in token["documents"]]
    bars += [("all other documents", token["rest_units"])]
    bars += [(f"no document: {name}", units) for name, units in token["no_document"].items()]
    assert shown.texts("#bars li") == [f"{name}{percent(units / UNITS)}" for name, units in bars if units]
    assert shown.texts("#likeliest li") == [f"{visible(text)}{percent(chance)}" for text, chance in token["likeliest"]]
    now = shown.texts("#likeliest li[aria-current=true] .name")
    assert now == [visible(text) for text, _ in token["likeliest"] if text == token["token"]]


def test_the_text_is_there_token_by_token(shown: Shown) -> None:
    record = shown.records[0]
    shown.open()
    assert shown.text("#plain") == record["text"]
    assert "".join(shown.texts("#tokens .token")) == record["text"]
    given = [token["origin"] == "given" for token in record["tokens"]]
    assert (
        shown.run("return [...document.querySelectorAll('.token')].map((t) => t.classList.contains('given'))") == given
    )
    strengths = shown.run(
        "return [...document.querySelectorAll('.token')].map((t) => parseFloat(t.style.getPropertyValue('--strength')))"
    )
    for strength, token in zip(strengths, record["tokens"], strict=True):
        share = token["documents"][0][1] / UNITS if token["origin"] == "drawn" else 0.0
        assert strength == pytest.approx(45 * share, abs=0.051)
    assert shown.text("#about").startswith("60 tokens (characters)")
    assert "5 documents" in shown.text("#about")
    # The first token that was drawn is chosen.
    check_panel(shown, record, given.index(False))


def test_each_token_is_told_as_the_record_says(shown: Shown) -> None:
    for record in shown.records:
        for index in (0, 7, 21, 40, 59):
            shown.open(f"#seed={record['seed']}&token={index}")
            check_panel(shown, record, index)
            assert shown.one("#tokens").get_attribute("aria-activedescendant") == f"token-{index}"
            assert shown.one(f"#token-{index}").get_attribute("aria-selected") == "true"


def test_keys_walk_over_the_text_and_say_where_they_are(shown: Shown) -> None:
    record = shown.records[0]
    shown.open("#token=10")
    shown.keys("#tokens", Keys.ARROW_RIGHT)
    check_panel(shown, record, 11)
    best = record["documents"][record["tokens"][11]["documents"][0][0]]["name"]
    assert best[:50] in shown.text("#live")
    shown.keys("#tokens", Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    check_panel(shown, record, 9)
    shown.keys("#tokens", Keys.HOME)
    check_panel(shown, record, 0)
    assert "given" in shown.text("#live")
    shown.keys("#tokens", Keys.END)
    check_panel(shown, record, 59)
    below = shown.run("return document.querySelector('#token-59').getBoundingClientRect().top")
    shown.keys("#tokens", Keys.ARROW_UP)
    index = int(str(shown.one("#tokens").get_attribute("aria-activedescendant")).removeprefix("token-"))
    assert (
        shown.run("return document.getElementById(`token-${arguments[0]}`).getBoundingClientRect().top", index) < below
    )
    check_panel(shown, record, index)


def test_a_click_holds_a_token_and_escape_lets_go(shown: Shown) -> None:
    record = shown.records[0]
    shown.open()
    move = ActionChains(shown.driver, 0)
    move.move_to_element(shown.one("#token-12")).perform()
    check_panel(shown, record, 12)
    shown.one("#token-15").click()
    ActionChains(shown.driver, 0).move_to_element(shown.one("#token-12")).perform()
    check_panel(shown, record, 15)
    shown.keys("#tokens", Keys.ESCAPE)
    ActionChains(shown.driver, 0).move_to_element(shown.one("#token-13")).perform()
    check_panel(shown, record, 13)


def credit_rows(shown: Shown) -> list[tuple[str, ...]]:
    rows = shown.run(
        """return [...document.querySelectorAll("#credits tbody tr")].map((row) => [
            (row.querySelector(".name") ?? row.cells[0]).textContent,
            ...[...row.cells].slice(1).map((cell) => cell.textContent)])"""
    )
    return [tuple(row) for row in rows]


def test_credit_by_document_and_by_group(shown: Shown) -> None:
    record = shown.records[0]
    whole = 60 * UNITS
    tops = [t["documents"][0][0] if t["origin"] == "drawn" else -1 for t in record["tokens"]]
    shown.open()
    assert credit_rows(shown) == [
        (record["documents"][d]["name"], str(tops.count(d)), percent(units / whole), f"{units:,}")
        for d, units in record["credits"]
    ]
    foot = [
        ("No document: given", record["no_document"]["given"]),
        ("No document: prior", record["no_document"]["prior"]),
    ]
    assert shown.texts("#credits tfoot tr") == [
        *(f"{name}{percent(units / whole)}{units:,}" for name, units in foot if units),
        f"All{percent(1)}{whole:,}",
    ]
    shown.run("document.querySelector('#grouping input[value=licence]').click()")
    groups = [None if d < 0 else record["documents"][d]["metadata"].get("licence") for d in tops]
    assert credit_rows(shown) == [
        (
            "no licence" if value is None else value,
            str(sum(d >= 0 and group == value for d, group in zip(tops, groups, strict=True))),
            percent(units / whole),
            f"{units:,}",
        )
        for value, units in record["groups"]["licence"]
    ]
    # Sorted by name, with numbers as numbers.
    shown.run("document.querySelector('#grouping input[value=document]').click()")
    shown.all("#credits thead button")[0].click()
    names = [row[0] for row in credit_rows(shown)]
    assert names.index("plain-2") < names.index("plain-10")
    assert shown.all("#credits thead th")[0].get_attribute("aria-sort") == "ascending"


def test_a_row_marks_the_tokens_that_owe_most_to_it(shown: Shown) -> None:
    record = shown.records[0]
    shown.open()
    shown.run("document.querySelector('#credits .marker').click()")
    (item, _), *_ = record["credits"]
    owing = [t["origin"] == "drawn" and t["documents"][0][0] == item for t in record["tokens"]]
    assert (
        shown.run("return [...document.querySelectorAll('.token')].map((t) => !t.classList.contains('aside'))") == owing
    )
    assert shown.text("#marked-text").startswith(f"{sum(owing)} token")
    assert shown.text("#live") == shown.text("#marked-text")
    shown.one("#unmark").click()
    assert not shown.one("#marked").is_displayed()


def test_spans_are_listed_and_shown(shown: Shown) -> None:
    record = shown.records[0]
    match = record["match"]
    assert match["spans"]
    shown.open("#view=match")
    covered = [any(s["begin"] <= k < s["end"] for s in match["spans"]) for k in range(60)]
    assert (
        shown.run("return [...document.querySelectorAll('.token')].map((t) => t.classList.contains('inside'))")
        == covered
    )
    rows = shown.run(
        """return [...document.querySelectorAll("#spans tbody tr")].map((row) =>
            [row.querySelector(".excerpt").textContent, row.cells[1].textContent, row.cells[2].textContent])"""
    )
    order = sorted(match["spans"], key=lambda s: -(s["end"] - s["begin"]))
    assert (
        rows
        == [
            [
                visible(record["text"][s["begin"] : s["end"]]).replace("\n", "↵"),
                str(s["end"] - s["begin"]),
                f"{s['count']:,}",
            ]
            for s in order
        ][:10]
    )
    shown.run("document.querySelector('#spans .marker').click()")
    span = order[0]
    length = span["end"] - span["begin"]
    assert shown.text("#marked-text") == f"{length} tokens of 60 lie in this span."
    assert f"{length} characters from {span['begin']} on" in shown.text("#spans-here")
    here = [s for s in match["spans"] if s["begin"] <= span["begin"] < s["end"]]
    marks = [record["text"][s["begin"] : s["end"]].replace("\n", "↵") for s in here for _ in s["places"]]
    assert shown.texts("#spans-here mark") == marks
    for length in ("8", "16", "32"):
        assert percent(match["inside"][length]) in " ".join(shown.texts("#inside dd"))
    points = str(shown.one("#uniqueness polyline").get_attribute("points")).split()
    assert len(points) == sum(share is not None for share in match["uniqueness"])


def test_seeds_and_the_address(shown: Shown) -> None:
    shown.open()
    shown.keys("#seed-list input[value='0']", Keys.ARROW_RIGHT)
    assert shown.text("#title") == "Seed 5"
    assert "".join(shown.texts("#tokens .token")) == shown.records[1]["text"]
    shown.driver.set_script_timeout(5)
    shown.keys("#tokens", Keys.END)
    address = shown.driver.execute_async_script("setTimeout(() => arguments[0](location.hash), 400)")
    assert address == "#seed=5&token=59&view=copy"
    shown.open("#seed=77&token=-1&view=constructor")
    assert shown.text("#title") == "Seed 0"
    assert shown.one("#view-copy").get_attribute("aria-selected") == "true"


def test_what_people_wrote_is_text(shown: Shown) -> None:
    shown.open()
    assert shown.run("return window.broken === undefined && !document.querySelector('main b')")


def test_text_can_be_read_in_both_looks_and_all_views(shown: Shown) -> None:
    for look, other in (("light", "Dark look"), ("dark", "Light look")):
        for view in ("copy", "entropy", "match"):
            shown.open(f"#view={view}", look=look)
            shown.emulate(look=look, motion="reduce")
            seen, poor, _ = shown.run(CONTRAST)
            assert seen > 60
            assert poor == []
            assert shown.text("#look") == other


def test_colours_leave_letters_readable(shown: Shown) -> None:
    # The strongest colour, as it is mixed with the ground.
    for look in ("light", "dark"):
        shown.open(look=look)
        ratio = shown.run(
            """const token = document.querySelector(".token:not(.given)");
            token.style.setProperty("--strength", "45%");
            const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
            const paint = (colour) => {
              canvas.fillStyle = colour;
              canvas.fillRect(0, 0, 1, 1);
              return [...canvas.getImageData(0, 0, 1, 1).data];
            };
            const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            const light = ([r, g, b]) =>
              0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
            const ground = light(paint(getComputedStyle(token).backgroundColor));
            const ink = light(paint(getComputedStyle(token).color));
            return (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);"""
        )
        assert ratio >= 4.5


def test_paper_gets_text_and_lists_and_no_controls(shown: Shown) -> None:
    shown.open(look="dark")
    shown.emulate(look="dark", media="print")
    for hidden in ("#look", "#seeds", "#views", "#keys", ".label", "#grouping"):
        assert not shown.one(hidden).is_displayed(), hidden
    for kept_ in ("#title", "#tokens", "#credits", "#spans", "#record", "#uniqueness"):
        assert shown.one(kept_).is_displayed(), kept_
    assert shown.run("return getComputedStyle(document.body).color") == "rgb(29, 27, 23)"
    printed = base64.b64decode(shown.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert printed.startswith(b"%PDF")


def test_bytes_that_share_a_character_and_noise_that_stayed(driver: Chrome, folder: Path) -> None:
    trace = texts_of(
        corpus_of(), tokens="bytes", prompt="é €", length=20, noise="uniform", radius=3, sampler={"steps": 4}
    )
    (record,) = records_of(trace)
    page = opened(driver, folder, "bytes", [record]).open()
    assert "".join(page.texts("#tokens .token")) == record["text"]
    for index, token in enumerate(record["tokens"]):
        if token["origin"] == "noise":
            page.open(f"#token={index}")
            assert page.text("#undrawn").startswith("This token is left of the noise")


def test_with_one_document_shares_are_those_of_places(driver: Chrome, folder: Path) -> None:
    trace = texts_of(TextCorpus.from_texts(["the cat sat on the mat.\n" * 3]), length=16)
    (record,) = records_of(trace)
    page = opened(driver, folder, "one", [record]).open("#token=9")
    assert page.texts("#facts dt")[1] == "Largest share of a place"
    assert page.texts("#facts dd")[1] == percent(record["tokens"][9]["sources"][0][3])
    assert not page.one("#grouping").is_displayed()


def test_what_a_text_stands_after_is_shown_beside_it(driver: Chrome, folder: Path) -> None:
    for name, after, near in (
        ("blank", "\n\n", "↵↵"),
        ("long", TEXTS[0] + TEXTS[1], f"…{(TEXTS[0] + TEXTS[1])[-80:]}".replace("\n", "↵")),
    ):
        (record,) = records_of(texts_of(corpus_of(), after=after, length=8))
        page = opened(driver, folder, f"after-{name}", [record]).open()
        assert page.text("#after") == f"The text stands after {near}, which is no part of it."
        assert page.text("#plain") == record["text"]
    (record,) = records_of(texts_of(corpus_of(), length=8))
    assert not opened(driver, folder, "after-nothing", [record]).open().one("#after").is_displayed()


@pytest.mark.parametrize("noise", ["hybrid", "uniform", "structured"])
def test_a_chance_of_staying_is_told_apart(driver: Chrome, folder: Path, noise: str) -> None:
    (record,) = records_of(texts_of(corpus_of(), noise=noise, length=12, radius=3, sampler={"steps": 4}))
    index = next(k for k, token in enumerate(record["tokens"]) if token["origin"] == "drawn")
    page = opened(driver, folder, f"chance-{noise}", [record]).open(f"#token={index}")
    told = f"Under {noise} noise a step draws what the token is next" in page.text("#likeliest-note")
    assert told == (noise != "hybrid")
