"""Finished runs opened again, and traces that know their machine."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import smalti
from smalti.sampling import Request, write_run


@pytest.fixture
def corpus():
    return smalti.ImageCorpus.from_arrays(np.random.default_rng(1).integers(0, 256, (5, 6, 7), np.uint8))


@pytest.fixture
def folder(tmp_path, corpus):
    np.savez(tmp_path / "five.npz", images=corpus.images)
    opened = smalti.open_images(tmp_path / "five.npz")
    sampler = smalti.DDIM(smalti.BorderAware(opened, scales=3), steps=3)
    write_run(tmp_path / "run", Request.of(sampler, source=str(tmp_path / "five.npz"), seeds=(2, 5)), sampler.machine)
    return tmp_path / "run"


def test_open_run_gives_the_trace_and_the_machine_that_made_it(folder, corpus):
    run = smalti.open_run(folder)
    assert run.machine.corpus.digest == corpus.digest
    assert run.trace.seeds == (2, 5)
    assert run.trace.machine is run.machine
    again = smalti.DDIM(run.machine, steps=3)(seeds=(2, 5))
    assert again.to_bytes() == run.trace.to_bytes()
    assert run.trace[1].machine is run.machine
    assert run.trace.only(0).machine is run.machine


def test_open_run_looks_for_the_pictures_where_it_is_told(folder, tmp_path):
    (tmp_path / "five.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(smalti.InputError, match=r"are not at .*five.npz' any more"):
        smalti.open_run(folder)
    assert smalti.open_run(folder, source=tmp_path / "moved.npz").trace.seeds == (2, 5)


def test_open_run_refuses_pictures_that_changed(folder, tmp_path, corpus):
    np.savez(tmp_path / "five.npz", images=corpus.images[1:])
    with pytest.raises(smalti.InputError, match="are not those that this run was made from"):
        smalti.open_run(folder)


def test_open_run_refuses_a_run_that_is_not_finished(folder):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "running"}))
    with pytest.raises(smalti.InputError, match="not finished"):
        smalti.open_run(folder)


def test_open_run_refuses_a_trace_that_was_altered(folder):
    trace = smalti.Trace.load(folder / "trace.safetensors")
    means = trace.means.copy()
    means[0, 0, 0, 0] += 2**-40
    replace(trace, means=means).save(folder / "trace.safetensors")
    with pytest.raises(smalti.InputError, match=r"trace\.safetensors was altered after the run"):
        smalti.open_run(folder)


def test_open_run_refuses_a_machine_it_does_not_have(folder):
    text = (folder / "run.json").read_text().replace('"border-aware"', '"border-blind"')
    (folder / "run.json").write_text(text)
    with pytest.raises(smalti.InputError):
        smalti.open_run(folder)


def test_a_trace_has_receipts_only_with_the_machine_that_made_it(corpus, tmp_path):
    machine = smalti.BorderAware(corpus, scales=3)
    trace = smalti.DDIM(machine, steps=3)(seeds=(0,))
    assert trace.machine is machine
    trace.save(tmp_path / "trace.safetensors")
    alone = smalti.Trace.load(tmp_path / "trace.safetensors")
    assert alone.machine is None
    with pytest.raises(smalti.UsageError, match="set it with"):
        alone[0].receipt  # noqa: B018
    assert alone.made_by(machine)[0].machine is machine
    for other, name in (
        (smalti.BorderAware(corpus, scales=5), "patch_sizes"),
        (smalti.EquivariantLocal(corpus, scales=3), "machine"),
        (smalti.BorderAware(corpus.without([0]), scales=3), "corpus"),
    ):
        with pytest.raises(smalti.UsageError, match=f"^the machine did not make this trace: its {name} is "):
            alone.made_by(other)


def test_a_store_says_why_a_run_cannot_be_made_from_it_again(tmp_path, corpus):
    store = smalti.CorpusStore.create(tmp_path / "x.smalti", corpus, source="")
    for name, size in (("own", None), ("small", (4, 5))):
        sampler = smalti.DDIM(smalti.BorderAware(smalti.open_images(store.path, size=size), scales=3), steps=2)
        store.record_use("run", tmp_path / name, sampler.machine.corpus.digest)
        write_run(tmp_path / name, Request.of(sampler, source=str(store.path), seeds=(2,)), sampler.machine)
    more = smalti.ImageCorpus.from_arrays(np.zeros((1, 6, 7), np.uint8), names=["more"])
    store.add(more, source="")
    for name in ("own", "small"):
        with pytest.raises(smalti.InputError) as caught:
            smalti.open_run(tmp_path / name)
        assert str(caught.value) == (
            f"items were added to '{store.path}' on {store.events()[-1].time}, after this run was made: say where the "
            "pictures are as they were with --source PATH"
        )
    store.forget([corpus.names[0]], reason="asked")
    for name in ("own", "small"):
        with pytest.raises(smalti.InputError) as caught:
            smalti.open_run(tmp_path / name)
        assert str(caught.value) == (
            f"an item of the pictures of this run was forgotten from '{store.path}' on {store.events()[-1].time}, so "
            "that nothing can be made again from them: keep the run as it is, or delete it"
        )
    other = smalti.CorpusStore.create(tmp_path / "other.smalti", more, source="")
    with pytest.raises(smalti.InputError, match="are not those that this run was made from"):
        smalti.open_run(tmp_path / "own", source=other.path)
