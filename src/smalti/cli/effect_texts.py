"""`smalti effect` for runs of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smalti.cli.terminal import one_line
from smalti.progress import Progress
from smalti.receipts.text.effect import TextEffect, text_effect, text_effect_record
from smalti.sampling import OpenRun

DIFF = "diff.txt"
"""The file that shows what changed, seed by seed."""


def removed_texts(
    opened: OpenRun, documents: list[int], seeds: Sequence[int] | None, *, bar: Progress
) -> tuple[dict[str, Any], list[str], dict[str, bytes]]:
    """Record, lines of text, and files by name, of removing documents together.

    Args:
        opened: the run.
        documents: indices in its corpus.
        seeds: its seeds; all unless given.

    Keyword Args:
        bar: where progress is shown.
    """
    found = text_effect(opened, documents, seeds=seeds, progress=bar)
    record = text_effect_record(found, opened, documents)
    count = len(opened.machine.corpus)
    lines = [
        f"without {len(documents):,} of {count:,} documents, {len(found)} seed{'' if len(found) == 1 else 's'} again"
    ]
    files: dict[str, bytes] = {}
    blocks: list[str] = []
    for one, entry in zip(found, record["seeds"], strict=True):
        lines.append(f"  seed {one.before.seed}: {_sentence(one)}")
        entry["texts"] = {kind: f"{one.before.seed:06d}-{kind}.txt" for kind in ("before", "after")}
        for kind, sample in (("before", one.before), ("after", one.after)):
            files[entry["texts"][kind]] = sample.text.encode()
        blocks.append(f"--- seed {one.before.seed} ---\n{marked(one)}\n")
    files[DIFF] = "\n".join(blocks).encode()
    return record, lines, files


def marked(one: TextEffect) -> str:
    """The text with what was taken out as `[-before-]` and what came instead as `{+after+}`."""
    return "".join(
        piece.before
        if piece.stayed
        else "".join((f"[-{piece.before}-]" if piece.before else "", f"{{+{piece.after}+}}" if piece.after else ""))
        for piece in one.pieces
    )


def for_terminal(files: dict[str, bytes]) -> str:
    """What changed, without anything that commands a terminal."""
    return "\n".join(map(one_line, files[DIFF].decode().rstrip("\n").split("\n")))


def _sentence(one: TextEffect) -> str:
    if one.parted is None:
        return "unchanged: the same tokens again, step by step"
    count = int(one.changed.sum())
    if one.first is None:
        return f"unchanged in the end, although the runs part at step {one.parted}"
    begin, end = one.before.pieces[one.first]
    again = one.after.text[slice(*one.after.pieces[one.first])]
    return (
        f"{count:,} of {len(one.before.tokens):,} tokens are others; the first is token {one.first}, "
        f"{one.before.text[begin:end]!r}, now {again!r}; the runs part at step {one.parted}"
    )
