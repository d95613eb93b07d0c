"""Leave-one-out calibration: against the definition, its choices, its record, its cache."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from smalti.calibration import Calibration, cached_calibration, calibrate
from smalti.calibration.leave_one_out import _Sample
from smalti.corpus import ImageCorpus
from smalti.errors import InputError, UsageError
from smalti.machines import BorderAware, EquivariantLocal
from smalti.noise import gaussian_state, schedule


@pytest.fixture(scope="module")
def digits() -> ImageCorpus:
    corpus = ImageCorpus.builtin("digits")
    return corpus.without(range(300, len(corpus)))


@pytest.fixture(scope="module")
def found(digits: ImageCorpus) -> Calibration:
    return calibrate(digits, search="all", queries=8)


def test_error_is_that_of_a_corpus_that_never_had_the_item(digits: ImageCorpus) -> None:
    # Excluding an item inside the engine must equal removing it from the corpus, to the bit.
    level = schedule("cosine").level(0.4)
    machine = BorderAware(digits, scales=1)
    sample = _Sample(machine, len(digits), 3, False, 0, digits.size)
    errors = []
    for number, item in enumerate(sample.queries):
        clean = (2.0 * digits.images[item] - 255.0) / 255.0
        noise = gaussian_state(clean.shape, seed=number, purpose="calibration/0", step=7) / 4080
        state = np.rint(4080 * (level.signal * clean + level.noise * noise)).astype(np.int16)
        copies = [i for i, name in enumerate(digits.ids) if name == digits.ids[item]]
        mean = BorderAware(digits.without(copies), scales=5)(state, level).mean
        squares = (mean - clean).ravel() ** 2
        errors.append(math.fsum(squares) / squares.size)
    assert sample.error(5, level, 7) == math.fsum(errors) / len(errors)


def test_copies_of_an_item_are_left_out_with_it(digits: ImageCorpus) -> None:
    # With every item twice, an item's own copy would make the largest patch perfect; leaving it out gives the same
    # answer as having each item once, but for the choice of items, so here all items are queries.
    few = digits.without(range(20, len(digits)))
    twice = ImageCorpus.from_arrays(np.concatenate([few.images, few.images]))
    once = calibrate(few, search="all", queries=20, levels=3)
    doubled = calibrate(twice, search="all", queries=40, levels=3)
    assert once.queries == 20
    assert doubled.queries == 40
    assert (doubled.errors[:, -1] > 0.02).all()


def test_sizes_fall_with_the_noise(found: Calibration) -> None:
    assert found.chosen[0] >= 7
    assert found.chosen[-1] == 3
    assert all(a >= b for a, b in itertools.pairwise(found.chosen[:1] + found.chosen[-4:]))


def test_every_cell_is_computed_and_chosen_is_the_smallest(found: Calibration) -> None:
    assert found.errors.shape == (len(found.levels), len(found.sizes))
    assert np.isfinite(found.errors).all()
    for row, chosen in zip(found.errors, found.chosen, strict=True):
        assert row[found.sizes.index(chosen)] == row.min()


def test_climb_computes_the_same_errors_where_it_computes_any(digits: ImageCorpus, found: Calibration) -> None:
    climb = calibrate(digits, queries=8, levels=len(found.levels))
    known = ~np.isnan(climb.errors)
    assert known.any(axis=1).all()
    assert known.sum() < climb.errors.size
    assert climb.items == found.items
    assert (climb.errors[known] == found.errors[known]).all()


def test_scales_give_each_level_its_chosen_size(found: Calibration) -> None:
    assert found.scales.along(found.levels) == found.chosen


def test_record_survives_json_to_the_bit(found: Calibration) -> None:
    again = Calibration.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert (again.errors == found.errors).all()
    assert again.levels == found.levels


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"format": "other"}', '{"format": "smalti calibration 1"}', "\x00"]
)
def test_other_json_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"scales\.json is not a calibration that Smalti wrote"):
        Calibration.from_json(text, origin="scales.json")


def test_record_with_a_level_without_errors_is_refused(found: Calibration) -> None:
    data = json.loads(found.to_json())
    data["levels"][0]["errors"][0] = None
    assert Calibration.from_json(json.dumps(data)).chosen == found.chosen  # a size that was not tried
    data["levels"][0]["errors"] = [None] * len(found.sizes)
    with pytest.raises(InputError, match="not a calibration"):
        Calibration.from_json(json.dumps(data))


def test_table_has_a_row_for_each_level(found: Calibration) -> None:
    head, rows = found.table()
    assert len(rows) == len(found.levels)
    assert all(len(row) == len(head) for row in rows)
    assert [row[1] for row in rows] == [str(c) for c in found.chosen]


def test_plot_is_a_picture(found: Calibration, tmp_path: Path) -> None:
    from PIL import Image

    found.plot(tmp_path / "scales.png")
    with Image.open(tmp_path / "scales.png") as picture:
        assert picture.size == (1350, 600)
        assert len(set(picture.convert("L").tobytes())) > 16


def test_one_picture_leaves_places_out() -> None:
    photo = ImageCorpus.builtin("photo", size=(40, 60))
    found = calibrate(photo, levels=4, queries=2, sizes=[3, 5, 9])
    assert found.single
    assert found.items == 1
    # Without the exclusion the picture itself would be found again and the largest size would be nearly perfect.
    assert (found.errors[np.isfinite(found.errors)] > 1e-4).all()


def test_one_picture_of_identical_copies_counts_as_one() -> None:
    photo = ImageCorpus.builtin("photo", size=(24, 24))
    copies = ImageCorpus.from_arrays(np.repeat(photo.images, 3, axis=0))
    assert calibrate(copies, levels=2, queries=1).single


def test_candidates_respect_machine_and_output() -> None:
    photo = ImageCorpus.builtin("photo", size=(48, 64))
    assert max(calibrate(photo, levels=1, queries=1, output_size=(10, 10)).sizes) <= 11
    small = ImageCorpus.builtin("digits").without(range(40, 1797))
    assert max(calibrate(small, levels=1, queries=1, machine="equivariant-local").sizes) == 7
    assert EquivariantLocal(small, scales=7).scales is not None


def test_a_function_of_corpus_settings_and_seed_only(digits: ImageCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    few = digits.without(range(60, len(digits)))
    first = calibrate(few, levels=3, queries=4).to_json()
    monkeypatch.setenv("SMALTI_THREADS", "1")
    monkeypatch.setenv("SMALTI_KERNEL", "plain")
    assert calibrate(few, levels=3, queries=4).to_json() == first
    assert calibrate(few, levels=3, queries=4, seed=1).to_json() != first


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"machine": "ideal"}, "'ideal' is not a machine with patch sizes"),
        ({"levels": 0}, "at least 1 of its levels, not 0"),
        ({"queries": 0}, "at least 1 of its queries, not 0"),
        ({"items": 1}, "let at least 2 items serve"),
        ({"sizes": []}, "needs at least one patch size"),
        ({"sizes": [4]}, "a patch size is an odd number of pixels"),
        ({"search": "guess"}, "searches 'climb' or 'all'"),
        ({"label": "x"}, "'x'"),
    ],
)
def test_settings_without_meaning_are_refused(digits: ImageCorpus, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        calibrate(digits, **settings)  # pyright: ignore[reportArgumentType]


def test_local_machine_with_one_picture_is_refused() -> None:
    with pytest.raises(InputError, match="nothing left"):
        calibrate(ImageCorpus.builtin("photo", size=(16, 16)), machine="local")


def test_cache_gives_the_same_and_survives_damage(
    digits: ImageCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    few = digits.without(range(60, len(digits)))
    first, origin = cached_calibration(few, levels=3, queries=4)
    assert origin is None
    again, origin = cached_calibration(few, levels=3, queries=4)
    assert origin is not None
    assert again.to_json() == first.to_json()
    assert cached_calibration(few, levels=2, queries=4)[1] is None
    origin.write_text("{")
    mended, missing = cached_calibration(few, levels=3, queries=4)
    assert missing is None
    assert mended.to_json() == first.to_json()


def test_cache_that_cannot_be_written_is_no_error(
    digits: ImageCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "file"))
    assert cached_calibration(digits.without(range(60, len(digits))), levels=1, queries=2)[1] is None


def test_machines_take_a_calibration_for_its_scales(found: Calibration, digits: ImageCorpus) -> None:
    assert BorderAware(digits, scales=found).scales == found.scales
    for wrong in ([3, 5], "3", 3.0):
        with pytest.raises(UsageError, match="scales are a Scales record, a calibration, or one odd patch size"):
            BorderAware(digits, scales=wrong)  # pyright: ignore[reportArgumentType]


def test_cache_knows_a_request_however_it_is_written(
    digits: ImageCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    few = digits.without(range(60, len(digits)))
    cached_calibration(few, levels=2, queries=2)
    assert cached_calibration(few, levels=2, queries=2, sizes=None, schedule=schedule("cosine"))[1] is not None
    assert cached_calibration(few, levels=2, queries=2, output_size=few.size)[1] is not None
    assert cached_calibration(few, levels=2, queries=2, schedule="linear")[1] is None
