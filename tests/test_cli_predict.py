"""`smalti predict`: its figures, files and pictures, stopping and going on, and every refusal."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import smalti as library
from cli_program import pictures, smalti
from predicting import module, out, predicted, source
from smalti import DDIM, BorderAware, Ideal, ImageCorpus
from smalti.denoisers import Wiener
from smalti.engine import Posterior
from smalti.noise import Level

__all__ = ["module", "out", "source"]

SHORT = ("--seeds", "0-3", "--steps", 4, "--network-steps", "4,7", "--fit-seeds", "50-52")
PLAIN = (*SHORT, "--scales", "3,3,5", "--predictors", "nearest")
PICTURES = ["pairs.png", "scales.png", "scatter.png", "time.png", "trajectories.png"]
TABLES = ["rows.csv", "steps.csv"]


@pytest.fixture(autouse=True)
def _quick_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No plots, which take most of the time, but where a test asks for them."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("smalti.cli.predict_files.draw", lambda _: {})


@pytest.fixture
def drawn() -> None:
    """Plots are drawn."""


class Slow:
    """The ideal machine as somebody's network, that is stopped after so many calls."""

    name, digest = "slow", "1"

    def __init__(self, corpus: ImageCorpus, until: int) -> None:
        self.corpus, self.until, self.calls = corpus, until, 0
        self._ideal = Ideal(corpus)

    def check_output(self, size: tuple[int, int]) -> None:
        self._ideal.check_output(size)

    def __call__(self, state: NDArray[np.int16], level: Level) -> Posterior:
        self.calls += 1
        if self.calls == self.until:
            raise KeyboardInterrupt
        return self._ideal(state, level)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


# Figures


def test_a_machine_in_place_of_the_network_is_predicted_without_error(source: Path, out: Path) -> None:
    record = predicted(source, out, "smalti:Ideal", *PLAIN, "--json").json["prediction"]
    ideal = next(one for one in record["predictors"] if one["name"] == "ideal")
    assert [one["network_steps"] for one in ideal["pictures"]] == [4, 7]
    same = ideal["pictures"][0]
    for measure, value in (("r", 1.0), ("r_squared", 1.0), ("mse", 0.0), ("cosine", 1.0)):
        # The root of a square may be off by a last bit.
        assert same[measure] == pytest.approx({"median": value, "low": value, "high": value}, abs=1e-12)
    assert [one["median"] for one in ideal["own_way"]["r"]] == pytest.approx([1.0] * 4, abs=1e-12)
    assert [one["median"] for one in ideal["same_state"]["mse"]] == [0.0] * 4
    assert record == json.loads((out / "prediction.json").read_bytes())


def test_figures_are_those_of_the_samples(source: Path, out: Path) -> None:
    record = predicted(source, out, "smalti.denoisers:Wiener", *PLAIN, "--json").json["prediction"]
    corpus = library.open_images(str(source))
    scales = library.Scales.listed([3, 3, 5], schedule=library.schedule("cosine"))
    machine = DDIM(BorderAware(corpus, scales=scales), steps=4)(seeds=range(4)).means.reshape(4, -1)
    for count, told in zip((4, 7), record["predictors"][0]["pictures"], strict=True):
        network = DDIM(Wiener(corpus), steps=count)(seeds=range(4)).means.reshape(4, -1)
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(network, machine, strict=True)]
        mse = np.square(network - machine).mean(axis=1)
        table = [
            one
            for one in rows(out / "rows.csv")
            if (one["predictor"], one["scales"], one["network_steps"]) == ("border-aware", "3,3,5", str(count))
        ]
        assert [one["seed"] for one in table] == ["0", "1", "2", "3"]
        # NumPy adds in another order.
        np.testing.assert_allclose([float(one["r"]) for one in table], r, rtol=1e-10)
        np.testing.assert_allclose([float(one["r_squared"]) for one in table], np.square(r), rtol=1e-10)
        np.testing.assert_allclose([float(one["mse"]) for one in table], mse, rtol=1e-10)
        assert told["r"]["median"] == pytest.approx(np.median(r), rel=1e-9)
        assert told["r"]["low"] <= told["r"]["median"] <= told["r"]["high"]
    assert record["predictors"][0]["patch_sizes"] == list(scales.along(library.schedule("cosine").grid(4)))


