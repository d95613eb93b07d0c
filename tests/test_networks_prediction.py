"""Prediction of a network by machines: what is compared with what, work that is kept, and predictors by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from smalti import DDIM, BorderAware, Ideal, ImageCorpus, InputError, Scales, UsageError, schedule
from smalti.denoisers import Blend, DataMaskLocal, LocalLinear, PatchComposite, PatchWiener, Shares, Wiener
from smalti.networks import (
    DEFAULT_PREDICTORS,
    ContinuousTime,
    NetworkMachine,
    Prediction,
    agreement,
    named_predictors,
    predict,
    step_agreement,
)
from smalti.networks.kept import name_of_seeds, safe_name
from smalti.progress import Task
from smalti.sampling import Denoiser

STEPS = 4
LEVELS = {np.float32(level.time): level for n in (STEPS, 6) for level in schedule("cosine").grid(n)}


class Asked(NetworkMachine):
    """A border-aware machine as a network on arrays, which counts how often it is asked."""

    def __init__(self, corpus: ImageCorpus, *, digest: str = "c0ffee", label: str | None = None) -> None:
        machine = BorderAware(corpus, scales=5, label=label)
        self.calls = 0

        def answer(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
            self.calls += 1
            states = np.rint(4080 * x.astype(np.float64)).astype(np.int16).transpose(0, 2, 3, 1)
            return machine(states, LEVELS[time[0]]).mean.transpose(0, 3, 1, 2).astype(np.float32)

        super().__init__(answer, corpus, predicts="clean", clock=ContinuousTime(), digest=digest, label=label)


class KilledError(Exception):
    """What a progress raises in place of a signal."""


class Deadly:
    """A progress that stops the work once a number of units are done."""

    def __init__(self, units: float) -> None:
        self.left = units

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        yield self

    def advance(self, count: float = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise KilledError


def machines(corpus: ImageCorpus) -> dict[str, Denoiser]:
    return {"Border-aware 3": BorderAware(corpus, scales=3), "ideal": Ideal(corpus), "wiener": Wiener(corpus)}


def asked_for(corpus: ImageCorpus, network: Denoiser | None = None, **more: Any) -> Prediction:
    """A small prediction: 5 seeds in batches of 2, 4 steps and 6."""
    given: dict[str, Any] = {"seeds": range(5), "steps": STEPS, "network_steps": (STEPS, 6), "batch": 2, **more}
    return predict(network or Asked(corpus), given.pop("predictors", machines(corpus)), **given)


@pytest.fixture(scope="module")
def found(few_digits: ImageCorpus) -> Prediction:
    return asked_for(few_digits)


def same(a: Prediction, b: Prediction) -> bool:
    """Whether two predictions are the same bytes."""

    def traces(one: Prediction) -> dict[Any, bytes]:
        return {key: trace.to_bytes() for key, trace in [*one.network.items(), *one.predictors.items()]}

    def steps(one: Prediction) -> dict[str, list[bytes]]:
        return {
            name: [np.array(getattr(along, f.name)).tobytes() for f in fields(along) if f.name != "levels"]
            for name, along in one.along.items()
        }

    return traces(a) == traces(b) and steps(a) == steps(b) and (a.seeds, a.levels) == (b.seeds, b.levels)


def test_finished_pictures_are_compared_by_their_means(few_digits: ImageCorpus, found: Prediction) -> None:
    """Against plain runs; a wiener denoiser or a network may be off by a last digit in batches of other sizes."""
    assert found.seeds == tuple(range(5))
    assert set(found.network) == {STEPS, 6}
    assert found.levels == schedule("cosine").grid(STEPS)
    for steps in (STEPS, 6):
        network = DDIM(Asked(few_digits), steps=steps)(range(5), batch=2)
        for name in ("Border-aware 3", "ideal"):
            machine = DDIM(machines(few_digits)[name], steps=STEPS)(range(5))
            expected = agreement(network.means, machine.means, range(5))
            assert np.array_equal(found.agreement(name, steps).r, expected.r)
            assert np.array_equal(found.agreement(name, steps).mse, expected.mse)
            assert found.predictors[name].to_bytes() == machine.to_bytes()
    assert np.array_equal(found.agreement("ideal").r, found.agreement("ideal", 6).r)


def test_the_same_noise_goes_through_all(found: Prediction) -> None:
    starts = [trace.states[:, 0] for trace in (*found.network.values(), *found.predictors.values())]
    assert all(np.array_equal(start, starts[0]) for start in starts)


def test_estimates_of_free_trajectories_are_compared_step_by_step(found: Prediction) -> None:
    expected = step_agreement(
        found.network[STEPS].estimates, found.predictors["ideal"].estimates, found.levels, found.seeds
    )
    assert np.array_equal(found.over_time("ideal").r, expected.r)


def test_errors_of_single_steps_are_taken_at_the_networks_own_states(
    few_digits: ImageCorpus, found: Prediction
) -> None:
    """One call at a time, by NumPy's own correlation: 64 values, whose sums it rounds as it goes."""
    network = DDIM(Asked(few_digits), steps=STEPS)
    for step in network.run([3]):
        theirs = step.posterior.mean.ravel()
        for name, machine in machines(few_digits).items():
            mine = machine(step.state, step.level).mean.ravel()
            along = found.along[name]
            assert along.r[3, step.index] == pytest.approx(np.corrcoef(theirs, mine)[0, 1], abs=1e-9)
            assert along.mse[3, step.index] == pytest.approx(np.square(theirs - mine).mean(), abs=1e-9)
    assert found.along["ideal"].levels == found.levels


