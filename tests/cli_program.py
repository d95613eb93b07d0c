"""The program `smalti` for tests, in this process and as one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smalti.cli import main

PROGRAM = (sys.executable, "-c", "import sys; from smalti_program import main; sys.exit(main())")


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def failure(self) -> str:
        """The one sentence of a failed command; nothing else may have been said on either stream."""
        assert self.out == ""
        assert self.err.startswith("smalti: ")
        assert self.err.endswith(".\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("smalti: ").removesuffix(".\n")

    @property
    def json(self) -> Any:
        """Standard output as the JSON it must be, after success."""
        assert self.code == 0, self.err
        return json.loads(self.out)


def smalti(*words: object) -> Outcome:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Outcome(code, out.getvalue(), err.getvalue())


def spawned(*words: object, environment: dict[str, str] | None = None) -> Outcome:
    """A command as a process of its own."""
    command = [*PROGRAM, *map(str, words)]
    done = subprocess.run(
        command,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def pictures(folder: Path, *, count: int = 6, size: tuple[int, int] = (6, 7), seed: int = 0) -> Path:
    """A folder of grey pictures of random blocks, `0.png` and on; size is (height, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(blocks(count, size=size, seed=seed)):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def blocks(count: int, *, size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Random pictures of 2 x 2 blocks, so that patches have something in common. uint8 (count, H, W)."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(0, 256, (count, -(-height // 2), -(-width // 2)), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width])


def files_of(folder: Path) -> dict[str, bytes]:
    """Bytes of every file of a run but its record, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "run.json"}
