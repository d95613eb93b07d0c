"""The page of receipts in a real browser: what it shows is what the record says, for every way of asking."""

from __future__ import annotations

import base64
import copy
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from receipt_pages import NAMES, odd_names, records_of, see_through
from smalti.corpus import ImageCorpus
from smalti.machines import BorderAware, Equivariant
from smalti.receipts import UNITS
from smalti.receipts.page import page
from smalti.receipts.record import sprites

Record = dict[str, Any]

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="there is no Chromium with its driver here")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(str(DRIVER)))
    # What the browser itself does at its start is no concern of the page.
    driver.get("about:blank")
    driver.get_log("performance")
    yield driver
    driver.quit()


@dataclass(frozen=True)
class Shown:
    """A page with its records, in the browser."""

    driver: Chrome
    url: str
    records: Sequence[Record]

    def open(self, address: str = "", *, width: int = 1280, height: int = 900, look: str = "light") -> Shown:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.emulate(look=look)
        # Another address of the same file would be a step within the page, not a fresh start.
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}{address}")
        return self

    def emulate(self, *, look: str = "light", media: str = "", motion: str = "no-preference") -> None:
        features = [
            {"name": "prefers-color-scheme", "value": look},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        (found,) = self.all(selector)
        return found

    def text(self, selector: str) -> str:
        """Text as it is in the document, whether in sight or not."""
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector: str) -> list[str]:
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def pixels(self, selector: str = "#canvas") -> NDArray[np.uint8]:
        """What a canvas holds, (H, W, 4)."""
        width, height, data = self.run(
            """const canvas = document.querySelector(arguments[0]);
            const { width, height } = canvas;
            const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, 0, 0);
            return [width, height, [...copy.getImageData(0, 0, width, height).data]]""",
            selector,
        )
        return np.array(data, np.uint8).reshape(height, width, 4)

    def offset(self, x: int, y: int) -> tuple[int, int]:
        """The middle of a pixel, from the middle of the stage, in CSS pixels."""
        stage = self.one("#stage").size
        height, width = self.records[0]["run"]["size"]
        return (
            int((x + 0.5) * stage["width"] / width - stage["width"] / 2),
            int((y + 0.5) * stage["height"] / height - stage["height"] / 2),
        )

    def hover(self, x: int, y: int) -> ActionChains:
        return ActionChains(self.driver, 0).move_to_element_with_offset(self.one("#stage"), *self.offset(x, y))

    def keys(self, selector: str, *keys: str) -> None:
        self.one(selector).send_keys(*keys)


def written(driver: Chrome, folder: Path, name: str, records: Sequence[Record], images: NDArray[np.uint8]) -> Shown:
    path = folder / f"{name}.html"
    path.write_text(page(records, sprites(records, images)), encoding="utf-8")
    return Shown(driver, path.as_uri(), records)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def odd(driver: Chrome, folder: Path) -> Shown:
    """Two seeds, four steps, labels, metadata, and names that try to be HTML."""
    machine = odd_names()
    return written(driver, folder, "odd", records_of(machine, seeds=(0, 5)), machine.corpus.images)


@pytest.fixture(scope="module")
def clear(driver: Chrome, folder: Path) -> Shown:
    """One seed, one step, pictures with opacity, no columns, a size that no item has."""
    machine = see_through()
    return written(driver, folder, "clear", records_of(machine, steps=1, size=(6, 13)), machine.corpus.images)


@pytest.fixture(autouse=True)
def _no_errors_and_no_requests(driver: Chrome) -> Iterator[None]:
    yield
    assert [entry["message"] for entry in driver.get_log("browser")] == []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            assert message["params"]["request"]["url"].startswith(("file:", "data:", "about:")), message


# What the page should say, from the record alone.


def rounded(value: float) -> str:
    return str(Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP))


def amount(value: float) -> str:
    return rounded(value) if value < 1000 else f"{Decimal(value).quantize(Decimal(1), ROUND_HALF_UP):,}"


def percent(share: float) -> str:
    if share in (0, 1):
        return f"{share * 100:.0f}\u00a0%"
    if share < 0.00005:
        return "<0.01\u00a0%"
    return f"{rounded(100 * share)}\u00a0%" if share < 0.99995 else ">99.99\u00a0%"


def named(name: str) -> str:
    return f"\u2068{name if len(name) <= 60 else name[:59] + '…'}\u2069"


def share_of(record: Record, units: int) -> float:
    height, width = record["run"]["size"]
    return units / (height * width * UNITS)


def listed(record: Record, values: Sequence[Any], pixel: int) -> Sequence[Any]:
    height, width = record["run"]["size"]
    depth = len(values) // (height * width)
    return values[pixel * depth : (pixel + 1) * depth]


