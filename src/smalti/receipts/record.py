"""Receipts as plain values: what `receipt.json` holds, and all that a report shows.

The record of a receipt is a dict of JSON values: docs/concepts/receipts.md says what each entry is. The same run gives
the same bytes. Arrays over pixels are flat, row by row; items in them and in the lists of credits are places in the
record's own table `items`, -1 for none.

Numbers of the order of pixels x steps x sources are listed, so that a record has a budget: `plan` chooses steps and
sources that keep within it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.receipts.composition import UNITS, Composition
from smalti.receipts.receipt import Match, Receipt, largest
from smalti.sampling.image_request import picture_name
from smalti.sampling.pictures import png_bytes
from smalti.sampling.run import RunRecord

__all__ = ["FORMAT", "Plan", "plan", "record", "sprites", "steps_of", "to_json"]

FORMAT = "smalti.receipt/1"

MOST_SOURCES = 400_000
"""Most sources that a record lists over all its pixels and steps, unless one for each pixel is more."""

MOST_CREDITS = 100
"""Most items, and most groups of a column, that a step of a record lists; the others are counted together."""

NEAREST = 10
"""Most whole items that a record's match lists."""


@dataclass(frozen=True)
class Plan:
    """What of a receipt goes into a record.

    Attributes:
        steps: the steps, from 0, in order; the last step is always there.
        top: sources and items listed at each pixel.
        summary: whether the summary over all steps is asked for.
        notes: what the budget leaves out, one sentence each.
    """

    steps: tuple[int, ...]
    top: int
    summary: bool
    notes: tuple[str, ...]


