"""Training: the loss it lowers, that stopping changes nothing, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from network_cases import small, tiny_pictures, torch
from smalti import DDIM, ImageCorpus, InputError, UsageError, schedule
from smalti.networks import NetworkConfig, Plan, StoppedTraining, build, initialise, load_network, train
from smalti.networks.checkpoint import read_checkpoint, write_checkpoint
from smalti.noise import gaussian_state
from smalti.noise.words import random_words, uniforms

PLAN = Plan(steps=7, batch=4, rate=1e-3)


def test_the_first_step_is_the_formula(tmp_path: Path) -> None:
    corpus, config = tiny_pictures(), small()
    trained = train(corpus, config, replace(PLAN, steps=1), path=tmp_path / "a.safetensors")
    # The loss, from the definitions.
    module = build(config)
    initialise(module, seed=0)
    items = np.argsort(random_words(10, seed=0, purpose="network/order"), kind="stable")[:4]
    times = np.floor(1000 * uniforms(4, seed=0, purpose="network/time")) / 1000
    eps = gaussian_state((4, 4, 4, 1), seed=0, purpose="network/noise") / 4080
    levels = [schedule("cosine").level(t) for t in times]
    noisy = [
        level.signal * (corpus.images[item] / 127.5 - 1.0) + level.noise * e
        for level, item, e in zip(levels, items, eps, strict=True)
    ]
    as_input = torch.tensor(np.stack(noisy).transpose(0, 3, 1, 2), dtype=torch.float32)
    answer = module(as_input, torch.tensor(times, dtype=torch.float32))
    loss = ((answer - torch.tensor(eps.transpose(0, 3, 1, 2), dtype=torch.float32)) ** 2).mean()
    # Pictures are put together in float32 there and in float64 here.
    assert float(loss.detach()) == pytest.approx(trained.losses[0], rel=1e-5)
    # Adam's first step is rate * g / (|g| + 1e-8), whatever the size of the gradient g.
    loss.backward()
    for name, weight in module.named_parameters():
        moved = trained.module.state_dict()[name] - weight.detach()
        expected = -1e-3 * weight.grad / (weight.grad.abs() + 1e-8)
        far = weight.grad.abs() > 1e-4  # where rounding of the gradient cannot show
        assert torch.allclose(moved[far], expected[far], rtol=0, atol=1e-6), name


def test_the_loss_falls_and_the_network_draws(few_digits: ImageCorpus, tmp_path: Path) -> None:
    plan = Plan(steps=60, batch=32, rate=2e-3)
    trained = train(few_digits, small("unet"), plan, path=tmp_path / "a.safetensors")
    assert len(trained.losses) == 60
    # An answer of zeros has a loss of 1; the unknown part of the noise alone is a tenth or so.
    assert trained.losses[:5].mean() > 0.9
    assert trained.losses[-10:].mean() < 0.6
    machine = trained.machine()
    trace = DDIM(machine, steps=20)(seeds=range(3))
    assert trace.images.shape == (3, 8, 8, 1)
    assert trace.settings["machine"] == "network-unet"
    assert trace.corpus_digest == few_digits.digest
    again = DDIM(load_network(tmp_path / "a.safetensors").machine(few_digits), steps=20)(seeds=range(3))
    assert np.array_equal(trace.states, again.states)


@pytest.mark.parametrize("net", ["resnet", "unet-attention"])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_stopped_training_goes_on_to_the_same_bytes(net: Any, ema: float | None, tmp_path: Path) -> None:
    corpus, config = tiny_pictures(labelled="ab"), small(net, labels=("a", "b"))
    plan = replace(PLAN, ema=ema)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train(corpus, config, plan, path=whole)
    done = iter([False, True, False, False, True])
    for steps in (2, 5):
        with pytest.raises(StoppedTraining) as stopped:
            train(corpus, config, plan, path=parts, resume=True, stopped=lambda: next(done))
        assert stopped.value.steps == steps
    train(corpus, config, plan, path=parts, resume=True)
    assert whole.read_bytes() == parts.read_bytes()


def test_a_finished_training_can_be_made_longer(tmp_path: Path) -> None:
    corpus, config = tiny_pictures(), small()
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train(corpus, config, PLAN, path=whole)
    train(corpus, config, replace(PLAN, steps=3), path=parts)
    train(corpus, config, PLAN, path=parts, resume=True)
    assert whole.read_bytes() == parts.read_bytes()
    before = parts.stat().st_mtime_ns
    train(corpus, config, PLAN, path=parts, resume=True)
    assert whole.read_bytes() == parts.read_bytes()
    assert parts.stat().st_mtime_ns >= before


def test_the_running_mean_is_what_predicts(tmp_path: Path) -> None:
    corpus, config = tiny_pictures(), small()
    means = {}
    for steps in (1, 2):
        path = tmp_path / f"{steps}.safetensors"
        train(corpus, config, replace(PLAN, steps=steps, ema=0.75), path=path)
        read = read_checkpoint(path)
        means[steps] = (read.part("weights"), read.part("raw"))
    for name, mean in means[2][0].items():
        expected = 0.75 * means[1][0][name] + 0.25 * means[2][1][name]
        # Three roundings of float32 numbers below 1.
        assert np.allclose(mean, expected, rtol=0, atol=3 * 2.0**-24), name


def test_each_epoch_sees_each_picture_once() -> None:
    assert Plan.steps_of_epochs(3, 10, 4) == 9
    assert Plan.steps_of_epochs(2, 8, 4) == 4
    assert Plan.steps_of_epochs(1, 3, 128) == 1
    seen = [np.argsort(random_words(10, seed=1, purpose="network/order", step=epoch)) for epoch in range(2)]
    assert all(sorted(order) == list(range(10)) for order in seen)
    assert not np.array_equal(seen[0], seen[1])


def test_seeds_differ(tmp_path: Path) -> None:
    losses = [
        train(tiny_pictures(), small(), replace(PLAN, seed=seed), path=tmp_path / f"{seed}.safetensors").losses
        for seed in (0, 1)
    ]
    assert not np.array_equal(losses[0], losses[1])


def test_a_loss_that_is_no_number_stops_the_training_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    corpus, config = tiny_pictures(), small()
    train(corpus, config, PLAN, path=path)
    read = read_checkpoint(path)
    large = {name: array * np.float32(1e30) for name, array in read.tensors.items() if name.startswith("weights/")}
    write_checkpoint(path, replace(read, tensors={**read.tensors, **large}))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"At step 8 the loss is (nan|inf), .* smaller rate than 0\.001"):
        train(corpus, config, replace(PLAN, steps=9), path=path, resume=True)
    assert path.read_bytes() == before


def test_weights_that_are_no_numbers_do_not_replace_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    corpus, config = tiny_pictures(), small()
    train(corpus, config, PLAN, path=path)
    read = read_checkpoint(path)
    # Adam divides by the root of this, while the loss before the step is as it was.
    negative = {"second/up_projection.bias": np.full(16, -1e30, np.float32)}
    write_checkpoint(path, replace(read, tensors={**read.tensors, **negative}))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"After step 8 a weight is no longer a number, .* smaller rate than 0\.001"):
        train(corpus, config, replace(PLAN, steps=8), path=path, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("config", "plan", "corpus", "sentence"),
    [
        (small(channels=24), PLAN, tiny_pictures(), "was trained with channels 16, and 24 cannot go on"),
        (small(), replace(PLAN, seed=1), tiny_pictures(), "was trained with seed 0, and 1 cannot go on"),
        (small(), replace(PLAN, ema=0.5), tiny_pictures(), "was trained with ema None, and 0.5 cannot go on"),
        (small(), PLAN, tiny_pictures(count=9), "was trained with pictures, and other ones cannot go on"),
        (small(), replace(PLAN, steps=6), tiny_pictures(), "has 7 steps already, and 6 were asked for"),
    ],
)
def test_another_training_cannot_go_on(
    config: NetworkConfig, plan: Plan, corpus: ImageCorpus, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    train(tiny_pictures(), small(), PLAN, path=path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=sentence):
        train(corpus, config, plan, path=path, resume=True)
    assert path.read_bytes() == before


def test_what_cannot_be_trained_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    corpus = tiny_pictures(labelled="ab")
    with pytest.raises(UsageError, match="multiples of 8"):
        train(corpus, small("unet", layers=4), PLAN, path=path)
    with pytest.raises(UsageError, match="have 1 channels, and the network is for 3"):
        train(corpus, small(image_channels=3), PLAN, path=path)
    for labels in (("a",), ("a", "b", "c")):
        with pytest.raises(UsageError, match="labels of the network are not those of the pictures"):
            train(corpus, small(labels=labels), PLAN, path=path)
    with pytest.raises(UsageError, match="no device called 'tpu'"):
        train(corpus, small(), PLAN, path=path, device="tpu")
    for seconds in (-1.0, float("nan")):
        with pytest.raises(UsageError, match=f"every 0 seconds or more, but this says {seconds}"):
            train(corpus, small(), PLAN, path=path, save_every=seconds)
    assert not path.exists()
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match="is there already"):
        train(corpus, small(), PLAN, path=path)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 0}, "number of steps is a whole number of at least 1, but it is 0"),
        ({"batch": 0}, "A batch is a whole number of at least 1, but it is 0"),
        ({"rate": 0.0}, "rate is above 0 and below 1"),
        ({"rate": float("nan")}, "rate is above 0 and below 1"),
        ({"decay": 1.1}, "decay is above 0 and at most 1"),
        ({"ema": 1.0}, "between 0 and 1, such as 0.999, but it is 1.0"),
        ({"seed": -1}, "seed is a whole number from 0, but it is -1"),
        ({"schedule": "steep"}, "no schedule called 'steep'"),
    ],
)
def test_plans_without_meaning_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Plan(**{"steps": 1, **values})


def test_cuda_asked_for_and_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="'cuda' was asked for, but PyTorch sees no CUDA device here: choose cpu"):
        train(tiny_pictures(), small(), PLAN, path=tmp_path / "a.safetensors", device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="'cuda:1' was asked for, but PyTorch sees 1 CUDA device here"):
        load_network(tmp_path / "a.safetensors", device="cuda:1")
