"""`smalti predict --network` with networks of other people, each made small here and saved as they save it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cli_program import Outcome, pictures, smalti
from network_cases import made, small, torch
from smalti import DDIM, Ideal, ImageCorpus, open_images, schedule
from smalti.networks import edm_machine, open_diffusers, open_published

PLAIN = ("--seeds", "0-2", "--steps", 3, "--network-steps", 5, "--scales", 3, "--predictors", "nearest", "--threads", 1)


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plots, which take most of the time."""
    monkeypatch.setattr("smalti.cli.predict_files.draw", lambda _: {})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pictures(tmp_path / "in", size=(8, 8), count=6)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def predicted(source: Path, out: Path, network: Path | str, *words: object) -> Outcome:
    return smalti("predict", source, "-o", out, "--network", network, *PLAIN, *words)


def check(out: Path, machine: Any, corpus: ImageCorpus, *, kind: str) -> None:
    """The figures are those of this network's pictures and the ideal machine's."""
    record = json.loads((out / "prediction.json").read_bytes())
    assert record["network"]["kind"] == kind
    own = schedule(record["settings"]["schedule"]) if record["settings"]["schedule"] in ("cosine", "edm") else None
    levels = own or machine.clock
    theirs = DDIM(machine, steps=5, schedule=levels)(seeds=range(3)).means.reshape(3, -1)
    ideal = DDIM(Ideal(corpus), steps=3, schedule=levels)(seeds=range(3)).means.reshape(3, -1)
    told = next(one for one in record["predictors"] if one["name"] == "ideal")["pictures"][-1]
    assert told["network_steps"] == 5
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(theirs, ideal, strict=True)]
    # float32 sums of a network may come out in another order.
    assert told["r"]["median"] == pytest.approx(np.median(r), abs=1e-4)
    assert told["mse"]["median"] == pytest.approx(np.median(np.square(theirs - ideal).mean(axis=1)), rel=1e-4)


def test_a_checkpoint_in_the_published_layout(source: Path, out: Path, tmp_path: Path) -> None:
    path = tmp_path / "backbone.pt"
    torch.save(made(small()).float().state_dict(), path)
    untold = predicted(source, out, path)
    assert "does not say how its network pads pictures" in untold.failure
    assert not out.exists()
    done = predicted(source, out, path, "--padding", "zeros")
    assert done.code == 0, done.err
    corpus = open_images(str(source))
    check(out, open_published(path, padding="zeros").machine(corpus), corpus, kind="published")
    again = predicted(source, out, path, "--padding", "circular", "--resume")
    assert again.failure == f"'{out}' holds another prediction (what is in the network differ): choose another folder"


def test_a_pipeline_of_diffusers(source: Path, out: Path, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    ).eval()
    folder = tmp_path / "pipeline"
    unet.save_pretrained(folder / "unet")
    diffusers.DDPMScheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    done = predicted(source, out, folder)
    assert done.code == 0, done.err
    corpus = open_images(str(source))
    check(out, open_diffusers(folder, corpus), corpus, kind="diffusers")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert predicted(source, out / "more", empty).code == 1


class Shrinking(torch.nn.Module):
    """An EDM denoiser: D(x; sigma) = w x / (1 + sigma^2)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(0.9))

    def forward(self, x: Any, sigma: Any) -> Any:
        return self.w * x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)


def test_an_edm_denoiser_in_python(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(make=lambda corpus: edm_machine(Shrinking(), corpus))
    monkeypatch.setitem(sys.modules, "their_edm", module)
    done = predicted(source, out, "their_edm:make")
    assert done.code == 0, done.err
    corpus = open_images(str(source))
    check(out, edm_machine(Shrinking(), corpus), corpus, kind="callable")
