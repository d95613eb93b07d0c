"""`smalti doctor`: the report, and that its check of the kernels can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smalti as library
from cli_program import smalti
from smalti.cli import doctor as doctor_module
from smalti.engine import Partial, native


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "cache" / "deep" / "file").write_bytes(bytes(1234))
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_report_as_json(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_THREADS", "3")
    monkeypatch.setenv("SMALTI_KERNEL", "plain")
    report = smalti("doctor", "--json").json
    assert report["smalti"] == library.__version__
    assert report["libraries"]["numpy"] == np.__version__
    assert [(kernel["name"], kernel["lanes"]) for kernel in report["kernels"]] == list(native.targets().items())
    assert all(kernel["right"] for kernel in report["kernels"])
    assert (report["kernel"], report["threads"]) == ("plain", 3)
    assert report["cache"] == {"folder": str(cache), "bytes": 1234}
    assert set(report["extras"]) == {"torch"}


def test_the_report_for_people(cache: Path) -> None:
    found = smalti("doctor")
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0].startswith(f"smalti     {library.__version__}, in ")
    assert lines[-1] == f"cache      {cache}, 1.23 kB"
    kernels = [line for line in lines if line.startswith("kernel ")]
    assert len(kernels) == len(native.targets())
    assert all(line.endswith(": gives the sums of the definition") for line in kernels)
    assert sum("in use" in line for line in kernels) == 1


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = native.sums

    def one_off(query: Any, *, target: str, **others: Any) -> Partial:
        sums = right(query, target=target, **others)
        if target != "plain":
            return sums
        slices = sums.slices.copy()
        slices[0, -1, -1, -1, -1] += 1
        return replace(sums, slices=slices)

    monkeypatch.setattr(doctor_module.native, "sums", one_off)
    found = smalti("doctor")
    assert found.code == 1
    wrong = [line for line in found.out.splitlines() if "WRONG" in line]
    assert [line.split()[1] for line in wrong] == ["plain"]
