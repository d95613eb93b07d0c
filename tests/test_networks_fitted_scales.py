"""Scales fitted to a network: what made a trajectory is found again, and the record keeps it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti import DDIM, BorderAware, EquivariantLocal, Ideal, ImageCorpus, InputError, Scales, UsageError, schedule
from smalti.denoisers import PatchComposite
from smalti.networks import ContinuousTime, FittedScales, NetworkMachine, fit_scales
from smalti.networks.fitted_scales import climb
from smalti.noise import Level
from smalti.sampling import Denoiser

STEPS = 8
SEEDS = range(50, 55)
# Rising and falling, so that a size used one step early or late would be another one.
KNOWN = (9, 7, 9, 5, 7, 3, 5, 3)


SCALES = Scales(tuple(level.log_snr for level in schedule("cosine").grid(STEPS)), KNOWN)


@pytest.fixture(scope="module")
def found(few_digits: ImageCorpus) -> FittedScales:
    network = BorderAware(few_digits, scales=SCALES)
    return fit_scales(network, "border-aware", few_digits, seeds=SEEDS, steps=STEPS)


def test_a_machine_as_network_gives_its_own_scales_back(few_digits: ImageCorpus, found: FittedScales) -> None:
    """At each level the machine's own size has similarity 1 to rounding, and it is used at that level."""
    assert found.sizes == (3, 5, 7, 9)
    assert found.chosen == KNOWN
    assert found.scales.along(found.levels) == KNOWN
    assert found.scales == SCALES
    assert found.cosines.shape == (5, STEPS, 4)
    own = [found.cosines[:, i, found.sizes.index(size)] for i, size in enumerate(KNOWN)]
    assert np.min(own) > 1 - 1e-15
    assert found.network == found.machine == "border-aware"
    assert found.corpus_digest == few_digits.digest
    assert found.size == (8, 8)


def test_a_network_on_arrays_gives_the_scales_of_the_machine_behind_it(few_digits: ImageCorpus) -> None:
    """Its estimates are rounded to float32, which moves a similarity by some 2^-24, less than another size does."""
    machine = EquivariantLocal(few_digits, scales=Scales(SCALES.log_snr, tuple(min(s, 7) for s in KNOWN)))
    levels = {np.float32(level.time): level for level in schedule("cosine").grid(STEPS)}

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        states = np.rint(4080 * x.astype(np.float64)).astype(np.int16).transpose(0, 2, 3, 1)
        return machine(states, levels[time[0]]).mean.transpose(0, 3, 1, 2).astype(np.float32)

    network = NetworkMachine(predict, few_digits, predicts="clean", clock=ContinuousTime(), digest="0f")
    found = fit_scales(network, EquivariantLocal, few_digits, seeds=SEEDS, steps=STEPS)
    assert found.chosen == tuple(min(s, 7) for s in KNOWN)
    assert found.network_id == "0f"


def test_similarities_are_those_along_the_networks_own_trajectory(few_digits: ImageCorpus, found: FittedScales) -> None:
    """The definition, step by step."""
    network = BorderAware(few_digits, scales=SCALES)
    for step in DDIM(network, steps=STEPS).run([SEEDS[2]]):
        theirs = step.posterior.mean.ravel()
        for j, size in enumerate(found.sizes):
            mine = BorderAware(few_digits, scales=size)(step.state, step.level).mean.ravel()
            cosine = theirs @ mine / np.linalg.norm(theirs) / np.linalg.norm(mine)
            # 64 products; the sums of NumPy are rounded as they go.
            assert found.cosines[2, step.index, j] == pytest.approx(cosine, abs=1e-14)


def test_a_window_that_holds_the_whole_picture_is_chosen_for_the_ideal_machine(few_digits: ImageCorpus) -> None:
    """From each of 8 x 8 places a window of 15 sees all of them: the local machine is then the ideal one."""
    found = fit_scales(Ideal(few_digits), "local", few_digits, seeds=SEEDS, steps=4, sizes=[3, 7, 15])
    assert found.chosen == (15, 15, 15, 15)
    assert np.array_equal(found.best, np.full((5, 4), 15))


