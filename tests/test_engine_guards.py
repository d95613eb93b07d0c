"""What would make the kernel read beyond its arrays or end the process is refused before it gets there.

Each call runs in a process of its own, so that a crash is a failed test and not the end of all tests.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

PREPARE = """
import numpy as np
from dataclasses import replace
from smalti.engine import Exclusion, Query, native
from smalti.noise import Level
from smalti.window import Admission, local_axis

def query(side, of=None):
    axis = local_axis(of or side, of or side)[0]
    return Query(np.zeros((2, side, side, 1), np.uint8), np.zeros((1, side, side, 1), np.int16),
                 Admission(1, "zero", ((axis, axis),)), Level(time=0.5, signal=0.6, noise=0.8))

asked = query(8)
"""


@pytest.mark.parametrize(
    "call",
    [
        "native.sums(asked, threads=0)",
        "native.sums(asked, threads=-1)",
        "native.sources(asked, native.sums(asked), keep=2, threads=0)",
        "native.sums(replace(asked, admission=Admission(0, 'zero', (), 'same-place')), threads=0)",
        "native.sums(query(8, of=300))",
        "native.sums(asked, start=np.zeros((1, 2, 2), np.int64))",
        "native.sums(asked, target='abacus')",
    ],
)
def test_refused_with_an_exception(call: str) -> None:
    code = f"{PREPARE}\ntry:\n    {call}\nexcept ValueError as error:\n    print('refused:', error)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused: ")


def test_more_threads_than_the_system_gives() -> None:
    """The work is done with the threads there are, or refused; the process goes on."""
    code = f"""{PREPARE}
import resource
space = 2 << 30
resource.setrlimit(resource.RLIMIT_AS, (space, space))  # each thread takes some megabytes of it for its stack
expected = native.sums(asked, threads=1)
try:
    assert native.sums(asked, threads=3000) == expected
except (MemoryError, RuntimeError, OSError, ValueError) as error:
    print(type(error))
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("goes on\n")
