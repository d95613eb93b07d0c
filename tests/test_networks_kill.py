"""A training killed while it writes its file: the file is whole or not there, and going on gives the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from network_cases import small, tiny_pictures
from smalti.networks import Plan, load_network, train
from smalti.networks.checkpoint import read_checkpoint

PLAN = Plan(steps=4, batch=4, rate=1e-3, ema=0.9)

# The file is written after every step. At the chosen moment, counted in what is forced to the disk, the process ends:
# odd moments are those at which the new file is complete under another name, even ones come after it took its place.
TRAINER = """
import os, signal, sys
from smalti.networks import train
from test_networks_kill import PLAN, small, tiny_pictures
from dataclasses import replace

real, moment = os.fsync, 0

def fsync(handle):
    global moment
    real(handle)
    moment += 1
    if moment == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = fsync
print("begun", flush=True)
plan = replace(PLAN, steps=int(sys.argv[2]))
train(tiny_pictures(), small(), plan, path=sys.argv[1], resume=True, save_every=0.0)
"""


def begun(path: Path, *, steps: int, moment: int = 0) -> subprocess.Popen[str]:
    """A process that trains, and writes the file after every step."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(path), str(steps), str(moment)],
        cwd=Path(__file__).parent,
        env={"PYTHONPATH": ":".join(place for place in sys.path if place)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def ended(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    return process.wait()


@pytest.mark.parametrize(("moment", "steps"), [(1, 0), (2, 1), (5, 2)])
def test_killed_while_the_file_is_written(moment: int, steps: int, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    train(tiny_pictures(), small(), PLAN, path=whole)
    assert ended(begun(cut, steps=PLAN.steps, moment=moment)) == -signal.SIGKILL
    assert cut.exists() == (steps > 0)
    if steps:
        assert read_checkpoint(cut).training.steps == steps
    assert len(list(tmp_path.glob(".cut.safetensors.*.partial"))) == moment % 2
    train(tiny_pictures(), small(), PLAN, path=cut, resume=True)
    assert cut.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.safetensors", "whole.safetensors"]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    rng = np.random.default_rng(0)
    done = 0
    for _ in range(3):
        process = begun(cut, steps=1_000_000)
        while not cut.exists():
            time.sleep(0.01)
        time.sleep(0.2 * float(rng.uniform()))
        process.send_signal(signal.SIGKILL)
        assert ended(process) == -signal.SIGKILL
        read = read_checkpoint(cut)
        assert read.training.steps >= done
        assert len(load_network(cut).losses) == read.training.steps
        done = read.training.steps
    plan = replace(PLAN, steps=done + 1)
    train(tiny_pictures(), small(), plan, path=cut, resume=True)
    train(tiny_pictures(), small(), plan, path=whole)
    assert cut.read_bytes() == whole.read_bytes()
