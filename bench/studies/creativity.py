"""Is temperature the creativity parameter? What temperature, truncation and radius do to the texts of our machine.

    .venv/bin/python bench/studies/creativity.py [FOLDER [PICTURE]]

FOLDER holds `shakespeare.txt`; ../shared/data by default. Texts of 96 characters are written left to right from the
first 300,000 characters, each after 32 characters of the last half million, which no machine has seen. They are
judged by

- entropy: of the distributions that were drawn from, in bits per character;
- verbatim: the share of characters inside spans of at least 12 that stand in what they were written from;
- novelty: the share of spans of 8 characters that stand nowhere in what they were written from;
- attested: of these new spans, the share that stands elsewhere in the file: what is new there and yet English;
- bits: per character under a machine that works on the second 300,000 characters, and knows nothing of the first;
- real words: the share of words, those at the ends left out, that occur anywhere in the file.

Prints the table of docs/concepts/temperature.md with intervals of 95 % over texts (bootstrap), and Spearman's
correlation of temperature with each measure over single texts; draws docs/images/creativity.png unless told otherwise:
above, each measure against temperature; below, what novelty costs by each dial. About five minutes on four cores.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import spearmanr

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters
from smalti.machines.text import TextMachine
from smalti.machines.text_score import score_text
from smalti.sampling.text import TextDenoiser
from smalti.sampling.text_settings import TextSettings
from smalti.sampling.tokens import MASK, Question, together, unmask_walk
from smalti.sampling.truncation import Truncation, entropies

USED, LENGTH, CONTEXT, TEXTS, SPAN, NEW = 600_000, 96, 32, 60, 12, 8
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0)
TOP_P = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
RADII = (2, 3, 4, 5, 8)  # and the default, 6 with back-off over 10
MEASURES = ("entropy", "verbatim", "novelty", "attested", "bits", "real words")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judge:
    """What texts are compared with."""

    first: str
    other: TextMachine
    words: frozenset[str]
    spans: frozenset[str]
    new: frozenset[str]
    anywhere: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Judge:
        """For texts written from the first half of what is used."""
        first, second = text[: USED // 2], text[USED // 2 : USED]
        alphabet = Characters("".join(sorted(set(text))))
        return cls(
            first,
            TextMachine(TextCorpus.from_texts([second]), alphabet),
            frozenset(word.lower() for word in re.findall(r"[A-Za-z']+", text)),
            _spans(first, SPAN),
            _spans(first, NEW),
            _spans(text, NEW),
        )

    def __call__(self, text: str, entropy: float) -> Floats:
        """The measures of a text, NaN where there is nothing to measure. Shape (6,)."""
        inside = np.zeros(len(text), bool)
        for begin in range(len(text) - SPAN + 1):
            if text[begin : begin + SPAN] in self.spans:
                inside[begin : begin + SPAN] = True
        parts = [text[i : i + NEW] for i in range(len(text) - NEW + 1)]
        new = [part for part in parts if part not in self.new]
        words = [m[0].lower() for m in re.finditer(r"[A-Za-z']+", text) if m.start() > 0 and m.end() < len(text)]
        return np.array(
            [
                entropy,
                inside.mean(),
                len(new) / len(parts),
                np.mean([part in self.anywhere for part in new]) if new else np.nan,
                score_text(self.other, text, order="left-to-right").bits_per_character,
                np.mean([word in self.words for word in words]) if words else np.nan,
            ]
        )


@dataclass
class Dial:
    """One way to make texts more or less surprising: what it was set to, and the measures (settings, texts, 6)."""

    name: str
    values: list[float] = field(default_factory=list)
    found: list[Floats] = field(default_factory=list)


def _spans(text: str, length: int) -> frozenset[str]:
    return frozenset(text[i : i + length] for i in range(len(text) - length + 1))


def judged(machine: TextMachine, contexts: list[str], truncation: Truncation, judge: Judge) -> Floats:
    """The measures of one text after each context, written with its own seed. Shape (texts, 6)."""
    rows = [
        np.concatenate([machine.tokenizer.encode(context), np.full(LENGTH, MASK)]).astype(np.int64)
        for context in contexts
    ]
    settings = TextSettings(order="left-to-right", truncation=truncation)
    walks = [unmask_walk(machine.vocabulary, row, settings, seed=seed) for seed, row in enumerate(rows)]
    entropy = np.zeros(len(rows))
    denoiser = TextDenoiser(machine)

    def answer(questions: list[tuple[int, Question]]) -> list[Floats]:
        given = denoiser.answer(questions)
        for (place, _), p in zip(questions, given, strict=True):
            entropy[place] += float(entropies(truncation(p))[0]) / LENGTH
        return given

    for place, step in together(walks, answer):
        rows[place] = step.following
    texts = [machine.tokenizer.decode(row[CONTEXT:]) for row in rows]
    print(f"    {texts[3]!r}")
    return np.stack([judge(text, own) for text, own in zip(texts, entropy, strict=True)])


def middle(values: Floats) -> tuple[float, float, float]:
    """Mean with a bootstrap interval of 95 %."""
    found = values[~np.isnan(values)]
    if not len(found):
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(0).integers(len(found), size=(4000, len(found)))
    low, high = np.quantile(found[draws].mean(axis=1), [0.025, 0.975])
    return float(found.mean()), float(low), float(high)


def told(name: str, found: Floats) -> None:
    """One row of the table."""
    cells = [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in map(middle, found.T)]
    print(f"{name:<18}" + "".join(f"{cell:<22}" for cell in cells), flush=True)


def main() -> None:
    """Prints the table and draws the plot."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "shakespeare.txt"
    if not path.exists():
        sys.exit(f"{path} is not there: name the folder that holds it")
    text = path.read_text("utf-8")
    judge = Judge.of(text)
    rest = text[USED:]
    begins = np.linspace(0, len(rest) - CONTEXT - LENGTH, TEXTS).astype(int)
    contexts = [rest[begin : begin + CONTEXT] for begin in begins]
    alphabet, corpus = Characters("".join(sorted(set(text)))), TextCorpus.from_texts([judge.first])
    usual = TextMachine(corpus, alphabet)
    print(f"{'':<18}" + "".join(f"{name:<22}" for name in MEASURES))
    told("real text", np.stack([judge(rest[b + CONTEXT : b + CONTEXT + LENGTH], np.nan) for b in begins]))
    dials = [Dial("temperature"), Dial("top-p"), Dial("radius")]
    settings = [
        *((dials[0], t, usual, Truncation(temperature=t)) for t in TEMPERATURES),
        *((dials[1], p, usual, Truncation(top_p=p)) for p in TOP_P),
        *((dials[2], r, TextMachine(corpus, alphabet, radius=r, back_off_radius=r), Truncation()) for r in RADII),
    ]
    for dial, value, machine, truncation in settings:
        dial.values.append(value)
        dial.found.append(judged(machine, contexts, truncation, judge))
        told(f"{dial.name} {value:g}", dial.found[-1])
    print("\nSpearman's correlation with temperature, over texts")
    told_apart = np.repeat(dials[0].values, TEXTS)
    for name, values in zip(MEASURES, np.concatenate(dials[0].found).T, strict=True):
        there = ~np.isnan(values)
        print(f"  {name:<12}{spearmanr(told_apart[there], values[there])[0]:+.2f}")
    draw(dials, sys.argv[2] if len(sys.argv) > 2 else "docs/images/creativity.png")