def test_comparisons_count_pictures(source: Path, out: Path) -> None:
    record = predicted(source, out, "smalti.denoisers:Wiener", *PLAIN, "--scales", "3", "--json").json["prediction"]
    r = {
        (one["predictor"], one["scales"], int(one["seed"])): float(one["r"])
        for one in rows(out / "rows.csv")
        if one["network_steps"] == "7"
    }
    found = {(one["predictor"], one["with"]): one for one in record["comparisons"]}
    assert sorted(found) == [
        ("border-aware:3", "border-aware:3,3,5"), ("border-aware:3", "ideal"), ("border-aware:3,3,5", "ideal")
    ]  # fmt: skip
    apart = [r["border-aware", "3,3,5", seed] - r["ideal", "", seed] for seed in range(4)]
    one = found["border-aware:3,3,5", "ideal"]
    assert (one["better"], one["seeds"], one["network_steps"]) == (sum(x > 0 for x in apart), 4, 7)
    assert one["difference_of_r"]["median"] == pytest.approx(np.median(apart), rel=1e-9)


def test_a_network_that_predicts_noise_is_asked_by_its_clock(source: Path, out: Path, module: SimpleNamespace) -> None:
    told = set[float]()

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        assert x.dtype == time.dtype == np.float32
        assert x.shape == (len(time), 1, 8, 8)
        told.update(time.tolist())
        return np.zeros_like(x)

    module.predict = predict
    words = ("--predicts", "noise", "--steps", 2, "--network-steps", 4, "--seeds", "0-1", "--scales", 3)
    record = predicted(source, out, "their_network:predict", *words, "--json").json["prediction"]
    assert sorted(told) == [0.25, 0.5, 0.75, 1.0]
    assert record["settings"]["schedule"] == "cosine"
    told.clear()
    again = predicted(source, out / "edm", "their_network:predict", *words, "--clock", "edm", "--json")
    assert again.json["prediction"]["settings"]["schedule"] == "edm"
    assert sorted(told) == sorted(float(np.float32(level.time)) for level in library.schedule("edm").grid(4))


# Files and words


@pytest.mark.usefixtures("drawn")
def test_the_folder_and_the_table(source: Path, out: Path) -> None:
    done = predicted(source, out, "smalti.denoisers:Wiener", *SHORT, "--predictors", "local:network,wiener")
    assert done.code == 0, done.err
    names = ["border-aware:network", "border-aware:auto", "ideal", "local:network", "wiener"]
    fitted = [f"scales-{name.replace(':', '-')}.json" for name in names if ":" in name]
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == sorted(
        ["asked.json", "prediction.json", *fitted, *PICTURES, *TABLES]
    )
    for name in PICTURES:
        with Image.open(out / name) as picture:
            assert min(picture.size) > 200
    lines = done.out.splitlines()
    assert lines[0].startswith("wiener, 4 seeds, predicted from 8 pictures, ")
    assert "network, 4 steps" in lines[2]
    assert "network, 7 steps" in lines[2]
    assert lines[3].split() == ["predictor", "scales", "r", "r²", "r", "r²"]
    assert [line.split()[1] for line in lines[4:6]] == ["network", "auto"]
    assert [line.split()[0] for line in lines[4:9]] == [name.partition(":")[0] for name in names]
    assert lines[9] == ""
    assert str(out / "prediction.json") in done.out
    steps = rows(out / "steps.csv")
    assert len(steps) == len(names) * 4 * 4
    assert {row["patch_size"] for row in steps if row["predictor"] == "ideal"} == {""}
    # In each column lie the figures of its own rows.
    wiener = [row for row in steps if row["predictor"] == "wiener"]
    assert {float(row["mse_same_state"]) for row in wiener} == {0.0}
    assert [float(row["r_own_way"]) for row in wiener] == pytest.approx([1.0] * len(wiener), abs=1e-12)


