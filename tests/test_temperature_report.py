"""The page of a measurement as a file: complete in itself, true to its result, and deaf to what people write."""

from __future__ import annotations

import base64
import copy
import hashlib
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.temperature.report import Trial, report_page, trials_page, words
from smalti.temperature.report.markup import joined, tag
from smalti.temperature.report.plot import Axis, decades
from temperature_results import HOSTILE, Result, estimate, steady, unknown, varied

RESULTS = (varied, steady, unknown)


class Page(HTMLParser):
    """The elements of a page: name, attributes, and the text inside each, with the names of those around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in ("meta", "link"):
            self._open.append(len(self.found) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        assert self.found[self._open.pop()][0] == tag, "elements are nested"

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.found[place][2].append(data)

    def all(self, name: str | None = None, *, of: str | None = None) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of all elements of a name, or of a class."""
        return [
            (attributes, "".join(texts))
            for tag, attributes, texts in self.found
            if name in (None, tag) and (of is None or of in attributes.get("class", "").split())
        ]

    def texts(self, name: str | None = None, *, of: str | None = None) -> list[str]:
        return [text for _, text in self.all(name, of=of)]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(report_page(varied()))


@pytest.mark.parametrize("make", RESULTS)
def test_the_page_is_one_whole_and_nothing_else_may_run_or_load(make: Callable[[], Result]) -> None:
    text = report_page(make())
    assert text == report_page(copy.deepcopy(make()))
    page = Page(text)
    (style,), (script,) = page.texts("style"), page.texts("script")
    (policy,) = [a["content"] for a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    for kind, content in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    names = {name for _, attributes, _ in page.found for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "style"})
    assert all(a["href"].startswith(("#", "data:,")) for _, a, _ in page.found if "href" in a)
    ids = [a["id"] for _, a, _ in page.found if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for _, a, _ in page.found if a.get("href", "").startswith("#")} <= set(ids)


def test_what_people_wrote_is_text(page: Page) -> None:
    assert page.texts("h1") == [HOSTILE[1]]
    written = page.texts("bdi")
    assert {" ".join(text.split()) for text in HOSTILE} <= set(written)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert "What to hold of likelihood <i>here</i>." in page.texts(of="trust")
    assert page.all("i") == []


@given(st.text(), st.text())
def test_no_text_becomes_an_element_or_ends_an_attribute(text: str, other: str) -> None:
    made = str(joined([tag("p", text, title=other), tag("p", "after")]))
    page = Page(made.replace("\x00", ""))
    assert [(tag, set(a)) for tag, a, _ in page.found] == [("p", {"title"}), ("p", set())]
    assert made.count("<") == 4


def test_the_answer_comes_first_with_all_that_it_must_not_be_read_without(page: Page) -> None:
    result = varied()
    assert page.texts(of="big") == ["0.031"]
    assert page.texts(of="says") == [result["headline"]["text"]]
    assert page.texts(of="trust") == [result["estimates"][0]["trust"]]
    (listed,) = page.texts("ul", of="warnings")
    told = (result["estimates"][0]["warnings"][0], *(result[part]["text"] for part in ("fit", "load_test", "drift")))
    assert all(sentence in listed for sentence in told)
    # It is said once: among the protocols only what others must not be read without.
    first, *others = result["estimates"]
    cards = page.texts("dl", of="told")[0]
    assert not any(sentence in cards for sentence in (first["trust"], *first["warnings"]))
    assert all(sentence in cards for one in others for sentence in (one["trust"], *one["warnings"]))
    # A test that warns of the estimate too is told once.
    result["estimates"][0]["warnings"].append(result["fit"]["text"])
    assert Page(report_page(result)).texts("ul", of="warnings")[0].count(result["fit"]["text"]) == 1
    facts = page.texts("dl", of="figures")[0]
    for shown in ("46\u00a0%", "41\u00a0% to 51\u00a0%", "71\u00a0%", "18\u00a0%", "token 22"):
        assert shown in facts


