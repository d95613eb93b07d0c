"""What a person sees of long work."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from smalti.progress import SILENT, Plain, Terminal, duration, progress_for


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_at_intervals_with_the_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    with Plain(stream, interval=10, clock=clock).task("generating", 320) as task:
        for _ in range(32):
            clock.now += 3
            task.advance(10)
    assert stream.getvalue().splitlines() == [
        # Every fourth advance is 12 s after the last line; left = elapsed * (320 - done) / done.
        "generating: 40 of 320, 12 s so far, about 1 min 24 s left",
        "generating: 80 of 320, 24 s so far, about 1 min 12 s left",
        "generating: 120 of 320, 36 s so far, about 1 min 0 s left",
        "generating: 160 of 320, 48 s so far, about 48 s left",
        "generating: 200 of 320, 1 min 0 s so far, about 36 s left",
        "generating: 240 of 320, 1 min 12 s so far, about 24 s left",
        "generating: 280 of 320, 1 min 24 s so far, about 12 s left",
        "generating: 320 of 320, 1 min 36 s",
    ]


def test_plain_says_where_work_stopped() -> None:
    stream = io.StringIO()

    def interrupted() -> None:
        with Plain(stream).task("calibrating", 5) as task:
            task.advance(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue() == "calibrating: stopped at 2 of 5\n"


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with SILENT.task("generating", 3) as task:
        task.advance(3)
    assert capsys.readouterr() == ("", "")


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(progress_for(FakeTerminal()), Terminal)
    assert isinstance(progress_for(io.StringIO()), Plain)
    with progress_for().task("generating", 1):
        pass
    assert capsys.readouterr().err == "generating: 0 of 1, 0 s\n"


def test_the_bar_names_the_work_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = FakeTerminal()
    with Terminal(stream).task("generating", 4) as task:
        task.advance()
        task.advance(3)
    assert "generating" in stream.getvalue()
    assert "4/4" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_library_loads_nothing_heavy() -> None:
    """Samples can be drawn without loading what only pictures and terminals need."""
    program = (
        "import sys; from two_items import *; import smalti.progress; from smalti.sampling import DDIM;"
        "DDIM(TwoItemMachine(two_pictures()), steps=2)([0]);"
        "heavy = ('PIL', 'rich', 'safetensors', 'matplotlib', 'typer', 'scipy');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert done.stdout == "[]\n"
