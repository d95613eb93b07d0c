"""`smalti temperature --demo`: real servers of this machine are measured, and what they hid is found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_program import PROGRAM, smalti
from smalti.cli import temperature_demo
from smalti.cli.temperature_demo import Trials, carry_out_trials
from smalti.errors import InputError
from test_temperature_report import Page

TINY = Trials(("none", "gumbel:0.1"), 6, 8, 16, False)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """The servers that are started; all of them must have ended."""
    started = list[subprocess.Popen[str]]()
    real = subprocess.Popen

    def noted(*words: object, **settings: object) -> subprocess.Popen[str]:
        started.append(real(*words, **settings))  # pyright: ignore[reportArgumentType, reportCallIssue]
        return started[-1]

    monkeypatch.setattr(temperature_demo.subprocess, "Popen", noted)
    yield started
    assert all(server.returncode is not None for server in started)


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.slow
def test_what_is_hidden_is_found_and_found_again(tmp_path: Path, servers: list[subprocess.Popen[str]]) -> None:
    none, warm = carry_out_trials(tmp_path / "one", TINY)
    assert len(servers) == 2
    # A server without noise: every answer to a prompt is the same, so there is a bound in place of a bare 0.
    assert none.result["repeatability"]["disagreement"]["value"] == 0
    assert none.result["headline"]["protocol"] == "likelihood"
    found = none.estimate("likelihood")
    assert found is not None
    assert found["temperature"] is None
    assert 0 < found["bound"] < 0.1
    assert warm.result["repeatability"]["disagreement"]["value"] > 0
    # Seeded, and asked one at a time: this is no matter of luck, and another run finds the same to the byte.
    assert (none.holds("likelihood"), warm.holds("likelihood")) == (True, True)
    made = everything(tmp_path / "one")
    page = Page(made["index.html"][0].decode())
    assert [a["href"] for a, _ in page.all("a")] == ["none/report.html", "gumbel-0.1/report.html"]
    assert {"none/report.html", "gumbel-0.1/report.html"} <= set(made)

    # What is finished is kept as it is; what was begun goes on, whatever port the server has this time.
    assert carry_out_trials(tmp_path / "one", TINY) == [none, warm]
    assert everything(tmp_path / "one") == made
    assert len(servers) == 2
    folder = tmp_path / "one" / "none"
    log = (folder / "log.jsonl").read_text().splitlines(keepends=True)
    (folder / "log.jsonl").write_text("".join(log[: len(log) // 2]) + log[-1][:20])
    (folder / "result.json").unlink()
    assert carry_out_trials(tmp_path / "one", TINY)[1] == warm
    assert len(servers) == 3
    assert len((folder / "log.jsonl").read_text().splitlines()) == len(log)


def test_two_demos_find_the_same(tmp_path: Path) -> None:
    small = Trials(("gumbel:0.1",), 3, 6, 12, False)
    for name in ("one", "two"):
        carry_out_trials(tmp_path / name, small, seed=3)
    for file in ("gumbel-0.1/result.json", "gumbel-0.1/report.html", "index.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_command_says_what_was_hidden_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temperature_demo, "FULL", Trials(("none", "gumbel:0.1"), 3, 6, 12, False))
    done = smalti("temperature", "--demo", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1].split() == ["hidden", "likelihood"]
    assert lines[2].split()[:2] == ["none", "below"]
    assert lines[3].split()[0] == "gumbel:0.1"
    assert str(tmp_path / "out" / "index.html") in lines[4]
    found = smalti("temperature", "--demo", "-o", tmp_path / "out", "--json").json
    assert [one["noise"] for one in found["trials"]] == ["none", "gumbel:0.1"]
    assert found["trials"][1]["result"] == json.loads((tmp_path / "out" / "gumbel-0.1" / "result.json").read_text())
    assert found["folder"] == str(tmp_path / "out")


def test_nothing_is_kept_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(temperature_demo, "FULL", Trials(("none",), 2, 2, 4, False))
    done = smalti("temperature", "--demo")
    assert (done.code, "-o OUT" in done.out) == (0, True), done.err
    assert list(tmp_path.iterdir()) == []
    assert smalti("temperature", "--demo", "--json").json["folder"] is None


def test_a_folder_that_is_no_demo(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("")
    found = smalti("temperature", "--demo", "-o", tmp_path)
    assert (found.code, found.failure) == (
        1,
        f"'{tmp_path}' holds files that are not this demo's (such as 'letter.txt'): choose a new folder",
    )
    found = smalti("temperature", "--demo", "-o", tmp_path / "letter.txt")
    assert (found.code, found.failure) == (
        1,
        f"'{tmp_path / 'letter.txt'}' is a file, and the demo needs a folder: choose another place",
    )


def test_a_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temperature_demo, "_CORPUS", str(tmp_path / "nowhere"))
    with pytest.raises(
        InputError, match=r"a local server did not start \(.*nowhere.*\): see that `smalti serve` works"
    ):
        carry_out_trials(tmp_path / "out", TINY)


@pytest.mark.slow
def test_a_person_may_stop_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*PROGRAM, "temperature", "--demo", "-o", str(out)]
    demo = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    answered = 0
    while demo.poll() is None and answered < 20:
        time.sleep(0.05)
        answered = sum(len(log.read_bytes().splitlines()) for log in out.glob("*/log.jsonl"))
    demo.send_signal(signal.SIGINT)
    said, told = demo.communicate(timeout=60)
    assert (demo.returncode, said) == (130, "")
    assert told.endswith(f"smalti: stopped; '{out}' keeps what was answered: repeat the command to go on.\n")
    assert sum(len(log.read_bytes().splitlines()) for log in out.glob("*/log.jsonl")) >= 20
    # No server is left behind.
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
