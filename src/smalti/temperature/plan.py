"""Which requests a measurement makes, and in what order.

Every prompt is asked `repeats` times under every load in every time block. Requests that are asked together are a
*round*: one request alone; a burst of N copies of one prompt, sent at once; or a mixed round of requests for different
prompts, so of different lengths, of which N are under way at any time. The rounds of a block are shuffled by the seed:
what differs between loads or prompts is then no effect of the time at which they were asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from smalti.errors import UsageError, whole_number
from smalti.noise.words import random_words
from smalti.temperature.prompts import Prompt

__all__ = ["ALONE", "Budget", "Load", "Plan", "Request", "Round", "budget_of"]

_PURPOSE = "temperature/order"
_MIXED_ROUND = 4  # requests of a mixed round for each that is under way: most of them meet a full load
_MOST_WIDTH = 1024
_MOST_REQUESTS = 1_000_000
_LEAST_SPARE = 16


@dataclass(frozen=True)
class Load:
    """What else the system is asked while it answers.

    Attributes:
        kind: `alone`, `burst` or `mixed`, see the module.
        width: requests under way at a time; 1 for `alone`.
    """

    kind: Literal["alone", "burst", "mixed"]
    width: int

    @classmethod
    def of(cls, text: str) -> Load:
        """The load that `alone`, `burst:8` or `mixed:8` names.

        Raises:
            UsageError: anything else.
        """
        if text == "alone":
            return ALONE
        found = re.fullmatch(r"(burst|mixed):([0-9]{1,9})", text)
        if not found or not 2 <= int(found[2]) <= _MOST_WIDTH:
            raise UsageError(
                f"the load {text!r} has no meaning: write alone, burst:N or mixed:N, with N from 2 to {_MOST_WIDTH}"
            )
        return cls("burst" if found[1] == "burst" else "mixed", int(found[2]))

    @property
    def name(self) -> str:
        """How it is written."""
        return self.kind if self.kind == "alone" else f"{self.kind}:{self.width}"

    @property
    def together(self) -> int:
        """Requests of a round, at least; a mixed one has some for each that is under way."""
        return _MIXED_ROUND * self.width if self.kind == "mixed" else self.width

    def round_of(self, prompt: int, repeat: int, *, prompts: int, repeats: int) -> int:
        """The round of a block in which a prompt is asked for the n-th time, in the order before they are shuffled."""
        place = repeat * prompts + prompt if self.kind == "mixed" else prompt * repeats + repeat
        total = prompts * repeats
        # Round n ends before place total * (n + 1) // count.
        return -(-(place + 1) * max(1, total // self.together) // total) - 1


ALONE = Load("alone", 1)


@dataclass(frozen=True)
class Request:
    """One request of a plan: index of the prompt, name of the load, block, and number within these three."""

    prompt: int
    load: str
    block: int
    repeat: int


@dataclass(frozen=True)
class Round:
    """Requests asked together, `width` of them at a time."""

    requests: tuple[Request, ...]
    width: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The requests of a measurement. Tier: *bitwise*.

    Attributes:
        prompts: number of prompts.
        repeats: requests for each prompt under each load in each block; for bursts rounded up to whole bursts.
        loads: the loads, none twice.
        blocks: time blocks.
        pause: seconds between two blocks.
        seed: of the order.

    Raises:
        UsageError: a setting has no meaning.
    """

    prompts: int
    repeats: int
    loads: tuple[Load, ...] = (ALONE,)
    blocks: int = 1
    pause: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.prompts, "The number of prompts is a whole number from 1", least=1)
        whole_number(self.repeats, "The number of repeats is a whole number from 1", least=1)
        whole_number(self.blocks, "The number of time blocks is a whole number from 1", least=1)
        whole_number(self.seed, "A seed is a whole number from 0")
        if not self.loads or len(set(self.loads)) < len(self.loads):
            raise UsageError("A plan needs at least one load, and none twice.")
        if not 0 <= self.pause <= 7 * 86_400:
            raise UsageError(f"The pause between blocks is from 0 seconds to a week, but it is {self.pause!r}.")
        if self.asked > _MOST_REQUESTS:
            raise UsageError(
                f"The plan has {self.asked:,} requests, more than the {_MOST_REQUESTS:,} of one measurement: ask for "
                "fewer repeats, loads or blocks."
            )

    def repeats_under(self, load: Load) -> int:
        """Requests for each prompt in each block under a load."""
        return -(-self.repeats // load.width) * load.width if load.kind == "burst" else self.repeats

    @property
    def asked(self) -> int:
        """Number of requests."""
        return self.prompts * self.blocks * sum(self.repeats_under(load) for load in self.loads)

    def rounds(self, block: int) -> tuple[Round, ...]:
        """The rounds of a block, in the order in which they are asked."""
        found = [each for load in self.loads for each in self._rounds_under(load, block)]
        order = np.argsort(random_words(len(found), seed=self.seed, purpose=_PURPOSE, step=block), kind="stable")
        return tuple(found[place] for place in order)

    def _rounds_under(self, load: Load, block: int) -> list[Round]:
        repeats = range(self.repeats_under(load))
        if load.kind == "mixed":
            # Prompt after prompt, so that requests under way together are for different ones.
            all_of_them = [Request(prompt, load.name, block, n) for n in repeats for prompt in range(self.prompts)]
        else:
            all_of_them = [Request(prompt, load.name, block, n) for prompt in range(self.prompts) for n in repeats]
        count = max(1, len(all_of_them) // load.together)
        cuts = [len(all_of_them) * n // count for n in range(count + 1)]
        return [Round(tuple(all_of_them[a:b]), load.width) for a, b in pairwise(cuts)]

    def to_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold."""
        return asdict(self) | {"loads": [load.name for load in self.loads]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        return cls(**{**record, "loads": tuple(map(Load.of, record["loads"])), "pause": float(record["pause"])})


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a measurement may cost.

    Attributes:
        requests: requests that are still to be answered.
        spare: answers beyond these that may be paid for without being of use, such as those cut off on the way.
        prompt_tokens: tokens of the prompts, about: three bytes count as one.
        answer_tokens: most tokens of the answers.
        cost: money at the prices given, for all of these; None without prices.
    """

    requests: int
    spare: int
    prompt_tokens: int
    answer_tokens: int
    cost: float | None

    @property
    def text(self) -> str:
        """The budget as a clause."""
        spare = f", and at most {self.spare:,} more where answers are lost" if self.spare else ""
        cost = "" if self.cost is None else f"; at your prices at most about {self.cost:,.2f}"
        return (
            f"{self.requests:,} request{'' if self.requests == 1 else 's'}{spare}; about {self.prompt_tokens:,} tokens "
            f"of prompts and at most {self.answer_tokens:,} of answers{cost}"
        )


def budget_of(
    requests: Sequence[Request],
    prompts: Sequence[Prompt],
    *,
    max_tokens: int,
    prices: tuple[float, float] | None = None,
) -> Budget:
    """The budget of requests.

    Args:
        requests: the requests that are still to be answered.
        prompts: all prompts.

    Keyword Args:
        max_tokens: most tokens of an answer.
        prices: price of a million tokens of prompts and of answers.
    """
    count = len(requests)
    # Learning what the system takes costs some requests too, and so does an answer cut off on the way.
    spare = max(_LEAST_SPARE, count // 10) if count else 0
    tokens = [-(-len(prompt.text.encode()) // 3) for prompt in prompts]
    longest = max(tokens, default=0)
    asked = sum(tokens[request.prompt] for request in requests) + spare * longest
    answered = (count + spare) * max_tokens
    cost = None if prices is None else (asked * prices[0] + answered * prices[1]) / 1e6
    return Budget(requests=count, spare=spare, prompt_tokens=asked, answer_tokens=answered, cost=cost)
