"""`smalti measure`: the folder it writes, what it says, and every refusal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli_program import Outcome, pictures, smalti
from smalti import BorderAware, Ideal, ImageCorpus
from smalti.networks.measures import conservation, locality, noisy_items, on_trajectory
from smalti.noise import schedule

SHORT = ("--seeds", "0-1", "--steps", 4, "--every", 2)

MODULE = """
import numpy as np
from smalti import EquivariantLocal


def make(corpus):
    return EquivariantLocal(corpus, scales=3)


def with_label(corpus, label):
    return EquivariantLocal(corpus, scales=3, label=label)


def broken(x, time):
    return np.full_like(x, np.nan)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pictures(tmp_path / "in")


@pytest.fixture
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network in Python: a machine under another name, so that no PyTorch is needed."""
    (tmp_path / "given_network.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def measured(source: Path, out: Path, *words: object, network: str = "given_network:make") -> Outcome:
    return smalti("measure", source, "--network", network, "-o", out, *SHORT, *words)


pytestmark = pytest.mark.usefixtures("_module")


def test_numbers_are_those_of_the_library(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    found = measured(source, out, "--predictors", "border-aware,ideal", "--json").json
    record = json.loads((out / "measures.json").read_text())
    assert found["measures"] == record
    assert found["folder"] == str(out)
    assert sorted(path.name for path in out.iterdir()) == ["maps.png", "measures.json", "measures.png"]
    for name in ("maps.png", "measures.png"):
        with Image.open(out / name) as plot:
            assert plot.width > 600
    assert record["settings"]["times"] == [0.75, 0.25]
    assert record["settings"]["states"] == "the trajectory of equivariant-local"
    assert [each["denoiser"] for each in record["measured"]] == ["equivariant-local", "border-aware", "ideal"]
    corpus = ImageCorpus.from_folder(source)
    network: Any = __import__("given_network").make(corpus)
    states = on_trajectory(network, [0, 1], steps=4, every=2)
    ideal = locality(Ideal(corpus), states)
    assert record["measured"][2]["locality"]["shares"] == ideal.shares.tolist()
    mine = conservation(network, states)
    assert record["measured"][0]["conservation"]["mean"]["values"] == mine.of_mean.tolist()
    assert record["measured"][0]["patch_sizes"] == [3, 3]
    assert record["measured"][2]["patch_sizes"] is None


def test_the_table_tells_medians(source: Path, tmp_path: Path) -> None:
    told = measured(source, tmp_path / "out", "--predictors", "wiener")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].startswith("equivariant-local and 1 other, 2 seeds, ")
    assert lines[2].split() == ["equivariant-local", "t", "=", "0.25", "t", "=", "0.75"]
    assert lines[3].split() == ["patch,", "pixels", "3", "3"]
    rows = {line[:28].strip(): line[28:].split() for line in lines}
    assert rows["dimension, of 42"]
    record = json.loads((tmp_path / "out" / "measures.json").read_text())
    medians = [m[0] for m in record["measured"][1]["dimension"]["trace"]["medians"]]
    assert rows["dimension, of 42"] == [f"{m:.3f}" for m in reversed(medians)]
    assert lines[-3].split()[0] == str(tmp_path / "out" / "measures.json")


def test_items_under_noise_and_labels(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number, label in enumerate("ab"):
        pictures(source / label, count=4, seed=number)
    words = ("--at", "items", "--label", "b", "--predictors", "border-aware:network")
    found = measured(source, tmp_path / "out", *words, "--json", network="given_network:with_label").json["measures"]
    assert found["settings"]["states"] == "items of the corpus under noise"
    assert [each["denoiser"] for each in found["measured"]] == ["equivariant-local", "border-aware (network)"]
    corpus = ImageCorpus.from_folder(source)
    sizes = found["measured"][1]["patch_sizes"]
    of_label = corpus.with_label("b")
    states = noisy_items(of_label, [schedule("cosine").level(t) for t in (0.75, 0.25)], [0, 1])
    for place, size in enumerate(sizes):
        mine = conservation(BorderAware(corpus, scales=size, label="b"), states).of_mean[:, place]
        assert [row[place] for row in found["measured"][1]["conservation"]["mean"]["values"]] == [
            None if math.isnan(value) else value for value in mine
        ]


def test_a_network_alone(source: Path, tmp_path: Path) -> None:
    found = measured(source, tmp_path / "out", "--predictors", "", "--json").json["measures"]
    assert len(found["measured"]) == 1
    told = measured(source, tmp_path / "again", "--predictors", "")
    assert told.out.startswith("equivariant-local, 2 seeds, ")


def test_nothing_is_measured_over_other_results(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "is not an empty folder" in measured(source, out).failure
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert "lies in the source" in measured(source, source / "out").failure


def test_words_without_meaning_are_refused(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused = {
        ("--at", "noise"): "--at 'noise' has no meaning: choose trajectory or items",
        ("--predictors", "best"): "there is no predictor 'best'",
        ("--seeds", "0,0"): "seed 0 is asked for more than once",
        ("--schedule", "square"): "there is no schedule called 'square'",
    }
    for words, sentence in refused.items():
        told = measured(source, out, *words)
        assert told.code in (1, 2)
        assert sentence in told.failure
    assert smalti("measure", source, "-o", out).failure == "say which network is to be measured: --network MODEL"
    text = tmp_path / "words.txt"
    text.write_text("words and words")
    assert "holds texts, and networks here draw pictures: give pictures" in measured(text, out).failure
    broken = measured(source, out, "--predicts", "noise", network="given_network:broken")
    assert broken.code == 1
    assert "not finite" in broken.failure
    assert not out.exists()


def test_an_interrupted_measurement_writes_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smalti.networks.measures.on_trajectory", interrupted)
    told = measured(source, tmp_path / "out", "--predictors", "")
    assert told.code == 130
    assert told.failure.startswith("stopped; nothing was written")
    assert not (tmp_path / "out").exists()