def test_a_machine_predicts_itself(few_digits: ImageCorpus) -> None:
    machine = BorderAware(few_digits, scales=5)
    itself = asked_for(few_digits, machine, predictors={"itself": machine}, network_steps=[])
    assert set(itself.network) == {STEPS}
    assert itself.agreement("itself").r.tolist() == [1.0] * 5
    assert itself.agreement("itself").mse.tolist() == [0.0] * 5
    assert (itself.along["itself"].r == 1.0).all()
    assert (itself.over_time("itself").mse == 0.0).all()
    # The network on arrays is that machine but for float32.
    asked = asked_for(few_digits, predictors={"itself": machine})
    assert asked.agreement("itself", STEPS).r.min() > 1 - 1e-6


def test_differences_are_of_the_two_for_each_seed(found: Prediction) -> None:
    mine, its = found.agreement("Border-aware 3").mse, found.agreement("ideal").mse
    difference = found.difference("Border-aware 3", "ideal", "mse")
    assert difference.value == np.median(mine - its)
    assert difference.low <= difference.value <= difference.high
    assert found.difference("ideal", "ideal").value == 0.0


def test_batches_change_no_machine(few_digits: ImageCorpus, found: Prediction) -> None:
    other = asked_for(few_digits, batch=5)
    for name in ("Border-aware 3", "ideal"):
        assert other.predictors[name].to_bytes() == found.predictors[name].to_bytes()


def test_the_networks_own_states_are_asked_about_only_where_wanted(few_digits: ImageCorpus) -> None:
    network = Asked(few_digits)
    some = asked_for(few_digits, network, along=["ideal"])
    assert set(some.along) == {"ideal"}
    # Three batches: two runs, and the states of one of them once more.
    assert network.calls == 3 * (STEPS + 6 + STEPS)
    network = Asked(few_digits)
    assert not asked_for(few_digits, network, along=()).along
    assert network.calls == 3 * (STEPS + 6)


@pytest.mark.parametrize("units", [0, 9, 21, 30, 40, 52, 70, 95, 109])
def test_stopped_anywhere_and_gone_on_with_it_is_the_same(
    few_digits: ImageCorpus, found: Prediction, tmp_path: Path, units: int
) -> None:
    with pytest.raises(KilledError):
        asked_for(few_digits, keep=tmp_path, progress=Deadly(units))
    there = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    network = Asked(few_digits)
    assert same(asked_for(few_digits, network, keep=tmp_path), found)
    assert all(path.read_bytes() == content for path, content in there.items())
    # What the network had finished it is not asked for again, but for its states along which others are asked.
    finished = sum(4 if "4-steps" in path.parts else 6 for path in there if "network" in path.parts)
    along = {path.name for path in there if "along" in path.parts and all_along(tmp_path, path.name, there)}
    assert network.calls == 3 * (STEPS + 6 + STEPS) - finished - STEPS * len(along)


def all_along(keep: Path, name: str, there: Mapping[Path, bytes]) -> bool:
    """Whether all predictors had been asked along the states of a batch."""
    return all(keep / "along" / safe_name(one) / name in there for one in ("Border-aware 3", "ideal", "wiener"))


def test_finished_work_asks_nobody_and_more_seeds_only_for_themselves(
    few_digits: ImageCorpus, found: Prediction, tmp_path: Path
) -> None:
    asked_for(few_digits, keep=tmp_path, seeds=range(4))
    network = Asked(few_digits)
    assert same(asked_for(few_digits, network, keep=tmp_path), found)
    assert network.calls == STEPS + 6 + STEPS
    again = Asked(few_digits)
    kept = asked_for(few_digits, again, keep=tmp_path)
    assert same(kept, found)
    assert again.calls == 0
    assert kept.predictors["ideal"][0].receipt is not None


