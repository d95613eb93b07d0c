"""A receipt for a network's picture: the machine's weights are exact at the network's states, and r says how far they
explain it. All networks here are functions on NumPy arrays.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from network_receipts import STEPS, as_network, border_aware, receipt_of, record_of
from smalti import DDIM, Ideal, ImageCorpus, Machine, UsageError
from smalti.networks import ContinuousTime, NetworkMachine, NetworkReceipt, TrainedOn, network_receipt
from smalti.networks.receipt import difference
from smalti.networks.receipt_pictures import draw_network
from smalti.networks.receipt_record import FORMAT
from smalti.noise import CLEAN, STATE_UNITS
from smalti.receipts import UNITS, exact
from smalti.receipts.pictures import draw
from smalti.receipts.record import plan, record, to_json
from smalti.receipts.rows import rows
from smalti.sampling.ddim import pixels_of, state_of

OFF = 0.12


@pytest.fixture(scope="module")
def machine() -> Machine:
    digits = ImageCorpus.builtin("digits")
    return border_aware(ImageCorpus.from_arrays(digits.images[:60], labels=(digits.labels or ())[:60]))


@pytest.fixture(scope="module")
def nearly(machine: Machine) -> NetworkReceipt:
    return receipt_of(machine, off=OFF)


def test_a_network_that_is_the_machine_has_the_machines_own_receipt(machine: Machine) -> None:
    own = DDIM(machine, steps=STEPS)(seeds=[3]).of_seed(3)
    for network in (machine, as_network(machine)):
        found = network_receipt(network, machine, 3, steps=STEPS)
        assert (found.trust.r.tolist(), found.trust.mse.tolist()) == ([1.0], [0.0])
        assert (found.along.r == 1.0).all()
        assert not found.along.mse.any()
        assert not found.differences.any()
        assert not found.finished_difference.any()
        assert np.array_equal(found.picture, own.image)
        chosen = plan(own.receipt, top=3)
        assert to_json(record(found.receipt, chosen)) == to_json(record(own.receipt, chosen))


def test_states_are_the_networks_and_estimates_both(machine: Machine, nearly: NetworkReceipt) -> None:
    sample, network = nearly.receipt.sample, as_network(machine, off=OFF)
    for step, (level, after) in enumerate(zip(nearly.levels, (*nearly.levels[1:], CLEAN), strict=True)):
        state = sample.states[step]
        assert np.array_equal(nearly.machine[step], machine(state, level).mean)
        assert np.array_equal(nearly.network[step], network(state, level).mean)
        # The network's own step of DDIM, and not the machine's, leads on.
        noise = (state / STATE_UNITS - level.signal * nearly.network[step]) / level.noise
        following = state_of(after.signal * nearly.network[step] + after.noise * noise)
        if step + 1 < STEPS:
            assert np.array_equal(sample.states[step + 1], following)
    assert np.array_equal(nearly.picture, pixels_of(nearly.network[-1]))
    assert np.array_equal(sample.mean, nearly.machine[-1])
    assert np.array_equal(nearly.own.mean, DDIM(machine, steps=STEPS)(seeds=[0]).means[0])


def test_weights_are_exact_for_the_machine_at_the_networks_states(nearly: NetworkReceipt) -> None:
    receipt = nearly.receipt
    height, width, _ = nearly.picture.shape
    for step in range(STEPS):
        assert int(receipt.credits(step).sum()) == height * width * UNITS
        # The proof shares nothing with the kernel, and refuses a mean that its weights do not give.
        assert exact(receipt, 3, 4, step=step).rounded == tuple(nearly.machine[step, 3, 4])
    assert not np.array_equal(receipt.sample.image, nearly.picture)


def test_r_and_differences_are_what_their_names_say(nearly: NetworkReceipt) -> None:
    pairs = [(nearly.own.mean, nearly.network[-1]), *zip(nearly.machine, nearly.network, strict=True)]
    said = [nearly.trust, *(nearly.along.at(step) for step in range(STEPS))]
    maps = [nearly.finished_difference, *nearly.differences]
    for (ours, theirs), agreement, apart in zip(pairs, said, maps, strict=True):
        # Two ways of summing 64 numbers differ by some 64 roundings at most.
        assert agreement.r[0] == pytest.approx(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1], abs=64 * 2**-52)
        assert agreement.mse[0] == pytest.approx(((ours - theirs) ** 2).mean(), rel=64 * 2**-52)
        assert np.allclose(apart, 127.5 * np.abs(ours - theirs)[..., 0], rtol=2**-50, atol=0)
    assert 0.5 < nearly.trust.r[0] < 1.0
    # Where the network leads, what parts the two is the pattern alone.
    assert np.allclose(nearly.differences, 127.5 * OFF * np.abs(np.cos(np.arange(64))).reshape(8, 8), atol=1e-9)


def test_a_difference_of_colours_is_the_mean_over_channels() -> None:
    a, b = np.zeros((2, 1, 3)), np.array([[[1.0, -1.0, 0.0]], [[0.0, 0.0, 0.5]]])
    assert difference(a, b).tolist() == [[85.0], [21.25]]


def test_a_picture_of_one_colour_has_no_r(machine: Machine) -> None:
    grey = NetworkMachine(
        lambda x, time: np.zeros(x.shape), machine.corpus, predicts="clean", clock=ContinuousTime("cosine")
    )
    found = network_receipt(grey, machine, 0, steps=STEPS)
    made = json.loads(to_json(record_of(found)))
    assert made["network"]["trust"]["r"] is None
    assert made["network"]["trust"]["r_squared"] is None
    assert made["network"]["along"]["r"] == [None] * STEPS
    assert made["network"]["trust"]["mse"] > 0


def test_the_record_tells_network_and_machine_apart(machine: Machine, nearly: NetworkReceipt) -> None:
    made = record_of(nearly)
    assert made == json.loads(to_json(made))
    own = record(nearly.receipt, plan(nearly.receipt, top=4))
    assert made["format"] == FORMAT != own["format"]
    assert made["run"]["network"] == {
        "name": "nearly",
        "place": "out/net.safetensors",
        "digest": "abc",
        "steps": STEPS,
        "schedule": "cosine",
        "patch_sizes": [3] * STEPS,
    }
    assert made["picture"]["pixels"] == nearly.picture.ravel().tolist()
    assert made["network"]["own"]["pixels"] == nearly.own.image.ravel().tolist()
    assert "did not compute them" in made["network"]["text"]
    for step, others in zip(made["steps"], own["steps"], strict=True):
        said = step.pop("network")
        assert step == others
        assert said["estimate"] == pixels_of(nearly.network[step["step"]]).ravel().tolist()
        # Rounded to thousandths of a grey level.
        assert np.allclose(said["difference"], nearly.differences[step["step"]].ravel(), atol=0.0005)
    assert made["network"]["trust"]["r"] == nearly.trust.r[0]
    assert made["network"]["along"]["mse"] == nearly.along.mse[0].tolist()
    # Steps that are not listed still have their r.
    last = record_of(nearly, steps="last")
    assert (len(last["steps"]), len(last["network"]["along"]["r"])) == (1, STEPS)
    assert sum(rows([made])["units"]) == STEPS * 64 * UNITS


def test_matches_are_of_the_networks_picture(machine: Machine, nearly: NetworkReceipt) -> None:
    apart = (machine.images.astype(int) - nearly.picture.astype(int)) ** 2
    rms = np.sqrt(apart.reshape(len(apart), -1).mean(axis=1))
    best, found = record_of(nearly)["match"]["whole"][0]
    assert found == rms.min()
    assert record_of(nearly)["items"][best]["index"] == int(rms.argmin())
    assert nearly.receipt.match(keep=1).whole != nearly.receipt.match(keep=1, picture=nearly.picture).whole


def test_pictures_show_whose_each_one_is(machine: Machine, nearly: NetworkReceipt) -> None:
    made = record_of(nearly)
    drawn = draw_network(made, machine.corpus.images)
    assert set(drawn) == {*draw(made, machine.corpus.images), "agreement"}
    # Margin, picture, gap, picture, each pixel 32 pixels wide; below them there is a margin alone.
    sheet = drawn["agreement"][-18 - 256 : -18, :, 0]
    for left, picture in ((18, nearly.picture), (18 + 256 + 14, nearly.own.image)):
        assert np.array_equal(sheet[16::32, left + 16 : left + 256 : 32], picture[..., 0])


def test_what_cannot_be_compared_is_refused(machine: Machine) -> None:
    def never(x: np.ndarray, time: np.ndarray) -> np.ndarray:
        raise AssertionError

    def network(corpus: TrainedOn, multiple: int = 1) -> NetworkMachine:
        return NetworkMachine(never, corpus, predicts="clean", clock=ContinuousTime("cosine"), multiple=multiple)

    with pytest.raises(UsageError, match="makes pictures of 3 channels and the machine of 1, so that one cannot"):
        network_receipt(network(TrainedOn("", (8, 8), 3)), machine, 0)
    with pytest.raises(UsageError, match="whose sides are multiples of 16, not 8x8"):
        network_receipt(network(TrainedOn("", (8, 8), 1), multiple=16), machine, 0)
    with pytest.raises(UsageError, match="A seed is a whole number from 0"):
        network_receipt(machine, machine, -1)
    with pytest.raises(UsageError, match="7x8"):
        network_receipt(as_network(machine), Ideal(machine.corpus), 0, size=(8, 7))


def test_another_size_of_picture_has_a_receipt_too(machine: Machine) -> None:
    found = network_receipt(as_network(machine, off=OFF), machine, 0, steps=STEPS, size=(6, 11))
    assert found.picture.shape == (6, 11, 1)
    assert int(found.receipt.credits().sum()) == 66 * UNITS


def test_what_is_explained_says_so(nearly: NetworkReceipt) -> None:
    assert repr(nearly) == f"NetworkReceipt(seed 0 of nearly, r {nearly.trust.r[0]:.3f})"
    assert nearly.receipt.sample.settings["states_of"] == "nearly"
    assert "states_of" not in nearly.own.settings
