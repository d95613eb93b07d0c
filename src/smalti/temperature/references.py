"""Reference systems: free of noise, with an exact distribution for the next token, sampled at a temperature we choose.

A reference gives the logits z of the token that follows a prefix. At temperature T it says argmax(z + T g) with g
standard Gumbel noise, which is distributed as softmax(z / T); at 0 it says the likeliest token, the lowest among equal
ones. `sample` draws the same g whatever T is (common random numbers): curves over T are smooth, and runs at low
temperatures share most of their prefixes. At each place all runs of all prompts and temperatures are asked about at
once, equal prefixes of a prompt only once.

- `TextMachineReference`: a closed-form text machine, left to right. No model is downloaded, and p is exact. Prompts
  about anything but its own corpus tell it nothing, and it would continue all of them alike; so by default each prompt
  chooses a passage of the corpus, which it continues. The passages stand for the prompts of a system that reads them.
- `MarkovReference`: a small random or fitted chain, for simulations.
- `TransformersReference`: a language model of Hugging Face, where torch, transformers and the weights are there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import encode_known
from smalti.engine.arithmetic import LN2, log2
from smalti.errors import InputError, UsageError, whole_number
from smalti.machines.text import TextMachine
from smalti.noise.gaussian import STATE_UNITS, gaussian_state
from smalti.noise.words import uniforms
from smalti.temperature.noise import logarithms

__all__ = [
    "ENDED",
    "MarkovReference",
    "Reference",
    "TextMachineReference",
    "TransformersReference",
    "default_references",
    "sample",
]

ENDED = -1
"""Fills a sampled answer behind its end."""

_WINDOWS_KEPT = 32_000_000  # numbers, of 8 bytes each, that a `TextMachineReference` remembers
_WINDOWS = 4096  # asked about in one call
_NUMBERS = 8_000_000  # logits that `sample` holds at a time
_PASSAGE = 256  # characters

Floats = NDArray[np.float64]


class Reference(Protocol):
    """What the matched protocol needs of a system whose temperature is known."""

    @property
    def name(self) -> str:
        """For people, and for the record of a measurement."""
        ...

    @property
    def vocabulary(self) -> int:
        """V, the number of tokens."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """Tokens after which nothing more is said."""
        ...

    def logits(self, prefixes: Sequence[Sequence[int]]) -> Floats:
        """Natural logarithms, up to a constant, of the next token's probabilities.

        Args:
            prefixes: B sequences of tokens; prompt and what was said after it.

        Returns:
            float64, shape (B, V); -inf for what is impossible. A row depends on its prefix alone.
        """
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of a prompt; what the reference has no token for is left out."""
        ...

    def decode(self, tokens: Sequence[int]) -> list[str]:
        """The text of each token, for protocols that compare words or show answers."""
        ...


def sample(
    reference: Reference,
    prompts: Sequence[str],
    temperatures: Sequence[float],
    *,
    runs: int | Sequence[int],
    max_tokens: int,
    seed: int,
    tick: Callable[[], None] | None = None,
) -> NDArray[np.int32]:
    """Answers of a reference to prompts. Tier: *bitwise*, if its logits are.

    Args:
        reference: what is asked.
        prompts: P texts.
        temperatures: T of them, each at least 0.

    Keyword Args:
        runs: n, answers to each prompt at each temperature; or one number for each temperature.
        max_tokens: L, length of answers.
        seed: from 0; other prompts and other seeds give independent draws. Run r is the same whatever else is asked.
        tick: called after each of the L places.

    Returns:
        Tokens, `ENDED` behind an end, and in runs that a temperature does not have. int32, shape (P, T, n, L), n the
        largest number of runs.

    Raises:
        UsageError: a number without meaning.
    """
    several = [runs] * len(temperatures) if isinstance(runs, int) else runs
    several = [whole_number(n, "A number of runs is a whole number from 1", least=1) for n in several]
    max_tokens = whole_number(max_tokens, "A length of answers is a whole number from 1", least=1)
    for temperature in temperatures:
        if not 0.0 <= temperature < float("inf"):
            raise UsageError(f"a temperature of {temperature!r} has no meaning: give a number of at least 0")
    most = max(several, default=0)
    out = np.full((len(prompts), len(temperatures), most, max_tokens), ENDED, np.int32)
    prefixes = [_Prefix(p, reference.encode(prompt)) for p, prompt in enumerate(prompts)]
    # Which of the prefixes each run has reached; -1 at an end.
    reached = np.where(
        np.arange(most) < np.array(several, np.int64)[:, None], np.arange(len(prompts))[:, None, None], -1
    )
    ends = np.array(sorted(reference.ends), np.int64)
    for place in range(max_tokens):
        if prefixes:
            noise = _Noise(prompts, most, reference.vocabulary, seed, place)
            out[..., place] = _next(reference, prefixes, reached, np.array(temperatures), noise)
            # The prefixes that are reached next, each once, in order of (prefix, token).
            going = (reached >= 0) & ~np.isin(out[..., place], ends)
            pairs = reached[going] * reference.vocabulary + out[..., place][going]
            distinct, number = np.unique(pairs, return_inverse=True)
            before, token = np.divmod(distinct, reference.vocabulary)
            prefixes = [prefixes[b].then(t) for b, t in zip(before.tolist(), token.tolist(), strict=True)]
            reached = np.full_like(reached, -1)
            reached[going] = number
        if tick is not None:
            tick()
    return out


