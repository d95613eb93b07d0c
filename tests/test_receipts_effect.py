"""Effect: the same seeds without some items, what cannot have changed, rankings, and scores against halves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from cli_program import blocks
from smalti.corpus import ImageCorpus
from smalti.engine import native
from smalti.errors import SmaltiError, UsageError
from smalti.machines import MACHINES, BorderAware, Ideal, Local, Machine
from smalti.noise import Level, RecordedSchedule
from smalti.receipts.effects import rerun as effects_module
from smalti.receipts.effects.halves import Halves, half_corpora, lds, random_halves
from smalti.receipts.effects.ranking import one_step_values, rank
from smalti.receipts.effects.rerun import Change, Proof, effect, prove
from smalti.receipts.one_step import leave_one_out
from smalti.sampling import DDIM, Trace


def corpus_of(*, count: int = 8, channels: int = 1, labels: str | None = None) -> ImageCorpus:
    pixels = np.stack([blocks(count, size=(5, 6), seed=k) for k in range(channels)], axis=-1)
    return ImageCorpus.from_arrays(pixels, labels=None if labels is None else list(labels))


def run(machine: Machine, *, seeds: int = 3, levels: tuple[Level, ...] | None = None) -> Trace:
    if levels is None:
        return DDIM(machine, steps=4)(seeds=range(seeds))
    return DDIM(machine, steps=len(levels), schedule=RecordedSchedule("test", levels))(seeds=range(seeds))


def leveled(*signals: float) -> tuple[Level, ...]:
    return tuple(Level(1.0 - k / 10, a, math.sqrt(1.0 - a * a)) for k, a in enumerate(signals))


# So little noise from the start that most items have no weight anywhere.
CLEAR = leveled(0.995, 0.999, 0.9999)


@pytest.mark.parametrize("name", MACHINES)
def test_the_bytes_of_a_corpus_that_never_had_them(name: str) -> None:
    """after is the run of a corpus put together from the other pictures alone."""
    kind = MACHINES[name]
    scales = 3 if kind.has_windows else None
    corpus = corpus_of(channels=3)
    machine = kind(corpus, scales=scales)
    trace = run(machine)
    found = effect(trace, machine, [5, 1, 1])
    others = ImageCorpus.from_arrays(corpus.images[[0, 2, 3, 4, 6, 7]])
    never = run(kind(others, scales=scales))
    assert found.removed == (1, 5)
    assert found.after.to_bytes() == never.to_bytes()
    assert found.before.to_bytes() == trace.to_bytes()
    for place, one in enumerate(found):
        assert np.array_equal(one.before, trace.images[place])
        assert np.array_equal(one.after, never.images[place])
        apart = never.means[place] - trace.means[place]
        assert np.array_equal(one.difference, 127.5 * apart)
        assert one.change.root_mean_square == pytest.approx(np.sqrt((one.difference**2).mean()), rel=1e-12)
        assert one.change.mean_absolute == pytest.approx(np.abs(one.difference).mean(), rel=1e-12)
        assert one.change.largest == np.abs(one.difference).max()
        assert one.change.pixels == (one.before != one.after).any(axis=-1).sum()
    squares = [one.change.root_mean_square**2 for one in found]
    assert found.total.root_mean_square == pytest.approx(math.sqrt(sum(squares) / len(found)), rel=1e-12)


def test_a_change_in_figures() -> None:
    before = np.array([[[0.0], [1.0]], [[-1.0], [0.0]]])
    after = np.array([[[0.0], [0.0]], [[-1.0], [0.002]]])
    found = Change.between(before, after)
    assert (found.largest, found.pixels) == (127.5, 1)
    assert found.mean_absolute == pytest.approx((127.5 + 0.255) / 4, rel=1e-12)
    assert found.root_mean_square == pytest.approx(math.sqrt((127.5**2 + 0.255**2) / 4), rel=1e-12)
    assert found.r == pytest.approx(float(np.corrcoef(before.ravel(), after.ravel())[0, 1]), abs=1e-12)
    assert math.isnan(Change.between(np.zeros((2, 2, 1)), after).r)


def test_patch_sizes_and_levels_are_kept() -> None:
    machine = BorderAware(corpus_of(), scales=3)
    found = effect(run(machine), machine, [0])
    assert dict(found.after.settings) == dict(found.before.settings)
    assert found.after.levels == found.before.levels
    assert found.after.corpus_digest == machine.corpus.without([0]).digest


def test_chosen_seeds_have_the_effect_they_have_among_all() -> None:
    machine = BorderAware(corpus_of(), scales=3)
    trace = run(machine)
    every = effect(trace, machine, [2])
    one = effect(trace, machine, [2], seeds=[2, 0])
    assert [s.seed for s in one] == [2, 0]
    assert [s.change for s in one] == [every[2].change, every[0].change]
    with pytest.raises(UsageError, match="no sample of seed 9"):
        effect(trace, machine, [2], seeds=[9])


def test_items_outside_the_label_are_proved_at_once() -> None:
    corpus = corpus_of(labels="aabbaabb")
    machine = BorderAware(corpus, scales=3, label="a")
    trace = run(machine)
    others = corpus.places_of("b")
    found = effect(trace, machine, others)
    assert found.proofs == (Proof(steps=0, first_weight=None),) * 3
    for one in found:
        assert (one.parted, one.change.largest, one.change.pixels) == (None, 0.0, 0)
        assert one.proof is not None
        assert one.proof.unchanged
    assert np.array_equal(found.after.states, trace.states)


def test_a_proof_along_the_steps_is_confirmed() -> None:
    """Some items have no weight at any step, and some have; the first leave the same bytes."""
    machine = Local(corpus_of(), scales=5)
    trace = run(machine, levels=CLEAR)
    kinds = set()
    for item in range(len(machine.corpus)):
        found = effect(trace, machine, [item])
        for one in found:
            assert one.proof is not None
            kinds.add(one.proof.unchanged)
            if one.proof.unchanged:
                assert one.proof.steps == 3
                assert one.parted is None
                assert np.array_equal(found.after.of_seed(one.seed).mean, trace.of_seed(one.seed).mean)
    assert kinds == {True, False}


def test_proofs_are_what_the_sums_of_the_items_say() -> None:
    machine = Local(corpus_of(), scales=5)
    trace = run(machine, levels=CLEAR)
    for items in ([0], [1, 4], [2, 3, 5, 6]):
        for sample, proof in zip(trace, prove(trace, machine, items), strict=True):
            weighs = []
            for state, at in zip(sample.states, trace.levels, strict=True):
                query = machine.query(state[None], at)
                weighs.append(bool(native.item_sums(query, native.sums(query).place)[items].any()))
            first = weighs.index(True) if any(weighs) else None
            assert proof == Proof(steps=3 if first is None else first + 1, first_weight=first)


@pytest.mark.parametrize("items", [[], [99], [-1]])
def test_a_proof_is_about_items_that_are_there(items: list[int]) -> None:
    machine = BorderAware(corpus_of(), scales=3)
    with pytest.raises(UsageError, match=r"a proof is about items of the corpus, at least one of 0 to 7, not \["):
        prove(run(machine), machine, items)


def test_a_proof_ends_at_the_first_step_with_weight() -> None:
    """Where the second step is nearly all noise, every item has weight there, and some had none before."""
    machine = Local(corpus_of(), scales=5)
    trace = run(machine, levels=leveled(0.995, 0.01, 0.9))
    proofs = [proof for item in range(8) for proof in prove(trace, machine, [item])]
    assert set(proofs) == {Proof(steps=1, first_weight=0), Proof(steps=2, first_weight=1)}
    for item in range(8):
        for one in effect(trace, machine, [item]):
            assert one.proof is not None
            assert one.proof.first_weight is not None
            assert one.parted is None or one.parted >= one.proof.first_weight


def test_a_re_run_that_contradicts_a_proof_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = BorderAware(corpus_of(), scales=3)
    trace = run(machine)
    monkeypatch.setattr(effects_module, "prove", lambda *_, **__: (Proof(steps=4, first_weight=None),) * 3)
    with pytest.raises(SmaltiError, match="seed 0 changed at step 0 although no removed item had weight so far"):
        effect(trace, machine, [0])


def test_the_only_picture_with_colour() -> None:
    """Without it the corpus is grey, so are its samples, and another noise is drawn: compared in colour, unproved."""
    grey = np.repeat(blocks(4, size=(5, 6))[..., None], 3, axis=-1)
    pixels = np.concatenate([grey, np.stack([blocks(1, size=(5, 6), seed=k) for k in range(3)], axis=-1)])
    corpus = ImageCorpus(pixels, None, tuple("abcde"), conversions=((),) * 5)
    machine = BorderAware(corpus, scales=3)
    found = effect(run(machine), machine, corpus.find("e"))
    assert found.after.images.shape[-1] == 1
    assert found.notes == (
        "without this item the corpus needs 1 instead of 3 channels, so a seed's noise is another; the pictures are "
        "compared in 3 channels",
    )
    assert found.proofs == (None,) * 3
    for place, one in enumerate(found):
        assert one.before.shape == one.after.shape == one.difference.shape == (5, 6, 3)
        assert np.array_equal(one.after, np.repeat(found.after.images[place], 3, axis=-1))
        assert one.parted == 0


def test_the_only_picture_with_opacity() -> None:
    pixels = np.full((3, 4, 4, 4), 255, np.uint8)
    pixels[..., :3] = blocks(9, size=(4, 4)).reshape(3, 3, 4, 4).transpose(0, 2, 3, 1)
    pixels[0, 0, 0, 3] = 100
    corpus = ImageCorpus(pixels, None, ("clear", "b", "c"), conversions=((),) * 3)
    machine = BorderAware(corpus, scales=3)
    found = effect(run(machine), machine, corpus.find("clear"))
    assert found.after.images.shape[-1] == 3
    assert all((one.after[..., 3] == 255).all() for one in found)


def test_what_cannot_be_removed() -> None:
    corpus = corpus_of(labels="aabbabbb")
    machine = BorderAware(corpus, scales=3, label="a")
    trace = run(machine)
    with pytest.raises(UsageError, match="nothing is left of label 'a', which the machine is restricted to"):
        effect(trace, machine, corpus.places_of("a"))
    with pytest.raises(UsageError, match="without all 8 of its items a corpus would be empty"):
        effect(trace, machine, range(8))
    with pytest.raises(UsageError, match="removing at least one item, and none was named"):
        effect(trace, machine, [])
    with pytest.raises(UsageError, match="there is no item 8"):
        effect(trace, machine, [8])
    with pytest.raises(UsageError, match="did not make this trace"):
        effect(trace, BorderAware(corpus, scales=5, label="a"), [0])


def test_one_step_values_are_those_of_leave_one_out() -> None:
    machine = BorderAware(corpus_of(), scales=3)
    trace = run(machine)
    values = one_step_values(trace, machine)
    assert values.shape == (4, 8, 3)
    for step, at in enumerate(trace.levels):
        assert np.array_equal(values[step], leave_one_out(machine, trace.states[:, step], at).root_mean_square)


def test_a_ranking_holds_exact_effects_in_order() -> None:
    corpus = corpus_of(labels="aaaabaaa")
    machine = BorderAware(corpus, scales=3, label="a")
    sample = run(machine).only(1)
    values = one_step_values(sample, machine)[:, :, 0].sum(axis=0)
    found = rank(sample, machine, runs=3)
    inside = corpus.places_of("a")
    assert (found.seed, found.runs) == (1, 3)
    assert sorted(one.item for one in found.items) == inside
    tried = sorted(inside, key=lambda item: -values[item])
    assert {one.item for one in found.items[:3]} == set(tried[:3])
    assert [one.item for one in found.items[3:]] == tried[3:]
    for one in found.items:
        assert one.one_step == values[one.item]
        assert (one.effect is None) == (one.item in tried[3:])
        if one.effect is not None:
            assert one.effect == effect(sample, machine, [one.item]).total
    sizes = [one.effect.root_mean_square for one in found.items[:3] if one.effect]
    assert sizes == sorted(sizes, reverse=True)
    assert found.covered == pytest.approx(values[tried[:3]].sum() / values.sum(), rel=1e-12)


def test_budgets() -> None:
    machine = BorderAware(corpus_of(count=4), scales=3)
    trace = run(machine)
    sample = trace.only(0)
    assert (rank(sample, machine, runs=0).runs, rank(sample, machine, runs=0).covered) == (0, 0.0)
    assert rank(sample, machine, runs=None, seconds=0.0).runs == 0
    every = rank(sample, machine, runs=None)
    assert (every.runs, every.covered) == (4, 1.0)
    assert rank(sample, machine, runs=99).items == every.items
    for runs, seconds in ((-1, None), (None, -1.0), (None, math.nan)):
        with pytest.raises(UsageError, match="a budget is at least 0"):
            rank(sample, machine, runs=runs, seconds=seconds)
    with pytest.raises(UsageError, match="ranked for one sample, and this trace has 3"):
        rank(trace, machine)
    lonely = Ideal(corpus_of(count=1))
    with pytest.raises(UsageError, match="a machine with one item only"):
        rank(run(lonely).only(0), lonely)


def test_random_halves() -> None:
    """Each lacks exactly half; they depend on their seed alone; no item and no pair of items is preferred."""
    halves = random_halves(7, count=2000, seed=3)
    assert (halves.sum(axis=1) == 3).all()
    assert np.array_equal(halves[:5], random_halves(7, count=2000, seed=3)[:5])
    assert not np.array_equal(halves, random_halves(7, count=2000, seed=4))
    # Each item is missing with probability 3/7, each pair with 1/7: five standard deviations of 2000 draws.
    assert np.abs(halves.mean(axis=0) - 3 / 7).max() < 5 * math.sqrt(3 / 7 * 4 / 7 / 2000)
    pairs = (halves.T.astype(float) @ halves)[~np.eye(7, dtype=bool)] / 2000
    assert np.abs(pairs - 1 / 7).max() < 5 * math.sqrt(1 / 7 * 6 / 7 / 2000)


def test_halves_hold_the_change_of_each_sample() -> None:
    corpus = corpus_of(labels="aaaaabbb")
    machine = BorderAware(corpus, scales=3, label="a")
    trace = run(machine, seeds=2)
    found = half_corpora(trace, machine, count=4, seed=1)
    assert found.removed.shape == (4, 8)
    assert (found.removed.sum(axis=1) == 2).all()
    assert not found.removed[:, corpus.places_of("b")].any()
    for half, gone in enumerate(found.removed):
        again = effect(trace, machine, np.flatnonzero(gone).tolist())
        assert [one.change.root_mean_square for one in again] == found.changes[:, half].tolist()


def test_lds_of_known_changes() -> None:
    """1 where the changes are the sums of the scores, -1 where they are the opposite, NaN where nothing is told."""
    removed = random_halves(6, count=20, seed=0)
    scores = np.array([[1.0, 2, 4, 8, 16, 32], [3.0, 1, 4, 1, 5, 9]])
    changes = np.array([np.exp(scores[0] @ removed.T / 10), -(scores[1] @ removed.T)])
    assert lds(scores, Halves(removed, changes)).tolist() == [1.0, -1.0]
    assert np.isnan(lds(np.ones((2, 6)), Halves(removed, changes))).all()
    with pytest.raises(UsageError, match=r"shape \(2, 6\), not \(6,\)"):
        lds(np.ones(6), Halves(removed, changes))


def test_what_has_no_lds() -> None:
    machine = BorderAware(corpus_of(), scales=3)
    trace = run(machine)
    with pytest.raises(UsageError, match="needs 3 halves and 2 items at least, not 2 and 8"):
        half_corpora(trace, machine, count=2)
    pixels = corpus_of(channels=3).images.copy()
    pixels[1:] = pixels[1:, ..., :1]
    coloured = BorderAware(ImageCorpus(pixels, None, tuple("abcdefgh"), conversions=((),) * 8), scales=3)
    with pytest.raises(UsageError, match="use pictures that all have colour, or none"):
        half_corpora(run(coloured), coloured, count=8)
    with pytest.raises(UsageError, match="did not make this trace"):
        half_corpora(replace(trace, corpus_digest="0" * 64), machine)


class Counted:
    """A progress that adds up what it is told."""

    def __init__(self) -> None:
        self.done: dict[str, float] = {}
        self.total: dict[str, int] = {}

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Counted._Task]:
        self.total[title] = total
        yield Counted._Task(self, title)

    class _Task:
        def __init__(self, counted: Counted, title: str) -> None:
            self.counted, self.title = counted, title

        def advance(self, count: float = 1) -> None:
            self.counted.done[self.title] = self.counted.done.get(self.title, 0.0) + count


def test_progress_ends_where_it_said() -> None:
    machine = Local(corpus_of(), scales=5)
    trace = run(machine, levels=leveled(0.995, 0.999, 0.01, 0.9))
    counted = Counted()
    effect(trace, machine, [1], progress=counted)
    half_corpora(trace, machine, count=3, progress=counted)
    rank(trace.only(0), machine, runs=2, progress=counted)
    assert len(counted.total) == 5
    assert counted.done == pytest.approx(counted.total)
