"""`smalti temperature`: a local server measured, the same again from its folder, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_program import PROGRAM, Outcome, smalti
from misbehaving import Act, Manner, Server, chat, refusal, serving
from smalti.cli.failures import exit_code_of
from smalti.temperature.references import MarkovReference
from smalti.temperature.reply import AskError

KEY = "sk-Very/Secret+0123456789"


def noisy(number: int, fields: dict[str, Any]) -> Act:
    """A server that reports log-probabilities, and gives the second best word now and then."""
    draw = np.random.default_rng(number).uniform()
    return chat(f"{fields['messages'][0]['content']} {'b' if draw < 0.2 else 'a'}", number=number, logprobs=True)


@pytest.fixture(autouse=True)
def _quick_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """No references: what they find is tested elsewhere, and takes a while."""
    monkeypatch.setattr("smalti.temperature.references.default_references", lambda: ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def words(server: Server | str, folder: Path, *more: object) -> tuple[object, ...]:
    url = server if isinstance(server, str) else server.url
    plan = ("--first", 3, "--repeats", 3, "--blocks", 2, "--max-tokens", 40, "--draws", 100)
    return ("temperature", "--endpoint", url, "--model", "tiny", "-o", folder, *plan, *more)


def measured(manner: Manner, folder: Path, *more: object) -> Outcome:
    with serving(manner) as server:
        return smalti(*words(server, folder, "--yes", *more))


def test_json_holds_the_result_that_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chains = tuple(MarkovReference.random(vocabulary=8, sharpness=2.0 + n, seed=n) for n in range(3))
    monkeypatch.setattr("smalti.temperature.references.default_references", lambda: chains)
    found = measured(noisy, folder, "--json").json
    result = json.loads((folder / "result.json").read_bytes())
    assert found["folder"] == str(folder)
    assert found["result"] == result
    assert result["format"] == "smalti.temperature/1"
    assert (result["plan"]["asked"], result["plan"]["answered"], result["plan"]["failed"]) == (18, 18, 0)
    assert {each["protocol"] for each in result["estimates"]} >= {"likelihood", "matched", "published"}
    assert (folder / "report.html").read_text().lstrip().lower().startswith("<!doctype html>")
    assert sorted(path.name for path in folder.iterdir()) == [
        "log.jsonl", "measure.json", "report.html", "responses", "result.json"
    ]  # fmt: skip


def test_the_summary_and_the_budget(folder: Path) -> None:
    done = measured(noisy, folder, "--load", "alone", "--load", "burst:2", "--prices", "1000,2000")
    assert done.code == 0, done.err
    assert "3 prompts, 3 repeats, 2 blocks, load alone, burst:2: 42 requests, and at most 16 more" in done.err
    assert "; at your prices at most about " in done.err
    result = json.loads((folder / "result.json").read_bytes())
    assert done.out.startswith(result["headline"]["text"])
    assert "42 of 42 requests were answered" in done.out
    assert str(folder / "report.html") in done.out


def test_the_same_bytes_come_from_the_folder_again(folder: Path, tmp_path: Path) -> None:
    measured(noisy, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = smalti("temperature", "--replay", folder, "-o", tmp_path / "again", "--draws", 100)
    assert again.code == 0, again.err
    for name in ("result.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    shown = smalti("temperature", "--replay", folder, "--draws", 100, "--json").json
    assert shown["result"] == json.loads((folder / "result.json").read_bytes())
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    twice = smalti("temperature", "--replay", folder, "-o", tmp_path / "again")
    assert twice.failure.endswith("holds a result already: choose another folder")
    same = smalti("temperature", "--replay", folder, "-o", folder)
    assert "is the measurement itself, in which --replay changes nothing" in same.failure


def test_answers_as_a_table(folder: Path) -> None:
    tables = pytest.importorskip("pyarrow.parquet")
    assert measured(noisy, folder, "--parquet").code == 0
    table = tables.read_table(folder / "answers.parquet").to_pydict()
    assert table["order"] == sorted(table["order"])
    assert len(table["text"]) == 18
    assert all(value < 0 for value in table["logprob"])
    missing = smalti("temperature", "--replay", folder, "--parquet", "--draws", 100)
    assert missing.failure == "--parquet writes a file: say where by -o OUT"


def test_nothing_is_asked_without_leave(folder: Path) -> None:
    with serving(noisy) as server:
        command = [*PROGRAM, *map(str, words(server, folder))]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == ("smalti: nobody is here to allow 18 requests: add --yes to allow them.")
        assert done.stdout == ""
    assert server.asked == []
    assert not folder.exists()


@pytest.mark.parametrize(
    ("answer", "code", "end"),
    [
        ("y\n", 1, "no models today): see --endpoint, --model and --api."),
        ("n\n", 130, "nothing was asked, and nothing written."),
    ],
)
def test_someone_at_a_terminal_is_asked(answer: str, code: int, end: str, folder: Path) -> None:
    pty = pytest.importorskip("pty")
    with serving(lambda number, fields: refusal(404, "no models today")) as server:
        master, slave = pty.openpty()
        command = [*PROGRAM, *map(str, words(server, folder))]
        asker = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.write(master, answer.encode())
        _, said = asker.communicate()
        os.close(master)
        os.close(slave)
    assert asker.returncode == code
    assert "Ask now?" in said
    assert said.endswith(f"{end}\n")
    assert len(server.asked) == (answer == "y\n")
    assert not folder.exists()


def test_a_measurement_goes_on(folder: Path) -> None:
    def manner(number: int, fields: dict[str, Any]) -> Act:
        return refusal(401, "expired") if number == 9 else noisy(number, fields)

    with serving(manner) as server:
        stopped = smalti(*words(server, folder, "--yes"))
        assert stopped.code == 1
        assert stopped.err.splitlines()[-1] == (
            f"smalti: {server.url} asks for a key (401: expired): name the variable that holds it by --key-env; "
            f"8 of 18 answers are kept in '{folder}': repeat the command with --resume to go on."
        )
        again = smalti(*words(server, folder, "--yes"))
        assert again.failure.endswith("holds a measurement already: choose another folder, or add --resume to finish "
                                      "that one")  # fmt: skip
        # What is in measure.json need not be said again; what is said has to be the same.
        for option, value in (("--repeats", 4), ("--model", "other"), ("--stream", None), ("--load", "burst:2")):
            other = smalti("temperature", "-o", folder, "--resume", "--yes", option, *([value] if value else []))
            assert f"holds a measurement with other settings ({option})" in other.failure
        assert len(server.asked) == 10
        done = smalti("temperature", "-o", folder, "--resume", "--yes", "--draws", 100)
        assert done.code == 0, done.err
        assert "10 requests" in done.err
        assert len(server.asked) == 20
        finished = smalti(*words(server, folder, "--resume"))
    assert finished.code == 0, finished.err
    assert len(server.asked) == 20
    assert "18 of 18 requests were answered" in finished.out


def test_the_key_is_written_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY + "\n")

    def manner(number: int, fields: dict[str, Any]) -> Act:
        text = f"{fields['messages'][0]['content']} {KEY}"
        return refusal(500, f"no {KEY}") if number == 5 else chat(text, number=number, logprobs=True)

    with serving(manner) as server:
        done = smalti(*words(server, folder, "--yes", "--key-env", "MY_KEY", "--json"))
    assert done.code == 0, done.err
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    for text in (done.out, done.err, *(path.read_text() for path in folder.rglob("*") if path.is_file())):
        assert "0123456789" not in text
        assert "Bearer" not in text


@pytest.mark.parametrize("given", [KEY, "NO_SUCH_VARIABLE", ""])
def test_what_is_given_for_the_name_of_a_key_is_not_repeated(given: str, folder: Path) -> None:
    found = smalti(*words("http://127.0.0.1:1", folder, "--yes", "--key-env", given))
    assert found.code == 2
    assert found.failure.startswith("the environment has no variable of the name given to --key-env")
    assert KEY not in found.failure
    assert not folder.exists()


def test_a_key_in_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    for option in (("--set", f"user={KEY}"), ("--prompts", f"{KEY.replace('/', '')}/{KEY}")):
        found = smalti(*words("http://127.0.0.1:1", folder, "--yes", "--key-env", "MY_KEY", *option))
        assert found.code in (1, 2)
        assert not folder.exists()
    found = smalti(*words("http://127.0.0.1:1", folder, "--key-env", "MY_KEY", "--set", f"user={KEY}"))
    assert "the key stands among the other settings, which are stored" in found.failure


def test_a_key_in_a_prompt(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    (tmp_path / "prompts.txt").write_text(f"Hello.\nMy key is {KEY}.\n")
    common = ("temperature", "--endpoint", "http://127.0.0.1:1", "--model", "m", "-o", folder, "--key-env", "MY_KEY")
    found = smalti(*common, "--prompts", tmp_path / "prompts.txt", "--yes")
    assert found.failure == "the key stands in a prompt, which is stored: take it out of the file of prompts"
    assert not folder.exists()


def test_an_address_with_a_version_goes_on_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    key = ("--key-env", "MY_KEY", "--key-header", "api-key", "--yes")

    def manner(number: int, fields: dict[str, Any]) -> Act:
        return refusal(401, "no") if number == 4 else noisy(number, fields)

    with serving(manner) as server:
        url = server.url.replace("/v1", "/openai/deployments/m/chat/completions?api-version=2024-06-01")
        assert "refuses the key" in smalti(*words(url, folder, *key)).err
        done = smalti(*words(url, folder, "--resume", *key))
        assert done.code == 0, done.err
        assert smalti("temperature", "-o", folder, "--resume", "--draws", 100).code == 0
    assert {asked["path"] for asked in server.asked} == {url.split(str(server.url.split("/")[2]))[1]}
    assert {headers["api-key"] for headers in server.headers} == {KEY}
    system = json.loads((folder / "measure.json").read_bytes())["system"]
    assert system["endpoint"] == url.replace("/chat/completions", "")


def test_references_are_left_out(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chains = (MarkovReference.random(vocabulary=8, sharpness=2.0, seed=1),)
    monkeypatch.setattr("smalti.temperature.references.default_references", lambda: chains)
    found = measured(noisy, folder, "--no-references", "--json").json["result"]
    assert [each["protocol"] for each in found["estimates"]] == ["likelihood"]
    assert [each["protocol"] for each in found["unavailable"]] == ["matched", "published"]
    (tmp_path / "own.txt").write_text("the cat sat on the mat and the rat sat on the cat. " * 20)
    own = ("--reference", tmp_path / "own.txt")
    again = ("temperature", "--replay", folder, "--draws", 100, "--json", *own)
    for more, names in (((), [chains[0].name, str(tmp_path / "own.txt")]), (("--no-references",), [str(own[1])])):
        result = smalti(*again, *more).json["result"]
        assert [one["reference"] for one in result["curves"]["matched"]] == names


def test_who_stops_the_analysis_is_told_that_the_answers_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("smalti.temperature.analysis.analyse", stopped)
        found = measured(noisy, folder)
        assert (found.code, found.err.splitlines()[-1]) == (
            130,
            f"smalti: stopped; '{folder}' keeps every answer: repeat the command with --resume for the result.",
        )
        again = smalti("temperature", "--replay", folder)
        assert (again.code, again.failure) == (130, "stopped; nothing was left half written")
    assert smalti("temperature", "--resume", "-o", folder, "--draws", 100).code == 0
    assert (folder / "result.json").exists()


def test_a_table_without_pyarrow_or_a_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(noisy, folder).code == 0
    assert smalti("temperature", "--replay", folder, "--parquet").failure in (
        "--parquet writes a file: say where by -o OUT",
        "--parquet needs pyarrow, which is not installed: run pip install pyarrow, or leave --parquet out",
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for given in (("--replay", folder, "-o", folder / "new"), ("--endpoint", "http://127.0.0.1:1", "--model", "m")):
        found = smalti("temperature", *given, "--parquet")
        assert (found.code, found.failure) == (
            1,
            "--parquet needs pyarrow, which is not installed: run pip install pyarrow, or leave --parquet out",
        )


def test_an_endpoint_that_hangs_up_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A broken pipe to the endpoint is not one to whoever reads what this prints, of whom nothing is said."""
    failure = AskError("down", "it does not answer")
    failure.__context__ = failure.__cause__ = BrokenPipeError()
    assert exit_code_of(failure) == 1
    assert capsys.readouterr().err == "smalti: it does not answer.\n"


