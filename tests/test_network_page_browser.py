"""The page of a network's picture in a real browser: whose picture, whose weights, and how far to trust them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import Chrome, Keys

from network_receipts import STEPS, receipt_of, record_of
from receipt_pages import odd_names, see_through
from smalti import Machine
from smalti.networks.receipt_page import network_page
from smalti.receipts.record import sprites
from test_receipt_page_browser import CONTRAST, Shown, credit_rows, driver, expected_items, pytestmark

__all__ = ["driver", "pytestmark"]


def opened(driver: Chrome, folder: Path, name: str, machine: Machine, seeds: tuple[int, ...], *, off: float) -> Shown:
    records = [record_of(receipt_of(machine, off=off, seed=seed)) for seed in seeds]
    path = folder / f"{name}.html"
    path.write_text(network_page(records, sprites(records, machine.corpus.images)), encoding="utf-8")
    return Shown(driver, path.as_uri(), records)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def nearly(driver: Chrome, folder: Path) -> Shown:
    """Two seeds of a network that is nearly the machine; names of items that try to be HTML."""
    return opened(driver, folder, "nearly", odd_names(), (0, 5), off=0.2)


@pytest.fixture(autouse=True)
def _no_errors_and_no_requests(driver: Chrome) -> Iterator[None]:
    yield
    assert [entry["message"] for entry in driver.get_log("browser")] == []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            assert message["params"]["request"]["url"].startswith(("file:", "data:", "about:")), message


def grey(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint8).reshape(7, 9)


def test_the_two_pictures_and_r_stand_first(nearly: Shown) -> None:
    for record in nearly.records:
        nearly.open(f"#seed={record['seed']}")
        network = record["network"]
        assert np.array_equal(nearly.pixels("#network-picture")[..., 0], grey(record["picture"]["pixels"]))
        assert np.array_equal(nearly.pixels("#own-picture")[..., 0], grey(network["own"]["pixels"]))
        trust = network["trust"]
        assert nearly.texts("#trust-facts dd") == [
            f"{trust['r']:.3f}",
            f"{trust['r_squared']:.3f}",
            f"{127.5 * trust['mse'] ** 0.5:.2f}",
        ]
        assert "the network did not compute them" in nearly.text("#trust-text")
        assert nearly.text("#apart-high") == f"{max(*network['difference'], 1):.2f} grey levels"
        # Darker where they are farther apart.
        shade = nearly.pixels("#apart-picture")[..., :3].sum(axis=-1, dtype=int).ravel()
        order = np.argsort(network["difference"])
        assert (np.diff(shade[order]) <= 0).all()
        assert nearly.text("#about").startswith("9 × 7 pixelsDrawn by the network nearly of out/net.safetensors")
        assert "Taken apart by the border-aware machine on digits" in nearly.text("#about")
    assert nearly.run("return document.querySelector('#trust').offsetTop") < nearly.run(
        "return document.querySelector('#hang').offsetTop"
    )


def test_nothing_calls_the_weights_the_networks(nearly: Shown) -> None:
    nearly.open()
    assert "finished picture of" not in nearly.text("main")
    assert nearly.text("#credit-text").startswith("Weight of the machine (not of the network) at step 4, the last,")
    assert "This estimate, not the network's, owes most to" in nearly.text("#caption")
    assert "The weights on this page are not the network's." in nearly.text("footer")
    assert nearly.text("#record").endswith("Formatsmalti.network-receipt/1")


def test_the_slider_moves_both_estimates_and_their_difference(nearly: Shown) -> None:
    record = nearly.records[0]
    nearly.open("#view=network&x=2&y=3")
    pixel = 3 * 9 + 2
    for step in reversed(range(STEPS)):
        at = record["steps"][step]
        assert np.array_equal(nearly.pixels()[..., 0], grey(at["network"]["estimate"]))
        assert nearly.text("#place-text").endswith(
            f"Pixel value {at['estimate'][pixel]}. The network says {at['network']['estimate'][pixel]}, "
            f"{at['network']['difference'][pixel]:.2f} grey levels apart."
        )
        # Weights stay those of the machine, whichever of the two is looked at.
        assert credit_rows(nearly) == expected_items(record, step)[:12]
        now = nearly.run("return document.querySelector('#along .now').getAttribute('cx')")
        dots = nearly.run("return [...document.querySelectorAll('#along circle')].map((c) => c.getAttribute('cx'))")
        assert dots[step] == now
        nearly.one("#view-apart").click()
        assert re.search(
            rf"at step {step}, .* Here r is {record['network']['along']['r'][step]:.3f}\.$", caption(nearly)
        )
        nearly.one("#view-picture").click()
        assert np.array_equal(nearly.pixels()[..., 0], grey(at["estimate"]))
        nearly.one("#view-network").click()
        nearly.keys("#step", Keys.ARROW_LEFT)


def test_matches_are_of_the_networks_picture(nearly: Shown) -> None:
    nearly.open("#view=match&x=2&y=3")
    value = nearly.records[0]["picture"]["pixels"][3 * 9 + 2]
    assert nearly.text("#place-text") == f"The network's picture. Pixel value {value}."
    assert "the distance from the network's picture to the nearest patch of 3 × 3" in caption(nearly)
    assert nearly.text("#match-text").endswith("It is of the network's picture, whatever the step.")


def caption(shown: Shown) -> str:
    return shown.text("#caption")


def test_r_over_the_steps_is_drawn_to_scale(nearly: Shown) -> None:
    record = nearly.records[0]
    nearly.open()
    r = [*record["network"]["along"]["r"], record["network"]["trust"]["r"]]
    heights = nearly.run(
        """const y = (e, name) => Number(e.getAttribute(name));
        return [...[...document.querySelectorAll("#along circle")].map((c) => y(c, "cy")),
            y(document.querySelector("#along .alone"), "y1")]"""
    )
    # From 140 for 0 to 12 for 1.
    assert np.allclose(heights, 140 - 128 * np.array(r))
    assert nearly.one("#along").get_attribute("aria-label") == (
        f"r of the two estimates at steps 0 to 4: {', '.join(f'{value:.3f}' for value in r[:-1])}."
    )


def test_seven_views_by_keyboard_and_in_the_address(nearly: Shown) -> None:
    nearly.open("#view=apart&step=1")
    assert [tab.get_attribute("id") for tab in nearly.all("#views button")] == [
        f"view-{name}" for name in ("picture", "mosaic", "copy", "sources", "match", "network", "apart")
    ]
    assert nearly.one("#view-apart").get_attribute("aria-selected") == "true"
    nearly.keys("#view-apart", Keys.ARROW_RIGHT)
    assert nearly.one("#view-picture").get_attribute("aria-selected") == "true"
    assert nearly.run("return document.activeElement.id") == "view-picture"


@pytest.mark.parametrize("width", [1600, 1280, 901, 768, 360])
def test_the_page_fits(nearly: Shown, width: int) -> None:
    nearly.open(width=width)
    assert nearly.run("return document.documentElement.scrollWidth") <= width
    cut = nearly.run(
        """return [...document.querySelectorAll("#views button, #trust figcaption, #trust dd")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"""
    )
    assert cut == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_text_can_be_read_in_both_looks(nearly: Shown, look: str) -> None:
    nearly.open(look=look)
    nearly.emulate(look=look, motion="reduce")
    seen, poor, _ = nearly.run(CONTRAST)
    assert seen > 100
    assert poor == []


def test_paper_gets_the_comparison_too(nearly: Shown) -> None:
    nearly.open(look="dark")
    nearly.emulate(look="dark", media="print")
    for kept in ("#network-picture", "#own-picture", "#apart-picture", "#trust-facts", "#along"):
        assert nearly.one(kept).is_displayed(), kept
    assert len([plate for plate in nearly.all("#views canvas") if plate.size["width"] > 100]) == 7


def test_a_network_that_is_the_machine_with_opacity(driver: Chrome, folder: Path) -> None:
    shown = opened(driver, folder, "same", see_through(), (2,), off=0.0).open("#view=apart")
    assert shown.texts("#trust-facts dd") == ["1.000", "1.000", "0.00"]
    assert "from 0.00 to 0.00, median 0.00. Here r is 1.000." in caption(shown)
    assert shown.text("#apart-high") == "1.00 grey levels"
    values = ", ".join(map(str, shown.records[0]["steps"][-1]["estimate"][4 * 36 : 4 * 37]))
    assert f"Pixel value {values}. The network says {values}, 0.00 grey levels apart." in shown.text("#place-text")
