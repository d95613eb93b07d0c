"""`smalti explain SOURCE --network MODEL`: what it writes and says of a network's picture, and how it refuses. The
networks here are functions in a module of Python, so that PyTorch is not needed.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_program import pictures, smalti
from smalti import BorderAware, open_images
from smalti.networks import NetworkReceipt, network_receipt
from smalti.receipts import UNITS

SEED_FILES = ("png", "agreement.png", "receipt.json", "receipt.parquet")
SEED_FILES = (*SEED_FILES, "copy-map.png", "mosaic.png", "effective-sources.png", "sources.png")

MODULE = """
from network_receipts import as_network
from smalti import BorderAware
from smalti.networks import ContinuousTime, NetworkMachine

def make(corpus, label=None):
    return as_network(BorderAware(corpus, scales=3, label=label), off=0.1)

def itself(corpus):
    return BorderAware(corpus, scales=3)

def raises(corpus):
    raise RuntimeError("no such file")

def number(corpus):
    return 3

class Stops:
    name = "stops"

    def __init__(self, corpus, last):
        self.corpus, self.network, self.left = corpus, make(corpus), last

    def check_output(self, size):
        pass

    def __call__(self, state, level):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.network(state, level)

# It is tried twice, and then asked five times for each picture.
stops_at_once = lambda corpus: Stops(corpus, 4)
stops_later = lambda corpus: Stops(corpus, 9)

def fails(corpus):
    def predict(x, time):
        raise ValueError("too small")
    return NetworkMachine(predict, corpus, predicts="clean", clock=ContinuousTime("cosine"))

class Bare:
    name, corpus = "bare", None

    def check_output(self, size):
        pass

    def __call__(self, state, level):
        return None

def bare(corpus):
    return Bare()

def silent(corpus):
    made = Bare()
    made.corpus = corpus
    return made

three = 3
"""

COMMON = ("--scales", "3", "--network-steps", "5")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with labelled pictures and a module of networks, in which the commands run."""
    for label in ("a", "b"):
        pictures(tmp_path / "own" / label, count=6, size=(6, 7), seed=ord(label))
    (tmp_path / "net_for_explain.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def explain(*words: object, network: str = "make") -> Any:
    return smalti("explain", "own", "--network", f"net_for_explain:{network}", *COMMON, *words)


def wanted(seed: int) -> NetworkReceipt:
    """What the command should say of a seed, from Python."""
    from network_receipts import as_network

    machine = BorderAware(open_images("own"), scales=3)
    return network_receipt(as_network(machine, off=0.1), machine, seed, steps=5)


def test_a_folder_holds_all_of_the_network_and_of_the_machine(place: Path) -> None:
    done = explain()
    assert done.code == 0, done.err
    folder = place / "net_for_explain.make-receipt"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"000000.{name}" for name in SEED_FILES), "report.html"]
    )
    found = wanted(0)
    assert np.array_equal(np.asarray(Image.open(folder / "000000.png")), found.picture[..., 0])
    made = json.loads((folder / "000000.receipt.json").read_bytes())
    assert made["format"] == "smalti.network-receipt/1"
    assert made["network"]["trust"]["r"] == found.trust.r[0]
    assert made["network"]["about"] == {"kind": "callable"}
    assert made["run"]["network"] == {
        **{"name": "nearly", "place": "net_for_explain:make", "digest": "abc", "steps": 5, "schedule": "cosine"},
        "patch_sizes": [3] * 5,
    }
    assert made["run"]["source"] == str(place / "own")
    assert made["run"]["versions"]["smalti"]
    assert done.out.startswith(
        "Seed 0: 7x6 pixels, drawn by nearly of 'net_for_explain:make', taken apart by the border-aware machine, "
        "step 4 (the last), patches of 3\n"
        f"Trust: r {found.trust.r[0]:.3f}, r² {found.trust.r_squared[0]:.3f}, "
    )
    assert "the weights are the machine's, and explain the network's picture only that far\n" in done.out
    assert "Weight of the machine (not of the network): 12 of 12 items have some; most by\n" in done.out
    assert "this says little, since the state is almost clean" in done.out
    assert "finished picture" not in done.out


