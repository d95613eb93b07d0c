"""From whatever ended a command to one sentence on standard error and an exit code.

With SMALTI_DEBUG=1 in the environment the traceback is shown as well.
"""

from __future__ import annotations

import errno
import os
import traceback

import typer

from smalti.cli.terminal import drop_output, one_line, tell
from smalti.errors import SmaltiError, disk_full

INTERRUPTED = 130
READER_GONE = 141

# What a parser of command lines raises for wrong usage. Typer names only this subclass of it.
_WrongUsage = typer.BadParameter.__mro__[1]


class StoppedError(SmaltiError):
    """A person stopped the command; the sentence says how to go on."""

    exit_code = INTERRUPTED


def exit_code_of(error: BaseException) -> int:
    """Tells a person in one sentence why a command ended, unless there is nothing to tell.

    Args:
        error: what was raised.

    Returns:
        The exit code.
    """
    # Typer itself meets a broken pipe inside a command by leaving.
    left = isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    if isinstance(error, BrokenPipeError) or left:
        drop_output()
        return READER_GONE
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if os.environ.get("SMALTI_DEBUG") == "1":
        tell("".join(traceback.format_exception(error)).rstrip())
    sentence, code = _told(error)
    tell(f"smalti: {_as_clause(sentence)}.")
    drop_output()
    return code


def _told(error: BaseException) -> tuple[str, int]:
    """Sentence and exit code."""
    if isinstance(error, SmaltiError):
        return str(error), error.exit_code
    if isinstance(error, _WrongUsage):
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "smalti"
        parts = error.format_message().rstrip(".").split(": ")  # pyright: ignore[reportAttributeAccessIssue]
        return f"{': '.join(map(_as_clause, parts))}; see '{where} --help'", 2
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "stopped; nothing was left half written", INTERRUPTED
    if isinstance(error, MemoryError):
        return (
            "memory is too small for this: use smaller or fewer pictures or texts, or fewer seeds at a time (--batch)",
            1,
        )
    if isinstance(error, OSError):
        place = f"'{os.fsdecode(error.filename)}'" if isinstance(error.filename, str | bytes) else "a file or stream"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return str(disk_full(place)), 1
        return f"{place} cannot be used ({error.strerror or error}): see that it is there and open to you", 1
    hint = "" if os.environ.get("SMALTI_DEBUG") == "1" else ", with what the same command prints under SMALTI_DEBUG=1"
    what = ": ".join(filter(None, [type(error).__name__, str(error)]))
    return f"something unforeseen went wrong ({what}): please report it{hint}", 1


def _as_clause(sentence: str) -> str:
    """A sentence as it stands after `smalti: `: on one line, small first letter where a word follows, no full stop."""
    text = one_line(" ".join(sentence.split("\n"))).rstrip(".")
    first = text.split(" ", 1)[0]
    return text[:1].lower() + text[1:] if first[1:].islower() or first in ("A", "I") else text