def test_time_blocks_count_from_one_for_people(page: Page) -> None:
    (part,) = [text for attributes, text in page.all("section") if attributes.get("id") == "drift"]
    assert "Answers changed from time block 3 on" in part
    assert "a change before block 3" in part
    assert [f"block {k}:" in part for k in range(4)] == [False, True, True, True]


def test_tests_that_found_nothing_are_no_warnings() -> None:
    result = varied()
    for part in ("fit", "load_test", "drift"):
        result[part]["p"] = 0.05
    result["estimates"][0]["warnings"] = []
    assert Page(report_page(result)).texts(of="warnings") == []


def test_a_steady_system_has_a_bound_and_no_bare_nought() -> None:
    page = Page(report_page(steady()))
    assert page.texts(of="big") == ["<\u00a00.0021"]
    assert page.all(of="calm")
    assert page.texts(of="row-figure")[:3] == ["<\u00a00.0021", "<\u00a00.0043", "0"]
    (bar,) = [a for a, _ in page.all("rect", of="below")][:1]
    axis = decades([], low=1e-4, high=1)
    assert bar["x"] == "0.00%"
    assert bar["width"] == f"{100 * axis.share(0.0021):.2f}%"
    assert "never" in page.texts("dl", of="figures")[0]
    headings = page.texts("h2")
    assert not {"Does load matter?", "Did it change over time?", "What do the references say?"} & set(headings)


def test_where_nothing_is_known_the_page_says_why() -> None:
    page = Page(report_page(unknown()))
    assert page.texts(of="big") == ["unknown"]
    assert page.texts(of="missing") == [
        "Likelihood: not available, for the system reports no log-probabilities.",
        "Matched: not available, for no reference was named.",
    ]
    assert page.texts(of="says") == [unknown()["headline"]["text"]]


def test_estimates_lie_where_the_axis_says(page: Page) -> None:
    result = varied()
    axis = decades([], low=1e-4, high=1)
    bars = [a for a, _ in page.all("rect", of="interval")]
    for one, bar in zip(result["estimates"][:2], bars[:2], strict=True):
        first, last = axis.share(one["low"]), axis.share(one["high"])
        assert (bar["x"], bar["width"]) == (f"{100 * first:.2f}%", f"{100 * (last - first):.2f}%")
    dots = [a["cx"] for a, _ in page.all("circle", of="dot")]
    assert dots[:3] == [axis.at(t) for t in (0.031, 0.036, 0.05)]
    assert [a["x1"] for a, _ in page.all("line", of="other")] == [axis.at(t) for t in (0.022, 0.036, 0.054, 0.05)]
    assert page.texts(of="by-reference")[0].startswith("0.022 with machine of radius 4")


def test_every_prompt_is_listed_the_most_varied_first_with_all_its_partings(page: Page) -> None:
    prompts = varied()["repeatability"]["by_prompt"]
    expected = sorted(prompts, key=lambda one: (one["exact_match"], one["prompt"]))
    assert page.texts("bdi") == [" ".join(one["text"].split()) for one in expected]
    strips = [a["aria-label"] for a, _ in page.all("svg", of="strip")]
    for one, told in zip(expected, strips, strict=True):
        places = [place for place in one["first_divergence"] if place is not None]
        counts = {place: places.count(place) for place in sorted(set(places))}
        assert told == ("; ".join(f"{n} at token {place + 1}" for place, n in counts.items()) or "none")
    assert len(page.all(of="part-here")) == sum(len(set(one["first_divergence"]) - {None}) for one in prompts)
    (rest,) = page.texts("details")
    assert rest.startswith("The other 4 prompts")


def test_the_record_says_what_was_asked(page: Page) -> None:
    (told,) = page.texts("dl", of="record")
    for shown in ("1,917 of 1,920", "alone, burst:8", "fp_1 (1,000 answers, from number 0 to 999)", "none given"):
        assert shown in told
    assert "3 requests failed & are left out." in page.texts("ul", of="notes")[0]