def test_a_network_that_is_the_machine_has_r_1(place: Path) -> None:
    answer = explain("--by", "label", "--json", network="itself").json["seeds"][0]
    assert answer["network"]["trust"] | {"text": ""} == {"text": "", "r": 1.0, "r_squared": 1.0, "mse": 0.0}
    assert smalti("generate", "own", "-o", "run", "--scales", "3", "--steps", "5", "--seeds", "0").code == 0
    own = smalti("explain", "run", "--by", "label", "--json").json["seeds"][0]
    assert answer["by"] == own["by"]


def test_json_and_several_seeds(place: Path) -> None:
    said = explain("--seed", "4,0-1", "--json", "-o", "x").json
    assert [answer["seed"] for answer in said["seeds"]] == [4, 0, 1]
    r = [wanted(seed).trust.r[0] for seed in (4, 0, 1)]
    assert [answer["network"]["trust"]["r"] for answer in said["seeds"]] == r
    assert said["median_r"]["value"] == sorted(r)[1]
    assert said["median_r"]["low"] <= said["median_r"]["value"] <= said["median_r"]["high"]
    assert set(said["files"]) == {path.name for path in (place / "x").iterdir()}
    assert f"Median r of 3 seeds: {sorted(r)[1]:.3f}, 95 % interval " in explain("--seed", "0,1,4", "-o", "y").out
    # What is asked of one seed is the same alone.
    assert (place / "x" / "000004.receipt.json").read_bytes() == (place / "y" / "000004.receipt.json").read_bytes()
    alone = explain("--seed", "4", "--json", "-o", "z").json
    assert "median_r" not in alone
    assert (place / "z" / "000004.receipt.json").read_bytes() == (place / "x" / "000004.receipt.json").read_bytes()


def test_a_pixel_is_proved_and_what_the_network_said_stands_beside(place: Path) -> None:
    words = ("--pixel", "6,1", "--steps", "1,4", "--top", "1000")
    (answer,) = explain(*words, "--json").json["seeds"]
    found = wanted(0)
    for pixel, step in zip(answer["pixel"], (1, 4), strict=True):
        total = sum(source["weight"] for source in pixel["sources"])
        mean = sum(Fraction(s["weight"] * (2 * s["value"][0] - 255), 255 * total) for s in pixel["sources"])
        assert mean == Fraction(pixel["mean_exactly"][0])
        assert pixel["mean"] == found.machine[step, 1, 6].tolist()
        assert pixel["network"]["mean"] == found.network[step, 1, 6].tolist()
        assert pixel["network"]["difference"] == found.differences[step, 1, 6]
    text = explain(*words).out
    assert text.count("Proof: ") == text.count("The network's estimate there is ") == 2
    assert sorted(path.name for path in place.iterdir() if path.name != "__pycache__") == ["net_for_explain.py", "own"]


def test_groups_are_of_the_machine(place: Path) -> None:
    done = explain("--by", "label", "--seed", "0,1", "--steps", "0,4")
    assert done.out.count("By label, weight of the machine (not of the network) at step 4 (the last)") == 3
    assert "All 2 pictures together" in done.out
    total = explain("--by", "label", "--seed", "0,1", "--json").json["total"]["steps"][0]
    assert total["units"] == 2 * 42 * UNITS


def test_one_file_when_one_is_asked_for(place: Path) -> None:
    assert explain("-o", "folder").code == 0
    for name, beside in (("a.json", "000000.receipt.json"), ("a.html", "report.html")):
        assert explain("-o", name).code == 0
        assert (place / name).read_bytes() == (place / "folder" / beside).read_bytes()
    assert explain("-o", "a.parquet", "--steps", "last").code == 0
    import pyarrow.parquet as pq

    table = pq.read_table(place / "a.parquet")
    assert sum(table.to_pydict()["units"]) == 42 * UNITS
    about = json.loads(table.schema.metadata[b"smalti"])
    assert "did not compute them" in about["text"]
    assert about["run"]["network"]["name"] == "nearly"