class LessNoisy:
    """The cosine schedule, less noisy, under its name."""

    name = "cosine"

    def level(self, time: float) -> Any:
        return schedule("cosine").level(0.7 * time)

    def grid(self, steps: int) -> Any:
        return tuple(self.level(level.time) for level in schedule("cosine").grid(steps))


Change = Callable[[ImageCorpus], dict[str, Any]]

CHANGED: list[tuple[Change, str]] = [
    (lambda c: {"network": Asked(c, digest="decaf")}, r"network/4-steps/.*\(denoiser differ"),
    (lambda c: {"predictors": machines(c) | {"ideal": BorderAware(c, scales=3)}}, r"ideal/.*\(denoiser and settings"),
    (lambda c: {"predictors": machines(c) | {"wiener": DataMaskLocal(c)}}, r"wiener/.*\(denoiser and settings"),
    (lambda c: {"predictors": {"Border-aware 3": BorderAware(c, scales=5)}}, r"border-aware-3-.*/.*\(denoiser and set"),
    (lambda c: {"predictors": {"ideal": Ideal(c, label="3")}}, r"ideal/.*\(settings differ"),
    (lambda c: {"predictors": {"ideal": Ideal(c.without([5]))}}, r"ideal/.*\(corpus differ"),
    (lambda c: {"steps": 6}, r"border-aware-3-.*/.*\(denoiser and settings and levels differ\)"),
    (lambda c: {"schedule": "linear"}, r"\(settings and levels differ\)"),
    (lambda c: {"schedule": LessNoisy()}, r"\(levels differ\)"),
]


@pytest.mark.parametrize(("change", "sentence"), CHANGED)
def test_kept_pieces_of_other_work_are_refused(
    few_digits: ImageCorpus, tmp_path: Path, change: Change, sentence: str
) -> None:
    asked_for(few_digits, keep=tmp_path, seeds=[0, 1])
    with pytest.raises(InputError, match=rf"{sentence}.*: give another folder, or delete it\.$"):
        asked_for(few_digits, keep=tmp_path, **{"seeds": [0, 1], **change(few_digits)})


def test_errors_along_another_network_are_refused(few_digits: ImageCorpus, tmp_path: Path) -> None:
    asked_for(few_digits, keep=tmp_path, seeds=[0, 1])
    shutil.rmtree(tmp_path / "network")
    with pytest.raises(InputError, match=r"along/.*\(network differ\)"):
        asked_for(few_digits, Asked(few_digits, digest="decaf"), keep=tmp_path, seeds=[0, 1])


@pytest.mark.parametrize("kind", ["network/4-steps", "predictors/ideal", "along/ideal"])
def test_damaged_pieces_are_refused(few_digits: ImageCorpus, tmp_path: Path, kind: str) -> None:
    asked_for(few_digits, keep=tmp_path, seeds=[0, 1])
    piece = tmp_path / kind / "seeds-0-1.safetensors"
    piece.write_bytes(piece.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"seeds-0-1\.safetensors"):
        asked_for(few_digits, keep=tmp_path, seeds=[0, 1])


def spoil(piece: Path, what: str) -> None:
    """Changes a piece so that it is still a whole file."""
    with safe_open(str(piece), framework="numpy") as file:
        record = json.loads(file.metadata()["smalti"])
        arrays = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    if what in arrays:
        arrays[what].flat[-1] = 3.0
    elif what == "not finite":
        arrays["means"][...] = np.nan
    elif what == "seeds":
        record["seeds"] = [0, 2]
    elif what == "settings":
        record["settings"] = 5
    else:
        (record if "decided" in record else record["settings"])["decided"] = json.loads(what)
    piece.write_bytes(save(arrays, metadata={"smalti": json.dumps(record)}))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        *(("network/4-steps", what) for what in ("means", "not finite", "images", "seeds", "settings", "null", "[]")),
        *(("along/ideal", what) for what in ("r", "cosine", "null", "[]", "5")),
    ],
)
def test_pieces_that_say_what_cannot_be_are_refused(
    few_digits: ImageCorpus, tmp_path: Path, kind: str, what: str
) -> None:
    asked_for(few_digits, keep=tmp_path, seeds=[0, 1])
    spoil(tmp_path / kind / "seeds-0-1.safetensors", what)
    with pytest.raises(InputError, match=r"seeds-0-1\.safetensors (is|does) .*delete it"):
        asked_for(few_digits, keep=tmp_path, seeds=[0, 1])