def draw(dials: list[Dial], picture: str) -> None:
    """Six panels against temperature, and two in which each dial is a line."""
    figure = Figure(figsize=(11, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    rows = ("001122", "334455", "aaabbb")
    panels = figure.subplot_mosaic([[*row] for row in rows], height_ratios=(2, 2, 3))
    for which, name in enumerate(MEASURES):
        rows = np.array([middle(found[:, which]) for found in dials[0].found])
        errors = np.abs(rows[:, 1:] - rows[:, :1]).T
        panels[str(which)].errorbar(dials[0].values, rows[:, 0], yerr=errors, color="black", marker="o", ms=4, lw=0.8)
        panels[str(which)].set(title=name, xlabel="temperature")
    marks = (("o", "black"), ("s", "0.6"), ("^", "white"))
    for panel, cost, words in (("a", 4, "bits"), ("b", 5, "real words")):
        for dial, (mark, fill) in zip(dials, marks, strict=True):
            x, y = (np.array([middle(found[:, k])[0] for found in dial.found]) for k in (2, cost))
            panels[panel].plot(x, y, color="black", marker=mark, mfc=fill, ms=5, lw=0.6, label=dial.name)
        panels[panel].set(xlabel="novelty", ylabel=words)
        panels[panel].margins(0.08, 0.12)
    panels["b"].legend(fontsize="small")
    figure.draw_without_rendering()
    for panel in "ab":
        label(panels[panel], dials)
    figure.savefig(picture, dpi=120, metadata={"Software": None})


def label(panel: Axes, dials: list[Dial]) -> None:
    """The value of a dial beside each mark, where no other mark or value is; left out where there is no such place."""
    places = [panel.transData.transform(np.asarray(line.get_xydata())) for line in panel.lines]
    taken = [(x - 5, y - 5, x + 5, y + 5) for line in places for x, y in line]  # in pixels, left, bottom, right, top
    for at, dial in zip(places, dials, strict=True):
        for (x, y), value in zip(at, dial.values, strict=True):
            text = f"{value:g}"
            across, up = 4.0 * len(text), 6.0
            for dx, dy in ((0, 1), (0, -1), (1, 0.6), (-1, -0.6), (-1, 0.6), (1, -0.6)):
                middle_x, middle_y = x + dx * (across + 7), y + dy * (up + 8)
                box = (middle_x - across, middle_y - up, middle_x + across, middle_y + up)
                if not any(_meet(box, other) for other in taken):
                    taken.append(box)
                    here_x, here_y = panel.transData.inverted().transform((middle_x, middle_y))
                    panel.text(here_x, here_y, text, fontsize=7, ha="center", va="center")
                    break


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


if __name__ == "__main__":
    main()