def test_a_folder_gathers_receipts_of_one_network_and_machine(place: Path) -> None:
    assert explain("-o", "x").code == 0
    assert "note: the page shows 1 seed more" in explain("-o", "x", "--seed", "1").err
    assert "is there already" in explain("-o", "x").failure
    assert explain("-o", "x", "--force").code == 0
    for other in (("--scales", "5"), ("--network-steps", "6"), ("--machine", "local"), ("--label", "a")):
        assert "is of another run" in explain("-o", "x", "--seed", "2", *other).err
    assert "is of another run" in explain("-o", "x", "--seed", "2", network="itself").err
    assert smalti("generate", "own", "-o", "run", "--scales", "3", "--steps", "2", "--seeds", "5").code == 0
    assert "of another kind of run" in smalti("explain", "run", "-o", "x").failure


def test_a_label_is_asked_of_both(place: Path) -> None:
    done = explain("--label", "a", "--by", "label", "--json")
    assert [group["value"] for group in done.json["seeds"][0]["by"]["steps"][0]["groups"]] == ["a"]


def test_patch_sizes_fitted_to_the_network(place: Path) -> None:
    done = smalti(
        *("explain", "own", "--network", "net_for_explain:itself", "--network-steps", "4", "--scales", "network"),
        *("--fit-seeds", "0-3", "-o", "x"),
    )
    assert done.code == 0, done.err
    assert (
        "note: patch sizes fitted to the network with 4 seeds, so that the machine has seen of it how far" in done.err
    )
    assert "note: patch sizes are fitted with 1 seed that they are judged by too" in done.err
    made = json.loads((place / "x" / "000000.receipt.json").read_bytes())
    # A machine with patches of 3 is best predicted by patches of 3, at every step but the noisiest, where all agree.
    assert set(made["run"]["network"]["patch_sizes"][1:]) == {3}
    assert made["network"]["trust"]["r"] > 0.99
    assert any("patch sizes fitted" in note for note in made["notes"])


def test_no_ledger_takes_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_LEDGER", str(place / "ledger.sqlite"))
    assert explain("-o", "x").code == 0
    for name in ("x", "x/000000.receipt.json"):
        assert smalti("credit", name).failure == (
            f"'{name}' holds receipts of a network's pictures, whose weights are those of a machine that did not draw "
            "them: a ledger takes runs only"
        )
    assert "holds no run.json" in smalti("credit", "own").failure


def test_a_store_remembers_the_report(place: Path) -> None:
    assert smalti("corpus", "create", "store", "own").code == 0
    assert smalti("explain", "store", "--network", "net_for_explain:make", *COMMON, "-o", "x").code == 0
    name = json.loads((place / "x" / "000000.receipt.json").read_bytes())["items"][0]["name"]
    assert str(place / "x") in smalti("corpus", "forget", "store", name, "--dry-run").out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--token", "3"), 2, "--token is for runs, not --network: leave it out"),
        (("--source", "own"), 2, "--source is for runs, not --network: leave it out"),
        (("--seed", "all"), 2, "--seed 'all' has no meaning"),
        (("--steps", "5"), 2, "there is no step 5: this sample has steps 0 to 4"),
        (("--pixel", "7,0"), 2, "there is no pixel 7,0"),
        (("--by", "licence"), 2, "licence"),
        (("--label", "c"), 2, "there is no label 'c'"),
        (("--scales", "4"), 2, "a patch size is an odd number"),
        (("--scales", "ten"), 2, "--scales 'ten' has no meaning"),
        (("--machine", "none"), 2, "there is no machine called 'none'"),
        (("--machine", "ideal"), 2, "compares whole pictures and takes no --scales"),
        (("--schedule", "none"), 2, "there is no schedule called 'none'"),
        (("--fit-seeds", "x"), 2, "--fit-seeds 'x' has no meaning"),
        (("--network-steps", "0"), 2, "--network-steps"),
        (("--padding", "zeros"), 2, "--padding is for networks in files, and net_for_explain:make sees to its own"),
        (("--device", "cuda"), 2, "--device is for networks in files"),
        (("--clock", "sigma"), 2, "--clock is for a function that is the network itself"),
        (("--seed", "0,1", "-o", "one.json"), 2, "holds the record of one seed, and 2 were asked for"),
        (("-o", "own/receipt"), 2, "lies in the source"),
        (("-o", "new.txt"), 2, "ends in .txt, which explain does not write"),
    ],
)
def test_what_cannot_be_done_is_said(place: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    done = explain(*words)
    assert done.code == code
    assert sentence in done.failure
    assert sorted(path.name for path in place.iterdir() if path.name != "__pycache__") == ["net_for_explain.py", "own"]


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("net_for_explain:none", "--network 'net_for_explain:none' cannot be had (AttributeError"),
        ("no_such_module:make", "cannot be had (ModuleNotFoundError"),
        ("net_for_explain:three", "names something that cannot be called"),
        ("net_for_explain:raises", "raised RuntimeError: no such file: it is called with the pictures"),
        ("net_for_explain:number", "gave int: let it give a smalti.networks.NetworkMachine"),
        ("net_for_explain:bare", "anything with the members name, corpus (with digest, size and channels), check_"),
        (
            "net_for_explain:silent",
            "the machine 'bare' must return a finite float64 mean of shape (1, 6, 7, 1), but at",
        ),
        ("net_for_explain:fails", "the network network failed when it was asked (ValueError: too small)"),
        ("nowhere.safetensors", "--network 'nowhere.safetensors' cannot be read (No such file or directory)"),
    ],
)
def test_what_is_no_network_is_said(place: Path, network: str, sentence: str) -> None:
    done = smalti("explain", "own", "--network", network, *COMMON)
    assert done.code == 1
    assert sentence in done.failure