def plan(
    receipt: Receipt,
    *,
    steps: Literal["last", "all"] | Iterable[int] = "all",
    top: int = 8,
    most: int = MOST_SOURCES,
) -> Plan:
    """Chooses steps and sources so that few enough sources are listed.

    First fewer steps, evenly spread with both ends among them (two at least, if one source for each of their pixels
    fits), then fewer sources.

    Args:
        receipt: the receipt.

    Keyword Args:
        steps: "last", "all", or steps by number; the last one is added if it is not among them.
        top: how many sources, and how many items, to list at each pixel.
        most: how many sources to list over all pixels and steps, where `MOST_SOURCES` is too many.

    Raises:
        UsageError: there is no such step, or `top` is below 1.
    """
    if top < 1:
        raise UsageError(f"list at least one source of each pixel, not {top}")
    most = min(most, MOST_SOURCES)
    last = receipt.steps - 1
    if steps == "all":
        wanted = list(range(receipt.steps))
    elif steps == "last":
        wanted = [last]
    else:
        wanted = sorted({*map(receipt.step, steps), last})
    pixels = receipt.sample.image.shape[0] * receipt.sample.image.shape[1]
    least = min(len(wanted), 2) if 2 * pixels <= most else 1
    count = min(len(wanted), max(least, most // (pixels * top)))
    chosen = tuple(wanted[index] for index in _spread(len(wanted), count))
    listed = min(top, max(1, most // (pixels * count)))
    notes: list[str] = []
    if count < len(wanted):
        notes.append(f"{count} of {len(wanted)} steps are listed, since a record lists about {most:,} sources")
    if listed < top:
        notes.append(f"{listed} of {top} sources of each pixel are listed, since a record lists about {most:,} sources")
    return Plan(chosen, listed, steps == "all", tuple(notes))


def record(
    receipt: Receipt,
    chosen: Plan,
    *,
    folder: str = "",
    run: RunRecord | None = None,
    picture: NDArray[np.uint8] | None = None,
    tick: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """The record of a receipt, plain JSON values. Tier: *bitwise*.

    Args:
        receipt: the receipt.
        chosen: what goes into it.

    Keyword Args:
        folder: the run folder, as a person calls it; empty if the trace is of no run.
        run: the run's record, for source, time and versions.
        picture: the finished picture, where that is not the machine's own, such as a network's. uint8, shape (H, W, C).
        tick: called with the number of steps done since the last call; in all `steps_of(receipt, chosen)`.

    Raises:
        InputError: the trace is not one that this machine makes.
        UsageError: the plan is not of this receipt.
    """
    sample, machine = receipt.sample, receipt.machine
    corpus = machine.corpus
    image = sample.image if picture is None else picture
    height, width, channels = image.shape
    columns = corpus.columns
    items = _Items()
    # The finished picture is what people look at first, so its items come first in the table.
    made = {step: receipt.at(step, top=chosen.top, tick=tick) for step in sorted(chosen.steps, reverse=True)}
    steps = {step: _step(receipt, composition, columns, items) for step, composition in made.items()}
    summary = _summary(receipt, items, tick=tick, known=chosen.steps) if chosen.summary else _NO_SUMMARY
    match = receipt.match(keep=NEAREST, picture=image)
    nearest = {item for item, _ in match.whole}
    matched = _match(match, items)
    return {
        "format": FORMAT,
        "seed": sample.seed,
        "units_per_pixel": UNITS,
        "run": {
            "folder": folder,
            "machine": machine.name,
            "label": machine.label,
            "source": "" if run is None else run.request.source,
            "corpus_digest": corpus.digest,
            "corpus_items": len(corpus),
            "corpus_size": list(corpus.size),
            "size": [height, width],
            "channels": channels,
            "created": "" if run is None else run.created,
            "versions": {} if run is None else dict(run.request.versions),
        },
        "notes": list(chosen.notes),
        "picture": {
            "file": picture_name(sample.seed),
            "pixels": image.ravel().tolist(),
            "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        },
        "columns": list(columns),
        "items": [
            {
                "index": item,
                "id": corpus.ids[item],
                "name": corpus.names[item],
                "label": None if corpus.labels is None else corpus.labels[item],
                "metadata": dict(corpus.metadata[item]),
                "nearest": item in nearest,
            }
            for item in items.listed
        ],
        "steps": [steps[step] for step in chosen.steps],
        "summary": summary,
        "match": matched,
    }


def steps_of(receipt: Receipt, chosen: Plan) -> int:
    """How many steps' work a record takes."""
    return receipt.steps if chosen.summary else len(chosen.steps)


def sprites(records: Iterable[Mapping[str, Any]], images: NDArray[np.uint8]) -> dict[str, bytes]:
    """The pictures of items that records name, by content id, as PNG files: the most important ones of each record.

    Args:
        records: the records.
        images: the corpus's pictures. uint8, shape (N, H, W, C).
    """
    out: dict[str, bytes] = {}
    for record in records:
        for item in record["items"]:
            if item["id"] not in out:
                out[item["id"]] = png_bytes(images[item["index"]])
    return out


def to_json(record: Mapping[str, Any]) -> bytes:
    """A record as the content of a file; equal records give equal bytes."""
    return (json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()


_NO_SUMMARY = {"text": "a summary over steps takes all of them, and these were not asked for", "credits": []}


class _Items:
    """The record's table of items: indices in the corpus, in the order in which they were first named."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}

    @property
    def listed(self) -> tuple[int, ...]:
        return tuple(self._places)

    def places(self, items: NDArray[np.int64]) -> list[int]:
        """Places in the table, flat; -1 stays -1."""
        known, back = np.unique(items, return_inverse=True)
        places = [-1 if n < 0 else self._places.setdefault(n, len(self._places)) for n in known.tolist()]
        return np.array(places, np.int64)[back.ravel()].tolist()


def _step(receipt: Receipt, made: Composition, columns: Sequence[str], items: _Items) -> dict[str, Any]:
    level = made.level
    order = largest(made.units)
    shown = order[:MOST_CREDITS]
    groups = {column: receipt.by(column, step=made.step) for column in columns}
    assert made.posterior.sources is not None
    assert made.posterior.entropy is not None
    sources = made.posterior.sources
    # Of the best places some may have no weight at all, where few have any: these are no sources.
    present = sources.weight > 0
    return {
        "step": made.step,
        "time": level.time,
        "signal": level.signal,
        "noise": level.noise,
        "patch_size": made.patch_size,
        "estimate": receipt.sample.estimates[made.step].ravel().tolist(),
        "credits": [
            [place, int(made.units[item])] for place, item in zip(items.places(shown), shown.tolist(), strict=True)
        ],
        "others": {
            "items": len(order) - len(shown),
            "units": receipt.whole_units - int(made.units[shown].sum()),
        },
        **listed_groups(groups),
        "pixels": {
            "entropy": made.posterior.entropy.ravel().tolist(),
            "items": items.places(made.item),
            "item_units": made.item_units.ravel().tolist(),
            "rest_units": made.rest_units.ravel().tolist(),
            "sources": items.places(np.where(present, sources.item, -1)),
            "rows": np.where(present, sources.row, -1).ravel().tolist(),
            "cols": np.where(present, sources.column, -1).ravel().tolist(),
            "weights": sources.weight.ravel().tolist(),
            "left_out": sources.left_out.ravel().tolist(),
        },
    }


def listed_groups(groups: Mapping[str, Mapping[str | None, int]]) -> dict[str, Any]:
    """The entries of a record for units by column and group: the largest groups, and the others together."""
    units = {column: list(of_group.items()) for column, of_group in groups.items()}
    rest = {column: found[MOST_CREDITS:] for column, found in units.items()}
    return {
        "groups": {column: list(map(list, found[:MOST_CREDITS])) for column, found in units.items()},
        "group_others": {
            column: {"groups": len(found), "units": sum(count for _, count in found)} for column, found in rest.items()
        },
    }


def _summary(
    receipt: Receipt, items: _Items, *, tick: Callable[[float], None] | None, known: Sequence[int]
) -> dict[str, Any]:
    for step in range(receipt.steps):
        if step not in known:
            receipt.credits(step, tick=tick)
    shares = receipt.summary()
    shown = largest(shares)[:MOST_CREDITS]
    return {
        "text": f"a summary over steps: the mean of each item's share over all {receipt.steps} steps",
        "credits": [[place, float(shares[item])] for place, item in zip(items.places(shown), shown, strict=True)],
    }


def _match(match: Match, items: _Items) -> dict[str, Any]:
    return {
        "text": "nearest by distance; says nothing of weight",
        "patch_size": match.patch_size,
        "items": items.places(match.item),
        "rows": match.row.ravel().tolist(),
        "cols": match.column.ravel().tolist(),
        "rms": [None if np.isnan(rms) else rms for rms in match.rms.ravel().tolist()],
        "whole": [[items.places(np.array([item]))[0], rms] for item, rms in match.whole],
    }


def _spread(count: int, most: int) -> list[int]:
    """`most` of 0, ..., count - 1, evenly spread, both ends among them; the last one if it is only one."""
    if most == 1:
        return [count - 1]
    return [(2 * index * (count - 1) + most - 1) // (2 * (most - 1)) for index in range(most)]
