"""`import smalti` is quick: it loads NumPy and nothing heavier."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["PIL", "matplotlib", "rich", "typer", "click", "scipy", "sklearn", "torch", "safetensors", "pandas"]


@pytest.mark.parametrize("module", ["smalti", "smalti.machines", "smalti.sampling"])
def test_import_loads_numpy_and_nothing_heavier(module: str) -> None:
    looked_for = {*HEAVY, "numpy"}
    code = f"import sys, {module}; print(sorted({{n.partition('.')[0] for n in sys.modules}} & {looked_for!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['numpy']"