def test_who_does_not_say_what_decides_its_answers_is_not_kept(few_digits: ImageCorpus, tmp_path: Path) -> None:
    unknown = Asked(few_digits, digest="")
    with pytest.raises(UsageError, match="The denoiser network does not say what decides its answers"):
        asked_for(few_digits, unknown, keep=tmp_path)
    kept = asked_for(few_digits, unknown, keep=tmp_path, network_id="module:name", seeds=[0])
    with pytest.raises(InputError, match="denoiser differ"):
        asked_for(few_digits, unknown, keep=tmp_path, network_id="module:other", seeds=[0])
    assert same(asked_for(few_digits, unknown, seeds=[0]), kept)


def test_two_processes_do_not_share_a_folder(few_digits: ImageCorpus, tmp_path: Path) -> None:
    from smalti.sampling.files import claimed

    with claimed(tmp_path), pytest.raises(InputError, match="Another process"):
        asked_for(few_digits, keep=tmp_path)
    with claimed(tmp_path), pytest.raises(InputError, match="Another process"):
        named_predictors(Asked(few_digits), few_digits, ["border-aware:network"], keep=tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"predictors": {}}, "at least one predictor"),
        ({"predictors": {"": 0}}, "one of them is empty"),
        ({"along": ["ideal", "nobody"]}, "no predictor 'nobody'"),
        ({"network_steps": [0]}, "whole number from 1, but it is 0"),
        ({"steps": 2.5}, "whole number from 1, but it is 2.5"),
        ({"seeds": [-1]}, "A seed is a whole number from 0"),
        ({"batch": 0}, "at least 1 seed"),
        ({"size": (9, 9)}, "the corpus's own size"),
    ],
)
def test_settings_without_meaning_are_refused(few_digits: ImageCorpus, change: dict[str, Any], sentence: str) -> None:
    if change.get("predictors"):
        change = {"predictors": {"": Ideal(few_digits)}}
    with pytest.raises(UsageError, match=sentence):
        asked_for(few_digits, **change)


def test_pictures_of_other_channels_are_refused(few_digits: ImageCorpus) -> None:
    colour = Ideal(ImageCorpus.from_arrays(np.repeat(few_digits.images[:4], 3, axis=3)))
    with pytest.raises(UsageError, match="1 channels, and the ideal denoiser those with 3"):
        asked_for(few_digits, predictors={"colour": colour})


def test_what_was_not_run_cannot_be_asked_for(found: Prediction) -> None:
    with pytest.raises(UsageError, match="with 4 and 6 steps, not with 150"):
        found.agreement("ideal", 150)
    with pytest.raises(UsageError, match="no predictor 'els': there are Border-aware 3, ideal, wiener"):
        found.over_time("els")


def test_files_are_named_by_seeds_and_predictors() -> None:
    assert name_of_seeds((3, 4, 5)) == "seeds-3-5"
    assert name_of_seeds((3, 5, 4)) != name_of_seeds((3, 4, 5))
    assert len({name_of_seeds(seeds) for seeds in ((1, 2, 3, 9), (1, 4, 5, 9), (1, 9))}) == 3
    assert safe_name("data-mask-local") == "data-mask-local"
    odd = ["border-aware:auto", "border-aware/auto", "Border-aware auto", "../..", "x" * 300, "x" * 301, "é", "."]
    assert len({safe_name(name) for name in odd}) == len(odd)
    assert all("/" not in safe_name(name) and safe_name(name).strip(".") and len(safe_name(name)) < 80 for name in odd)


def test_denoisers_say_what_decides_them(few_digits: ImageCorpus) -> None:
    denoisers = [
        Wiener(few_digits),
        DataMaskLocal(few_digits),
        DataMaskLocal(few_digits, tau=0.5),
        PatchWiener(few_digits, patch_size=3),
        PatchWiener(few_digits, patch_size=5),
        PatchComposite(few_digits, scales=3),
        PatchComposite(few_digits, scales=5),
        LocalLinear(few_digits, scales=3),
        LocalLinear(few_digits, scales=3, neighbours=20),
    ]
    first = schedule("cosine").grid(1)
    shares = [Shares(first, (), np.array([[[a, 1.0 - a]]])) for a in (0.25, 0.75)]
    blends = [Blend([Wiener(few_digits), BorderAware(few_digits, scales=3)], one) for one in shares]
    blends.append(Blend([Wiener(few_digits), BorderAware(few_digits, scales=5)], shares[0]))
    digests = [one.digest for one in (*denoisers, *blends)]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 64 for digest in digests)
    used = PatchWiener(few_digits, patch_size=3)
    used(np.zeros((8, 8, 1), np.int16), first[0])  # what it computes on the way changes nothing
    assert used.digest == denoisers[3].digest
    unknown = Asked(few_digits, digest="")
    assert Blend([unknown, Wiener(few_digits)], shares[0]).digest == ""