@dataclass(frozen=True)
class _Prefix:
    """What a run has before it: the number of its prompt, and all tokens."""

    prompt: int
    tokens: list[int]

    def then(self, token: int) -> _Prefix:
        return _Prefix(self.prompt, [*self.tokens, token])


class _Noise:
    """Standard Gumbel draws of one place, one prompt at a time; the same for all temperatures."""

    def __init__(self, prompts: Sequence[str], runs: int, vocabulary: int, seed: int, place: int) -> None:
        self._prompts, self._runs, self._vocabulary, self._seed, self._place = prompts, runs, vocabulary, seed, place
        self._last: tuple[int, Floats] | None = None

    def of(self, prompt: int) -> Floats:
        """Those of a prompt; run r does not depend on how many there are. Shape (R, V)."""
        if self._last is None or self._last[0] != prompt:
            purpose = f"temperature/reference/{_digest(self._prompts[prompt]).hex()}"
            u = uniforms(self._runs * self._vocabulary, seed=self._seed, purpose=purpose, step=self._place)
            drawn = -LN2 * log2(-LN2 * log2(np.maximum(u, 2.0**-54)))
            self._last = prompt, drawn.reshape(self._runs, self._vocabulary)
        return self._last[1]


def _next(
    reference: Reference, prefixes: Sequence[_Prefix], reached: NDArray[np.int64], temperatures: Floats, noise: _Noise
) -> NDArray[np.int32]:
    """The next token of every run, `ENDED` for those that have reached no prefix. Shape of `reached`, (P, T, n)."""
    out = np.full(reached.shape, ENDED, np.int32)
    limit = max(1, _NUMBERS // reference.vocabulary)
    for begin in range(0, len(prefixes), limit):
        some = prefixes[begin : begin + limit]
        logits = reference.logits([prefix.tokens for prefix in some])
        for prompt in range(some[0].prompt, some[-1].prompt + 1):
            at = reached[prompt] - begin
            which, run = np.nonzero((at >= 0) & (at < len(some)))
            for first in range(0, len(run), limit):
                t, n = which[first : first + limit], run[first : first + limit]
                # At temperature 0 nothing is added, and the first of equal logits is the lowest token.
                scores = logits[at[t, n]] + temperatures[t, None] * noise.of(prompt)[n]
                out[prompt, t, n] = scores.argmax(axis=1)
    return out


@dataclass(frozen=True, eq=False)
class TextMachineReference:
    """A closed-form text machine that writes left to right. Tier: *bitwise*.

    Attributes:
        machine: with mask or hybrid noise.
        name: for people.
        context: what answers continue: a `passage` of the corpus that ends with a word, chosen by the digest of the
            prompt, or the `prompt` itself, without what the corpus has no token for.
        threads: worker threads; all processors unless given.

    Raises:
        UsageError: the machine's noise has no masks.
    """

    machine: TextMachine
    name: str
    context: Literal["passage", "prompt"] = field(default="passage", kw_only=True)
    threads: int | None = field(default=None, kw_only=True)
    _known: dict[bytes, Floats] = field(default_factory=dict, init=False, repr=False)

    ends = frozenset[int]()

    def __post_init__(self) -> None:
        if self.machine.noise not in ("mask", "hybrid"):
            raise UsageError(
                f"a machine with {self.machine.noise} noise cannot write left to right: choose mask or hybrid"
            )

    @classmethod
    def of_corpus(cls, corpus: TextCorpus, name: str) -> TextMachineReference:
        """The machine that `smalti generate` would use for a corpus."""
        return cls(TextMachine(corpus), name)

    @property
    def vocabulary(self) -> int:
        """See `Reference`."""
        return self.machine.vocabulary

    def logits(self, prefixes: Sequence[Sequence[int]]) -> Floats:
        """See `Reference`: log-probabilities. What a window of the last tokens was answered is remembered."""
        reach = self.machine.reach
        windows = np.full((len(prefixes), 2 * reach + 1), -1, np.int32)
        for row, prefix in zip(windows, prefixes, strict=True):
            last = prefix[-reach:]
            row[reach - len(last) : reach] = last
        keys = [window.tobytes() for window in windows]
        if (len(self._known) + len(prefixes)) * self.vocabulary > _WINDOWS_KEPT:
            self._known.clear()
        fresh = {key: row for key, row in zip(keys, windows, strict=True) if key not in self._known}
        rows = list(fresh.values())
        for begin in range(0, len(rows), _WINDOWS):
            found = self.machine.distributions(np.stack(rows[begin : begin + _WINDOWS]), threads=self.threads)
            self._known.update(zip(list(fresh)[begin : begin + _WINDOWS], logarithms(found), strict=True))
        return np.stack([self._known[key] for key in keys])

    def encode(self, text: str) -> list[int]:
        """See `Reference`; the tokens of what `context` says."""
        given = _passage(self.machine.corpus, text) if self.context == "passage" else text
        return encode_known(self.machine.tokenizer, given)[0].tolist()

    def decode(self, tokens: Sequence[int]) -> list[str]:
        """See `Reference`."""
        return [self.machine.tokenizer.decode([token]) for token in tokens]


def _passage(corpus: TextCorpus, text: str) -> str:
    """What stands before the first place, from one chosen by a text on, that is the end of a word and its blank."""
    place = int.from_bytes(_digest(text)) % corpus.characters
    for document in corpus.documents:
        if place < len(document):
            found = re.compile(r"(?<=\w)\s").search(document, place)
            end = found.end() if found else len(document)
            return document[max(0, end - _PASSAGE) : end]
        place -= len(document)
    raise AssertionError("the place lies within the corpus")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def default_references(threads: int | None = None) -> tuple[Reference, ...]:
    """Three machines on the reference manual of Python, which any installation has, from flat to sharp: they write
    characters by left back-off over 7, 9 and 16 of them. The manual's words depend on Python's version.
    """
    corpus = TextCorpus.builtin("python-manual")
    return tuple(
        TextMachineReference(
            TextMachine(corpus, noise="mask", radius=radius, ladders=("left",)),
            f"python-manual, {radius} characters",
            threads=threads,
        )
        for radius in (7, 9, 16)
    )


@dataclass(frozen=True, eq=False)
class MarkovReference:
    """A chain in which the next token depends on the last `order` ones. Tier: *bitwise* where its table is.

    Attributes:
        table: logits for each context, the oldest of its tokens counting most; before the first token stands token 0.
            float64, shape (V^order, V).
        name: for people.
    """

    table: Floats
    name: str = "chain"

    ends = frozenset[int]()

    def __post_init__(self) -> None:
        contexts, vocabulary = self.table.shape
        if vocabulary < 2 or vocabulary**self.order != contexts:
            raise UsageError(f"a table of shape {self.table.shape} is no chain: give logits of shape (V^order, V)")

    @classmethod
    def random(
        cls, *, vocabulary: int = 32, order: int = 2, sharpness: float = 3.0, spread: float = 0.7, seed: int = 0
    ) -> MarkovReference:
        """A chain with normal logits: of standard deviation `sharpness`, times exp(`spread` times a normal deviate)
        for each context, so that, as in language, some places are open and many are settled.
        """
        contexts = vocabulary**order
        deviates = gaussian_state((contexts, vocabulary), seed=seed, purpose="temperature/chain") / STATE_UNITS
        own = gaussian_state((contexts, 1), seed=seed, purpose="temperature/chain/spread") / STATE_UNITS
        return cls(sharpness * np.exp(spread * own) * deviates, f"chain {seed}, sharpness {sharpness:g}")

    @classmethod
    def fitted(
        cls, texts: Sequence[Sequence[int]], *, vocabulary: int, order: int = 1, smoothing: float = 0.1
    ) -> MarkovReference:
        """The chain of sequences of tokens, its transitions counted and `smoothing` added to each count."""
        counts = np.full((vocabulary**order, vocabulary), smoothing)
        for text in texts:
            known = [0] * order
            for token in text:
                counts[_context(known, order, vocabulary), token] += 1.0
                known = [*known[1:], token] if order else known
        return cls(logarithms(counts / counts.sum(axis=1, keepdims=True)), f"chain of order {order}, fitted")

    @property
    def vocabulary(self) -> int:
        """See `Reference`."""
        return self.table.shape[1]

    @property
    def order(self) -> int:
        """How many tokens the next one depends on."""
        order, contexts = 0, len(self.table)
        while contexts > 1:
            order, contexts = order + 1, contexts // self.vocabulary
        return order

    def logits(self, prefixes: Sequence[Sequence[int]]) -> Floats:
        """See `Reference`."""
        order, vocabulary = self.order, self.vocabulary
        return self.table[[_context(prefix, order, vocabulary) for prefix in prefixes]]

    def encode(self, text: str) -> list[int]:
        """A few tokens that differ between texts: a chain knows no words."""
        return [byte % self.vocabulary for byte in _digest(text)[: self.order]]

    def decode(self, tokens: Sequence[int]) -> list[str]:
        """The number of each token, and a blank."""
        return [f"{token} " for token in tokens]


def _context(prefix: Sequence[int], order: int, vocabulary: int) -> int:
    context = 0
    for token in [0] * (order - len(prefix)) + list(prefix)[len(prefix) - min(order, len(prefix)) :]:
        context = context * vocabulary + token
    return context


class TransformersReference:
    """A causal language model of Hugging Face; sampled as `generate(do_sample=True, top_k=0, top_p=1.0)` would be.

    Nothing is downloaded unless the library itself is told to: give a folder, or the name of a model in its cache.
    float32 on the processor, prefixes asked about one at a time, so that no padding and no neighbour changes a bit of a
    row. Tier: *statistical* between machines, repeatable on one.

    Args:
        model: folder or name.
        threads: threads of torch; its own default unless given.

    Raises:
        InputError: torch, transformers or the weights are not there, or a prompt is too long or has no tokens.
    """

    def __init__(self, model: str, *, threads: int | None = None) -> None:
        try:
            import torch  # pyright: ignore[reportMissingImports]
            import transformers  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise InputError(
                f"the reference {model!r} needs {error.name}: install it with pip install 'smalti[torch]'"
            ) from error
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._cut: Any = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
            self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(model, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{model!r} holds no causal language model that can be read: name its folder") from error
        self._torch: Any = torch
        self._model = self._model.float().eval()
        self.name = model
        self.vocabulary = int(self._model.config.vocab_size)
        end = self._model.generation_config.eos_token_id
        self.ends = frozenset([] if end is None else [end] if isinstance(end, int) else end)

    def logits(self, prefixes: Sequence[Sequence[int]]) -> Floats:
        """See `Reference`."""
        longest, most = max(map(len, prefixes), default=0), getattr(self._model.config, "max_position_embeddings", None)
        if most is not None and longest > most:
            raise InputError(
                f"the reference {self.name!r} reads {most} tokens, and a prompt with its answer has {longest}: ask "
                "shorter prompts"
            )
        rows: list[Floats] = []
        with self._torch.inference_mode():
            for prefix in prefixes:
                ids = self._torch.tensor([list(prefix)])
                rows.append(self._model(ids).logits[0, -1].double().numpy())
        return np.stack(rows)

    def encode(self, text: str) -> list[int]:
        """See `Reference`: by the model's chat template if it has one; for nothing, the token that begins a text."""
        chat = bool(self._cut.chat_template)
        if chat:
            message = [{"role": "user", "content": text}]
            text = self._cut.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        tokens = list(self._cut(text, add_special_tokens=not chat)["input_ids"])
        if not tokens and self._cut.bos_token_id is None:
            raise InputError(f"the reference {self.name!r} has no token for the prompt {text[:40]!r}: ask another one")
        return tokens or [self._cut.bos_token_id]

    def decode(self, tokens: Sequence[int]) -> list[str]:
        """See `Reference`."""
        return [self._cut.decode([token]) for token in tokens]
