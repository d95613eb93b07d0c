"""What tests of `smalti predict` share: pictures, a folder for results, a module with a network, and the command."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli_program import Outcome, pictures, smalti


def predicted(source: Path | str, out: Path, network: str, *words: object) -> Outcome:
    return smalti("predict", source, "-o", out, "--network", network, *words)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pictures(tmp_path / "in", size=(8, 8), count=8)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module that a person wrote."""
    made = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "their_network", made)
    return made
