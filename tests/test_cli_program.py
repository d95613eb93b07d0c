"""The program as a whole: help, wrong usage, streams, and that every failure reaches a person as one sentence."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner

import smalti as library
from cli_program import PROGRAM, Outcome, files_of, pictures, smalti, spawned
from smalti.cli import app
from smalti.cli import generate_pictures as generate_module
from smalti.cli import options as opt
from smalti.corpus.pixels import shown_size
from smalti.errors import UsageError

COMMANDS = (
    *("generate", "calibrate", "demo", "corpus", "explain", "credit", "ledger", "effect", "match", "score"),
    *("serve", "temperature", "train", "predict", "measure", "verify", "doctor", "bench"),
)
GROUPS = {
    "corpus": ("create", "add", "forget", "list", "verify", "compact"),
    "ledger": ("list", "remove", "verify"),
}
EVERY = [
    *((command,) for command in COMMANDS if command not in GROUPS),
    *((group, command) for group, commands in GROUPS.items() for command in commands),
]


def test_version() -> None:
    assert smalti("--version") == Outcome(0, f"smalti {library.__version__}\n", "")


def test_served_models_have_a_panel_of_their_own() -> None:
    shown = smalti("--help").out
    _, panel = shown.split("Served models", 1)
    assert [" serve " in panel.split("╰")[0], " temperature " in panel.split("╰")[0]] == [True, True]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_shows_its_commands(group: str) -> None:
    for words in ((), ("--help",)):
        shown = smalti(group, *words)
        assert shown.code == 0
        assert all(f" {command} " in shown.out for command in GROUPS[group])


@pytest.mark.parametrize("command", ["explain", "effect", "verify", "credit"])
def test_help_on_runs_is_for_pictures_and_texts(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert "Pictures in" not in shown.output
    assert "Pictures out" not in shown.output


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(words: tuple[str, ...]) -> None:
    shown = smalti(*words)
    assert shown.code == 0
    assert shown.err == ""
    assert all(f" {command} " in shown.out for command in COMMANDS)


def test_the_lists_above_are_complete() -> None:
    program = typer.main.get_command(app)
    assert set(COMMANDS) == set(program.commands)  # pyright: ignore[reportAttributeAccessIssue]
    for group, commands in GROUPS.items():
        listed = program.commands[group].commands  # pyright: ignore[reportAttributeAccessIssue]
        assert set(commands) == set(listed)


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_option_has_a_line_of_help(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    lines = [line.strip(" │|").split() for line in shown.output.splitlines()]
    options = [words for words in lines if any(word.startswith("--") for word in words[:2])]
    assert options
    assert all(sum(word.islower() or word[:1].isupper() for word in words) >= 4 for words in options), options


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("generate",), "missing argument 'SOURCE'; see 'smalti generate --help'"),
        (("bogus",), "no such command 'bogus'; see 'smalti --help'"),
        (("verify", "--nonsense", "run"), "no such option: --nonsense; see 'smalti verify --help'"),
    ],
)
def test_wrong_usage_is_one_sentence_with_a_pointer(words: tuple[str, ...], sentence: str) -> None:
    found = smalti(*words)
    assert (found.code, found.failure) == (2, sentence)


@pytest.mark.parametrize("value", ["0", "x", "1.5", ""])
def test_a_number_of_steps_is_a_positive_whole_number(value: str, tmp_path: Path) -> None:
    found = smalti("generate", "digits", "-o", tmp_path / "run", "--steps", value)
    assert found.code == 2
    assert found.failure.startswith("invalid value for '--steps': ")
    assert found.failure.endswith("; see 'smalti generate --help'")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", (3,)), ("0-3", (0, 1, 2, 3)), ("0,2,5-7", (0, 2, 5, 6, 7)), (" 4 , 1 - 2", (4, 1, 2)), ("9-9", (9,))],
)
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert opt.read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "-1", "1-", "1,,2", "1.5", "3-1", "0-100000", "0-999999999999999999", "٣"])
def test_seeds_without_meaning_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        opt.read_seeds(text)


@pytest.mark.parametrize(("text", "size"), [("32", (32, 32)), ("48x32", (32, 48)), ("5X4", (4, 5)), (None, None)])
def test_sizes_are_width_first(text: str | None, size: tuple[int, int] | None) -> None:
    assert opt.read_size(text, option="--size") == size
    if size is not None:
        assert opt.read_size(shown_size(size), option="--size") == size


@pytest.mark.parametrize("text", ["", "0", "3x0", "-4", "4x", "x4", "4x4x4", "4.5", "9999999999"])
def test_sizes_without_meaning_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--output-size .* is not a size in pixels"):
        opt.read_size(text, option="--output-size")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SMALTI_THREADS", "SMALTI_THREADS=many is not a number of threads: give 1 to 1024"),
        ("SMALTI_KERNEL", "SMALTI_KERNEL=many is not a kernel of this processor: choose from "),
    ],
)
def test_the_environment_is_checked_first(
    name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "many")
    found = smalti("generate", "digits", "-o", tmp_path / "run")
    assert found.code == 2
    assert found.failure.startswith(sentence)
    assert not (tmp_path / "run").exists()


def test_the_number_of_threads_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_THREADS", "3")
    with opt.threads_in_use(1):
        assert os.environ["SMALTI_THREADS"] == "1"
    assert os.environ["SMALTI_THREADS"] == "3"
    monkeypatch.delenv("SMALTI_THREADS")
    with opt.threads_in_use(2):
        assert os.environ["SMALTI_THREADS"] == "2"
    assert "SMALTI_THREADS" not in os.environ


def fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Outcome:
    """A run whose writing fails in this way."""

    def failing(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(generate_module, "write_run", failing)
    found = smalti("generate", "digits", "-o", tmp_path / "run", "--scales", "3", "--seeds", "0")
    return Outcome(found.code, found.out, found.err)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (
            MemoryError(),
            1,
            "memory is too small for this: use smaller or fewer pictures or texts, or fewer seeds at a time (--batch)",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.png"),
            1,
            "the disk is full: 'x.png' could not be written; free some space and repeat the command",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x.png"),
            1,
            "'x.png' cannot be used (Permission denied): see that it is there and open to you",
        ),
        (
            ZeroDivisionError("a\nb"),
            1,
            "something unforeseen went wrong (ZeroDivisionError: a b): please report it, with what the same command "
            "prints under SMALTI_DEBUG=1",
        ),
        (KeyboardInterrupt(), 130, "stopped before the first picture was begun: repeat the command"),
    ],
)
def test_no_failure_shows_a_traceback(
    error: BaseException, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = fails_with(error, monkeypatch, tmp_path)
    assert (found.code, found.failure) == (code, sentence)


def test_a_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMALTI_DEBUG", "1")
    found = fails_with(ZeroDivisionError("why"), monkeypatch, tmp_path)
    assert found.code == 1
    assert found.err.startswith("Traceback")
    assert found.err.endswith("smalti: something unforeseen went wrong (ZeroDivisionError: why): please report it.\n")


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    found = smalti("generate", tmp_path / "a\x1b[2J\nb", "-o", tmp_path / "run")
    assert found.code == 1
    assert "\\x1b[2J" in found.failure


def test_output_takes_any_encoding(tmp_path: Path) -> None:
    source = pictures(tmp_path / "größe")
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = spawned("generate", source, "-o", tmp_path / "läuft", "--scales", "3", "--seeds", "0", environment=plain)
    assert done.code == 0
    assert re.fullmatch(r"generating: 20 of 20, \d+ s\n", done.err)
    assert "l\\xe4uft" in done.out
    assert spawned("generate", "--help", environment=plain).code == 0


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = ("generate", "digits", "-o", tmp_path / "run", "--scales", "3", "--seeds", "0")
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run([*PROGRAM, *map(str, words)], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 141
    assert re.fullmatch(r"generating: 20 of 20, \d+ s\n", done.stderr)
    assert (tmp_path / "run" / "grid.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*PROGRAM, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "smalti: the disk is full: a file or stream could not be written; free some space and repeat the command.\n"
    )


def test_an_interrupted_run_says_how_to_go_on_and_ends_as_if_never_interrupted(tmp_path: Path) -> None:
    words = ["generate", "digits", "-o", str(tmp_path / "run"), "--scales", "3,5,7", "--seeds", "0-300"]
    process = subprocess.Popen(
        [*PROGRAM, *words, "--batch", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "000001.png").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == (
        f"smalti: stopped; '{tmp_path / 'run'}' keeps what is finished: "
        "repeat the command with --resume to make the rest."
    )
    assert not (tmp_path / "run" / "000300.png").exists()

    refused = smalti(*words)
    assert (refused.code, refused.failure) == (
        1,
        f"'{tmp_path / 'run'}' holds a run already: choose another folder, or add --resume to finish that run",
    )
    assert smalti(*words, "--resume").code == 0
    words[3] = str(tmp_path / "whole")
    assert smalti(*words).code == 0
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole")


def test_interrupted_while_it_is_imported_the_program_just_ends(tmp_path: Path) -> None:
    """Someone presses Ctrl-C at once: here, while a module that the program needs is imported."""
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    done = spawned("--version", environment={"PYTHONPATH": str(tmp_path)})
    assert done == Outcome(130, "", "")


def test_the_program_starts_where_an_interruption_is_met() -> None:
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert settings["project"]["scripts"] == {"smalti": "smalti_program:main"}
    code = "import sys, smalti_program; print('smalti' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_importing_the_program_loads_nothing_heavy() -> None:
    heavy = {"PIL", "matplotlib", "safetensors", "scipy", "torch"}
    code = "import sys, smalti.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())
