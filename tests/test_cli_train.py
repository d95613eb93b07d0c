"""`smalti train`: a small network, its file and plot, stopping and going on, and every refusal."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli_program import pictures, smalti
from smalti.networks import training

SMALL = ("--channels", 16, "--layers", 2, "--batch", 4, "--threads", 1)


def labelled(folder: Path) -> Path:
    pictures(folder / "a", count=3, size=(8, 8), seed=0)
    pictures(folder / "b", count=3, size=(8, 8), seed=1)
    return folder


def test_texts_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("to be or not to be")
    for name in (text, "python-manual"):
        found = smalti("train", name, "-o", tmp_path / "m.safetensors", "--steps", 1)
        assert (found.code, found.failure) == (
            1,
            f"'{name}' holds texts, and networks here draw pictures: give pictures",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("command", ["train", "predict", "measure"])
def test_the_help_of_commands_with_networks_offers_no_texts(command: str) -> None:
    told = smalti(command, "--help").out
    assert "digits, photo" in " ".join(told.split())
    assert "Texts" not in told
    assert "python-manual" not in told


# With PyTorch


@pytest.fixture
def _torch() -> None:
    pytest.importorskip("torch", reason="networks need PyTorch: pip install 'smalti[torch]'")


@pytest.mark.usefixtures("_torch")
@pytest.mark.parametrize("net", ["resnet", "unet", "unet-attention"])
def test_a_network_is_trained(net: str, tmp_path: Path) -> None:
    from smalti.networks import load_network

    source, out = pictures(tmp_path / "in", size=(8, 8)), tmp_path / "new" / "m.safetensors"
    found = smalti("train", source, "-o", out, "--net", net, "--padding", "circular", "--epochs", 3, *SMALL, "--json")
    record = found.json
    assert record["model"] == str(out)
    assert record["network"] == {
        **{"net": net, "padding": "circular", "image_channels": 1, "channels": 16, "layers": 2, "labels": []}
    }
    assert (record["training"]["steps"], record["training"]["items"], record["training"]["size"]) == (6, 6, [8, 8])
    network = load_network(out)
    assert record["weights"] == sum(weight.numel() for weight in network.module.parameters())
    assert record["loss"] == pytest.approx(float(network.losses[-1]))
    with Image.open(out.with_suffix(".png")) as plot:
        assert plot.width > 500
    assert sorted(path.name for path in out.parent.iterdir()) == ["m.png", "m.safetensors"]


@pytest.mark.usefixtures("_torch")
def test_the_result_is_told_in_words(tmp_path: Path) -> None:
    source, out = pictures(tmp_path / "in", size=(8, 8)), tmp_path / "m.safetensors"
    told = smalti("train", source, "-o", out, "--steps", 2, *SMALL)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].startswith("resnet with zeros padding, 5,857 weights; 6 pictures, 2 steps of 4, ")
    assert lines[1].startswith("loss 1.") or lines[1].startswith("loss 0.")
    assert [line.split()[0] for line in lines[2:]] == [str(out), str(out.with_suffix(".png"))]


@pytest.mark.usefixtures("_torch")
def test_labels_are_learnt_and_going_on_gives_the_same_bytes(tmp_path: Path) -> None:
    source = labelled(tmp_path / "in")
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    words = ("train", source, "--conditional", "--seed", 3, "--ema", 0.9, "--rate", 0.001, *SMALL)
    assert smalti(*words, "-o", whole, "--steps", 5, "--json").json["network"]["labels"] == ["a", "b"]
    assert smalti(*words, "-o", parts, "--steps", 2, "--resume").code == 0
    assert smalti(*words, "-o", parts, "--steps", 5, "--resume").code == 0
    assert whole.read_bytes() == parts.read_bytes()
    assert smalti(*words, "-o", parts, "--steps", 5).failure.endswith(
        f"'{parts}' is there already: choose another name, or add --resume to go on from it"
    )
    other = smalti(*words, "-o", parts, "--steps", 6, "--resume", "--padding", "circular")
    assert "was trained with padding zeros, and circular cannot go on from it" in other.err
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.usefixtures("_torch")
def test_one_label_only(tmp_path: Path) -> None:
    source, out = labelled(tmp_path / "in"), tmp_path / "m.safetensors"
    record = smalti("train", source, "-o", out, "--label", "b", "--steps", 1, *SMALL, "--json").json
    assert record["training"]["items"] == 3


@pytest.mark.usefixtures("_torch")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_keeps_what_it_did(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = []

    def interrupted(self: Any, batch: Any) -> None:
        steps.append(batch)
        if len(steps) == 3:
            signal.raise_signal(number)  # in the midst of a step, which is finished
        usual(self, batch)

    source = pictures(tmp_path / "in", size=(8, 8))
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    words = ("train", source, "--steps", 5, *SMALL)
    assert smalti(*words, "-o", whole).code == 0
    before = signal.getsignal(number)
    usual = training._Run.step
    monkeypatch.setattr(training._Run, "step", interrupted)
    stopped = smalti(*words, "-o", parts)
    assert stopped.code == 130
    assert stopped.out == ""
    assert stopped.err.splitlines()[-1] == (
        f"smalti: stopped after 3 steps of 5; '{parts}' keeps them: repeat the command with --resume to go on."
    )
    assert signal.getsignal(number) == before
    assert smalti(*words, "-o", parts, "--resume").code == 0
    assert len(steps) == 5
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.usefixtures("_torch")
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 2, "say how long to train: either --steps N or --epochs N"),
        (("--steps", 1, "--epochs", 1), 2, "--steps and --epochs both say how long to train: give only one of the two"),
        (
            *(("--steps", 10**9 + 1), 2),
            "a training has 1,000,000,000 steps at most, but 1,000,000,001 were asked for: ask for fewer",
        ),
        (
            *(("--epochs", 2 * 10**9), 2),
            "a training has 1,000,000,000 steps at most, but 2,000,000,000 were asked for: ask for fewer",
        ),
        (("--steps", 1, "--net", "vgg"), 2, "--net 'vgg' has no meaning: choose one of resnet, unet, unet-attention"),
        (("--steps", 1, "--padding", "mirror"), 2, "--padding 'mirror' has no meaning: choose one of zeros, circular"),
        (("--steps", 1, "--conditional"), 2, "--conditional needs labels, and '{source}' has none: leave it out"),
        (
            *(("--steps", 1, "--channels", 20), 2),
            "the channels of a network are a multiple of 8 from 16 to 4,096, but they are 20",
        ),
        (
            *(("--steps", 1, "--net", "unet", "--layers", 5), 2),
            "a unet of 5 sizes halves pictures 4 times, so sides must be multiples of 16, and pictures of 8x8 are not: "
            "use another size or fewer layers",
        ),
        (("--steps", 1, "--rate", 0), 2, "the rate is above 0 and below 1, such as 0.0001, but it is 0.0"),
        (
            *(("--steps", 1, "--device", "tpu"), 2),
            "there is no device called 'tpu': choose cpu, cuda, or one of several as in cuda:1",
        ),
        (
            *(("--steps", 1, "--schedule", "steep"), 2),
            "there is no schedule called 'steep'; choose one of cosine, offset-cosine, linear, sigmoid, edm",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(words: tuple[object, ...], code: int, sentence: str, tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", size=(8, 8))
    found = smalti("train", source, "-o", tmp_path / "m.safetensors", *words)
    assert (found.code, found.failure) == (code, sentence.format(source=source))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.usefixtures("_torch")
def test_cuda_asked_for_and_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = smalti("train", "digits", "-o", tmp_path / "m.safetensors", "--steps", 1, "--device", "cuda")
    assert found.code == 2
    assert found.failure == "the device 'cuda' was asked for, but PyTorch sees no CUDA device here: choose cpu"


@pytest.mark.usefixtures("_torch")
def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", size=(8, 8))
    found = smalti("train", source, "-o", tmp_path / "m.pt", "--steps", 1)
    assert found.failure == (
        f"-o '{tmp_path / 'm.pt'}' must end in .safetensors: that is the form in which networks are kept"
    )
    (tmp_path / "m.safetensors").mkdir()
    found = smalti("train", source, "-o", tmp_path / "m.safetensors", "--steps", 1)
    assert found.failure == f"'{tmp_path / 'm.safetensors'}' is a folder: choose another name"
    (tmp_path / "n.safetensors").write_bytes(b"mine")
    found = smalti("train", source, "-o", tmp_path / "n.safetensors", "--steps", 1, "--resume", *SMALL)
    assert "is not the file of a network, or it is damaged" in found.err


# Without it


def test_without_pytorch_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = smalti("train", "digits", "-o", tmp_path / "m.safetensors", "--steps", 1)
    assert found.code == 1
    assert found.failure == "a network needs PyTorch, which is not installed here: pip install 'smalti[torch]'"
    assert list(tmp_path.iterdir()) == []
