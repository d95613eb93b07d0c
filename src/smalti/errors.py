"""What Smalti says when it cannot do what was asked.

Every error a person can cause is a `SmaltiError` whose message is one sentence: it names the file or the value, says
what is wrong with it, and what to do. The command line prints the sentence and exits with `exit_code`.
"""

from __future__ import annotations

import operator
from typing import Any


class SmaltiError(Exception):
    """Base of all errors that carry a sentence for a person."""

    exit_code = 1


class InputError(SmaltiError):
    """A file, folder or array that cannot be used as it is."""


class UsageError(SmaltiError, ValueError):
    """A setting that has no meaning, or that does not fit the corpus."""

    exit_code = 2


def disk_full(place: str, *, then: str = "repeat the command") -> InputError:
    """The error of a disk that has no room for what is written to `place`, a name as it stands in a sentence; `then`
    says how to go on.
    """
    return InputError(f"The disk is full: {place} could not be written; free some space and {then}.")


def whole_number(value: Any, what: str, *, least: int = 0) -> int:
    """A whole number as a plain one; a truth value is none.

    Args:
        value: anything.
        what: a sentence without its end, saying what the value should be: `but it is VALUE.` is added.

    Keyword Args:
        least: the least that it may be.

    Raises:
        UsageError: it is no whole number, or less.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise UsageError(f"{what}, but it is {value!r}.")
    return operator.index(value)
