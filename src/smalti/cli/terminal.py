"""What the program writes to: standard output for results, standard error for all else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from smalti.progress import SILENT, Progress, duration, progress_for


def open_streams() -> None:
    """Makes both streams take any text, whatever their encoding: what they cannot show is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Writes a result, and the end of a line, to standard output."""
    if sys.stdout is not None:
        print(text, file=sys.stdout)


def say_json(record: Any) -> None:
    """Writes a result as one JSON object, in ASCII, to standard output."""
    say(json.dumps(record, indent=2, allow_nan=False))


def tell(text: str) -> None:
    """Writes a message to standard error; where nobody reads it, that is no failure."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def progress() -> Progress:
    """Progress on standard error, if there is one."""
    return SILENT if sys.stderr is None else progress_for(sys.stderr)


def tell_notes(notes: Iterable[str]) -> None:
    """Writes notes on what was done to pictures and settings, one a line."""
    for note in notes:
        tell(f"note: {one_line(note)}")


def one_line(text: str) -> str:
    """Text in which nothing breaks the line or commands the terminal, such as the name of a file may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def finish() -> None:
    """Brings what was written to its reader, so that a failure to do so is seen now."""
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_output() -> None:
    """Lets output that cannot be delivered go, so that Python does not fail over it once more at its end."""
    try:
        finish()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def took(seconds: float) -> str:
    """A length of time for the end of a sentence: `0.4 s`, `3 min 20 s`."""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def counted(count: int, thing: str) -> str:
    """A number of things: `1 item`, `1,797 items`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def percent(share: float | Fraction) -> str:
    """A share in per cent, rounded to two decimals, where only nothing is `0 %` and only all is `100 %`."""
    if share in (0, 1):
        return f"{int(share) * 100} %"
    hundredths = round(share * 10_000)
    if hundredths == 0:
        return "<0.01 %"
    return ">99.99 %" if hundredths == 10_000 else f"{hundredths // 100}.{hundredths % 100:02d} %"


def columns(rows: Iterable[tuple[str, str]], *, indent: str = "  ") -> str:
    """Two aligned columns of text."""
    pairs = list(rows)
    width = max((len(left) for left, _ in pairs), default=0)
    return "\n".join(f"{indent}{left.ljust(width)}  {right}".rstrip() for left, right in pairs)