def tops(record: Record, step: int) -> NDArray[np.int64]:
    height, width = record["run"]["size"]
    return np.array(record["steps"][step]["pixels"]["items"]).reshape(height, width, -1)[..., 0]


def sources(record: Record, step: int, pixel: int) -> list[tuple[Any, ...]]:
    pixels = record["steps"][step]["pixels"]
    columns = (listed(record, pixels[name], pixel) for name in ("sources", "rows", "cols", "weights"))
    return [
        (record["items"][item], row, column, weight)
        for item, row, column, weight in zip(*columns, strict=True)
        if item >= 0
    ]


def check_panel(shown: Shown, record: Record, step: int, x: int, y: int) -> None:
    """The label beside the picture says of this pixel what the record says."""
    at, pixel = record["steps"][step], y * record["run"]["size"][1] + x
    size = at["patch_size"]
    windows = f"patches of {size} × {size}" if size else "whole pictures compared"
    assert shown.text("#place") == f"Row {y}, column {x}"
    value = ", ".join(map(str, listed(record, at["estimate"], pixel)))
    assert shown.text("#place-text") == (
        f"Step {at['step']}, time {round(at['time'], 4):g}, {windows}. Pixel value {value}."
    )
    units = listed(record, at["pixels"]["item_units"], pixel)
    entropy = at["pixels"]["entropy"][pixel]
    assert shown.texts("#facts dd") == [
        percent(units[0] / UNITS),
        amount(math.exp(entropy)),
        f"{rounded(entropy)} nats",
    ]
    assert shown.texts("#sources li") == [
        f"{percent(weight)}{item['name']}row {row}, column {column}{item['id'][:8]}"
        for item, row, column, weight in sources(record, step, pixel)
    ]
    full = len(sources(record, step, pixel)) == len(listed(record, at["pixels"]["sources"], pixel))
    left_out = max(0, at["pixels"]["left_out"][pixel]) if full else 0
    assert shown.text("#left-out") == f"This list leaves out {percent(left_out)} of the weight."
    rest = at["pixels"]["rest_units"][pixel]
    assert shown.texts("#bars li") == [
        f"{record['items'][item]['name']}{percent(unit / UNITS or 1e-300)}"
        for item, unit in zip(listed(record, at["pixels"]["items"], pixel), units, strict=True)
        if item >= 0
    ] + ([f"all other items{percent(rest / UNITS)}"] if rest else [])


def credit_rows(shown: Shown) -> list[tuple[str, ...]]:
    """Name, pixels, share and units of each row in sight."""
    return [
        tuple(row)
        for row in shown.run(
            """return [...document.querySelectorAll("#credits tbody tr")].map((row) => [
                (row.querySelector(".name") ?? row.querySelector("button")).textContent,
                ...[...row.cells].slice(1).map((cell) => cell.textContent)])"""
        )
    ]


def expected_items(record: Record, step: int) -> list[tuple[str, ...]]:
    most = tops(record, step)
    return [
        (record["items"][item]["name"], f"{(most == item).sum():,}", percent(share_of(record, units)), f"{units:,}")
        for item, units in record["steps"][step]["credits"]
    ]


# Choosing a pixel


