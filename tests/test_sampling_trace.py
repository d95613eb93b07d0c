"""Traces: views, joining, and files that come back exactly and are the same bytes every time."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smalti.errors import InputError, UsageError
from smalti.sampling import DDIM, Trace
from two_items import TwoItemMachine, two_pictures

ARRAYS = ("images", "states", "estimates", "means")


@pytest.fixture
def trace() -> Trace:
    return DDIM(TwoItemMachine(two_pictures(), label="boats"), steps=4)([2, 0, 7])


def test_samples_are_views(trace: Trace) -> None:
    assert len(trace) == 3
    assert trace.steps == 4
    assert [sample.seed for sample in trace] == [2, 0, 7]
    sample = trace[1]
    assert np.shares_memory(sample.states, trace.states)
    assert np.array_equal(sample.image, trace.images[1])
    assert np.array_equal(sample.mean, trace.means[1])
    assert sample.levels == trace.levels
    assert trace[-1].seed == 7
    assert trace.of_seed(7).image.base is not None
    assert np.array_equal(trace.of_seed(0).estimates, trace[1].estimates)
    for place in (3, -4):
        with pytest.raises(IndexError, match=f"^there is no sample {place}: the trace has 3, from 0; "):
            trace[place]
    size = " x ".join(map(str, trace.images.shape[1:]))
    assert repr(trace) == f"Trace(3 pictures of {size}, 4 steps, seeds 2, 0, 7)"
    assert repr(trace[1]) == f"Sample(seed 0, {size}, 4 steps)"
    with pytest.raises(UsageError, match="no sample of seed 5; it has 2, 0, 7"):
        trace.of_seed(5)


def test_a_file_gives_the_trace_back(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "trace.safetensors"
    trace.save(path)
    again = Trace.load(path)
    for name in ARRAYS:
        assert getattr(again, name).dtype == getattr(trace, name).dtype
        assert np.array_equal(getattr(again, name), getattr(trace, name))
    assert (again.levels, again.seeds, again.settings, again.corpus_digest) == (
        trace.levels,
        trace.seeds,
        trace.settings,
        trace.corpus_digest,
    )
    assert path.read_bytes() == trace.to_bytes() == again.to_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["trace.safetensors"]


def test_bytes_are_the_same_in_another_process(trace: Trace) -> None:
    """The library orders several metadata entries by a per-process random hash; one entry has no order."""
    import hashlib

    program = (
        "import hashlib; from two_items import *; from smalti.sampling import DDIM;"
        "trace = DDIM(TwoItemMachine(two_pictures(), label='boats'), steps=4)([2, 0, 7]);"
        "print(hashlib.sha256(trace.to_bytes()).hexdigest())"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        )
        assert done.stdout.strip() == hashlib.sha256(trace.to_bytes()).hexdigest()


def test_any_safetensors_reader_can_read_it(trace: Trace, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    trace.save(tmp_path / "t.safetensors")
    tensors = load_file(tmp_path / "t.safetensors")
    assert set(tensors) == set(ARRAYS)
    assert np.array_equal(tensors["states"], trace.states)


def test_joining_parts_gives_the_whole(trace: Trace) -> None:
    joined = Trace.join([trace.only(place) for place in range(3)])
    assert joined.to_bytes() == trace.to_bytes()
    other = DDIM(TwoItemMachine(two_pictures()), steps=4)([1])
    with pytest.raises(UsageError, match="traces can be joined only if"):
        Trace.join([trace, other])
    with pytest.raises(UsageError, match="traces can be joined only if"):
        Trace.join([])


def test_arrays_that_do_not_belong_together_are_refused(trace: Trace) -> None:
    with pytest.raises(UsageError, match=r"the states of 3 samples of 4 steps are int16 of shape \(3, 4, 5, 4, 3\)"):
        dataclasses.replace(trace, states=trace.states[:, :3])
    with pytest.raises(UsageError, match=r"the means of 3 samples .* are float64"):
        dataclasses.replace(trace, means=trace.means.astype(np.float32))
    with pytest.raises(UsageError, match="estimates of its last step, but they differ"):
        dataclasses.replace(trace, images=~trace.images)


def test_files_that_are_no_trace(trace: Trace, tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "t.safetensors"
    with pytest.raises(InputError, match=r"t\.safetensors cannot be read \(No such file"):
        Trace.load(path)
    content = trace.to_bytes()
    tensors = {name: getattr(trace, name) for name in ARRAYS}
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "text": b"hello, this is not a trace",
        "no metadata": save(tensors),
        "foreign metadata": save(tensors, metadata={"smalti": "[1, 2]"}),
        "a tensor is missing": save({"images": trace.images}, metadata={"smalti": "{}"}),
    }
    for what, broken in damaged.items():
        path.write_bytes(broken)
        with pytest.raises(InputError, match="is not a complete trace written by Smalti"):
            Trace.load(path)
        assert what
    path.write_bytes(save(tensors, metadata={"smalti": json.dumps({"format": "smalti.trace/9"})}))
    with pytest.raises(InputError, match=r"in the format 'smalti\.trace/9'; this Smalti reads 'smalti\.trace/1'"):
        Trace.load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError):
        Trace.load(path)


def test_a_trace_is_not_written_where_nothing_can_be_written(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing/t\.safetensors cannot be written \(No such file or directory\)"):
        trace.save(tmp_path / "missing" / "t.safetensors")
