"""Something of Python that a person names on the command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from smalti.errors import InputError, UsageError


def imported(text: str, *, option: str, example: str) -> Any:
    """What `MODULE:NAME` names; modules in the current folder count.

    Args:
        text: the name.

    Keyword Args:
        option: the option that it was given to, for sentences.
        example: a name of the same kind, for sentences.

    Raises:
        InputError: it cannot be imported, or cannot be called.
        UsageError: the name has another form.
    """
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise UsageError(f"{option} {text!r} has no meaning: write MODULE:NAME, such as {example}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may raise anything while it is imported
        what = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise InputError(f"{option} {text!r} cannot be had ({what}): see that it can be imported from here") from error
    if not callable(found):
        raise InputError(f"{option} {text!r} names something that cannot be called: name a function")
    return found