def test_pointing_choosing_and_keys_show_the_same_as_the_record(odd: Shown) -> None:
    record = odd.records[0]
    odd.open()
    check_panel(odd, record, 3, 4, 3)
    odd.hover(7, 1).perform()
    check_panel(odd, record, 3, 7, 1)
    odd.keys("#stage", Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    check_panel(odd, record, 3, 6, 2)
    for keys, (x, y) in {
        Keys.HOME: (0, 2),
        Keys.PAGE_DOWN: (0, 6),
        Keys.END: (8, 6),
        Keys.PAGE_UP: (8, 0),
        Keys.ARROW_RIGHT: (8, 0),
        Keys.ARROW_UP: (8, 0),
        Keys.ARROW_LEFT: (7, 0),
    }.items():
        odd.keys("#stage", keys)
        check_panel(odd, record, 3, x, y)


def test_a_tap_chooses_a_pixel(odd: Shown) -> None:
    odd.open()
    finger = ActionBuilder(odd.driver, mouse=PointerInput("touch", "finger"), duration=0)
    finger.pointer_action.move_to(odd.one("#stage"), *odd.offset(2, 5)).pointer_down().pointer_up()
    finger.perform()
    check_panel(odd, odd.records[0], 3, 2, 5)


def test_a_click_holds_the_pixel_until_the_next(odd: Shown) -> None:
    odd.open()
    odd.hover(1, 1).click().perform()
    odd.hover(6, 6).perform()
    assert odd.text("#place") == "Row 1, column 1"
    odd.hover(1, 1).click().perform()
    odd.hover(6, 6).perform()
    assert odd.text("#place") == "Row 6, column 6"


def test_patches_are_outlined_in_place_and_clipped(odd: Shown) -> None:
    record, (rows, columns) = odd.records[0], odd.records[0]["run"]["corpus_size"]
    odd.open("#x=0&y=0")
    zoom = 96 // max(rows, columns)
    boxes = odd.run(
        """return [...document.querySelectorAll("#sources .item")].map((item) => [
            item.querySelector("img").src, ...["left", "top", "width", "height"].map((side) =>
            parseFloat(item.querySelector(".frame").style[side]))])"""
    )
    pictures = json.loads(odd.text("#sprites"))
    assert boxes == [
        [
            pictures[item["id"]],
            *(zoom * n for n in (max(column - 1, 0), max(row - 1, 0))),
            *(zoom * (min(at + 2, side) - max(at - 1, 0)) for at, side in ((column, columns), (row, rows))),
        ]
        for item, row, column, _ in sources(record, 3, 0)
    ]
    # At a corner the window is cut on two sides.
    assert {box[3] / zoom for box in boxes} == {2}


def test_a_screen_reader_is_told_place_and_sources(odd: Shown) -> None:
    odd.open("#x=3&y=3")
    odd.keys("#stage", Keys.ARROW_RIGHT)
    best = "; ".join(
        f"{named(item['name'])} at row {row}, column {column}, {percent(weight)}"
        for item, row, column, weight in sources(odd.records[0], 3, 3 * 9 + 4)[:3]
    )
    assert odd.text("#live") == f"Row 3, column 4. Most weight: {best}."
    assert odd.one("#live").get_attribute("role") == "status"


def test_everything_that_takes_the_focus_has_a_name_and_shows_it(odd: Shown) -> None:
    odd.open()
    nodes = odd.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    takers = [
        node
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] != "RootWebArea"
        and any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", ()))
    ]
    assert len(takers) > 20
    assert [node["role"]["value"] for node in takers if not node["name"]["value"]] == []
    roles = {node["role"]["value"] for node in nodes if not node["ignored"]}
    assert {"banner", "main", "contentinfo", "application", "slider", "tablist", "status", "table", "image"} <= roles
    odd.keys("#stage", Keys.TAB)
    ring = odd.run("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]")
    assert ring == ["solid", "3px"]


# The picture, its steps and views


def test_the_picture_is_the_estimate_of_the_step(odd: Shown) -> None:
    record = odd.records[0]
    odd.open()
    for step in (3, 2, 1, 0):
        at = record["steps"][step]
        grey = np.array(at["estimate"], np.uint8).reshape(7, 9)
        assert np.array_equal(odd.pixels()[..., 0], grey)
        size = at["patch_size"]
        said = f"Step {step}, time {round(at['time'], 4):g}, patches of {size} × {size}"
        assert odd.text("#step-text") == odd.one("#step").get_attribute("aria-valuetext")
        assert odd.text("#step-text") == said + (": the finished picture" if step == 3 else "")
        check_panel(odd, record, step, 4, 3)
        assert credit_rows(odd) == expected_items(record, step)[:12]
        odd.keys("#step", Keys.ARROW_LEFT)
    best = ", ".join(
        f"{named(record['items'][item]['name'])} {percent(share_of(record, units))}"
        for item, units in record["steps"][0]["credits"][:3]
    )
    wanted = f"The estimate at step 0 of seed 0, 9 pixels wide and 7 high. It owes most to {best}."
    assert odd.text("#caption") == odd.one("#canvas").get_attribute("aria-label") == wanted


@pytest.mark.parametrize(("width", "density"), [(1600, 1), (1000, 1.5), (768, 2), (360, 3)])
def test_the_page_fits_and_enlarges_by_whole_numbers(odd: Shown, width: int, density: float) -> None:
    odd.open(width=width)
    size = {"width": width, "height": 900, "deviceScaleFactor": density, "mobile": width < 500}
    odd.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    odd.run("dispatchEvent(new Event('resize'))")
    assert odd.run("return document.documentElement.scrollWidth") <= width
    across, down = odd.run("const box = document.getElementById('canvas').style; return [box.width, box.height]")
    zoom = float(across[:-2]) * density / 9
    # Lengths are kept to a few decimals.
    assert zoom == pytest.approx(round(zoom), abs=1e-3)
    assert zoom >= 20
    assert float(down[:-2]) * density / 7 == pytest.approx(zoom, abs=1e-3)
    assert odd.one("#canvas").value_of_css_property("image-rendering") == "pixelated"


