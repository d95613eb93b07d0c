from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smalti import open_run
from smalti.corpus import TextCorpus, open_text
from smalti.errors import InputError, UsageError
from smalti.machines import TextMachine
from smalti.sampling import TextRequest, TextSettings, TextTrace, read_run, recorded_machine, verify, write_run
from smalti.sampling.truncation import Truncation

TEXT = "to be, or not to be: that is the question\nwhether 'tis nobler in the mind to suffer\n" * 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text(TEXT)
    return path


def request_for(source: Path, *, seeds: tuple[int, ...] = (0, 1, 2), noise: str = "hybrid", **sampler: Any) -> Any:
    machine = TextMachine(open_text(source), noise=noise, radius=5, back_off_radius=4)  # type: ignore[arg-type]
    request = TextRequest.of(
        machine,
        np.array([*machine.tokenizer.encode("to "), *[-1] * 12], np.int32),
        sampler=TextSettings.for_noise(noise, **sampler),
        source=str(source),
        seeds=seeds,
        notes=["a note"],
        command=["smalti"],
    )
    return request, machine


@pytest.mark.parametrize(
    ("noise", "sampler"),
    [
        ("hybrid", {"truncation": Truncation(top_p=0.9, top_h=0.4)}),
        ("mask", {"order": "entropy-bounded", "block": 4, "gamma": 0.3}),
        ("uniform", {"steps": 7, "schedule": "cosine"}),
        ("structured", {"steps": 7}),
    ],
)
def test_a_request_comes_back_from_json(source: Path, noise: str, sampler: dict[str, Any]) -> None:
    request, _ = request_for(source, noise=noise, **sampler)
    record = json.loads(json.dumps(request.to_json()))
    assert TextRequest.from_json(record) == request
    assert TextRequest.from_json(record).changed_from(request) == ()
    with pytest.raises((KeyError, TypeError, ValueError)):
        TextRequest.from_json({**record, "sampler": {}})


def test_a_run_is_opened_again_and_verified(source: Path, tmp_path: Path) -> None:
    request, machine = request_for(source)
    record = write_run(tmp_path / "run", request, machine, batch=2)
    assert sorted(record.files) == ["000000.txt", "000001.txt", "000002.txt", "all.txt", "trace.safetensors"]
    opened = open_run(tmp_path / "run")
    assert opened.record.request == request
    assert isinstance(opened.trace, TextTrace)
    assert repr(opened) == f"OpenRun({str(tmp_path / 'run')!r}, TextTrace(3 texts of 15 tokens, seeds 0, 1, 2))"
    assert opened.machine.settings() == machine.settings()
    for sample in opened.trace:
        assert (tmp_path / "run" / f"{sample.seed:06d}.txt").read_bytes() == sample.text.encode()
        assert sample.text.startswith("to ")
        assert sample.text in (tmp_path / "run" / "all.txt").read_text()
    assert verify(tmp_path / "run", recorded_machine, batch=3).same
    (tmp_path / "run" / "000001.txt").write_text("forged")
    (difference,) = verify(tmp_path / "run", recorded_machine).differences
    assert (difference.file, difference.kind) == ("000001.txt", "altered")


@pytest.mark.parametrize(("noise", "sampler"), [("hybrid", {}), ("structured", {"steps": 5})])
def test_what_stands_before_a_text_is_seen_and_no_part_of_it(
    source: Path, tmp_path: Path, noise: str, sampler: dict[str, Any]
) -> None:
    machine = TextMachine(open_text(source), noise=noise, radius=5)  # type: ignore[arg-type]
    before, given = machine.tokenizer.encode("to be\n"), machine.tokenizer.encode("w")
    row = np.array([*before, *given, *[-1] * 10], np.int32)
    settings = TextSettings.for_noise(noise, **sampler)
    of = {"sampler": settings, "source": str(source), "seeds": [0, 1]}
    request = TextRequest.of(machine, row, context=len(before), **of)
    assert TextRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    write_run(tmp_path / "run", request, machine)
    whole = TextRequest.of(machine, row, **of)
    write_run(tmp_path / "whole", whole, machine)
    assert request.changed_from(whole) == ("after", "prompt")
    assert verify(tmp_path / "run", recorded_machine).same
    ours, theirs = (open_run(tmp_path / name).trace for name in ("run", "whole"))
    for sample, other in zip(ours, theirs, strict=True):
        assert other.text == "to be\n" + sample.text
        assert sample.text.startswith("w")
        assert (tmp_path / "run" / f"{sample.seed:06d}.txt").read_text() == sample.text
        assert sample.tokens.tolist() == other.tokens[len(before) :].tolist()
        assert sample.pieces[-1][1] == len(sample.text)
        # The row, and so every step, is the same.
        assert sample.state(-1).tolist() == other.state(-1).tolist()
        assert sample.events.site.tolist() == other.events.site.tolist()


