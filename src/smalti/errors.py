"""What Smalti says when it cannot do what was asked.

Every error a person can cause is a `SmaltiError` whose message is one sentence: it names the file or the value, says
what is wrong with it, and what to do. The command line prints the sentence and exits with `exit_code`.
"""

from __future__ import annotations


class SmaltiError(Exception):
    """Base of all errors that carry a sentence for a person."""

    exit_code = 1


class InputError(SmaltiError):
    """A file, folder or array that cannot be used as it is."""


class UsageError(SmaltiError, ValueError):
    """A setting that has no meaning, or that does not fit the corpus."""

    exit_code = 2
