"""What each ingredient of the text machine is worth, and what more text is: bits per character, and time.

    .venv/bin/python bench/studies/text_bits.py [FOLDER [PICTURE]]

FOLDER holds `shakespeare.txt` (1.1 M characters); ../shared/data by default. The last tenth is held out. Every
ingredient is judged on blocks of the other nine tenths that are left out in turn, which is where settings were chosen,
and on the held-out tenth, where nothing was. Prints the tables of docs/concepts/text.md and draws the plot, to
docs/images/text-bits.png unless told otherwise. About five minutes on four cores.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from smalti.calibration.text_questions import REACH, Questions
from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters, TokenCorpus
from smalti.engine.arithmetic import LN2
from smalti.machines.text import TextMachine
from smalti.machines.text_score import Order, score_text
from smalti.progress import SILENT

FEW, MANY = 4000, 8000
ORDERS: tuple[Order, ...] = ("any", "left-to-right")
SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
SITES = 256

# Each changes something of the one before it.
_ONE = {"kappa": 8.0, "gamma": 0.7, "radius": 10}
_PLAIN = {"pair": 0.0, "caution": 0.0}
INGREDIENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "back-off, by distance, radius 6",
        {"noise": "mask", "radius": 6, "ladders": ("distance",), "beta": 3.0, "discount": 0.0},
    ),
    ("with a discount", {"noise": "mask", "radius": 6, "ladders": ("distance",)}),
    ("on four ladders", {"noise": "mask", "radius": 6}),
    ("of radius 10", {"noise": "mask", "radius": 10}),
    ("one kernel instead", _ONE | _PLAIN | {"mixture": 0.0}),
    ("both: 0.7 kernel, 0.3 back-off", _ONE | _PLAIN),
    ("two kernels", _PLAIN | {"radius": 10}),
    ("the sides", {"caution": 0.0, "radius": 10}),
    ("caution with one side", {"radius": 10}),
    ("kernels of radius 6: the default", {}),
)


def ingredients(train: TextCorpus, held_out: str, alphabet: Characters) -> list[tuple[str, list[float], list[float]]]:
    """(name, bits, errors): on left-out blocks and held out, each in any order and left to right."""
    symbols = TokenCorpus(train, alphabet, REACH)
    machines = [TextMachine(train, symbols, **settings) for _, settings in INGREDIENTS]
    asked = [Questions.drawn(symbols, order, FEW, 20) for order in ORDERS]
    with SILENT.task("", 1) as task:
        blocks = [questions.nats(machines, None, task) for questions in asked]
    rows = []
    for index, (name, _) in enumerate(INGREDIENTS):
        nats = [of_order[index] for of_order in blocks]
        nats += [score_text(machines[index], held_out, order=order, samples=MANY, seed=21).nats for order in ORDERS]
        bits = [float(n.mean()) / LN2 for n in nats]
        errors = [float(n.std(ddof=1)) / len(n) ** 0.5 / LN2 for n in nats]
        rows.append((name, bits, errors))
        cells = "  ".join(f"{b:.3f} +- {e:.3f}" for b, e in zip(bits, errors, strict=True))
        print(f"{name:<34}{cells}", flush=True)
    return rows


def grown(text: str, size: int) -> tuple[str, bool]:
    """The first characters of a text; where it has not so many, repeats of it in which one character in twenty is
    replaced by one drawn from it.
    """
    if size <= len(text):
        return text[:size], False
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    rng = np.random.default_rng(0)
    out = np.tile(points, -(-size // len(points)))[:size]
    changed = rng.random(size) < 0.05
    changed[: len(points)] = False
    out[changed] = points[rng.integers(0, len(points), int(changed.sum()))]
    return out.tobytes().decode("utf-32-le"), True


def growth(train: str, held_out: str, alphabet: Characters) -> list[tuple[int, bool, list[float], float]]:
    """(characters, whether repeated, bits, seconds for the posterior of 256 sites)."""
    rows = []
    for size in SIZES:
        text, repeated = grown(train, size)
        machine = TextMachine(TextCorpus.from_texts([text]), alphabet)
        state = machine.tokenizer.encode(held_out[:SITES]).astype(np.int32)
        state[np.random.default_rng(1).random(SITES) < 0.5] = -1
        sites = np.arange(SITES)
        machine(state, sites[:1])
        times = []
        for _ in range(3 if size < 2_000_000 else 1):
            start = time.perf_counter()
            machine(state, sites)
            times.append(time.perf_counter() - start)
        samples = 2000 if size <= 1_000_000 else 256
        scores = [score_text(machine, held_out, order=order, samples=samples, seed=22) for order in ORDERS]
        bits = [score.bits_per_character for score in scores]
        rows.append((size, repeated, bits, min(times)))
        shown = "  ".join(f"{s.bits_per_character:.3f} +- {s.error:.3f}" for s in scores)
        print(f"{size:>12,}{'  repeats' if repeated else '         '}  {shown}  {min(times):8.3f} s", flush=True)
    return rows


def main() -> None:
    """Prints the tables and draws the plot."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "shakespeare.txt"
    if not path.exists():
        sys.exit(f"{path} is not there: name the folder that holds it")
    text = path.read_text("utf-8")
    cut = len(text) * 9 // 10
    alphabet = Characters("".join(sorted(set(text))))
    print(f"bits per character; blocks of {cut:,} characters left out, and {len(text) - cut:,} held out")
    print(f"{'':<34}{'blocks, any':<17}{'left to right':<17}{'held out, any':<17}left to right")
    rows = ingredients(TextCorpus.from_texts([text[:cut]]), text[cut:], alphabet)
    print(f"\nmore text: bits held out, any order and left to right, and the posterior of {SITES} sites, half masked")
    sizes = growth(text[:cut], text[cut:], alphabet)
    draw(rows, sizes, sys.argv[2] if len(sys.argv) > 2 else "docs/images/text-bits.png")