@pytest.mark.parametrize("width", [901, 1024, 1280, 1366, 1700])
def test_shares_and_units_are_whole_whatever_the_metadata(driver: Chrome, folder: Path, width: int) -> None:
    machine = odd_names()
    (record,) = copy.deepcopy(records_of(machine, steps=1))
    record["columns"] += ["link", "remark"]
    for item in record["items"]:
        item["metadata"] |= {"link": "https://example.org/" + 5 * "pictures/", "remark": 9 * "a remark "}
    at = record["steps"][0]
    for column in ("link", "remark"):
        at["groups"][column] = [[None, 7 * 9 * UNITS]]
        at["group_others"][column] = {"groups": 0, "units": 0}
    shown = written(driver, folder, f"wide-{width}", [record], machine.corpus.images).open(width=width)
    inside, needed = shown.run("const s = document.querySelector('.scroller'); return [s.clientWidth, s.scrollWidth]")
    assert needed <= inside
    right = shown.run("return document.querySelector('.scroller').getBoundingClientRect().right")
    for row in shown.run(
        """return [...document.querySelectorAll("#credits tr")].map((row) => [...row.cells].slice(2).map((cell) =>
            [cell.getBoundingClientRect().right, cell.scrollWidth <= cell.clientWidth + 1]))"""
    ):
        assert len(row) == 2
        assert all(edge <= right + 0.5 and whole for edge, whole in row)


def test_the_picture_stays_in_sight_beside_the_credit_and_leaves_the_summary_alone(odd: Shown) -> None:
    odd.open(width=1366, height=1000)
    tops = odd.run(
        """const at = (id) => document.querySelector(id).getBoundingClientRect();
        document.querySelector("#credits tbody tr:nth-child(8)").scrollIntoView({ block: "center" });
        const beside = at("#stage");
        document.querySelector(".summary").scrollIntoView();
        const [hang, summary] = [at("#hang"), at(".summary")];
        return [beside.top, beside.bottom, hang.bottom, summary.top, summary.left, hang.left]"""
    )
    assert tops[0] >= 0
    assert tops[1] <= 1000
    assert tops[2] <= tops[3]
    assert tops[4] == tops[5]


