"""A process killed while it writes a ledger: the file opens, is whole, and has everything that was acknowledged."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ledgers import corpus_of, run_of, units_of
from smalti.receipts.ledger import Ledger

SAMPLES = 40
ROUNDS = 8

WRITER = """
import signal, sys
from test_ledger_kill import enter_all
print("begun", flush=True)
enter_all(sys.argv[1], acknowledge=lambda seed: print(seed, flush=True))
signal.pause()
"""


def enter_all(path: object, *, acknowledge: Callable[[int], None]) -> None:
    """Enters made-up credits of two runs, sample by sample."""
    ledger = Ledger.open(str(path), missing="create")
    for number, seed in enumerate((3, 4)):
        corpus = corpus_of(6, seed=seed)
        run = run_of(corpus, seeds=[0], folder=f"/runs/{number}")
        for sample in range(SAMPLES):
            picture = np.full((4, 5, 1), sample, np.uint8)
            units = units_of(corpus, 20, seed=1000 * seed + sample)
            ledger.enter_credits(run.folder, run.record, corpus, sample, picture, units)
            acknowledge(number * SAMPLES + sample)


def test_killed_at_any_moment(tmp_path: Path) -> None:
    enter_all(tmp_path / "whole", acknowledge=lambda _: None)
    whole = Ledger.open(tmp_path / "whole")
    expected = [whole.totals(by) for by in ("item", "licence")]
    everything = {(sample.run, sample.seed): sample for sample in whole.per_sample()}
    rng = np.random.default_rng(0)
    path = tmp_path / "cut"
    most = 0
    for _ in range(ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            cwd=Path(__file__).parent,
            env={"PYTHONPATH": ":".join(place for place in sys.path if place)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        # From here on the ledger is laid out and samples are entered, each within some milliseconds.
        time.sleep(0.2 * float(rng.uniform()) ** 2)
        writer.send_signal(signal.SIGKILL)
        said = writer.stdout.read()
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        acknowledged = [int(line) for line in said.split("\n")[:-1]]
        ledger = Ledger.open(path, missing="create")
        held = ledger.verify().samples
        assert held >= len(acknowledged) == max(acknowledged, default=-1) + 1
        assert held >= most
        for sample in ledger.per_sample():
            assert sample.totals == everything[sample.run, sample.seed].totals
        most = held
        if held > SAMPLES * 3 // 2:  # begin anew, so that kills hit early samples too
            path.unlink()
            most = 0
    enter_all(path, acknowledge=lambda _: None)
    ledger = Ledger.open(path)
    assert [ledger.totals(by) for by in ("item", "licence")] == expected
    assert ledger.verify().samples == 2 * SAMPLES
