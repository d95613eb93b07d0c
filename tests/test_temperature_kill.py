"""A measurement killed at any moment: what was acknowledged is there, and it goes on to the same recording."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from misbehaving import Act, chat, serving
from smalti.temperature.client import Endpoint
from smalti.temperature.plan import Load, Plan
from smalti.temperature.prompts import Prompt
from smalti.temperature.record import Recording
from smalti.temperature.reply import Dialect
from smalti.temperature.runner import measure
from smalti.temperature.store import Measurement

PLAN = Plan(prompts=4, repeats=8, loads=(Load.of("alone"), Load.of("burst:4")), blocks=2)
ROUNDS = 6

ASKER = """
import sys
from test_temperature_kill import ask
print("begun", flush=True)
ask(sys.argv[1], sys.argv[2])
"""


def ask(folder: str | Path, url: str) -> Recording:
    """Begins the measurement, or goes on with it."""
    system = Endpoint(url, model="tiny", dialect=Dialect(api="chat", max_tokens=8))
    prompts = [Prompt.of(f"Prompt {n}.") for n in range(PLAN.prompts)]
    return measure(folder, system, prompts, PLAN, existing="resume")


def content(recording: Recording) -> set[tuple[Any, ...]]:
    return {(a.prompt, a.load, a.block, a.repeat, a.tokens) for a in recording.answers}


def test_killed_at_any_moment(tmp_path: Path) -> None:
    def manner(number: int, fields: dict[str, Any]) -> Act:
        return chat(f"Answer to {fields['messages'][0]['content']}", number=number)

    rng = np.random.default_rng(0)
    kept = Recording(prompts=(), answers=(), units="words", max_tokens=1, system={})
    cut = tmp_path / "cut"
    with serving(manner) as server:
        whole = ask(tmp_path / "whole", server.url)
        for _ in range(ROUNDS):
            before = len(server.asked)
            asker = subprocess.Popen(
                [sys.executable, "-c", ASKER, str(cut), server.url],
                cwd=Path(__file__).parent,
                env={"PYTHONPATH": ":".join(place for place in sys.path if place)},
                stdout=subprocess.PIPE,
                text=True,
            )
            assert asker.stdout is not None
            assert asker.stdout.readline() == "begun\n"
            time.sleep(0.15 * float(rng.uniform()))
            asker.send_signal(signal.SIGKILL)
            asker.stdout.close()
            killed = asker.wait() == -signal.SIGKILL
            if not (cut / "log.jsonl").exists() or not (cut / "log.jsonl").read_bytes():
                continue
            found = Measurement.opened(cut).recording()
            # Nothing that was kept goes, and at most what was under way is asked for without being kept.
            assert found.answers[: len(kept.answers)] == kept.answers
            assert len(server.asked) - before - (len(found.answers) - len(kept.answers)) <= 4
            assert killed or found.failed == 0
            kept = found
        finished = ask(cut, server.url)
    assert finished.answers[: len(kept.answers)] == kept.answers
    assert (finished.failed, len(finished.answers)) == (0, PLAN.asked)
    assert content(finished) == content(whole)
    assert not list(cut.rglob(".*"))
