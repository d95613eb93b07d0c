"""What a system is asked: the prompts that come with Smalti, or a person's own.

A file has one prompt a line; one whose name ends in .jsonl has one JSON object a line, with a field `prompt`, a text,
or `messages`, a conversation as chat APIs take it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalti.corpus.decode import shown
from smalti.errors import InputError

__all__ = ["BUILTIN", "Prompt", "builtin_prompts", "read_prompts"]

BUILTIN = (
    "Name the planets of the solar system in order from the sun.",
    "What is the boiling point of water at sea level, and why does it fall on a mountain?",
    "Explain in two sentences how a vaccine works.",
    "List five rivers of Africa and a country that each flows through.",
    "Who wrote Don Quixote, and what is the book about?",
    "What causes the tides?",
    "Describe the difference between weather and climate.",
    "List the steps for making a cup of tea.",
    "Give three reasons for keeping a diary.",
    "Name ten vegetables that grow under the ground.",
    "Write a Python function that returns the n-th Fibonacci number.",
    "Write an SQL query that counts the orders of each customer.",
    "What does this expression give in Python: sorted('banana', reverse=True)?",
    "Write a shell command that finds the ten largest files below a folder.",
    "Explain what a race condition is, with a short example.",
    "Translate into French: The train leaves at seven, but we should be there earlier.",
    "Translate into German: My grandmother kept bees behind the house.",
    "Translate into Spanish: Nobody knew who had left the window open.",
    "Traduis en anglais : Il pleut depuis ce matin et la cave est inondée.",
    "Begin a story about a lighthouse keeper who finds a letter in a bottle.",
    "Write the opening paragraph of a detective story set in a bakery.",
    "Write four lines of verse about the first snow.",
    "Continue the story: The clock in the station had stopped, and nobody dared to wind it.",
    "Invent a name for a small bookshop by the sea, and say why it fits.",
    "What is 17 times 23? Show the steps.",
    "A train travels 180 kilometres in two and a half hours. What is its average speed?",
    "Solve for x: 3x + 7 = 31.",
    "What is the sum of the whole numbers from 1 to 100?",
    "If all roses are flowers and some flowers fade quickly, do some roses fade quickly?",
    "Three people shake hands, each with each other once. How many handshakes are there, and how many with ten people?",
    "Write a short, polite message that moves a meeting from Monday to Wednesday.",
    "Summarise in one sentence: The bridge was closed for repairs in spring, reopened in June after the engineers had "
    "replaced two of its cables, and was closed again in August, when a survey found rust in a third. The town now "
    "asks whether a new bridge would cost less than the repairs.",
    "Rewrite in plain words: The aforementioned party shall desist from said activity forthwith.",
    "Which is heavier, a kilogram of feathers or a kilogram of iron? Explain.",
    "Give a recipe for pancakes with exact amounts.",
    "Suggest a plan for a rainy Sunday with two children.",
)
"""Prompts written for this measurement: facts, lists, code, translation, stories, arithmetic, everyday jobs."""


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        messages: the messages of a conversation, each with the role of who speaks.
    """

    messages: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, text: str) -> Prompt:
        """A prompt that is one message of a user."""
        return cls((("user", text),))

    @property
    def single(self) -> bool:
        """Whether it is one message of a user, so that a plain text says the same."""
        return len(self.messages) == 1 and self.messages[0][0] == "user"

    @property
    def text(self) -> str:
        """It as a text: the message, or for a conversation a paragraph for each message, `role: content`."""
        if self.single:
            return self.messages[0][1]
        return "\n\n".join(f"{role}: {content}" for role, content in self.messages)

    def to_json(self) -> list[dict[str, str]]:
        """The messages as chat APIs take them."""
        return [{"role": role, "content": content} for role, content in self.messages]

    @classmethod
    def from_json(cls, messages: Sequence[Any]) -> Prompt:
        """The prompt that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        found = tuple((message["role"], message["content"]) for message in messages)
        if not found or not all(isinstance(part, str) and part for message in found for part in message):
            raise ValueError("messages")
        for _, content in found:
            content.encode()  # half a character (a lone surrogate) could be neither sent nor stored
        return cls(found)


def builtin_prompts() -> tuple[Prompt, ...]:
    """The prompts that come with Smalti."""
    return tuple(map(Prompt.of, BUILTIN))


def read_prompts(path: str | Path) -> tuple[Prompt, ...]:
    """The prompts of a file; empty lines are left out.

    Args:
        path: the file, see the module.

    Raises:
        InputError: it cannot be read, is not UTF-8, has no prompt, the same one twice, or a line that is none.
    """
    path = Path(path)
    name = f"'{shown(path)}'"
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror or error}); give a file of prompts.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 (byte {error.start:,}); save it as UTF-8.") from error
    found = dict[Prompt, int]()
    # Not `splitlines`: a prompt may hold other signs that end a line, such as a form feed.
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        prompt = _of_json(line, name, number) if path.suffix.lower() == ".jsonl" else Prompt.of(line.rstrip("\r"))
        if prompt in found:
            raise InputError(f"line {number:,} of {name} repeats line {found[prompt]:,}; leave one of them out.")
        found[prompt] = number
    if not found:
        raise InputError(f"{name} has no prompt; write one on each line.")
    return tuple(found)


def _of_json(line: str, name: str, number: int) -> Prompt:
    try:
        record = json.loads(line)
        if ("prompt" in record) == ("messages" in record):
            raise ValueError("one of both")
        messages = [{"role": "user", "content": record["prompt"]}] if "prompt" in record else record["messages"]
        return Prompt.from_json(messages)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"line {number:,} of {name} is no prompt; write a JSON object with a text 'prompt', or with 'messages', a "
            "list of objects that have a role and a content."
        ) from error
