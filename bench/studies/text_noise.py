"""Noises without masks at the same steps: real words, verbatim text, and likelihood of what is written.

    .venv/bin/python bench/studies/text_noise.py [FOLDER]

FOLDER holds `shakespeare.txt`; ../shared/data by default. Texts are written and judged as in `text_order.py`, from the
same half and with the same measures; each noise begins with the same seeds. Uniform noise comes with two schedules;
structured noise is that of contexts, with several shares of jumps to any token. Prints the table of
docs/concepts/text.md, with intervals of 95 % over texts (bootstrap). About ten minutes on four cores.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from text_order import SPAN, USED, judged, tell

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters
from smalti.machines.text import TextMachine
from smalti.sampling.text import TextDenoiser, random_start
from smalti.sampling.text_settings import TextSettings
from smalti.sampling.tokens import MASK, together, unnoise_walk

LENGTH, TEXTS, RADIUS = 96, 30, 6
STEPS = (12, 30)
ROOT = "fourth-root"
NOISES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("uniform", "linear", {"noise": "uniform"}),
    ("uniform", ROOT, {"noise": "uniform"}),
    *((f"structured, jump {jump:g}", ROOT, {"noise": "structured", "jump": jump}) for jump in (0.5, 0.2)),
)


def written(machine: TextMachine, steps: int, schedule: str) -> list[str]:
    """One text for each seed."""
    template = np.full(LENGTH, MASK, np.int32)
    rows = [random_start(template, machine.vocabulary, seed=seed).astype(np.int64) for seed in range(TEXTS)]
    settings = TextSettings.for_noise(machine.noise, steps=steps, schedule=schedule)
    walks = [
        unnoise_walk(machine.vocabulary, row, settings, seed=seed, reverse=machine.reverse)
        for seed, row in enumerate(rows)
    ]
    for place, step in together(walks, TextDenoiser(machine).answer):
        rows[place] = step.following
    return [machine.tokenizer.decode(row) for row in rows]


def main() -> None:
    """Prints the table."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "shakespeare.txt"
    if not path.exists():
        sys.exit(f"{path} is not there: name the folder that holds it")
    text = path.read_text("utf-8")
    alphabet = Characters("".join(sorted(set(text))))
    first, second = text[: USED // 2], text[USED // 2 : USED]
    known = {word.lower() for word in re.findall(r"[A-Za-z']+", text)}
    spans = {first[i : i + SPAN] for i in range(len(first) - SPAN + 1)}
    corpus = TextCorpus.from_texts([first])
    judge = TextMachine(TextCorpus.from_texts([second]), alphabet)
    for steps in STEPS:
        for name, schedule, settings in NOISES:
            machine = TextMachine(corpus, alphabet, radius=RADIUS, **settings)
            start = time.perf_counter()
            texts = written(machine, steps, schedule)
            seconds = (time.perf_counter() - start) / TEXTS
            tell(name, f"{steps}, {schedule}", judged(texts, known, spans, judge), seconds)
            print(f"{'':<26}{texts[0]!r}", flush=True)


if __name__ == "__main__":
    main()
