"""Settings for text without a held-out text: each token is guessed from a corpus that does not have what is around it.

Settings are searched one kind after another, from what the machine does by default; all of them are judged on the same
tokens and masks (`smalti.calibration.text_questions`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from smalti.calibration.cache import cache_folder
from smalti.calibration.text_questions import ORDERS, REACH, Questions, left_out
from smalti.corpus.decode import shown
from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TokenCorpus, Tokenizer, tokenizer_for
from smalti.engine.arithmetic import LN2
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine
from smalti.progress import SILENT, Progress
from smalti.sampling.files import write_file

FORMAT = "smalti.text-settings/1"

Aim: TypeAlias = Literal["both", "any", "left-to-right"]
AIMS: tuple[Aim, ...] = get_args(Aim)

_LEAST_TOKENS = 100
_MOST_SAMPLES = 1000
# (token, place) pairs that a calibration may look at when nobody says otherwise: about a minute on four cores.
_PAIRS = 1e9

_KERNELS = (
    ((8.0,), (0.7,)),
    ((8.0, 12.0), (0.7, 0.55)),
    ((6.0, 12.0), (0.75, 0.55)),
    ((10.0,), (0.6,)),
    ((5.0,), (0.7,)),
    ((6.0, 10.0), (0.5, 0.4)),
    ((4.0, 8.0), (0.6, 0.5)),
)
_BACK_OFFS = ((2.0, 0.7), (0.5, 0.5), (1.0, 0.7), (4.0, 0.8), (8.0, 0.9))
_SEARCH: dict[str, tuple[tuple[str, tuple[dict[str, Any], ...]], ...]] = {
    "hybrid": (
        ("kernels", tuple({"kappa": k, "gamma": g} for k, g in _KERNELS)),
        ("radius", tuple({"radius": r} for r in (4, 6, 8, 10, 14))),
        ("back-off radius", tuple({"back_off_radius": r} for r in (3, 4, 6, 8, 10, 12))),
        ("back-off", tuple({"beta": b, "discount": d} for b, d in _BACK_OFFS)),
        ("mixture", tuple({"mixture": share} for share in (0.1, 0.2, 0.3, 0.5, 0.7))),
        ("pair", tuple({"pair": share} for share in (0.0, 0.15, 0.25, 0.35, 0.5))),
        ("caution", tuple({"caution": share} for share in (0.0, 0.1, 0.2, 0.3))),
    ),
    "mask": (
        ("radius", tuple({"radius": r} for r in (3, 4, 5, 6, 8, 10, 14))),
        ("back-off", tuple({"beta": b, "discount": d} for b, d in (*_BACK_OFFS, (3.0, 0.0), (1.0, 0.0)))),
    ),
}


@dataclass(frozen=True)
class Trial:
    """One candidate, beside the settings chosen before it.

    kind: what was searched, such as "radius".
    settings: the candidate.
    bits: bits per character in any order and left to right.
    chosen: whether it was the best of its kind.
    """

    kind: str
    settings: Mapping[str, Any]
    bits: tuple[float, float]
    chosen: bool

    @property
    def words(self) -> str:
        """The candidate for people."""
        return ", ".join(f"{name} {_shown(value)}" for name, value in self.settings.items())


@dataclass(frozen=True, eq=False)
class TextCalibration:
    """Settings of a text machine, and how they were found.

    settings: `TextMachine.settings` of the best machine.
    trials: all candidates, in the order of the search.
    errors: standard errors of the bits per character of the best machine, in any order and left to right; differences
        between candidates are known better, as all are judged on the same tokens.
    aim: which order had to be good.
    samples: tokens guessed in each order.
    left_out: "documents", "blocks", or "documents and blocks".
    corpus_digest, seed: of what.
    """

    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    errors: tuple[float, float]
    aim: Aim
    samples: int
    left_out: str
    corpus_digest: str
    seed: int = field(default=0)

    @property
    def bits(self) -> tuple[float, float]:
        """Bits per character of the best machine, in any order and left to right."""
        return next(trial.bits for trial in reversed(self.trials) if trial.chosen)

    def to_json(self) -> str:
        """The settings file as JSON text; `from_json` gives it back with the same bits."""
        return json.dumps(
            {
                "format": FORMAT,
                "settings": dict(self.settings),
                "calibration": {
                    "corpus_digest": self.corpus_digest,
                    "aim": self.aim,
                    "samples": self.samples,
                    "left_out": self.left_out,
                    "seed": self.seed,
                    "bits_per_character": {"any": self.bits[0], "left-to-right": self.bits[1]},
                    "standard_errors": {"any": self.errors[0], "left-to-right": self.errors[1]},
                    "trials": [
                        {
                            "kind": t.kind,
                            "settings": dict(t.settings),
                            "bits_per_character": {"any": t.bits[0], "left-to-right": t.bits[1]},
                            "chosen": t.chosen,
                        }
                        for t in self.trials
                    ],
                },
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str, *, origin: str = "this text") -> TextCalibration:
        """The calibration that `to_json` wrote. Raises `InputError`, naming `origin`, for anything else."""
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise InputError(f"'{origin}' is no file of text settings: make one with smalti calibrate.")
            of = record["calibration"]

            def pair(by_order: Mapping[str, float]) -> tuple[float, float]:
                return float(by_order["any"]), float(by_order["left-to-right"])

            trials = tuple(
                Trial(
                    t["kind"],
                    {k: _tuples(v) for k, v in t["settings"].items()},
                    pair(t["bits_per_character"]),
                    t["chosen"],
                )
                for t in of["trials"]
            )
            return cls(
                settings=record["settings"],
                trials=trials,
                errors=pair(of["standard_errors"]),
                aim=of["aim"],
                samples=of["samples"],
                left_out=of["left_out"],
                corpus_digest=of["corpus_digest"],
                seed=of["seed"],
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"'{origin}' is no whole file of text settings: make one with smalti calibrate."
            ) from error

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows for people."""
        rows = [[t.kind, t.words, f"{t.bits[0]:.3f}", f"{t.bits[1]:.3f}", "*" if t.chosen else ""] for t in self.trials]
        return ["searched", "candidate", "any order", "left to right", ""], rows

    def plot(self, path: Path) -> None:
        """Bits per character of all candidates, a panel for each kind."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        kinds = list(dict.fromkeys(t.kind for t in self.trials))
        columns = min(3, len(kinds))
        rows = -(-len(kinds) // columns)
        figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels[len(kinds) :]:
            panel.set_visible(False)
        for panel, kind in zip(panels, kinds, strict=False):
            trials = [t for t in self.trials if t.kind == kind]
            places = np.arange(len(trials))
            for which, (order, mark) in enumerate(zip(ORDERS, ("o-", "s--"), strict=True)):
                panel.plot(places, [t.bits[which] for t in trials], mark, color="black", mfc="white", label=order)
                for place, t in zip(places, trials, strict=True):
                    if t.chosen:
                        panel.plot(place, t.bits[which], mark[0], color="black")
            labels = ["\n".join(_shown(value) for value in t.settings.values()) for t in trials]
            slanted = any(len(line) > 8 for label in labels for line in label.split("\n"))
            panel.set_xticks(places, labels, fontsize="x-small", rotation=40 if slanted else 0)
            several = f" ({', '.join(trials[0].settings)})" if len(trials[0].settings) > 1 else ""
            panel.set(title=f"{kind}{several}", ylabel="bits per character")
            panel.title.set_fontsize("medium")
        panels[0].legend(fontsize="small")
        figure.savefig(path, dpi=110, metadata={"Software": None})


def calibrate_text(
    corpus: TextCorpus,
    *,
    tokens: str | Tokenizer = "characters",
    noise: str = "hybrid",
    aim: Aim = "both",
    samples: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> TextCalibration:
    """Searches settings of a text machine by leaving documents, or blocks of a long one, out. Tier: bitwise.

    Args:
        corpus: the documents.
        tokens: how they are cut.
        noise: "hybrid" or "mask".
        aim: what has to be good: the bound in any order, left to right, or the mean of both.
        samples: tokens guessed in each order; by default 1000, or fewer where that takes long.
        seed: of the tokens and masks.
        threads: worker threads; all processors by default.
        progress: shown while it runs.

    Raises:
        InputError: the corpus is too small.
        UsageError: a setting has no meaning.
    """
    if noise not in _SEARCH:
        raise UsageError(f"only machines with hybrid or mask noise have settings to search, not {noise}")
    if aim not in AIMS:
        raise UsageError(f"there is no aim {aim!r}: choose one of {', '.join(AIMS)}")
    if samples is not None and samples < 2:
        raise UsageError(f"a calibration guesses 2 tokens or more, not {samples}")
    # Copies of a document would tell what is left out.
    _, first = np.unique(np.array(corpus.ids), return_index=True)
    once = corpus if len(first) == len(corpus) else corpus.without(set(range(len(corpus))) - set(first.tolist()))
    tokenizer = tokenizer_for(tokens, once) if isinstance(tokens, str) else tokens
    symbols = TokenCorpus(once, tokenizer, REACH)
    whole = int(symbols.lengths.sum())
    if whole < _LEAST_TOKENS:
        raise InputError(
            f"a corpus of {whole:,} token{'' if whole == 1 else 's'} is too small to leave a part of it out: give at "
            f"least {_LEAST_TOKENS}"
        )
    count = min(whole, samples or max(200, min(_MOST_SAMPLES, int(_PAIRS / whole))))
    questions = {order: Questions.drawn(symbols, order, count, seed) for order in ORDERS}
    settings: dict[str, Any] = {"noise": noise}
    trials: list[Trial] = []
    to_bits = whole / once.characters / LN2
    nats: tuple[NDArray[np.float64], ...] = ()
    search = _SEARCH[noise]
    with progress.task("calibrating", sum(len(candidates) for _, candidates in search) * 2 * count) as task:
        for kind, candidates in search:
            machines = [TextMachine(once, symbols, **(settings | c)) for c in candidates]
            found = [questions[order].nats(machines, threads, task) for order in ORDERS]
            means = np.array([[own.mean() for own in of_order] for of_order in found])
            judged = {"both": means.mean(axis=0), "any": means[0], "left-to-right": means[1]}[aim]
            best = int(np.argmin(judged))
            settings |= candidates[best]
            nats = tuple(of_order[best] for of_order in found)
            trials += [
                Trial(kind, c, (float(means[0, i] * to_bits), float(means[1, i] * to_bits)), i == best)
                for i, c in enumerate(candidates)
            ]
    any_order, left_to_right = (float(own.std(ddof=1) / len(own) ** 0.5 * to_bits) for own in nats)
    return TextCalibration(
        settings=TextMachine(once, symbols, **settings).settings(),
        trials=tuple(trials),
        errors=(any_order, left_to_right),
        aim=aim,
        samples=count,
        left_out=left_out(symbols),
        corpus_digest=corpus.digest,
        seed=seed,
    )


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    """A setting for people."""
    if isinstance(value, tuple):
        return " and ".join(_shown(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def cached_text_calibration(
    corpus: TextCorpus, *, progress: Progress = SILENT, threads: int | None = None, **settings: Any
) -> tuple[TextCalibration, Path | None]:
    """`calibrate_text` with the settings (tokens by name), or its result from an earlier call. Tier: bitwise.

    Returns:
        The calibration, and the file it was read from (None if it was computed now). A cache that cannot be written
        is no error.
    """
    described = json.dumps([version("smalti"), corpus.digest, sorted(settings.items())])
    key = hashlib.sha256(f"smalti text calibration 1 {described}".encode()).hexdigest()
    path = cache_folder() / "calibrations" / f"{key[:32]}.json"
    with contextlib.suppress(OSError, InputError, UnicodeDecodeError):
        return TextCalibration.from_json(path.read_text("utf-8"), origin=str(path)), path
    found = calibrate_text(corpus, progress=progress, threads=threads, **settings)
    with contextlib.suppress(OSError, InputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, found.to_json().encode())
    return found, None


def read_text_settings(path: Path) -> dict[str, Any]:
    """Arguments for a `TextMachine` from a file of settings; the name of its tokens among them.

    Raises:
        InputError: it is none, or cannot be read.
    """
    what = f"'{shown(path)}'"
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror or error}): give a file from calibrate") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not JSON: give a file from calibrate") from error
    given = record.get("settings") if isinstance(record, dict) and record.get("format") == FORMAT else None
    known = {"tokens": "characters"} | {f.name: f.default for f in fields(TextMachine) if f.kw_only}
    if not isinstance(given, dict) or not set(given) <= set(known):
        raise InputError(f"{what} holds no settings of a text machine: give a file from calibrate")
    for name, value in given.items():
        several = name == "radius" or isinstance(known[name], tuple)
        if not _like(value, known[name], several) and not (name == "similar" and isinstance(value, dict)):
            raise InputError(f"{what} says {json.dumps(value)} for {name}, which has no meaning: correct the file")
    return {name: _tuples(value) for name, value in given.items()}


def _like(value: Any, default: Any, several: bool) -> bool:
    """Whether a value of a file is of the kind of a setting's default, or a list of such where it takes several."""
    kind = type(default[0] if isinstance(default, tuple) else default)
    wanted = (int, float) if kind is float else kind
    values = value if isinstance(value, list) and several else [value]
    return bool(values) and all(isinstance(one, wanted) and not isinstance(one, bool) for one in values)