def test_tables_as_parquet(source: Path, out: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert predicted(source, out, "smalti.denoisers:Wiener", *PLAIN, "--parquet").code == 0
    for name in ("rows", "steps"):
        table = parquet.read_table(out / f"{name}.parquet")
        told = rows(out / f"{name}.csv")
        assert table.column_names == list(told[0])
        assert table["r" if name == "rows" else "r_same_state"].to_pylist() == [
            float(row["r" if name == "rows" else "r_same_state"]) for row in told
        ]


def test_fitted_sizes_can_be_used_again(source: Path, out: Path, tmp_path: Path) -> None:
    words = ("--scales", "network", "--predictors", "nearest")
    first = predicted(source, out, "smalti.denoisers:Wiener", *SHORT, *words, "--json").json["prediction"]
    file = out / "scales-border-aware-network.json"
    second = predicted(source, out / "more", "smalti.denoisers:Wiener", *SHORT, "--scales", file, "--json").json
    assert first["predictors"][0]["patch_sizes"] == second["prediction"]["predictors"][0]["patch_sizes"]
    assert first["predictors"][0]["pictures"] == second["prediction"]["predictors"][0]["pictures"]
    made = smalti("generate", source, "-o", tmp_path / "run", "--seeds", 0, "--steps", 4, "--scales", file, "--json")
    assert made.json["run"]["request"]["patch_sizes"] == first["predictors"][0]["patch_sizes"]


@pytest.mark.usefixtures("drawn")
def test_one_seed_has_no_interval(source: Path, out: Path) -> None:
    done = predicted(source, out, "smalti.denoisers:Wiener", *PLAIN, "--seeds", 5)
    assert done.code == 0
    assert "note: one seed gives no interval: ask for more, such as --seeds 0-99\n" in done.err
    assert "[" not in done.out
    record = json.loads((out / "prediction.json").read_bytes())
    one = record["predictors"][0]["pictures"][0]["r"]
    assert one["median"] is not None
    assert (one["low"], one["high"]) == (None, None)


@pytest.mark.usefixtures("drawn")
def test_pictures_of_one_colour_have_no_r_and_are_counted(source: Path, out: Path, module: SimpleNamespace) -> None:
    module.grey = lambda x, _: np.full_like(x, 0.5)
    done = predicted(source, out, "their_network:grey", "--predicts", "clean", *PLAIN)
    assert done.code == 0, done.err
    assert (
        "note: r of ideal has no value for 4 of 4 seeds, where a picture is of one colour; medians leave them out\n"
        in done.err
    )
    record = json.loads((out / "prediction.json").read_bytes())
    told = record["predictors"][0]["pictures"][0]
    assert (told["undefined"], told["seeds"]) == (4, 4)
    assert told["r"] == {"median": None, "low": None, "high": None}
    assert told["mse"]["median"] > 0
    assert {row["r"] for row in rows(out / "rows.csv")} == {""}
    assert "nearer to the network" not in done.out


@pytest.mark.parametrize(("value", "odd"), [(1.06, True), (-1.5, True), (1.04, False)])
def test_a_network_that_leaves_the_range_of_pictures_is_told(
    value: float, odd: bool, source: Path, out: Path, module: SimpleNamespace
) -> None:
    def predict(x: NDArray[np.float32], _: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.clip(x, -1, 1)
        found[..., :1] = value  # a column of eight
        return found

    module.predict = predict
    done = predicted(source, out, "their_network:predict", "--predicts", "clean", *PLAIN)
    assert done.code == 0, done.err
    note = (
        "12.5 % of the numbers in the network's pictures lie more than 0.05 outside of [-1, 1], black to white; r "
        "hides how far, and mse in prediction.json does not: it may need more training"
    )
    assert (f"note: {note}\n" in done.err) == odd
    record = json.loads((out / "prediction.json").read_bytes())
    assert (note in record["notes"]) == odd
    share = 0.125 if odd else 0.0
    assert record["range"] == [{"network_steps": count, "outside": share} for count in (4, 7)]


def test_seeds_that_sizes_were_fitted_with_are_named(source: Path, out: Path) -> None:
    done = predicted(source, out, "smalti.denoisers:Wiener", *SHORT, "--fit-seeds", "3-5", "--scales", "network")
    assert done.code == 0
    assert "note: patch sizes are fitted with 1 seed that they are judged by too" in done.err


@pytest.mark.usefixtures("drawn")
def test_whole_pictures_instead_of_patches(source: Path, out: Path) -> None:
    words = (*SHORT, "--machine", "equivariant", "--predictors", "local:3,5,nearest")
    record = predicted(source, out, "smalti.denoisers:Wiener", *words, "--json").json["prediction"]
    assert [one["name"] for one in record["predictors"]] == ["equivariant", "ideal", "local:3,5", "nearest"]
    assert not (out / "scales.png").exists()


def test_resized_pictures_are_told(source: Path, out: Path) -> None:
    done = predicted(source, out, "smalti.denoisers:Wiener", *PLAIN, "--size", 6)
    assert "note: resized to 6x6" in done.err
    assert json.loads((out / "prediction.json").read_bytes())["settings"]["size"] == [6, 6]


# Stopping and going on


def results(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "prediction.json").read_bytes())
    del record["command"]
    return {"record": record, **{name: (folder / name).read_bytes() for name in TABLES}}


@pytest.mark.parametrize("until", [5, 16, 30])
def test_a_stopped_prediction_goes_on(until: int, source: Path, tmp_path: Path, module: SimpleNamespace) -> None:
    words = (*SHORT, "--batch", 2, "--scales", "network", "--predictors", "nearest")
    made: list[Slow] = []

    def network(corpus: ImageCorpus) -> Slow:
        made.append(Slow(corpus, until if len(made) == 1 else 0))
        return made[-1]

    module.network = network
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert predicted(source, whole, "their_network:network", *words).code == 0
    stopped = predicted(source, parts, "their_network:network", *words)
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == (
        f"smalti: stopped; '{parts}' keeps what is finished: repeat the command with --resume to go on."
    )
    assert not (parts / "prediction.json").exists()
    again = predicted(source, parts, "their_network:network", *words)
    assert (
        again.failure
        == f"'{parts}' holds a prediction already: choose another folder, or add --resume to go on with it"
    )
    assert predicted(source, parts, "their_network:network", *words, "--resume").code == 0
    assert results(parts) == results(whole)
    if until == 30:
        assert made[-1].calls < made[0].calls
    # All is there, so the network is asked no more but for the try at the beginning.
    assert predicted(source, parts, "their_network:network", *words, "--resume").code == 0
    assert made[-1].calls == 4


@pytest.mark.usefixtures("drawn")
def test_seeds_and_predictors_can_be_added(source: Path, tmp_path: Path) -> None:
    words = ("--steps", 4, "--network-steps", 4, "--batch", 2, "--scales", 3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = (*words, "--seeds", "0-3", "--predictors", "nearest,wiener")
    assert predicted(source, whole, "smalti:Ideal", *more).code == 0
    assert predicted(source, parts, "smalti:Ideal", *words, "--seeds", "0-1", "--predictors", "nearest").code == 0
    assert predicted(source, parts, "smalti:Ideal", *more, "--resume").code == 0
    assert results(parts) == results(whole)
    for name in PICTURES:
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_another_prediction_in_the_folder(source: Path, out: Path) -> None:
    assert predicted(source, out, "smalti:Ideal", *PLAIN).code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for words, what in (
        (("smalti.denoisers:Wiener",), "--network, what is in the network"),
        (("smalti:Ideal", "--steps", 3), "--steps"),
        (("smalti:Ideal", "--schedule", "linear"), "--schedule"),
        (("smalti:Ideal", "--size", 6), "the pictures"),
    ):
        found = predicted(source, out, words[0], *PLAIN, *words[1:], "--resume")
        assert found.code == 1
        sentence = f"smalti: '{out}' holds another prediction ({what} differ): choose another folder."
        assert found.err.splitlines()[-1] == sentence
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "asked.json").write_text("{}")
    found = predicted(source, out, "smalti:Ideal", *PLAIN, "--resume")
    assert found.failure == f"'{out / 'asked.json'}' is damaged, so nothing can go on from it: choose another folder"


def test_a_folder_of_something_else(source: Path, out: Path, tmp_path: Path) -> None:
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    for words in ((), ("--resume",)):
        found = predicted(source, out, "smalti:Ideal", *PLAIN, *words)
        assert found.failure == f"'{out}' is not an empty folder: choose another, or remove what is there"
    assert "lies in the source" in predicted(source, source / "out", "smalti:Ideal", *PLAIN).failure
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_stopped_before_anything_was_begun(source: Path, out: Path, module: SimpleNamespace) -> None:
    module.network = lambda corpus: Slow(corpus, 1)
    stopped = predicted(source, out, "their_network:network", *PLAIN)
    assert (stopped.code, stopped.failure) == (130, "stopped before the first picture was drawn: repeat the command")
    assert not out.exists()


# Refused


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--scales", "3,x"), 2, "patch sizes '3,x' have no meaning: give network, auto, paper-cifar10, odd numbers"),
        (("--scales", "4"), 2, "a patch size is an odd number of pixels, 1 or more, and 4 is not"),
        (("--scales", "no.json"), 1, "'no.json' cannot be read (No such file or directory): give a file that"),
        (
            *(("--machine", "equivariant-local", "--scales", "9"), 2),
            "a patch of 9 does not fit inside pictures of side 8: use smaller scales or larger pictures",
        ),
        (
            *(("--machine", "ideal", "--scales", "auto"), 2),
            "the ideal machine compares whole pictures and takes no --scales: leave it out",
        ),
        (("--machine", "best"), 2, "there is no machine called 'best': choose one of ideal, equivariant, local"),
        (("--predictors", "best"), 2, "there is no predictor 'best': choose from border-aware, data-mask-local"),
        (("--predictors", "ideal:auto"), 2, "the predictor 'ideal:auto' has no meaning: ideal has no patch sizes"),
        (
            ("--network-steps", "20,x"),
            2,
            "--network-steps '20,x' has no meaning: give numbers of steps, such as 20,150",
        ),
        (("--seeds", "1,1"), 2, "each seed gives one picture, but seed 1 is asked for more than once"),
        (("--schedule", "steep"), 2, "there is no schedule called 'steep'; choose one of cosine, offset-cosine"),
        (("--label", "b"), 2, "no label"),
        (("--clock", "cosine"), 2, "--clock is for a function that is the network itself: say what it returns"),
        (("--device", "cuda"), 2, "--device is for networks in files, and smalti:Ideal sees to its own: leave it out"),
        (("--network", "smalti:Nobody"), 1, "--network 'smalti:Nobody' cannot be had (AttributeError: "),
        (("--network", "no.safetensors"), 1, "--network 'no.safetensors' cannot be read (No such file or directory)"),
    ],
)
def test_wrong_usage_is_one_sentence(
    words: tuple[object, ...], code: int, sentence: str, source: Path, out: Path
) -> None:
    found = predicted(source, out, "smalti:Ideal", *SHORT, "--predictors", "nearest", *words)
    assert found.code == code
    assert sentence in found.failure
    assert not out.exists()