def test_someone_who_stops_it_is_told_how_to_go_on(folder: Path) -> None:
    with serving(lambda number, fields: Act(body=noisy(number, fields).body, delay=0.05)) as server:
        command = [*PROGRAM, *map(str, words(server, folder, "--yes"))]
        asker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len(server.asked) < 4:
            assert asker.poll() is None
            time.sleep(0.01)
        asker.send_signal(signal.SIGINT)
        out, said = asker.communicate()
    assert (asker.returncode, out) == (130, "")
    assert said.splitlines()[-1] == (
        f"smalti: stopped; '{folder}' keeps every answer: repeat the command with --resume to ask the rest."
    )
    assert len((folder / "log.jsonl").read_bytes().splitlines()) >= 2


def test_a_callable_is_measured(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_model.py").write_text(
        "import itertools\ncount = itertools.count()\ndef answer(prompt):\n    return f'{prompt} {next(count) % 7}'\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    common = ("-o", folder, "--first", 2, "--repeats", 4, "--draws", 100)
    found = smalti("temperature", "--callable", "own_model:answer", *common, "--json").json
    assert found["result"]["units"] == "words"
    assert found["result"]["system"]["model"] == "own_model:answer"
    assert found["result"]["plan"]["answered"] == 24
    again = smalti("temperature", "-o", folder, "--resume", "--callable", "own_model:answer", "--draws", 100)
    assert again.code == 0, again.err
    for name, sentence in (
        ("own_model", "has no meaning: write MODULE:NAME"),
        ("own_model:other", "cannot be had (AttributeError"),
        ("no_model:answer", "cannot be had (ModuleNotFoundError"),
        ("own_model:number", "names something that cannot be called"),
    ):
        assert sentence in smalti("temperature", "--callable", name, "-o", tmp_path / "new").failure
    both = smalti("temperature", "--callable", "own_model:answer", "--model", "x", "-o", tmp_path / "new")
    assert both.failure == "--model is of an endpoint, and --callable asks none: leave one of them out"
    assert "name it again by --callable" in smalti("temperature", "-o", folder, "--resume").failure


def test_an_asynchronous_callable_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "later_model.py").write_text("async def answer(prompt):\n    return prompt\n")
    command = [*PROGRAM, "temperature", "--callable", "later_model:answer", "-o", "run"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == (
        "smalti: the callable later_model:answer is asynchronous (async def): name a function that gives the answer "
        "itself, such as one that calls asyncio.run.\n"
    )


def test_who_stops_a_callable_is_told_at_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "slow_model.py").write_text(
        "import pathlib, time\n\ndef answer(prompt):\n    pathlib.Path('asked').touch()\n    time.sleep(1000)\n"
    )
    command = [*PROGRAM, "temperature", "--callable", "slow_model:answer", "-o", str(folder)]
    asker = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "asked").exists():
        assert asker.poll() is None
        time.sleep(0.01)
    asker.send_signal(signal.SIGINT)
    out, said = asker.communicate(timeout=60)
    assert (asker.returncode, out) == (130, "")
    assert said.splitlines()[-1].endswith("repeat the command with --resume to ask the rest.")


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        ((), 2, "say what is to be measured: --endpoint URL"),
        (("--endpoint", "http://h"), 2, "say where the measurement is kept: -o OUT, a new or empty folder"),
        (("--resume",), 2, "say where the measurement is kept: -o OUT, a new or empty folder"),
        (
            ("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--repeats", "1", "--blocks", "1"),
            2,
            "one answer to a prompt cannot differ from another: give --repeats 2 or more",
        ),
        (
            ("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--yes", "--reference", "no.txt"),
            1,
            "'no.txt' does not exist",
        ),
        (
            ("-o", "OUT"),
            2,
            "say what is to be measured: --endpoint URL, --callable MODULE:NAME, --replay RUN or --demo",
        ),
        (("-o", "OUT", "--endpoint", "http://h"), 2, "say which model is to be measured: --model NAME"),
        (("-o", "OUT", "--endpoint", "h", "--model", "m"), 2, "--endpoint 'h' is no address of an API"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--api", "x"), 2, "there is no API called 'x'"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--load", "x"), 2, "the load 'x' has no meaning"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--set", "x"), 2, "--set 'x' has no meaning"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--set", "seed=1"), 2, "the field 'seed' is set by"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--prices", "1"), 2, "--prices '1' has no meaning"),
        (
            ("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--logprobs", "x"),
            2,
            "--logprobs 'x' has no meaning",
        ),
        (
            ("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--first", "99"),
            2,
            "--first 99 asks for more prompts",
        ),
        (
            ("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--key-header", "api-key"),
            2,
            "--key-header says where a key goes, and there is none",
        ),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m\udcff"), 2, "the name of the model or a field of --set"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--timeout", "0"), 2, "--timeout is more than 0"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--pause", "-1"), 2, "the pause between blocks"),
        (("-o", "OUT", "--endpoint", "http://h", "--model", "m", "--prompts", "no.txt"), 1, "'no.txt' cannot be read"),
        (("--replay", "none"), 1, "'none' is no measurement: it holds no measure.json"),
        (("--replay", "none", "--model", "m"), 2, "--model means nothing with --replay: leave one of them out"),
        (("--demo", "--repeats", "3"), 2, "--repeats means nothing with --demo: leave one of them out"),
    ],
)
def test_what_is_refused(given: tuple[str, ...], code: int, sentence: str, tmp_path: Path) -> None:
    found = smalti("temperature", *(str(tmp_path / "new") if word == "OUT" else word for word in given))
    assert (found.code, found.failure[: len(sentence)]) == (code, sentence)
    assert not (tmp_path / "new").exists()


def test_a_conversation_for_completions_and_an_endpoint_that_is_down(folder: Path, tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    (tmp_path / "p.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    common = ("temperature", "--endpoint", "http://127.0.0.1:1", "--model", "m", "-o", folder, "--prompts")
    found = smalti(*common, tmp_path / "p.jsonl", "--api", "completions", "--yes")
    assert "is a conversation, which the completions API cannot take" in found.failure
    with serving(lambda number, fields: refusal(404, "no such model")) as server:
        found = smalti(*words(server, folder, "--yes"))
    assert found.code == 1
    assert "knows no such model or API (404: no such model)" in found.err
    assert not folder.exists()