@pytest.mark.parametrize(
    "option",
    [
        *(
            ("--machine", "ideal"),
            ("--scales", "3"),
            ("--schedule", "cosine"),
            ("--network-steps", "5"),
            ("--size", "8"),
        ),
        *(("--label", "a"), ("--padding", "zeros"), ("--device", "cpu"), ("--fit-seeds", "3"), ("--clock", "sigma")),
        ("--predicts", "noise"),
    ],
)
def test_options_of_networks_need_a_network(place: Path, option: tuple[str, str]) -> None:
    done = smalti("explain", "own", *option)
    assert done.code == 2
    assert done.failure == f"{option[0]} is for a network's picture, and there is no --network: leave it out"


def test_texts_and_nameless_sources_are_refused(place: Path) -> None:
    network = ("--network", "net_for_explain:make")
    assert "'python-manual' holds texts, and networks here draw" in smalti("explain", "python-manual", *network).failure
    assert "the source has an empty name" in smalti("explain", "", *network).failure


def test_a_stop_leaves_whole_files(place: Path) -> None:
    done = explain("--seed", "0-2", "-o", "x", network="stops_at_once")
    assert (done.code, (place / "x").exists()) == (130, False)
    assert done.err.splitlines()[-1] == "smalti: stopped; nothing was written: repeat the command."
    done = explain("--seed", "0-2", "-o", "x", network="stops_later")
    assert done.code == 130
    assert done.err.splitlines()[-1] == (
        "smalti: stopped; 'x' has the files of some seeds and no page of them: repeat the command with --force."
    )
    assert sorted(path.name for path in (place / "x").iterdir()) == sorted(f"000000.{name}" for name in SEED_FILES)


def test_a_trained_network_is_explained(place: Path) -> None:
    pytest.importorskip("torch", reason="networks need PyTorch: pip install 'smalti[torch]'")
    small = ("--channels", "16", "--layers", "2", "--steps", "3", "--batch", "4", "--threads", "1")
    assert smalti("train", "own", "--conditional", *small, "-o", "net.safetensors").code == 0
    words = ("explain", "own", "--network", "net.safetensors", *COMMON, "--threads", "1")
    assert "choose one of a, b" in smalti(*words).failure
    assert "which says zeros: leave it out" in smalti(*words, "--label", "a", "--padding", "circular").failure
    done = smalti(*words, "--label", "a")
    assert done.code == 0, done.err
    made = json.loads((place / "net-receipt" / "000000.receipt.json").read_bytes())
    assert made["run"]["network"]["place"] == str(place / "net.safetensors")
    assert len(made["run"]["network"]["digest"]) == 64
    assert made["network"]["about"]["training"]["steps"] == 3
    assert {item["label"] for item in made["items"]} == {"a"}
    (place / "broken.safetensors").write_bytes((place / "net.safetensors").read_bytes()[:99])
    assert "is not the file of a network, or it is damaged" in smalti(*words[:3], "broken.safetensors", *COMMON).failure
    pictures(place / "large", count=4, size=(7, 8))
    other = smalti("explain", "large", *words[2:], "--label", "a", "--pixel", "0,0")
    assert "no label" in other.failure