def test_no_network(source: Path, out: Path) -> None:
    found = smalti("predict", source, "-o", out)
    assert (found.code, found.failure) == (2, "say which network is to be predicted: --network MODEL")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            lambda x, _: x[..., :4],
            "must return numbers of the same shape, but it returned float32 of shape (1, 1, 8, 4)",
        ),
        (
            lambda x, _: x * np.nan,
            "returned numbers that are not finite at time 1.0: its weights or its clock are wrong",
        ),
        (lambda x, _: x / 0, "raised ZeroDivisionError: "),
        (lambda _: 0, "raised TypeError: "),
    ],
)
def test_functions_that_are_no_networks(
    answer: Any, sentence: str, source: Path, out: Path, module: SimpleNamespace
) -> None:
    def divided(x: Any, time: Any) -> Any:
        return 1 / 0

    module.network = divided if "ZeroDivision" in sentence else answer
    found = predicted(source, out, "their_network:network", "--predicts", "v", *PLAIN)
    assert found.code == 1
    assert sentence in found.failure
    assert not out.exists()


def test_texts_and_other_pictures(source: Path, out: Path, tmp_path: Path, module: SimpleNamespace) -> None:
    text = tmp_path / "a.txt"
    text.write_text("to be or not to be")
    for name in (text, "python-manual"):
        found = predicted(name, out, "smalti:Ideal", *PLAIN)
        assert found.failure == f"'{name}' holds texts, and networks here draw pictures: give pictures"
    colour = ImageCorpus.from_arrays(np.zeros((2, 8, 8, 3), np.uint8))
    module.network = lambda _: Ideal(colour)
    found = predicted(source, out, "their_network:network", *PLAIN)
    assert found.failure.endswith(
        "makes pictures of 3 channels, and the source has 1: give the pictures that it was trained on"
    )
    assert not out.exists()


