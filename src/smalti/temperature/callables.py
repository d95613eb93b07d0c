"""Any Python callable as the system under test: a function from a prompt to an answer.

The answer is a text, which is compared word by word, or a sequence of tokens (texts or whole numbers), which is
compared token by token. A callable is asked exactly as an endpoint is, under loads by as many threads as they say.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smalti.errors import UsageError
from smalti.progress import SILENT, Progress
from smalti.temperature.plan import Plan
from smalti.temperature.prompts import Prompt
from smalti.temperature.record import Recording
from smalti.temperature.reply import AskError, Dialect, read_reply
from smalti.temperature.runner import Asked, measure

__all__ = ["CallableSystem", "measure_callable"]

Answers = Callable[[str], str | Sequence[str] | Sequence[int]]
"""A function from the text of a prompt to its answer."""


class CallableSystem:
    """A callable as something that can be measured."""

    def __init__(self, function: Answers, *, max_tokens: int = 32, name: str | None = None) -> None:
        """Calls nothing yet.

        Args:
            function: from the text of a prompt to a text or a sequence of tokens.

        Keyword Args:
            max_tokens: tokens of an answer that are compared, from the first.
            name: what it is called; its own name unless given.

        Raises:
            UsageError: the limit is no whole number from 1, or the callable is asynchronous.
        """
        if max_tokens < 1:
            raise UsageError(f"the limit of tokens is a whole number from 1, not {max_tokens}")
        self._function = function
        self._name = name or getattr(function, "__qualname__", type(function).__qualname__)
        if any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None)))):  # noqa: B004
            raise UsageError(self._asynchronous())
        self.dialect = Dialect(api="callable", max_tokens=max_tokens)
        self.notes: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, str]:
        """What it is."""
        return {"endpoint": "a Python callable", "model": self._name, "api": "callable"}

    def ask(self, prompt: Prompt) -> Asked:
        """Calls once.

        Raises:
            AskError: "callable": it raised an exception, or gave something else than an answer.
        """
        try:
            given: Any = self._function(prompt.text)
        except Exception as error:
            what = ": ".join(filter(None, (type(error).__name__, str(error))))
            raise AskError("callable", f"the callable {self._name} raised {what}") from error
        if inspect.iscoroutine(given):
            given.close()  # or Python would warn that nobody waited for it
            raise AskError("callable", self._asynchronous())
        if isinstance(given, str):
            record: dict[str, Any] = {"text": given}
        else:
            try:
                record = {"tokens": [token if isinstance(token, str) else str(token.__index__()) for token in given]}
            except (TypeError, AttributeError) as error:
                raise AskError(
                    "callable",
                    f"the callable {self._name} gave {type(given).__name__}: let it give a text, or a sequence of "
                    "texts or whole numbers",
                ) from error
        body = json.dumps(record).encode()
        return Asked(reply=read_reply(body, self.dialect), body=body)

    def _asynchronous(self) -> str:
        return (
            f"the callable {self._name} is asynchronous (async def): name a function that gives the answer itself, "
            "such as one that calls asyncio.run"
        )

    def close(self) -> None:
        """Does nothing: a call that is under way ends by itself, or with the process."""


def measure_callable(
    function: Answers,
    prompts: Sequence[str],
    *,
    plan: Plan | None = None,
    max_tokens: int = 32,
    folder: str | Path | None = None,
    progress: Progress = SILENT,
) -> Recording:
    """Asks a callable, and gives what it answered. Tier: *statistical*: what a callable answers is its own.

    Args:
        function: from the text of a prompt to a text or a sequence of tokens.
        prompts: the prompts.

    Keyword Args:
        plan: the requests; ten of each prompt, one at a time, unless given.
        max_tokens: tokens of an answer that are compared, from the first.
        folder: where the measurement is kept, and goes on if it was begun; nowhere unless given.
        progress: where progress is shown.

    Raises:
        InputError: the folder holds something else, or ten calls in a row failed.
        UsageError: the plan is for another number of prompts, or a setting has no meaning.
    """
    asked = tuple(map(Prompt.of, prompts))
    system = CallableSystem(function, max_tokens=max_tokens)
    plan = Plan(prompts=len(asked), repeats=10) if plan is None else plan
    if folder is not None:
        return measure(folder, system, asked, plan, existing="resume", progress=progress)
    with tempfile.TemporaryDirectory() as place:
        return measure(Path(place) / "measurement", system, asked, plan, progress=progress)
