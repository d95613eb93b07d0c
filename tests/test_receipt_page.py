"""The page of receipts as a file: complete in itself, and true to the records whatever names people give."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from receipt_pages import odd_names, records_of
from smalti.errors import UsageError
from smalti.receipts.page import page
from smalti.receipts.record import sprites


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def blocks(self, **wanted: str) -> list[str]:
        """Texts of the elements that have these attributes."""
        return [
            text
            for (_, attributes), text in zip(self.elements, self.texts, strict=True)
            if all(attributes.get(name.rstrip("_")) == value for name, value in wanted.items())
        ]


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return records_of(odd_names(), seeds=(0, 5))


@pytest.fixture(scope="module")
def pictures(records: list[dict[str, Any]]) -> dict[str, bytes]:
    return sprites(records, odd_names().corpus.images)


@pytest.fixture(scope="module")
def made(records: list[dict[str, Any]], pictures: dict[str, bytes]) -> Parsed:
    return Parsed(page(records, pictures))


def test_the_page_holds_the_very_records(records: list[dict[str, Any]], made: Parsed) -> None:
    assert [json.loads(text) for text in made.blocks(class_="receipt")] == records


def test_no_name_ends_a_script_or_starts_one(
    records: list[dict[str, Any]], pictures: dict[str, bytes], made: Parsed
) -> None:
    names = {item["name"] for record in records for item in record["items"]}
    assert any("</script>" in name for name in names)
    assert any("\u2028" in name for name in names)
    for text in made.blocks(type="application/json"):
        assert text.isascii()
        assert "<" not in text
    scripts = [attributes for tag, attributes in made.elements if tag == "script"]
    assert len(scripts) == len(records) + 2
    # A text that looks like a place of the template is text.
    tricky = json.loads(json.dumps(records))
    tricky[0]["run"]["source"] = "{{script}} {{title}}"
    assert json.loads(Parsed(page(tricky, pictures)).blocks(class_="receipt")[0]) == tricky[0]


def test_nothing_is_loaded_from_anywhere(records: list[dict[str, Any]], pictures: dict[str, bytes]) -> None:
    text = page(records, pictures)
    made = Parsed(text)
    for tag, attributes in made.elements:
        assert tag not in ("iframe", "object", "embed", "audio", "video", "form", "base", "a")
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
    own = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|@font-face|\bfetch\b|XMLHttp|WebSocket|import\(|\beval\b", own)


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(made: Parsed) -> None:
    policy = next(a["content"] for _, a in made.elements if a.get("http-equiv") == "Content-Security-Policy")
    tags = [tag for tag, _ in made.elements]

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src {digest(made.texts[tags.index('style')])}",
        f"script-src {digest(made.texts[len(tags) - 1 - tags[::-1].index('script')])}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not any(name.startswith("on") or name == "style" for _, attributes in made.elements for name in attributes)


def test_each_picture_is_there_once_and_only_if_a_record_names_it(
    records: list[dict[str, Any]], pictures: dict[str, bytes]
) -> None:
    made = Parsed(page(records, pictures | {"0" * 64: b"of no item"}))
    (text,) = made.blocks(id="sprites")
    assert json.loads(text) == {
        id_: f"data:image/png;base64,{base64.b64encode(content).decode()}" for id_, content in pictures.items()
    }
    assert set(pictures) == {item["id"] for record in records for item in record["items"]}


def test_a_picture_may_be_missing(records: list[dict[str, Any]], pictures: dict[str, bytes]) -> None:
    some = dict(list(pictures.items())[1:])
    (text,) = Parsed(page(records, some)).blocks(id="sprites")
    assert json.loads(text).keys() == some.keys()


def test_the_same_records_make_the_same_page(records: list[dict[str, Any]], pictures: dict[str, bytes]) -> None:
    assert page(records, pictures) == page(records, dict(reversed(pictures.items())))


def test_elements_refer_to_elements_that_are_there(made: Parsed) -> None:
    ids = [attributes["id"] for _, attributes in made.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in made.elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(ids)
    tags = [tag for tag, _ in made.elements]
    assert [tags.count(tag) for tag in ("h1", "main", "header", "footer", "title")] == [1] * 5
    assert dict(made.elements)["html"]["lang"] == "en-GB"


@pytest.mark.parametrize(("seeds", "said"), [((), "none"), ((5, 5), "5, 5")])
def test_a_page_needs_a_receipt_and_each_seed_once(
    records: list[dict[str, Any]], pictures: dict[str, bytes], seeds: tuple[int, ...], said: str
) -> None:
    chosen = [next(record for record in records if record["seed"] == seed) for seed in seeds]
    with pytest.raises(UsageError, match=f"one receipt for each of one or more seeds, and these are {said}$"):
        page(chosen, pictures)