def draw(
    rows: list[tuple[str, list[float], list[float]]], sizes: list[tuple[int, bool, list[float], float]], picture: str
) -> None:
    """Ingredients to the left; bits and time against size to the right."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1))
    left = figure.add_subplot(grid[:, 0])
    places = np.arange(len(rows))[::-1]
    for which, (label, mark, fill) in enumerate(
        (
            ("left-out blocks, any order", "o", "white"),
            ("left-out blocks, left to right", "s", "white"),
            ("held out, any order", "o", "black"),
            ("held out, left to right", "s", "black"),
        )
    ):
        left.errorbar(
            [bits[which] for _, bits, _ in rows],
            places,
            xerr=[2 * errors[which] for _, _, errors in rows],
            fmt=mark,
            color="black",
            mfc=fill,
            label=label,
            lw=0.8,
        )
    for bits, style, order in ((2.45, "-", "any order"), (2.20, "--", "left to right")):
        left.axvline(bits, color="0.6", ls=style, lw=1, label=f"aim held out, {order}: {bits:.2f}")
    left.set_yticks(places, [name for name, _, _ in rows])
    left.set(xlabel="bits per character (bars: two standard errors)", title="ingredients, one after the other")
    left.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.35, -0.1), ncols=2)
    top, bottom = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    real = [row for row in sizes if not row[1]]
    for which, (label, mark) in enumerate((("any order", "o-"), ("left to right", "s--"))):
        top.plot(
            [row[0] for row in real], [row[2][which] for row in real], mark, color="black", mfc="white", label=label
        )
    top.set(xscale="log", xlabel="characters of the corpus", ylabel="bits held out", title="more text")
    top.legend(fontsize="small")
    bottom.plot([row[0] for row in sizes], [row[3] for row in sizes], "-", color="0.6")
    for repeated, label, fill in ((False, "text", "black"), (True, "repeats, 5 % changed", "white")):
        some = [row for row in sizes if row[1] == repeated]
        bottom.plot([row[0] for row in some], [row[3] for row in some], "o", color="black", mfc=fill, label=label)
    bottom.set(xscale="log", yscale="log", xlabel="characters of the corpus", ylabel=f"seconds for {SITES} sites")
    bottom.legend(fontsize="small")
    figure.savefig(picture, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
