"""Small runs of texts for the tests of receipts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from smalti.corpus.text import TextCorpus
from smalti.machines.text import TextMachine
from smalti.progress import SILENT
from smalti.sampling.text_request import TextRequest, TextSettings
from smalti.sampling.text_trace import TextTrace

NAMES = ("</script><script>window.broken = true</script>", "<b>bold & brave</b>", "وثيقة", "plain-10", "plain-2")
TEXTS = (
    "the cat sat on the mat,\nand the rat sat on the cat.\n",
    "a rat ran to the mat <b>and</b> ran on.\n",
    "once the cat ran, the rat ran: é è €!\n",
    "the mat sat still; the cat sat still.\n",
    "no rat sat on a cat that ran to the mat.\n",
)


def corpus_of(metadata: Mapping[str, Mapping[str, str]] | None = None) -> TextCorpus:
    """Five short documents with odd names, a licence each but for one, and one without a writer."""
    told = {
        name: {"licence": licence} for name, licence in zip(NAMES, ("cc0", "<i>own</i>", "cc0", "cc-by"), strict=False)
    }
    told = {name: {**told.get(name, {}), "writer": "Ida"} if name != NAMES[1] else told[name] for name in NAMES}
    told = told if metadata is None else dict(metadata)
    return TextCorpus(TEXTS, NAMES, metadata=tuple(told[name] for name in NAMES))


def texts_of(
    corpus: TextCorpus,
    *,
    tokens: str = "characters",
    noise: str = "hybrid",
    after: str = "",
    prompt: str = "the ",
    length: int = 24,
    seeds: Iterable[int] = (0,),
    sampler: Mapping[str, Any] | None = None,
    **machine: Any,
) -> TextTrace:
    """A trace of texts that begin with a prompt; `length` counts all their tokens, and not those they stand after."""
    made = TextMachine(corpus, tokens, noise=noise, **machine)  # pyright: ignore[reportArgumentType]
    before, given = made.tokenizer.encode(after), made.tokenizer.encode(prompt)
    template = np.array([*before, *given, *[-1] * (length - len(given))], np.int32)
    settings = TextSettings.for_noise(noise, **(sampler or {}))
    seeds = tuple(seeds)
    request = TextRequest.of(made, template, context=len(before), sampler=settings, source="texts", seeds=seeds)
    with SILENT.task("making", 1) as task:
        return request.maker(made)(seeds, task)