def test_a_climb_fills_some_of_the_same_cells(few_digits: ImageCorpus) -> None:
    sizes = (1, 3, 5, 7, 9, 11, 13, 15)
    network = BorderAware(few_digits, scales=SCALES)
    whole, climb = (
        fit_scales(network, "border-aware", few_digits, seeds=SEEDS, steps=STEPS, sizes=sizes, search=search)
        for search in ("all", "climb")
    )
    tried = ~np.isnan(climb.cosines)
    assert np.array_equal(climb.cosines[tried], whole.cosines[tried])
    assert climb.chosen == whole.chosen == KNOWN
    for i, chosen in enumerate(climb.chosen):
        place = sizes.index(chosen)
        assert tried[:, i, max(0, place - 2) : place + 3].all()
    assert tried.all(axis=(0, 2)).sum() < STEPS


def test_all_sizes_are_tried_unless_a_climb_is_asked_for(found: FittedScales) -> None:
    assert found.search == "all"
    assert not np.isnan(found.cosines).any()


def test_a_climb_may_miss_what_all_sizes_find() -> None:
    """A seed's best size behind a valley: the climb ends at the largest sizes and sees no other."""
    row = np.full((1, 8), np.nan)
    all_of_them = np.array([[0.5, 0.9, 0.5, 0.4, 0.3, 0.6, 0.7, 0.8]])

    def look(place: int) -> None:
        row[:, place] = all_of_them[:, place]

    assert climb(row, 7, look) == 7
    assert int(np.argmax(all_of_them)) == 1
    assert np.isnan(row[0]).tolist() == [True] * 5 + [False] * 3


def test_batches_change_nothing(few_digits: ImageCorpus, found: FittedScales) -> None:
    network = BorderAware(few_digits, scales=SCALES)
    other = fit_scales(network, "border-aware", few_digits, seeds=SEEDS, steps=STEPS, batch=2)
    assert other.to_json() == found.to_json()


def choosing(best: list[int]) -> FittedScales:
    """A record in which each seed has its highest similarity at the given size."""
    sizes = (3, 5, 7, 9)
    cosines = np.array([[[0.9 if size == one else 0.5 for size in sizes]] for one in best])
    level = schedule("cosine").level(0.5)
    named: dict[str, Any] = dict.fromkeys(("machine", "network", "network_id", "schedule", "corpus_digest"), "x")
    return FittedScales(
        **named,
        label=None,
        size=(8, 8),
        levels=(level,),
        sizes=sizes,
        seeds=tuple(range(len(best))),
        search="all",
        cosines=cosines,
    )


@pytest.mark.parametrize(
    ("best", "median"), [([3, 9], 3), ([9, 7, 3], 7), ([3, 3, 9, 9], 3), ([9, 5, 9, 3, 7], 7), ([9, 9, 3, 5], 5)]
)
def test_the_median_is_a_size_that_was_tried(best: list[int], median: int) -> None:
    assert choosing(best).chosen == (median,)


def test_of_equal_similarities_the_smaller_size_is_best() -> None:
    one = choosing([3])
    assert replace(one, cosines=np.array([[[np.nan, 0.7, 0.7, 0.1]]])).chosen == (5,)


def test_label_and_kind_are_those_of_network_and_caller(digits: ImageCorpus) -> None:
    corpus = digits.without(i for i in range(len(digits)) if i % 9)
    network = BorderAware(corpus, scales=5, label="7")
    own = fit_scales(network, PatchComposite, corpus, seeds=[1], steps=2)
    assert (own.label, own.machine, own.sizes) == ("7", "patch-composite", (3, 5, 7))
    assert fit_scales(network, "border-aware", corpus, seeds=[1], steps=2, label="3").label == "3"


