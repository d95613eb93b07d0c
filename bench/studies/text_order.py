"""What the order of decoding and the radius do to written texts: real words, verbatim text, and likelihood.

    .venv/bin/python bench/studies/text_order.py [FOLDER [PICTURE]]

FOLDER holds `shakespeare.txt`; ../shared/data by default. Texts are written from the first half of its first 600,000
characters, and judged

- by the share of their words, those at the ends left out, that occur anywhere in the file;
- by the share of their characters inside spans of at least 12 that stand verbatim in the half they were written from;
- by bits per character under a machine that works left to right on the other half, and knows nothing of the first.

Prints the table of docs/concepts/text.md, with intervals of 95 % over texts (bootstrap), beside text of the file that
neither half holds; draws docs/images/text-order.png unless told otherwise. About five minutes on four cores.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters
from smalti.machines.text import TextMachine
from smalti.machines.text_score import score_text
from smalti.sampling.text import TextDenoiser
from smalti.sampling.text_settings import Order, TextSettings
from smalti.sampling.tokens import MASK, together, unmask_walk

USED, LENGTH, TEXTS, SPAN = 600_000, 96, 50, 12
ORDERS: tuple[tuple[str, Order, int | None], ...] = (
    ("random", "ancestral", None),
    ("confidence", "confidence", None),
    ("entropy-bounded", "entropy-bounded", None),
    ("blocks of 16, confidence", "confidence", 16),
    ("left to right", "left-to-right", None),
)
RADII: tuple[tuple[str, int, int], ...] = (("4", 4, 4), ("6", 6, 6), ("auto (6, 10)", 6, 10), ("10", 10, 10))
MEASURES = ("real words", f"verbatim, {SPAN} or more", "bits by the other half")

Middle = tuple[float, float, float]


def written(machine: TextMachine, order: Order, block: int | None) -> list[str]:
    """One text for each seed."""
    rows = [np.full(LENGTH, MASK, np.int64) for _ in range(TEXTS)]
    settings = TextSettings.for_noise(machine.noise, order=order, block=block)
    walks = [unmask_walk(machine.vocabulary, row, settings, seed=seed) for seed, row in enumerate(rows)]
    for place, step in together(walks, TextDenoiser(machine).answer):
        rows[place] = step.following
    return [machine.tokenizer.decode(row) for row in rows]


def real_words(text: str, known: set[str]) -> float:
    """Share of words that are known, those at the ends left out; NaN without words."""
    words = [m[0] for m in re.finditer(r"[A-Za-z']+", text) if m.start() > 0 and m.end() < len(text)]
    return float(np.mean([word.lower() in known for word in words])) if words else float("nan")


def verbatim(text: str, spans: set[str]) -> float:
    """Share of characters inside spans of at least SPAN that are among the corpus's."""
    inside = np.zeros(len(text), bool)
    for begin in range(len(text) - SPAN + 1):
        if text[begin : begin + SPAN] in spans:
            inside[begin : begin + SPAN] = True
    return float(inside.mean())


def judged(texts: list[str], known: set[str], spans: set[str], judge: TextMachine) -> list[Middle]:
    """The three measures, each a mean over texts with its interval."""
    bits = [score_text(judge, text, order="left-to-right").bits_per_character for text in texts]
    return [
        middle(values)
        for values in ([real_words(text, known) for text in texts], [verbatim(text, spans) for text in texts], bits)
    ]


def middle(values: list[float]) -> Middle:
    """Mean with a bootstrap interval of 95 %."""
    found = np.array(values)
    found = found[~np.isnan(found)]
    draws = np.random.default_rng(0).integers(len(found), size=(4000, len(found)))
    low, high = np.quantile(found[draws].mean(axis=1), [0.025, 0.975])
    return float(found.mean()), float(low), float(high)


def main() -> None:
    """Prints the table and draws the plot."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "shakespeare.txt"
    if not path.exists():
        sys.exit(f"{path} is not there: name the folder that holds it")
    text = path.read_text("utf-8")
    alphabet = Characters("".join(sorted(set(text))))
    first, second, rest = text[: USED // 2], text[USED // 2 : USED], text[USED:]
    known = {word.lower() for word in re.findall(r"[A-Za-z']+", text)}
    spans = {first[i : i + SPAN] for i in range(len(first) - SPAN + 1)}
    corpus = TextCorpus.from_texts([first])
    judge = TextMachine(TextCorpus.from_texts([second]), alphabet)
    print(f"{'order':<26}{'radius':<18}" + "".join(f"{name:<26}" for name in MEASURES) + "seconds a text")
    places = np.linspace(0, len(rest) - LENGTH, 4 * TEXTS).astype(int)
    real = judged([rest[place : place + LENGTH] for place in places], known, spans, judge)
    tell("(real text)", "", real, None)
    cells: dict[tuple[int, int], list[Middle]] = {}
    for column, (radius, near, far) in enumerate(RADII):
        machine = TextMachine(corpus, alphabet, radius=near, back_off_radius=far)
        for row, (name, order, block) in enumerate(ORDERS):
            start = time.perf_counter()
            texts = written(machine, order, block)
            seconds = (time.perf_counter() - start) / TEXTS
            cells[row, column] = judged(texts, known, spans, judge)
            tell(name, radius, cells[row, column], seconds)
            if name in ("random", "confidence", "left to right"):
                print(f"{'':<26}{texts[0]!r}", flush=True)
    draw(cells, real, sys.argv[2] if len(sys.argv) > 2 else "docs/images/text-order.png")


def tell(name: str, radius: str, found: list[Middle], seconds: float | None) -> None:
    """One row."""
    values = "".join(f"{f'{mean:.3f} ({low:.3f} to {high:.3f})':<26}" for mean, low, high in found)
    print(f"{name:<26}{radius:<18}{values}" + ("" if seconds is None else f"{seconds:.2f}"), flush=True)


def draw(cells: dict[tuple[int, int], list[Middle]], real: list[Middle], picture: str) -> None:
    """One panel for each measure, orders beside each other for each radius."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    styles = (("o", "white"), ("s", "white"), ("^", "white"), ("D", "0.6"), ("o", "black"))
    for which, panel in enumerate(figure.subplots(1, 3)):
        for row, ((name, _, _), (mark, fill)) in enumerate(zip(ORDERS, styles, strict=True)):
            found = np.array([cells[row, column][which] for column in range(len(RADII))])
            panel.errorbar(
                np.arange(len(RADII)) + 0.11 * (row - 2),
                found[:, 0],
                yerr=np.abs(found[:, 1:] - found[:, :1]).T,
                fmt=mark,
                color="black",
                mfc=fill,
                lw=0.8,
                ms=5,
                label=name,
            )
        panel.axhline(real[which][0], color="0.6", lw=1, label="real text")
        panel.set_xticks(range(len(RADII)), [radius for radius, _, _ in RADII])
        panel.set(xlabel="radius", title=MEASURES[which])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", loc="outside lower center", ncols=len(labels))
    figure.savefig(picture, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