def lightness(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    return colours[..., :3].astype(np.float64) @ [0.2126, 0.7152, 0.0722]


def falls(colours: NDArray[np.uint8], values: NDArray[np.float64]) -> bool:
    """Whether larger values are nowhere painted lighter."""
    order = np.argsort(values.ravel(), kind="stable")
    return bool((np.diff(lightness(colours).ravel()[order]) <= 1e-9).all())


def spread(values: NDArray[np.float64], say: Any) -> str:
    low, median, high = (float(of(values)) for of in (np.min, np.median, np.max))
    return f"from {say(low)} to {say(high)}, median {say(median)}"


def test_the_maps_paint_what_the_record_says(odd: Shown) -> None:
    record = odd.records[0]
    odd.open()
    for step in (3, 1):
        odd.open(f"#step={step}")
        pixels = record["steps"][step]["pixels"]
        shares = np.array(pixels["item_units"]).reshape(7, 9, -1)[..., 0] / UNITS
        entropy = np.array(pixels["entropy"]).reshape(7, 9)
        odd.one("#view-copy").click()
        assert falls(odd.pixels(), shares)
        assert odd.text("#caption") == f"The largest item share at each pixel: {spread(shares, percent)}."
        odd.one("#view-sources").click()
        assert falls(odd.pixels(), entropy)
        effective = spread(np.vectorize(math.exp)(entropy), amount)
        assert odd.text("#caption").endswith(f"exp(entropy), on a logarithmic scale: {effective}.")
        assert odd.text("#scale-high") == f"{amount(max(2.0, math.exp(entropy.max())))} sources"
        check_panel(odd, record, step, 4, 3)


def test_the_mosaic_tells_items_apart(odd: Shown) -> None:
    record = odd.records[0]
    odd.open("#view=mosaic")
    for step in (3, 2, 0):
        odd.run("document.getElementById('step').value = arguments[0]", step)
        odd.run("document.getElementById('step').dispatchEvent(new Event('input'))")
        most, colours = tops(record, step), odd.pixels()[..., :3].astype(int)
        code = colours @ [65536, 256, 1]
        assert all(len(set(code[most == item])) == 1 for item in np.unique(most))
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here, there = most[: 7 - dy, max(0, -dx) : 9 - max(0, dx)], most[dy:, max(0, dx) : 9 + min(0, dx)]
            a, b = code[: 7 - dy, max(0, -dx) : 9 - max(0, dx)], code[dy:, max(0, dx) : 9 + min(0, dx)]
            assert ((here == there) == (a == b)).all()
        items, sizes = np.unique(most, return_counts=True)
        key = odd.run(
            """return [...document.querySelectorAll("#key li:has(.chip)")].map((row) => [
                row.querySelector(".name").textContent, Number(row.querySelector(".where").textContent),
                row.querySelector(".chip").style.background])"""
        )
        assert [size for _, size, _ in key] == sorted(sizes.tolist(), reverse=True)
        found = {name: (size, colour) for name, size, colour in key}
        for item, size in zip(items.tolist(), sizes.tolist(), strict=True):
            red, green, blue = colours[most == item][0]
            assert found[record["items"][item]["name"]] == (size, f"rgb({red}, {green}, {blue})")


def test_a_match_is_shown_as_a_match_and_never_as_weight(odd: Shown) -> None:
    record, match = odd.records[0], odd.records[0]["match"]
    odd.open("#step=1&x=2&y=5")
    odd.one("#view-match").click()
    rms = np.array(match["rms"]).reshape(7, 9)
    assert falls(odd.pixels(), rms)
    assert odd.text("#caption").startswith(
        "Match, not weight: the distance from the finished picture to the nearest patch of "
    )
    assert odd.text("#caption").endswith(f"in grey levels: {spread(rms, rounded)}.")
    assert odd.text("#match-text") == f"Match: {match['text']}. It is of the finished picture, whatever the step."
    assert not odd.one("#weight-part").is_displayed()
    pixel = 5 * 9 + 2
    item = record["items"][match["items"][pixel]]
    where = f"row {match['rows'][pixel]}, column {match['cols'][pixel]}"
    assert odd.texts("#nearest li") == [f"{rounded(rms[5, 2])} grey levels{item['name']}{where}{item['id'][:8]}"]
    assert odd.texts("#whole li") == [
        f"{rounded(distance)} grey levels{record['items'][n]['name']}{record['items'][n]['id'][:8]}"
        for n, distance in match["whole"]
    ]
    assert odd.text("#place-text").startswith("The finished picture. Pixel value ")
    odd.keys("#stage", Keys.ARROW_LEFT)
    assert odd.text("#live").startswith("Row 5, column 1. Nearest by distance: ")
    odd.one("#view-picture").click()
    assert not odd.one("#match-part").is_displayed()


def test_views_are_tabs_with_arrow_keys(odd: Shown) -> None:
    odd.open()
    order = ["picture", "mosaic", "copy", "sources", "match"]
    for here, there in zip(order, [*order[1:], order[0]], strict=True):
        odd.keys(f"#view-{here}", Keys.ARROW_RIGHT)
        assert odd.driver.switch_to.active_element.get_attribute("id") == f"view-{there}"
        assert [tab.get_attribute("id") for tab in odd.all("[role=tab][aria-selected=true]")] == [f"view-{there}"]
        assert [tab.get_attribute("id") for tab in odd.all("[role=tab][tabindex='0']")] == [f"view-{there}"]


# Tables


def test_the_credit_table_sorts_by_any_column_by_click_and_by_key(odd: Shown) -> None:
    record = odd.records[0]
    rows = expected_items(record, 3)
    odd.open()
    assert credit_rows(odd) == rows[:12]
    hidden = sum(units for _, units in record["steps"][3]["credits"][12:])
    assert odd.texts("#credits tfoot tr") == [
        f"{len(rows) - 12} other items{percent(share_of(record, hidden))}{hidden:,}",
        f"All100\u00a0%{7 * 9 * UNITS:,}",
    ]
    odd.one("#credits-more").click()
    assert credit_rows(odd) == rows
    rest = record["steps"][3]["others"]
    assert rest == {"items": 0, "units": 0}
    assert odd.texts("#credits tfoot tr") == [f"All100\u00a0%{7 * 9 * UNITS:,}"]

    def number(row: tuple[str, ...], column: int) -> int:
        return int(row[column].replace(",", ""))

    headers = odd.all("#credits thead button")
    for column, use in ((1, "click"), (3, "key"), (2, "key")):
        for direction in ("descending", "ascending"):
            header = headers[column]
            if odd.all("#credits thead th")[column].get_attribute("aria-sort") != direction:
                header.click() if use == "click" else header.send_keys(Keys.ENTER)
            sorts = [head.get_attribute("aria-sort") for head in odd.all("#credits thead th")]
            assert sorts == [direction if k == column else "none" for k in range(4)]
            values = [number(row, 1 if column == 1 else 3) for row in credit_rows(odd)]
            assert values == sorted(values, reverse=direction == "descending")
            assert sorted(credit_rows(odd)) == sorted(rows)
    headers[0].click()
    names = [row[0] for row in credit_rows(odd)]
    assert odd.all("#credits thead th")[0].get_attribute("aria-sort") == "ascending"
    # Numbers in names count as numbers.
    assert names.index("plain-2.png") < names.index("plain-10.png")
    assert names.index("images[9]") < names.index("images[10]")
    headers[0].send_keys(Keys.SPACE)
    assert [row[0] for row in credit_rows(odd)] == names[::-1]


@pytest.mark.parametrize("column", ["label", "artist", "licence"])
def test_groups_are_credited_as_the_record_says(odd: Shown, column: str) -> None:
    record = odd.records[0]
    odd.open("#step=2").run("document.querySelector(`#grouping input[value=${arguments[0]}]`).click()", column)

    def group(item: int) -> str | None:
        found = record["items"][item]
        return found["label"] if column == "label" else found["metadata"].get(column)

    most = [group(item) for item in tops(record, 2).ravel().tolist()]
    assert credit_rows(odd) == [
        (
            f"no {column}" if value is None else value,
            str(most.count(value)),
            percent(share_of(record, units)),
            f"{units:,}",
        )
        for value, units in record["steps"][2]["groups"][column]
    ]
    assert odd.texts("#credits tfoot tr") == [f"All100\u00a0%{7 * 9 * UNITS:,}"]
    odd.keys("#step", Keys.ARROW_LEFT)
    assert [row[3] for row in credit_rows(odd)] == [f"{units:,}" for _, units in record["steps"][1]["groups"][column]]


def test_a_row_marks_the_pixels_that_owe_most_to_it(odd: Shown) -> None:
    record = odd.records[0]
    most = tops(record, 3)
    odd.open()
    item = next(n for n, _ in record["steps"][3]["credits"] if (most == n).any())
    name = named(record["items"][item]["name"])
    odd.run("document.querySelector('#credits .marker').click()")
    owing = int((most == item).sum())
    assert odd.text("#marked-text") == f"{owing} pixel{'s' * (owing > 1)} of 63 owe{'s' * (owing == 1)} most to {name}."
    assert odd.text("#live") == odd.text("#marked-text")
    assert odd.all("#credits .marker")[0].get_attribute("aria-pressed") == "true"
    marks = odd.pixels("#marks")
    zoom = marks.shape[1] // 9
    # Off the cross hairs and frames: a quarter into each pixel.
    veiled = marks[zoom // 4 :: zoom, zoom // 4 :: zoom, 3] > 128
    assert np.array_equal(veiled, most != item)
    odd.one("#unmark").click()
    assert not odd.one("#marked").is_displayed()
    odd.run("document.querySelector('#grouping input[value=label]').click()")
    odd.run("document.querySelector('#credits .marker').click()")
    label = record["steps"][3]["groups"]["label"][0][0]
    owing = sum(record["items"][n]["label"] == label for n in most.ravel())
    assert odd.text("#marked-text").startswith(f"{owing} pixels of 63 owe most to label ")


def test_the_summary_is_called_one(odd: Shown) -> None:
    record = odd.records[0]
    odd.open()
    assert odd.text("#summary-heading") == "Summary over steps"
    assert odd.text("#summary-text").lower() == f"{record['summary']['text']}."
    assert odd.run(
        """return [...document.querySelectorAll("#summary tbody tr")].map((row) => [
            row.querySelector(".name").textContent, row.cells[1].textContent])"""
    ) == [[record["items"][n]["name"], percent(share)] for n, share in record["summary"]["credits"][:10]]


# The page as a whole


def test_seeds_are_chosen_by_their_pictures(odd: Shown) -> None:
    odd.open("#step=1&x=1&y=2")
    assert odd.texts("#seed-list label") == ["0", "5"]
    odd.keys("#seed-list input[value='0']", Keys.ARROW_RIGHT)
    assert odd.text("#title") == "Seed 5"
    assert odd.driver.title == "Receipt of seed 5"
    check_panel(odd, odd.records[1], 1, 1, 2)
    assert credit_rows(odd) == expected_items(odd.records[1], 1)[:12]
    for record, selector in zip(odd.records, ("label:nth-child(1)", "label:nth-child(2)"), strict=True):
        shown = odd.pixels(f"#seed-list {selector} canvas")
        assert np.array_equal(shown[..., 0].ravel(), record["picture"]["pixels"])


def test_the_address_says_what_is_shown_and_brings_it_back(odd: Shown) -> None:
    odd.open("#seed=5&step=1&x=3&y=4&view=mosaic")
    check_panel(odd, odd.records[1], 1, 3, 4)
    assert odd.one("#view-mosaic").get_attribute("aria-selected") == "true"
    odd.keys("#stage", Keys.ARROW_UP)
    odd.one("#view-copy").click()
    odd.driver.set_script_timeout(5)
    address = odd.driver.execute_async_script("setTimeout(() => arguments[0](location.hash), 400)")
    assert address == "#seed=5&step=1&x=3&y=3&view=copy"
    odd.run("location.hash = '#seed=0&step=2&x=8&y=0&view=picture'")
    odd.driver.execute_async_script("setTimeout(arguments[0], 100)")
    check_panel(odd, odd.records[0], 2, 8, 0)
    # What makes no sense is as if it were not there.
    odd.open("#seed=77&step=1.5&x=-1&y=1e9&view=constructor")
    check_panel(odd, odd.records[0], 3, 4, 3)


def test_names_are_text_whatever_they_say(odd: Shown) -> None:
    odd.open()
    odd.one("#credits-more").click()
    found = {row[0] for row in credit_rows(odd)}
    assert set(NAMES) <= found
    assert odd.run("return window.broken === undefined && !document.querySelector('main b, main img[onerror]')")
    odd.run("document.querySelector('#grouping input[value=licence]').click()")
    assert "<i>unknown</i>" in {row[0] for row in credit_rows(odd)}
    # Each name keeps its own direction.
    assert odd.run("return [...document.querySelectorAll('#sources .name')].every((name) => name.localName === 'bdi')")


CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
};
const light = (colour) => {
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = [...rgba(colour)].map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const poor = [];
let seen = 0;
for (let node; (node = walker.nextNode()); ) {
  const host = node.parentElement;
  if (!node.data.trim() || !host.checkVisibility() || host.closest("script, .unseen, noscript")) continue;
  let under = host;
  while (under && rgba(getComputedStyle(under).backgroundColor)[3] === 0) under = under.parentElement;
  const [a, b] = [getComputedStyle(host).color, getComputedStyle(under ?? document.body).backgroundColor].map(light);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  seen += 1;
  if (ratio < 4.5) poor.push([node.data.trim(), ratio]);
}
return [seen, poor, getComputedStyle(document.body).backgroundColor];
"""


def test_text_can_be_read_in_both_looks(odd: Shown) -> None:
    grounds: list[str] = []
    for look, other in (("light", "Dark look"), ("dark", "Light look")):
        odd.open(look=look)
        # Colours that are still fading say nothing.
        odd.emulate(look=look, motion="reduce")
        odd.run("document.querySelector('#credits .marker').click()")
        seen, poor, ground = odd.run(CONTRAST)
        assert seen > 100
        assert poor == []
        grounds.append(ground)
        assert odd.text("#look") == other
    odd.one("#look").click()
    seen, poor, ground = odd.run(CONTRAST)
    assert (poor, ground) == ([], grounds[0])
    assert grounds[0] != grounds[1]
    assert odd.text("#look") == "Dark look"


def test_paper_gets_pictures_and_credit_and_no_controls(odd: Shown) -> None:
    odd.open("#view=match", look="dark")
    odd.run("document.querySelector('#look').click(); document.querySelector('#look').click()")
    odd.emulate(look="dark", media="print")
    for hidden in ("#look", "#seeds", "#step", "#stage", "#grouping", "#credits-more", ".label", "#keys"):
        assert not odd.one(hidden).is_displayed(), hidden
    for kept in ("#title", "#credits", "#summary", "#record", "#key", "#plate-caption"):
        assert odd.one(kept).is_displayed(), kept
    plates = odd.all("#views canvas")
    assert len(plates) == 5
    assert all(plate.is_displayed() and plate.size["width"] > 100 for plate in plates)
    # The paper is light, whatever the look.
    assert odd.run("return getComputedStyle(document.body).color") == "rgb(29, 27, 23)"
    printed = base64.b64decode(odd.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert printed.startswith(b"%PDF")


def test_motion_is_left_out_where_it_is_not_wanted(odd: Shown) -> None:
    odd.open()
    moving = "return getComputedStyle(document.getElementById('look')).transitionDuration"
    assert odd.run(moving) != "0s"
    odd.emulate(motion="reduce")
    assert odd.run(moving) == "0s"


def test_one_step_with_opacity_and_without_groups_or_whole_matches(clear: Shown) -> None:
    record = clear.records[0]
    assert (record["columns"], record["match"]["whole"], len(record["steps"])) == ([], [], 1)
    clear.open()
    check_panel(clear, record, 0, 6, 3)
    pixels = np.array(record["picture"]["pixels"], np.uint8).reshape(6, 13, 4)
    shown = clear.pixels()
    assert np.array_equal(shown[..., 3], pixels[..., 3])
    # A canvas holds colours multiplied by their opacity, so faint ones come back rounded.
    bound = np.ceil(128 / np.maximum(pixels[..., 3:].astype(int), 1))
    assert (np.abs(shown[..., :3].astype(int) - pixels[..., :3]) <= bound).all()
    assert "conic-gradient" in clear.one("#stage").value_of_css_property("background-image")
    for gone in ("#step", "#seeds", "#grouping"):
        assert not clear.one(gone).is_displayed()
    clear.one("#view-match").click()
    assert not clear.one("#whole-heading").is_displayed()
    # This machine's window wraps around: at a corner of the picture, marks at all four corners.
    clear.keys("#stage", Keys.CONTROL + Keys.HOME)
    assert clear.text("#place") == "Row 0, column 0"
    marks = clear.pixels("#marks")[..., 3]
    zoom = marks.shape[1] // 13
    assert all(marks[y : y + zoom, x : x + zoom].any() for y in (0, 5 * zoom) for x in (0, 12 * zoom))
    assert not marks[2 * zoom : 3 * zoom, 2 * zoom : 3 * zoom].any()


def test_a_machine_of_whole_images_has_places_but_no_patches(driver: Chrome, folder: Path) -> None:
    machine = Equivariant(odd_names().corpus)
    (record,) = records_of(machine, steps=2)
    shown = written(driver, folder, "whole", [record], machine.corpus.images).open("#x=8&y=1&step=0")
    check_panel(shown, record, 0, 8, 1)
    assert len(shown.all("#sources .item .centre")) == len(shown.all("#sources .item")) > 0
    assert shown.all("#sources .frame, #sources .close-up") == []
    shown.one("#view-match").click()
    assert shown.text("#nearest-heading") == "Nearest item"


def test_a_record_with_gaps_is_shown_with_gaps(driver: Chrome, folder: Path, odd: Shown) -> None:
    record = copy.deepcopy(odd.records[0])
    record["seed"] = 2**63 + 1
    record["run"] |= {"source": "", "created": "", "versions": {}, "label": NAMES[1]}
    record["notes"] = ["3 of 4 steps are listed"]
    record["summary"]["credits"] = []
    for item in record["items"]:
        item |= {"label": None, "metadata": {}}
    match = record["match"]
    for name, value in (("items", -1), ("rows", -1), ("cols", -1), ("rms", None)):
        match[name][0] = value
    last = record["steps"][-1]
    last["others"], last["group_others"]["artist"] = {"items": 7, "units": 5}, {"groups": 2, "units": 3}
    depth = len(last["pixels"]["sources"]) // 63
    for name, value in (("sources", -1), ("rows", -1), ("cols", -1), ("weights", 0.0)):
        last["pixels"][name][1:depth] = [value] * (depth - 1)
    images = odd_names().corpus.images
    path = folder / "gaps.html"
    pictures = dict(list(sprites([record], images).items())[3:])
    path.write_text(page([record], pictures), encoding="utf-8")
    shown = Shown(driver, path.as_uri(), [record]).open("#x=0&y=0")
    assert shown.text("#title") == f"Seed {2**63 + 1}"
    assert (
        shown.text("#about")
        == f"9 × 7 pixelsMade by the border-aware machine from 24 pictures of 9 × 7 pixels, of the label {NAMES[1]}"
    )
    assert shown.text("#notes") == "3 of 4 steps are listed."
    check_panel(shown, record, 3, 0, 0)
    assert len(shown.all("#sources li")) == 1
    shown.one("#credits-more").click()
    assert shown.texts("#credits tfoot tr")[0] == "7 other items<0.01\u00a0%5"
    assert len(shown.all("#credits .thumb.absent")) > 0
    shown.run("document.querySelector('#grouping input[value=artist]').click()")
    assert shown.texts("#credits tfoot tr")[0] == "2 other groups<0.01\u00a0%3"
    assert not shown.one("#summary").is_displayed()
    shown.one("#view-match").click()
    assert shown.texts("#nearest li") == ["The corpus has no patch to compare this pixel with."]
    assert shown.pixels()[0, 0, 3] == 0


def test_units_beyond_what_a_double_holds_are_shown_to_the_last_one(driver: Chrome, folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 9, 9, 1), dtype=np.uint8)
    machine = BorderAware(ImageCorpus.from_arrays(images), scales=3)
    records = records_of(machine, steps=1, top=2, size=(96, 97))
    whole = 96 * 97 * UNITS
    assert whole > 2**53
    shown = written(driver, folder, "large", records, machine.corpus.images).open()
    assert credit_rows(shown) == expected_items(records[0], 0)
    assert shown.texts("#credits tfoot tr") == [f"All100\u00a0%{whole:,}"]
    shown.hover(96, 95).perform()
    check_panel(shown, records[0], 0, 96, 95)