def test_the_record_survives_json_to_the_bit(few_digits: ImageCorpus, found: FittedScales) -> None:
    again = FittedScales.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert np.array_equal(again.cosines, found.cosines)
    assert again.levels == found.levels
    assert BorderAware(few_digits, scales=again).scales == found.scales
    climb = choosing([5])
    climb = replace(climb, cosines=np.array([[[np.nan, 0.7, 0.3, np.nan]]]))
    assert FittedScales.from_json(climb.to_json()).chosen == (5,)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"format": "smalti fitted scales 1"}'])
def test_other_json_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"^scales\.json holds no fitted scales that Smalti wrote: fit them again\.$"):
        FittedScales.from_json(text, origin="scales.json")


@pytest.mark.parametrize("broken", [{"cosines": []}, {"sizes": [3, 4, 7, 9]}, {"search": "guess"}, {"seeds": [1]}])
def test_damaged_records_are_refused(found: FittedScales, broken: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no fitted scales"):
        FittedScales.from_json(json.dumps({**json.loads(found.to_json()), **broken}))


def test_table_and_plot_show_every_level(found: FittedScales, tmp_path: Path) -> None:
    from PIL import Image

    head, rows = found.table()
    assert head == ("time", "chosen", "seeds", "3", "5", "7", "9")
    assert [row[:3] for row in rows][:2] == [("1.000", "9", "5 of 5"), ("0.875", "7", "5 of 5")]
    assert replace(found, cosines=np.where(found.cosines < 1 - 1e-9, np.nan, found.cosines)).table()[1][0][3] == ""
    found.plot(tmp_path / "scales.png")
    with Image.open(tmp_path / "scales.png") as picture:
        assert len(set(picture.convert("L").tobytes())) > 16


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "ideal"}, "'ideal' has no patch sizes .* choose from local, "),
        ({"search": "guess"}, "'climb' or 'all', not 'guess'"),
        ({"sizes": [4]}, "odd number of pixels"),
        ({"sizes": []}, "at least one patch size"),
        ({"kind": "equivariant-local", "sizes": [9]}, "does not fit inside"),
        ({"seeds": []}, "At least one seed"),
        ({"steps": 0}, "steps"),
        ({"label": "x"}, "'x'"),
    ],
)
def test_settings_without_meaning_are_refused(few_digits: ImageCorpus, settings: dict[str, Any], sentence: str) -> None:
    given = {"kind": "border-aware", "seeds": [1], "steps": 2, **settings}
    with pytest.raises(UsageError, match=sentence):
        fit_scales(Ideal(few_digits), corpus=few_digits, **given)


def test_pictures_of_other_channels_are_refused(few_digits: ImageCorpus) -> None:
    colour = ImageCorpus.from_arrays(np.repeat(few_digits.images[:4], 3, axis=3))
    with pytest.raises(UsageError, match="makes pictures with 3 channels, and those of the corpus have 1"):
        fit_scales(Ideal(colour), "border-aware", few_digits, seeds=[1])


class Flat:
    """A schedule of which all levels are one."""

    name = "flat"

    def level(self, time: float) -> Level:
        return schedule("cosine").level(time)

    def grid(self, steps: int) -> tuple[Level, ...]:
        return (self.level(0.5),) * steps


def test_levels_that_cannot_be_told_apart_are_refused_before_any_work(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match="must ascend"):
        fit_scales(Ideal(few_digits), "border-aware", few_digits, seeds=[1], steps=2, schedule=Flat())


def test_a_network_that_estimates_nothing_is_refused(few_digits: ImageCorpus) -> None:
    network: Denoiser = NetworkMachine(
        lambda x, time: np.zeros_like(x), few_digits, predicts="clean", clock=ContinuousTime(), name="empty"
    )
    with pytest.raises(InputError, match="The network empty estimates a picture that is 0 everywhere at time 1"):
        fit_scales(network, "border-aware", few_digits, seeds=[1], steps=2)
