"""The file of a network: what was written comes back, and what is no network is refused without running it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from network_cases import small, tiny_pictures, torch
from smalti import DDIM, InputError, UsageError
from smalti.networks import Network, Plan, load_network, train
from smalti.networks.checkpoint import read_checkpoint, write_checkpoint

PLAN = Plan(steps=2, batch=4, rate=1e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "a.safetensors"
    train(tiny_pictures(), small(), PLAN, path=path)
    return path


def changed(model: Path, path: Path, **tensors: Any) -> Path:
    """A copy of the file with other tensors; None takes one out."""
    read = read_checkpoint(model)
    given = {name.replace("__", "/").replace("_DOT_", "."): array for name, array in tensors.items()}
    kept = {name: array for name, array in {**read.tensors, **given}.items() if array is not None}
    write_checkpoint(path, replace(read, tensors=kept))
    return path


def test_a_machine_knows_its_network_by_form_and_weights(model: Path, tmp_path: Path) -> None:
    machine = load_network(model).machine()
    assert len(machine.digest) == 64
    assert load_network(model).machine().digest == machine.digest
    train(tiny_pictures(), small(), replace(PLAN, steps=3), path=tmp_path / "longer.safetensors")
    assert load_network(tmp_path / "longer.safetensors").machine().digest != machine.digest
    network = load_network(model)
    around = replace(network, config=replace(network.config, padding="circular"))
    assert around.machine().digest != machine.digest


def test_a_network_comes_back_as_it_was(model: Path, tmp_path: Path) -> None:
    read = read_checkpoint(model)
    write_checkpoint(tmp_path / "b.safetensors", read)
    assert (tmp_path / "b.safetensors").read_bytes() == model.read_bytes()
    loaded = load_network(model)
    assert loaded.config == small()
    assert loaded.training is not None
    assert (loaded.training.steps, loaded.training.items, loaded.training.size) == (2, 10, (4, 4))
    assert loaded.training.corpus_digest == tiny_pictures().digest
    assert loaded.losses.shape == (2,)
    for name, weight in loaded.module.state_dict().items():
        assert np.array_equal(weight.numpy(), read.tensors[f"weights/{name}"])


def test_a_machine_knows_its_pictures_and_labels(tmp_path: Path) -> None:
    corpus = tiny_pictures(labelled="ab")
    trained = train(corpus, small(labels=("a", "b")), PLAN, path=tmp_path / "a.safetensors")
    machine = trained.machine(label="b")
    assert (machine.corpus.digest, machine.corpus.size, machine.label) == (corpus.digest, (4, 4), "b")
    one, other = (DDIM(trained.machine(label=label), steps=3)(seeds=[0]) for label in ("a", "b"))
    assert other.settings["label"] == "b"
    assert not np.array_equal(one.means, other.means)
    with pytest.raises(UsageError, match="no label was given: choose one of a, b"):
        trained.machine()
    with pytest.raises(UsageError, match="pictures with 1 channels, and those of the corpus have 3"):
        trained.machine(tiny_pictures_in_colour(), label="a")
    with pytest.raises(UsageError, match="does not say what it was trained on: give its corpus"):
        Network(trained.config, trained.module).machine(label="a")


def tiny_pictures_in_colour() -> Any:
    from smalti import ImageCorpus

    return ImageCorpus.from_arrays(np.zeros((1, 4, 4, 3), np.uint8))


def test_the_plot_shows_losses(model: Path, tmp_path: Path) -> None:
    network = load_network(model)
    network.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="holds no losses to draw"):
        replace(network, losses=np.empty(0, np.float32)).plot(tmp_path / "b.png")


class Bomb:
    """Writes a file when it is unpickled as pickles usually are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "boom")


def pickled(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(mark), protocol=4))


def saved_by_torch(path: Path, mark: Path) -> None:
    torch.save({"a": Bomb(mark)}, path)


@pytest.mark.parametrize("write", [pickled, saved_by_torch])
def test_pickles_are_refused_and_not_run(write: Callable[[Path, Path], None], tmp_path: Path) -> None:
    path, mark = tmp_path / "a.safetensors", tmp_path / "mark"
    write(path, mark)
    with pytest.raises(InputError, match="is a pickle, which could hold code, and is not opened"):
        load_network(path)
    assert not mark.exists()


def test_other_files_are_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=r"a\.safetensors cannot be read \(No such file"):
        load_network(path)
    for content in (b"", b"hello", model.read_bytes()[:-7], b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not the file of a network, or it is damaged"):
            load_network(path)
    save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(InputError, match="holds tensors but no network of Smalti"):
        load_network(path)
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"smalti": json.dumps({"format": "smalti.network/9"})})
    with pytest.raises(InputError, match=r"has the format 'smalti.network/9'; this Smalti reads 'smalti.network/1'"):
        load_network(path)
    for record in ({"format": "smalti.network/1"}, {"format": "smalti.network/1", "config": {}, "training": {}}, [1]):
        save_file({"a": np.zeros(3, np.float32)}, path, metadata={"smalti": json.dumps(record)})
        with pytest.raises(InputError, match=r"a\.safetensors (is not the file of|holds no description of) a network"):
            load_network(path)


def test_weights_of_another_form_are_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    where = "weights__up_projection_DOT_bias"
    cases = [
        (np.zeros(17, np.float32), r"up_projection\.bias are float32 of shape \(17,\), not float32 of shape \(16,\)"),
        (np.zeros(16), r"up_projection\.bias are float64 of shape \(16,\), not float32"),
        (None, r"it has no weights up_projection\.bias"),
        (np.full(16, np.nan, np.float32), r"its tensor weights/up_projection\.bias holds numbers that are not finite"),
    ]
    for array, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            load_network(changed(model, path, **{where: array}))
    with pytest.raises(InputError, match=r"it has weights too many: more"):
        load_network(changed(model, path, weights__more=np.zeros(1, np.float32)))


def test_a_file_without_the_state_of_training_predicts_but_cannot_go_on(model: Path, tmp_path: Path) -> None:
    read = read_checkpoint(model)
    path = tmp_path / "a.safetensors"
    slim = {name: array for name, array in read.tensors.items() if name.startswith("weights/")}
    write_checkpoint(path, replace(read, tensors=slim))
    assert load_network(path).machine().name == "network-resnet"
    with pytest.raises(InputError, match="does not hold the state of a training to go on from"):
        train(tiny_pictures(), small(), replace(PLAN, steps=3), path=path, resume=True)