@given(st.floats(1e-9, 1e3), st.floats(1e-9, 1e3))
def test_axes_rise_and_have_room_for_what_they_must_show(a: float, b: float) -> None:
    axis = decades([a, b, 0.0], low=1e-4, high=1)
    assert axis.low <= min(a, b, 1e-4)
    assert axis.high >= max(a, b, 1)
    low, high = sorted((a, b))
    assert 0 <= axis.share(low) <= axis.share(high) <= 1
    assert axis.share(0.0) == 0
    assert [axis.share(value) for value, _ in axis.ticks] == sorted(axis.share(value) for value, _ in axis.ticks)
    assert [float(text) for _, text in axis.ticks] == pytest.approx([value for value, _ in axis.ticks])
    # The inverse of the place is the value.
    assert axis.low * (axis.high / axis.low) ** axis.share(a) == pytest.approx(a, rel=1e-9)


def test_an_axis_of_few_decades_has_ticks_between() -> None:
    assert [text for _, text in decades([0.02], low=0.01, high=0.1).ticks] == ["0.01", "0.02", "0.05", "0.1"]
    linear = Axis(low=-10, high=0, ticks=[])
    assert (linear.at(-5), linear.share(-99), linear.share(3)) == ("50.00%", 0, 1)


@given(st.floats(0, 1))
def test_only_nothing_is_no_per_cent_and_only_all_is_a_hundred(share: float) -> None:
    assert (words.percent(share) == "0\u00a0%") == (share == 0)
    assert (words.percent(share) == "100\u00a0%") == (share == 1)
    if words.percent(share)[0] not in "<>":
        assert float(words.percent(share).split("\u00a0")[0]) == pytest.approx(100 * share, abs=0.5)


@given(st.floats(1e-9, 1e3))
def test_a_temperature_has_two_figures(value: float) -> None:
    text = words.temperature(value)
    assert float(text) == pytest.approx(value, rel=0.051)
    if value < 99:
        assert len(re.sub(r"e.*|\D", "", text).lstrip("0")) == 2


def trial(hidden: float, **more: Any) -> Trial:
    result = varied() | {"estimates": [estimate("likelihood", **more)]}
    return Trial(hidden=hidden, noise=f"gumbel:{hidden:g}", result=result, page=f"{hidden:g}/report.html")


def test_a_trial_says_whether_its_interval_or_bound_holds_the_truth() -> None:
    found = {"temperature": 0.031, "low": 0.02, "high": 0.04}
    inside, outside = trial(0.03, **found), trial(0.1, **found)
    assert (inside.holds("likelihood"), outside.holds("likelihood")) == (True, False)
    assert trial(0.0, temperature=0.0, low=0.0, high=0.002, bound=0.002).holds("likelihood")
    assert trial(0.01, temperature=0.0, low=0.0, high=0.002, bound=0.002).holds("likelihood") is False
    assert trial(0.01, temperature=0.02).holds("likelihood") is None
    assert inside.holds("matched") is None
    page = Page(trials_page([trial(0.0, temperature=0.0, low=0.0, high=0.002, bound=0.002), inside, outside]))
    assert page.texts(of="says") == ["Intervals and bounds that hold the hidden temperature: likelihood 2 of 3."]
    assert page.texts("li", of="first") == ["hidden 0.10.0310.020 to 0.040"]
    axis = decades([], low=1e-4, high=1)
    # The sign in the key comes last.
    assert [a["cx"] for a, _ in page.all("circle", of="hollow")][:-1] == [axis.at(t) for t in (0.0, 0.03, 0.1)]
    assert [a["href"] for a, _ in page.all("a")] == [f"{t}/report.html" for t in ("0", "0.03", "0.1")]
    assert math.isclose(axis.share(0.1), 0.75)
