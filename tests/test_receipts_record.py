"""Receipts as plain values: what receipt.json, the table of rows and the pictures say is what the receipt says."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_program import blocks
from smalti.corpus import ImageCorpus
from smalti.errors import UsageError
from smalti.machines import BorderAware, Equivariant
from smalti.receipts import UNITS, Receipt
from smalti.receipts import record as record_module
from smalti.receipts.pictures import draw
from smalti.receipts.record import plan, record, sprites, steps_of, to_json
from smalti.receipts.rows import COLUMNS, about, first_source, rows
from test_receipts_weight import corpus_of, receipt_of

H, W = 6, 7


@pytest.fixture(scope="module")
def receipt() -> Receipt:
    corpus = ImageCorpus.from_arrays(blocks(6, size=(H, W))[..., None], labels=list("abbacc"))
    corpus = replace(corpus, metadata=tuple({"artist": f"A{n % 4}"} if n % 4 else {} for n in range(6)))
    return receipt_of(BorderAware(corpus, scales=3), seed=3)


@pytest.fixture(scope="module")
def made(receipt: Receipt) -> dict[str, Any]:
    return record(receipt, plan(receipt, top=3), folder="run")


def test_a_record_is_json_and_the_same_every_time(receipt: Receipt, made: dict[str, Any]) -> None:
    assert json.loads(to_json(made)) == made
    again = Receipt(receipt.sample, receipt.machine)
    assert to_json(record(again, plan(again, top=3), folder="run")) == to_json(made)


def test_a_record_names_run_picture_and_items(receipt: Receipt, made: dict[str, Any]) -> None:
    corpus = receipt.machine.corpus
    assert made["format"] == "smalti.receipt/1"
    assert (made["seed"], made["units_per_pixel"], made["notes"]) == (3, UNITS, [])
    assert made["run"] == {
        "folder": "run",
        "machine": "border-aware",
        "label": None,
        "source": "",
        "corpus_digest": corpus.digest,
        "corpus_items": 6,
        "corpus_size": [H, W],
        "size": [H, W],
        "channels": 1,
        "created": "",
        "versions": {},
    }
    image = receipt.sample.image
    assert made["picture"]["file"] == "000003.png"
    assert made["picture"]["pixels"] == image.ravel().tolist()
    assert made["picture"]["sha256"] == hashlib.sha256(image.tobytes()).hexdigest()
    assert made["columns"] == ["label", "artist"]
    assert len({item["index"] for item in made["items"]}) == len(made["items"])
    whole = {made["items"][item]["index"] for item, _ in made["match"]["whole"]}
    for item in made["items"]:
        index = item["index"]
        assert item["id"] == corpus.ids[index]
        assert item["name"] == corpus.names[index]
        assert item["label"] == corpus.values("label")[index]
        assert item["metadata"] == corpus.metadata[index]
        assert item["nearest"] == (index in whole)


def test_steps_are_the_compositions(receipt: Receipt, made: dict[str, Any]) -> None:
    assert [step["step"] for step in made["steps"]] == [0, 1, 2]
    for step in made["steps"]:
        composition = receipt.at(step["step"], top=3)
        level, posterior = composition.level, composition.posterior
        assert (step["time"], step["signal"], step["noise"]) == (level.time, level.signal, level.noise)
        assert step["patch_size"] == 3
        assert step["estimate"] == receipt.sample.estimates[step["step"]].ravel().tolist()
        index = np.array([item["index"] for item in made["items"]] + [-1])  # the last is -1, none
        pixels = step["pixels"]
        assert posterior.entropy is not None
        assert posterior.sources is not None
        assert pixels["entropy"] == posterior.entropy.ravel().tolist()
        assert np.array_equal(index[pixels["items"]], composition.item.ravel())
        assert pixels["item_units"] == composition.item_units.ravel().tolist()
        assert pixels["rest_units"] == composition.rest_units.ravel().tolist()
        listed = posterior.sources.weight.ravel() > 0
        assert np.array_equal(index[pixels["sources"]], np.where(listed, posterior.sources.item.ravel(), -1))
        assert np.array_equal(pixels["rows"], np.where(listed, posterior.sources.row.ravel(), -1))
        assert np.array_equal(pixels["cols"], np.where(listed, posterior.sources.column.ravel(), -1))
        assert pixels["weights"] == posterior.sources.weight.ravel().tolist()
        assert pixels["left_out"] == posterior.sources.left_out.ravel().tolist()
        units = {made["items"][item]["index"]: count for item, count in step["credits"]}
        assert units == {credit.item: credit.units for credit in receipt.items(100, step=step["step"])}
        assert list(units.values()) == sorted(units.values(), reverse=True)
        assert step["others"] == {"items": 0, "units": 0}
        for column in ("label", "artist"):
            assert step["groups"][column] == [list(group) for group in receipt.by(column, step=step["step"]).items()]
            assert step["group_others"][column] == {"groups": 0, "units": 0}


def test_the_summary_is_over_all_steps_or_says_why_not(receipt: Receipt, made: dict[str, Any]) -> None:
    summary = receipt.summary()
    assert "summary over steps" in made["summary"]["text"]
    for item, share in made["summary"]["credits"]:
        assert share == summary[made["items"][item]["index"]]
    assert math.isclose(sum(share for _, share in made["summary"]["credits"]), 1.0)
    last = record(receipt, plan(receipt, steps="last"))
    assert last["summary"] == {
        "text": "a summary over steps takes all of them, and these were not asked for",
        "credits": [],
    }


def test_the_match_is_the_match(receipt: Receipt, made: dict[str, Any]) -> None:
    match, found = receipt.match(keep=10), made["match"]
    index = np.array([item["index"] for item in made["items"]] + [-1])
    assert found["patch_size"] == 3
    assert np.array_equal(index[found["items"]], match.item.ravel())
    assert found["rows"] == match.row.ravel().tolist()
    assert found["cols"] == match.column.ravel().tolist()
    assert found["rms"] == match.rms.ravel().tolist()
    assert [(index[item], rms) for item, rms in found["whole"]] == list(match.whole)


def test_the_least_important_items_and_groups_are_counted_together(
    receipt: Receipt, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "MOST_CREDITS", 2)
    short = record(receipt, plan(receipt, top=3))
    for step, full in zip(short["steps"], made["steps"], strict=True):
        assert [units for _, units in step["credits"]] == [units for _, units in full["credits"][:2]]
        rest = [units for _, units in full["credits"][2:]]
        assert step["others"] == {"items": len(rest), "units": sum(rest)}
        assert sum(units for _, units in step["credits"]) + step["others"]["units"] == H * W * UNITS
        groups = full["groups"]["artist"]
        assert step["groups"]["artist"] == groups[:2]
        assert step["group_others"]["artist"] == {
            "groups": len(groups) - 2,
            "units": sum(units for _, units in groups[2:]),
        }


def test_a_budget_takes_steps_before_sources_and_says_so(receipt: Receipt) -> None:
    receipt = Receipt(replace(receipt.sample, levels=receipt.sample.levels * 7), receipt.machine)
    assert plan(receipt).steps == tuple(range(21))
    assert plan(receipt).notes == ()
    few = plan(receipt, top=4, most=H * W * 4 * 5)
    assert (few.steps, few.top) == ((0, 5, 10, 15, 20), 4)
    assert few.notes == ("5 of 21 steps are listed, since a record lists about 840 sources",)
    fewer = plan(receipt, top=4, most=H * W * 2 * 3)
    assert (fewer.steps, fewer.top) == ((0, 20), 3)
    assert len(fewer.notes) == 2
    assert "3 of 4 sources" in fewer.notes[1]
    least = plan(receipt, top=4, most=1)
    assert (least.steps, least.top) == ((20,), 1)
    for chosen in (few, fewer, least):
        assert chosen.summary
    assert plan(receipt, steps=(3, 5, -2)).steps == (3, 5, 19, 20)
    assert plan(receipt, steps="last").steps == (20,)
    assert steps_of(receipt, plan(receipt)) == 21
    assert steps_of(receipt, plan(receipt, steps=(3, 5))) == 3
    with pytest.raises(UsageError, match="steps 0 to 20"):
        plan(receipt, steps=(21,))
    with pytest.raises(UsageError, match="at least one source"):
        plan(receipt, top=0)


def test_progress_counts_steps(receipt: Receipt) -> None:
    for chosen in (plan(receipt), plan(receipt, most=1), plan(receipt, steps=(0,))):
        again = Receipt(receipt.sample, receipt.machine)
        done: list[float] = []
        record(again, chosen, tick=done.append)
        assert sum(done) == pytest.approx(steps_of(again, chosen))


def test_sprites_are_the_items(receipt: Receipt, made: dict[str, Any]) -> None:
    pictures = sprites([made, made], receipt.machine.corpus.images)
    assert list(pictures) == [item["id"] for item in made["items"]]
    for item in made["items"]:
        with Image.open(io.BytesIO(pictures[item["id"]])) as image:
            assert np.array_equal(np.asarray(image), receipt.machine.corpus.images[item["index"]][..., 0])


@pytest.mark.parametrize("kind", ["border-aware", "label", "equivariant"])
def test_rows_keep_every_unit(kind: str) -> None:
    if kind == "equivariant":
        receipt = receipt_of(Equivariant(corpus_of()))
    else:
        receipt = receipt_of(BorderAware(corpus_of(labels=True), scales=3, label="1" if kind == "label" else None))
    made = record(receipt, plan(receipt, top=2))
    table = rows([made])
    assert list(table) == list(COLUMNS)
    lengths = {len(column) for column in table.values()}
    assert len(lengths) == 1
    units: dict[tuple[int, int, int], int] = {}
    credits = [0] * len(receipt.machine.corpus)
    for line in zip(*table.values(), strict=True):
        row = dict(zip(table, line, strict=True))
        place = row["step"], row["row"], row["column"]
        units[place] = units.get(place, 0) + row["units"]
        assert row["seed"] == 0
        assert row["time"] == receipt.sample.levels[row["step"]].time
        assert row["share"] == row["units"] / UNITS
        if row["item"] is None:
            assert (row["rank"], row["id"], row["name"], row["label"], row["source_row"]) == (None,) * 5
            continue
        item = row["item"]
        assert row["id"] == receipt.machine.corpus.ids[item]
        assert row["name"] == receipt.machine.corpus.names[item]
        if row["step"] == 2 and row["rank"] == 0:
            credits[item] += row["units"]
    assert len(units) == 3 * H * W
    assert set(units.values()) == {UNITS}
    # The best source of a pixel's list belongs to its first item, or to one that has more in many places.
    best = receipt.at(top=2)
    assert best.posterior.sources is not None
    for line in zip(*table.values(), strict=True):
        row = dict(zip(table, line, strict=True))
        if row["step"] != 2 or row["source_row"] is None:
            continue
        sources = best.posterior.sources
        at = row["row"], row["column"]
        k = sources.item[at].tolist().index(row["item"])
        assert (row["source_row"], row["source_column"]) == (sources.row[at][k], sources.column[at][k])
    said = json.loads(about([made])["smalti"])
    assert said["run"] == made["run"]
    assert list(said["columns"]) == sorted(COLUMNS)


def test_pictures_show_weight(receipt: Receipt, made: dict[str, Any]) -> None:
    pictures = draw(made, receipt.machine.corpus.images)
    assert list(pictures) == ["copy-map", "mosaic", "effective-sources", "sources"]
    for picture in pictures.values():
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
    # The sample stands left in each, 37 pixels to one; the first pixel of the mosaic has the colour of its item.
    left, side = 18, 37
    column = pictures["mosaic"][:, left + side // 2]
    shown = np.flatnonzero((column == receipt.sample.image[0, 0]).all(axis=-1))
    assert len(shown) >= side


@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_of_any_mode_and_name_can_be_drawn(channels: int) -> None:
    corpus = corpus_of(30, size=(3, 5), channels=channels)
    names = tuple("日本 né\n" * (n % 9) + str(n) for n in range(30))
    receipt = receipt_of(BorderAware(replace(corpus, names=names), scales=3))
    for picture in draw(record(receipt, plan(receipt, steps="last")), corpus.images).values():
        assert min(picture.shape[:2]) > 64


def test_the_mosaic_of_one_picture_is_by_place() -> None:
    corpus = corpus_of(1, size=(9, 10))
    receipt = receipt_of(BorderAware(corpus, scales=3))
    made = record(receipt, plan(receipt, steps="last"))
    picture = draw(made, corpus.images)["mosaic"]
    # Beside the sample, 26 pixels to one: the first pixel comes from the top left of the item, the last from the
    # bottom right, since only these are as far from the edges.
    side = 26
    colours = {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}
    assert {(44, 63, 168), (246, 211, 45)} <= colours
    assert picture.shape[1] > 4 * 10 * side


def test_the_place_of_an_item_is_that_of_its_first_source() -> None:
    rng = np.random.default_rng(5)
    item, source = rng.integers(-1, 6, (40, 4)), rng.integers(-1, 6, (40, 7))
    first, found = first_source(item, source)
    for pixel in range(40):
        for k, wanted in enumerate(item[pixel].tolist()):
            places = [place for place, other in enumerate(source[pixel].tolist()) if other == wanted >= 0]
            assert found[pixel, k] == bool(places)
            assert first[pixel, k] == (places[0] if places else 0)