def test_a_stopped_run_is_finished_to_the_same_bytes(source: Path, tmp_path: Path) -> None:
    request, machine = request_for(source)
    whole = write_run(tmp_path / "whole", request, machine)

    class StopError(Exception): ...

    class Stopping:
        """Progress that fails in the third text."""

        def __init__(self) -> None:
            self.done = 0.0

        def task(self, title: str, total: int) -> Any:
            import contextlib

            return contextlib.nullcontext(self)

        def advance(self, count: float = 1) -> None:
            self.done += count
            if self.done > 30:
                raise StopError

    with pytest.raises(StopError):
        write_run(tmp_path / "run", request, machine, batch=1, progress=Stopping())  # type: ignore[arg-type]
    assert read_run(tmp_path / "run").status == "running"
    with pytest.raises(InputError, match="not finished"):
        open_run(tmp_path / "run")
    assert write_run(tmp_path / "run", request, machine, existing="resume").files == whole.files


def test_changed_sources_are_told(source: Path, tmp_path: Path) -> None:
    request, machine = request_for(source)
    write_run(tmp_path / "run", request, machine)
    source.write_text(TEXT + "more")
    with pytest.raises(InputError, match=r"the texts at .* are not those"):
        open_run(tmp_path / "run")
    source.unlink()
    with pytest.raises(InputError, match="--source PATH"):
        open_run(tmp_path / "run")
    other = tmp_path / "other"
    other.mkdir()
    (other / "moved.txt").write_text(TEXT)
    assert open_run(tmp_path / "run", source=other).machine.corpus.digest == request.corpus_digest


def test_another_machine_is_refused(source: Path) -> None:
    request, machine = request_for(source)
    with pytest.raises(UsageError, match="does not fit the request"):
        request.maker(TextMachine(machine.corpus, noise="mask"))
    with pytest.raises(UsageError, match="does not fit the request"):
        request.maker(TextMachine(TextCorpus.from_texts(["abc"]), radius=5, back_off_radius=4))


@pytest.mark.parametrize(
    ("noise", "sampler", "sentence"),
    [
        ("hybrid", {"order": "sideways"}, "no order of decoding called 'sideways'"),
        ("hybrid", {"schedule": "sigmoid"}, "no schedule of noise on tokens called 'sigmoid'"),
        ("hybrid", {"gamma": 0.1}, "gamma belongs to the order entropy-bounded"),
        ("mask", {"order": "margin", "threshold": 0.5}, "threshold belongs to the order threshold"),
        ("uniform", {"order": "confidence"}, "leave out order"),
        ("uniform", {"block": 4}, "leave out block"),
    ],
)
def test_settings_without_meaning(noise: str, sampler: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        TextSettings.for_noise(noise, **sampler)


def test_requests_without_meaning(source: Path) -> None:
    _, machine = request_for(source)
    with pytest.raises(UsageError, match="nothing to write"):
        TextRequest.of(machine, machine.tokenizer.encode("to be"), source="x")
    row = np.array([*machine.tokenizer.encode("to"), -1], np.int32)
    for context in (-1, 3, 4):
        with pytest.raises(UsageError, match="what stands before a text is given"):
            TextRequest.of(machine, row, source="x", context=context)
    with pytest.raises(UsageError, match="uniform and structured noise have none"):
        TextRequest.of(machine, np.full(3, -1, np.int32), source="x", sampler=TextSettings(order=None, steps=3))