def test_predictors_by_name_are_made_with_their_scales(few_digits: ImageCorpus) -> None:
    given = {"mine": Scales.constant(7)}
    names = (*DEFAULT_PREDICTORS, "border-aware:mine", "patch-composite", "local-linear", "local-linear:mine")
    made = named_predictors(Asked(few_digits), few_digits, names, steps=STEPS, given=given, fit_seeds=[5, 6, 7])
    assert tuple(made.denoisers) == names
    sizes = {name: getattr(one, "scales", None) for name, one in made.denoisers.items()}
    levels = schedule("cosine").grid(STEPS)
    fitted = sizes["border-aware:network"]
    assert fitted is not None
    assert fitted.along(levels) == (5,) * STEPS  # those of the machine behind the network
    assert sizes["border-aware:auto"] == made.scales["border-aware:auto"].scales  # pyright: ignore[reportAttributeAccessIssue]
    assert sizes["border-aware:mine"] == sizes["local-linear:mine"] == given["mine"]
    assert sizes["local-linear"] == Scales.constant(5)
    assert set(made.scales) == {name for name in names if ":" in name or name == "patch-composite"}
    for name, one in made.denoisers.items():
        assert one.name == name.partition(":")[0]


def test_predictors_keep_to_the_label_of_the_network(digits: ImageCorpus) -> None:
    corpus = digits.without(i for i in range(len(digits)) if i % 9)
    names = ("border-aware:network", "border-aware:auto", "ideal", "wiener", "data-mask-local")
    made = named_predictors(Asked(corpus, label="7"), corpus, names, steps=2, fit_seeds=[1])
    assert {getattr(one, "label", None) for one in made.denoisers.values()} == {"7"}
    other = named_predictors(Asked(corpus), corpus, ["ideal"], label="3")
    assert getattr(other.denoisers["ideal"], "label", None) == "3"


def test_fitted_scales_are_kept(few_digits: ImageCorpus, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": STEPS, "fit_seeds": [5, 6], "keep": tmp_path}
    names = ["border-aware:network", "local:network"]
    first = named_predictors(Asked(few_digits), few_digits, names, **settings)
    network = Asked(few_digits)
    again = named_predictors(network, few_digits, names, **settings)
    assert network.calls == 0
    for name in names:
        assert again.scales[name].to_json() == first.scales[name].to_json()  # pyright: ignore[reportAttributeAccessIssue]
    changes: list[tuple[dict[str, Any], str]] = [
        ({"fit_seeds": [5, 7]}, "seeds"),
        ({"steps": 6}, "levels"),
        ({"search": "climb"}, "search"),
        ({"label": "3"}, "label"),
    ]
    for change, what in changes:
        with pytest.raises(InputError, match=rf"border-aware\.json was kept by other work than this \({what} differ\)"):
            named_predictors(Asked(few_digits), few_digits, names, **{**settings, **change})
    with pytest.raises(InputError, match=r"\(network_id differ\)"):
        named_predictors(Asked(few_digits, digest="decaf"), few_digits, names, **settings)
    with pytest.raises(UsageError, match="does not say what decides its answers, so that scales"):
        named_predictors(Asked(few_digits, digest=""), few_digits, names, **settings)
    other = (tmp_path / "scales" / "local.json").read_bytes()
    (tmp_path / "scales" / "border-aware.json").write_bytes(other)
    with pytest.raises(InputError, match=r"\(machine differ\)"):
        named_predictors(Asked(few_digits), few_digits, names, **settings)
    (tmp_path / "scales" / "border-aware.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"border-aware\.json cannot be read"):
        named_predictors(Asked(few_digits), few_digits, names, **settings)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["els"], "There is no predictor 'els': choose from border-aware, data-mask-local"),
        (["ideal:auto"], "ideal has no patch sizes"),
        (["border-aware:mine"], "the patch sizes of border-aware are auto or network"),
        (["local-linear:auto"], "the patch sizes of local-linear are network"),
        (["ideal", "ideal"], "named once each"),
        ([], "at least one is needed"),
    ],
)
def test_names_without_meaning_are_refused(few_digits: ImageCorpus, names: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        named_predictors(Asked(few_digits), few_digits, names)