def test_without_pytorch_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, source: Path, out: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "m.safetensors").write_bytes(b"something")
    found = predicted(source, out, str(tmp_path / "m.safetensors"), *PLAIN)
    assert found.code == 1
    assert found.failure == "a network needs PyTorch, which is not installed here: pip install 'smalti[torch]'"
    assert not out.exists()


# With PyTorch


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="networks need PyTorch: pip install 'smalti[torch]'")


def trained(source: Path, path: Path, *words: object) -> Path:
    done = smalti(
        *("train", source, "-o", path, "--steps", 2, "--channels", 16, "--layers", 2, "--batch", 4, "--threads", 1),
        *words,
    )
    assert done.code == 0, done.err
    return path


@pytest.mark.usefixtures("torch")
def test_a_network_in_a_file(source: Path, out: Path, tmp_path: Path) -> None:
    path = trained(source, tmp_path / "m.safetensors")
    done = predicted(source, out, str(path), *PLAIN, "--threads", 1)
    assert done.code == 0, done.err
    assert done.err.count("note:") == 1  # a network of so few steps leaves the range of pictures
    assert "it may need more training" in done.err
    record = json.loads((out / "prediction.json").read_bytes())
    assert record["network"]["kind"] == "smalti"
    assert record["network"]["training"]["steps"] == 2
    assert len(record["settings"]["network_digest"]) == 64
    assert "torch" in record["versions"]
    other = pictures(tmp_path / "other", size=(8, 8), seed=9)
    found = predicted(other, out / "other", str(path), *PLAIN, "--threads", 1)
    assert "note: the network was trained on other pictures than these" in found.err


