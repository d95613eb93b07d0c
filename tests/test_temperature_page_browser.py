"""The page of a measurement in a real browser: it asks for nothing, fits any width, and marks lie where they should."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from smalti.temperature.report import Trial, report_page, trials_page
from smalti.temperature.report.plot import decades
from temperature_results import HOSTILE, Result, steady, unknown, varied
from test_receipt_page_browser import CONTRAST, Shown, driver, pytestmark

__all__ = ["driver", "pytestmark"]

NAMES = ("varied", "steady", "unknown", "trials")


def text_of(name: str) -> str:
    if name == "trials":
        tried: list[tuple[float, Result]] = [(0.0, steady()), (0.03, varied()), (0.1, varied())]
        return trials_page([Trial(hidden=t, noise=f"gumbel:{t:g}", result=r, page="x.html") for t, r in tried])
    return report_page({"varied": varied, "steady": steady, "unknown": unknown}[name]())


@pytest.fixture(scope="module")
def pages(driver: Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shown]]:
    folder = tmp_path_factory.mktemp("pages")
    shown = dict[str, Shown]()
    for name in NAMES:
        path = folder / f"{name}.html"
        path.write_text(text_of(name), encoding="utf-8")
        shown[name] = Shown(driver, path.as_uri(), [])
    yield shown
    # Nothing but the pages themselves was asked for, and nothing went wrong.
    asked = [
        entry["params"]["request"]["url"]
        for entry in (json.loads(line["message"])["message"] for line in driver.get_log("performance"))
        if entry["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith((folder.as_uri(), "about:blank", "data:"))] == []
    assert [line for line in driver.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [360, 760, 1280])
def test_nothing_is_wider_than_the_page(pages: dict[str, Shown], name: str, width: int) -> None:
    page = pages[name].open(width=width)
    page.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.run("return document.documentElement.scrollWidth") <= width
    # Nor does a tick, a figure or a word stick out, but in a table that can be moved.
    beyond = page.run(
        """return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest(".scroller")
            && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert beyond == []


@pytest.mark.parametrize("name", NAMES)
def test_text_can_be_read_in_both_looks(pages: dict[str, Shown], name: str) -> None:
    grounds: list[str] = []
    for look, other in (("light", "Dark look"), ("dark", "Light look")):
        page = pages[name].open(look=look)
        page.emulate(look=look, motion="reduce")
        seen, poor, ground = page.run(CONTRAST)
        assert seen > 40
        assert poor == []
        grounds.append(ground)
        assert page.text("#look") == other
    pages[name].one("#look").click()
    assert pages[name].run(CONTRAST)[1:] == [[], grounds[0]]
    assert grounds[0] != grounds[1]


def test_what_people_wrote_is_text(pages: dict[str, Shown]) -> None:
    page = pages["varied"].open()
    assert page.run("return window.broken === undefined && !document.querySelector('main b b, main img, main i')")
    assert page.text("h1") == HOSTILE[1]
    assert " ".join(HOSTILE[0].split()) in page.texts("bdi")


@pytest.mark.parametrize("width", [360, 1280])
def test_marks_lie_where_the_axis_says(pages: dict[str, Shown], width: int) -> None:
    page = pages["varied"].open(width=width)
    rows = page.run(
        """return [...document.querySelectorAll(".protocols li.row")].map((row) => {
            const ruler = row.querySelector(".ruler").getBoundingClientRect();
            const dot = row.querySelector("circle.dot").getBoundingClientRect();
            const middle = (dot.left + dot.right) / 2;
            return [ruler.left, ruler.width, ruler.top, ruler.bottom, middle, dot.top, dot.bottom];
        })"""
    )
    axis = decades([], low=1e-4, high=1)
    for one, (left, wide, top, bottom, x, up, down) in zip(varied()["estimates"], rows, strict=True):
        assert x == pytest.approx(left + wide * axis.share(one["temperature"]), abs=0.6)
        assert top <= up < down <= bottom
        assert wide > width / 3


def test_curves_reach_over_the_whole_plot(pages: dict[str, Shown]) -> None:
    page = pages["varied"].open(width=700)
    plot, line = page.run(
        """const plot = document.querySelector("svg.plot");
        return [plot, plot.querySelector("polyline.observed")].map((e) => {
            const b = e.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; })"""
    )
    # From 100 % at the first token to 69 % at the last.
    assert line[0] == pytest.approx(plot[0], abs=2)
    assert line[1] == pytest.approx(plot[1], abs=2)
    assert line[2] == pytest.approx(plot[2], abs=2)
    assert line[3] == pytest.approx(plot[2] + 0.31 * (plot[3] - plot[2]), abs=2)


def test_a_warning_leads_to_its_part(pages: dict[str, Shown]) -> None:
    page = pages["varied"].open()
    for part in ("fit", "load_test", "drift"):
        link = page.one(f".warnings a[href='#{part}']")
        assert link.text == page.text(f"#{part} .finding")
        link.click()
        assert page.run("return document.getElementById(arguments[0]).getBoundingClientRect().top", part) < 900


def test_the_other_prompts_can_be_opened(pages: dict[str, Shown]) -> None:
    page = pages["varied"].open()
    rows = [row for row in page.all(".prompts tbody tr") if row.is_displayed()]
    assert len(rows) == 12
    page.one("summary").click()
    assert all(row.is_displayed() for row in page.all(".prompts tbody tr"))


def test_paper_gets_all_but_the_button(pages: dict[str, Shown]) -> None:
    page = pages["varied"].open(look="dark")
    page.emulate(look="dark", media="print")
    assert not page.one("#look").is_displayed()
    for kept in (".big", ".protocols .forest", "#fit", ".prompts table", ".record"):
        assert page.all(kept)[0].is_displayed(), kept
    assert page.run("return getComputedStyle(document.body).color") == "rgb(29, 27, 23)"
    printed = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert printed.startswith(b"%PDF")
