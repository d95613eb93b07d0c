"""`import smalti` is quick: it loads NumPy and nothing heavier. And the rooms of the house: imports go only upwards."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import smalti

HEAVY = ["PIL", "matplotlib", "rich", "typer", "click", "scipy", "sklearn", "torch", "safetensors", "pandas"]
HEAVY += ["sqlite3", "pyarrow"]

# Top to bottom: a room uses itself and rooms above it. `errors` and `progress` stand beside all of them.
ROOMS = ["corpus", "noise", "resample", "window", "engine", "machines", "sampling", "calibration", "denoisers"]
ROOMS += ["receipts", "networks", "temperature", "serve", "bench", "cli"]
BESIDE = {"errors", "progress"}

# `Sample.receipt` opens a receipt where a person has a sample in hand; it imports it when it is asked for.
EXCEPTIONS = {("sampling/trace.py", "receipts"), ("sampling/text_trace.py", "receipts")}


@pytest.mark.parametrize(
    "module",
    [
        *("smalti", "smalti.machines", "smalti.sampling", "smalti.denoisers", "smalti.receipts"),
        *("smalti.networks", "smalti.temperature"),
        "smalti.serve",
    ],
)
def test_import_loads_numpy_and_nothing_heavier(module: str) -> None:
    looked_for = {*HEAVY, "numpy"}
    code = f"import sys, {module}; print(sorted({{n.partition('.')[0] for n in sys.modules}} & {looked_for!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['numpy']"


def test_every_module_imports_only_from_its_own_room_and_those_above() -> None:
    house = Path(smalti.__file__).parent
    against = set[tuple[str, str]]()
    rooms = set[str]()
    for file in sorted(house.rglob("*.py")):
        name = file.relative_to(house).as_posix()
        room = name.split("/")[0].removesuffix(".py")
        if room == "__init__":
            continue
        rooms.add(room)
        used = {name.split(".")[1] for name in imported(file) if name.startswith("smalti.")}
        # From beside the rooms nothing but its like is seen; what a person touches may use the whole.
        allowed = BESIDE if room in BESIDE else {*BESIDE, *ROOMS[: ROOMS.index(room) + 1]}
        allowed = {*allowed, "__version__"} if room == "cli" else allowed
        against |= {(name, other) for other in used if other not in allowed}
    assert rooms == {*ROOMS, *BESIDE}
    assert against == EXCEPTIONS


def imported(file: Path) -> set[str]:
    """Names of all modules that a file imports, at any place in it."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found