@pytest.mark.usefixtures("torch")
def test_labels_of_a_network(out: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for seed, name in enumerate("ab"):
        pictures(source / name, count=3, size=(8, 8), seed=seed)
    path = str(trained(source, tmp_path / "m.safetensors", "--conditional"))
    missing = predicted(source, out, path, *PLAIN)
    assert missing.failure == "the network was trained with labels and no label was given: choose one of a, b"
    unknown = predicted(source, out, path, *PLAIN, "--label", "c")
    assert unknown.failure == "the network was trained with labels and there is no label 'c': choose one of a, b"
    done = predicted(source, out, path, *PLAIN, "--label", "b")
    assert done.code == 0, done.err
    assert "predicted from 3 pictures" in done.out


@pytest.mark.usefixtures("torch")
def test_sizes_that_a_unet_cannot_halve(source: Path, out: Path, tmp_path: Path) -> None:
    path = trained(source, tmp_path / "m.safetensors", "--net", "unet")
    found = predicted(source, out, str(path), *PLAIN, "--size", 7)
    assert found.code == 2
    assert "sides are multiples of 2, not 7x7" in found.err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.usefixtures("torch")
def test_files_that_are_no_networks(source: Path, out: Path, tmp_path: Path, torch: Any) -> None:
    from safetensors.numpy import load_file, save_file

    path = trained(source, tmp_path / "m.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:500])
    assert "is not the file of a network, or it is damaged" in predicted(source, out, str(damaged), *PLAIN).failure
    tensors = load_file(path)
    name = next(name for name in sorted(tensors) if name.startswith("weights/"))
    tensors[name] = np.full_like(tensors[name], np.nan)
    save_file(tensors, tmp_path / "nan.safetensors", metadata=metadata(path))
    assert (
        "holds numbers that are not finite" in predicted(source, out, str(tmp_path / "nan.safetensors"), *PLAIN).failure
    )
    mark = tmp_path / "mark"
    torch.save({"a": Bomb(mark)}, tmp_path / "bomb.pt")
    found = predicted(source, out, str(tmp_path / "bomb.pt"), *PLAIN)
    assert "is not a PyTorch file with the tensors of a network" in found.failure
    assert not mark.exists()
    absent = predicted(source, out, str(path), *PLAIN, "--device", "cuda:99")
    assert absent.code == 2
    assert absent.failure.startswith("the device 'cuda:99' was asked for, but PyTorch sees ")
    assert not out.exists()


class Bomb:
    """What makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return open, (str(self.mark), "w")


def metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        return dict(file.metadata())
