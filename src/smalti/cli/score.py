"""`smalti score`: how well one corpus of texts explains another text."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

import typer

from smalti.calibration.text import read_text_settings
from smalti.cli import options as opt
from smalti.cli.generate_options import other_tokens
from smalti.cli.terminal import one_line, progress, say, say_json, tell_notes, took
from smalti.corpus.sources import open_text
from smalti.corpus.text import TextCorpus
from smalti.errors import UsageError
from smalti.machines.text import TextMachine
from smalti.machines.text_score import Order, TextScore, TotalScore, copies_of, score_documents, total_score

_ORDERS: dict[str, tuple[Order, ...]] = {
    "both": ("left-to-right", "any"),
    "left-to-right": ("left-to-right",),
    "any": ("any",),
}
_NAMES = {"left-to-right": "left to right", "any": "any order (bound)"}
_SAMPLES = 20_000
_DOCUMENTS_SHOWN = 20


def score(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="Text file, folder of text files, .jsonl file with a field 'text', corpus store, or python-manual.",
            show_default=False,
        ),
    ],
    corpus: Annotated[
        str,
        opt.option(
            "--corpus",
            metavar="SOURCE",
            help="The texts it is judged by; the same kinds.",
        ),
    ],
    tokens: opt.TextTokensOption = None,
    settings: opt.TextSettingsOption = None,
    order: Annotated[
        str, typer.Option("--order", metavar="NAME", help=f"One of {', '.join(_ORDERS)}.", rich_help_panel=opt.RUNNING)
    ] = "both",
    samples: Annotated[
        str,
        typer.Option(
            "--samples",
            metavar="N|all",
            help="Tokens looked at in each order, spread over the text.",
            rich_help_panel=opt.RUNNING,
        ),
    ] = str(_SAMPLES),
    seed: Annotated[int, opt.token_seed_option(opt.RUNNING)] = 0,
    leave_out: Annotated[
        bool,
        opt.option(
            "--leave-out",
            help="Leave a document that the corpus holds too out of it while it is scored.",
            panel=opt.RUNNING,
        ),
    ] = False,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """How probable a text is by a corpus: exact left to right, and a bound for any order."""
    if order not in _ORDERS:
        raise UsageError(f"there is no order of scoring called {order!r}: choose one of {', '.join(_ORDERS)}")
    count = _read_samples(samples)
    given: dict[str, Any] = {}
    if settings is not None:
        given = read_text_settings(settings)
        tell_notes(other_tokens(settings, given, tokens))
    if tokens is not None:
        given["tokens"] = tokens
    started = time.monotonic()
    with opt.threads_in_use(threads):
        texts, known = open_text(text), open_text(corpus)
        tell_notes((*texts.notes, *known.notes))
        machine = TextMachine(known, **given)
        whole = _check(machine, texts, leave_out=leave_out)
        looked_at = whole if count is None else min(count, whole)
        found: dict[Order, tuple[TextScore, ...]] = {}
        for each in _ORDERS[order]:
            with progress().task(f"scoring, {_NAMES[each]}", looked_at) as task:
                found[each] = score_documents(
                    machine,
                    texts,
                    order=each,
                    samples=count,
                    seed=seed,
                    leave_out=leave_out,
                    tick=lambda share, task=task: task.advance(share * looked_at),
                )
    seconds = time.monotonic() - started
    if as_json:
        say_json(_record(machine, texts, found, seconds))
        return
    _show(machine, texts, found)
    by = f"{len(known):,} documents" if len(known) > 1 else "1 document"
    say(f"by {by}, {known.characters:,} characters, cut into {machine.tokenizer.name}, {took(seconds)}")


def _read_samples(text: str) -> int | None:
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise UsageError(f"--samples {text!r} has no meaning: give a number of tokens from 1, or all")
    return int(text)


def _check(machine: TextMachine, texts: TextCorpus, *, leave_out: bool) -> int:
    """Refuses what cannot be scored before the work begins, tells of copies, and counts the tokens."""
    whole = 0
    for text, name in zip(texts.documents, texts.names, strict=True):
        try:
            whole += len(machine.tokenizer.encode(text))
        except UsageError as error:
            raise UsageError(f"'{name}': {error}") from error
    known = set(machine.corpus.ids)
    there = [(own, name) for own, name in zip(texts.ids, texts.names, strict=True) if own in known]
    if leave_out:
        for own, _ in there:
            copies_of(machine, own)
    elif there:
        which = f"'{there[0][1]}'" if len(there) == 1 else f"{len(there):,} documents such as '{there[0][1]}'"
        tell_notes(
            [f"the corpus holds {which} word for word, so the score is that of a copy: --leave-out takes it out"]
        )
    return whole


def _record(
    machine: TextMachine, texts: TextCorpus, found: dict[Order, tuple[TextScore, ...]], seconds: float
) -> dict[str, Any]:
    return {
        "corpus_digest": machine.corpus.digest,
        "text_digest": texts.digest,
        "settings": machine.settings(),
        "scores": {
            order: _entry(total_score(scores))
            | {
                "documents": [
                    {"id": own, "name": name} | _entry(total_score([s]))
                    for own, name, s in zip(texts.ids, texts.names, scores, strict=True)
                ]
            }
            for order, scores in found.items()
        },
        "seconds": round(seconds, 3),
    }


def _entry(score: TotalScore) -> dict[str, Any]:
    """Numbers for JSON, which knows no infinity: null stands for it."""
    numbers = {
        "nats_per_token": score.nats_per_token,
        "bits_per_character": score.bits_per_character,
        "standard_error": score.error,
    }
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()} | {
        "tokens": score.tokens,
        "characters": score.characters,
        "looked_at": score.looked_at,
    }


def _show(machine: TextMachine, texts: TextCorpus, found: dict[Order, tuple[TextScore, ...]]) -> None:
    rows = [["", "nats per token", "bits per character", "tokens looked at"]]
    for order, scores in found.items():
        rows.append(_row(_NAMES[order], total_score(scores)))
        if len(texts) > 1:
            # The worst explained documents are what a person looks for first.
            listed = sorted(range(len(texts)), key=lambda i, s=scores: (-s[i].nats_per_token, i))[:_DOCUMENTS_SHOWN]
            rows += [_row(f"  {one_line(texts.names[i])}", total_score([scores[i]])) for i in listed]
            if len(texts) > len(listed):
                rows.append([f"  {len(texts) - len(listed):,} better explained: --json lists them", "", "", ""])
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        say("  ".join(cells).rstrip())


def _row(name: str, score: TotalScore) -> list[str]:
    error = f" +- {score.error:.3f}" if score.error and math.isfinite(score.error) else ""
    return [
        name,
        f"{score.nats_per_token:.3f}",
        f"{score.bits_per_character:.3f}{error}",
        f"{score.looked_at:,} of {score.tokens:,}",
    ]
