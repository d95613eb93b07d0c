"""What `smalti explain` says of a sample, as values for JSON and in words: figures of the last step, or, where these
are asked for, groups or a pixel at some steps, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smalti.cli.terminal import counted, percent
from smalti.corpus.decode import shown
from smalti.corpus.pixels import shown_size
from smalti.receipts import UNITS, ExactPixel, Receipt, exact
from smalti.sampling import OpenRun
from smalti.sampling.image_request import picture_name

# Items and groups that are said of each picture, and groups that are said where they were asked for.
_LISTED, GROUPS = 8, 20


@dataclass(frozen=True)
class Wording:
    """How a sample is spoken of.

    Attributes:
        last: what its last step is.
        weight: whose weight it is.
    """

    last: str = "the finished picture"
    weight: str = "Weight"


# What a proof is of, where a pixel has more than one value.
_CHANNELS = {1: ("",), 3: (" of red", " of green", " of blue"), 4: (" of red", " of green", " of blue", " of opacity")}


def answer_of(
    receipt: Receipt,
    made: Mapping[str, Any] | None,
    *,
    by: str | None,
    at: tuple[int, int] | None,
    steps: Sequence[int],
    top: int,
    tick: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """What is said of a seed: the groups or the pixel asked about at the steps asked for, or figures of the last step.

    Args:
        receipt: the receipt.
        made: its record; None where nothing is written.

    Keyword Args:
        by: a column to count groups by.
        at: row and column of a pixel to say the sources of.
        steps: the steps to say either at.
        top: how many sources.
        tick: called after each step.
    """
    sample = receipt.sample
    said: dict[str, Any] = {"seed": sample.seed, "picture": picture_name(sample.seed)}
    if by is None and at is None:
        assert made is not None
        return said | _figures(receipt, made)
    groups: list[dict[str, Any]] = []
    pixel: list[dict[str, Any]] = []
    for step in steps:
        if by is not None:
            groups.append(_groups(receipt.by(by, step=step), receipt, step=step))
        if at is not None:
            pixel.append(_pixel(receipt, exact(receipt, *at, step=step), top))
        tick(1)
    if by is not None:
        said["by"] = {"column": by, "steps": groups}
    if at is not None:
        said["pixel"] = pixel
    return said


def total_of(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The groups of several seeds of one run together, step by step: the exact sums of their units."""
    first = answers[0]["by"]
    steps: list[dict[str, Any]] = []
    for place, at in enumerate(first["steps"]):
        units: dict[str | None, int] = {}
        for answer in answers:
            for group in answer["by"]["steps"][place]["groups"]:
                units[group["value"]] = units.get(group["value"], 0) + group["units"]
        whole = sum(units.values())
        order = sorted(units.items(), key=lambda group: (-group[1], group[0] is not None, group[0] or ""))
        steps.append({**at, "units": whole, "groups": _shares(order, whole)})
    return {"column": first["column"], "pictures": len(answers), "steps": steps}


def _groups(units: Mapping[str | None, int], receipt: Receipt, *, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "finished": step == receipt.steps - 1,
        "patch_size": receipt.patch_size(step),
        "units": receipt.whole_units,
        "groups": _shares(units.items(), receipt.whole_units),
    }


def _shares(groups: Iterable[tuple[str | None, int]], whole: int) -> list[dict[str, Any]]:
    return [{"value": value, "units": units, "share": units / whole} for value, units in groups]


def _figures(receipt: Receipt, made: Mapping[str, Any]) -> dict[str, Any]:
    step = made["steps"][-1]
    pixels, items, whole = step["pixels"], made["items"], receipt.whole_units
    area = made["run"]["size"][0] * made["run"]["size"][1]
    share = np.array(pixels["item_units"]).reshape(area, -1)[:, 0] / UNITS
    rms = np.array([value for value in made["match"]["rms"] if value is not None])
    return {
        "step": receipt.steps - 1,
        "patch_size": receipt.patch_size(),
        "weight": {
            "units": whole,
            "items": [
                {**_item(items[item]), "units": units, "share": units / whole}
                for item, units in step["credits"][:_LISTED]
            ],
            "items_with_weight": len(step["credits"]) + step["others"]["items"],
        },
        "pixels": {
            "effective_sources": _spread_of(np.exp(np.array(pixels["entropy"]))),
            "top_item_share": _spread_of(share),
            "mostly_one_item": int((share > 0.5).sum()),
            "left_out": _spread_of(np.array(pixels["left_out"])),
            "pixels": area,
        },
        "match": {
            "text": made["match"]["text"],
            "patch_size": made["match"]["patch_size"],
            "nearest_patch_rms": _spread_of(rms) if len(rms) else None,
            "nearest_items": [{**_item(items[item]), "rms": value} for item, value in made["match"]["whole"][:3]],
        },
        "groups": {column: _shares(receipt.by(column).items(), whole) for column in made["columns"]},
    }


def _item(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("index", "id", "name", "label")}


def _spread_of(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(values.mean()), "median": float(np.median(values)), "most": float(values.max())}


def _pixel(receipt: Receipt, found: ExactPixel, top: int) -> dict[str, Any]:
    corpus = receipt.machine.corpus
    total = found.weight
    shown_sources = found.sources[:top]
    return {
        "x": found.column,
        "y": found.row,
        "step": found.step,
        "patch_size": receipt.patch_size(found.step),
        "value": receipt.sample.estimates[found.step, found.row, found.column].tolist(),
        "weight": total,
        "weighted_sums": list(found.sums),
        "mean": list(found.rounded),
        "mean_exactly": [f"{value.numerator}/{value.denominator}" for value in found.mean],
        "sources": [
            {
                "item": source.item,
                "id": corpus.ids[source.item],
                "name": corpus.names[source.item],
                "label": None if corpus.labels is None else corpus.labels[source.item],
                "x": source.column,
                "y": source.row,
                "weight": source.weight,
                "share": source.weight / total,
                "value": [(value + 255) // 2 for value in source.values],
            }
            for source in shown_sources
        ],
        "others": {
            "sources": len(found.sources) - len(shown_sources),
            "weight": total - sum(source.weight for source in shown_sources),
        },
    }


def lines_of(answer: Mapping[str, Any], opened: OpenRun) -> Iterable[str]:
    """The answer in words."""
    request = opened.record.request
    place = shown(opened.folder / answer["picture"])
    title = f"{place}: {shown_size(request.size)} pixels, {request.machine} machine"
    return lines_under(title, answer, last=request.steps - 1, items=len(opened.machine.items))


def lines_under(
    title: str, answer: Mapping[str, Any], *, last: int, items: int, words: Wording | None = None
) -> Iterable[str]:
    """The answer in words, under a title.

    Args:
        title: what it is about.
        answer: the answer.

    Keyword Args:
        last: the last step.
        items: how many items the machine uses.
        words: how the sample is spoken of; as that of a run unless given.
    """
    words = words or Wording()
    yield title if "step" not in answer else f"{title}, {_step(answer, last, words)}"
    if "by" in answer:
        yield from _group_lines(answer["by"], words)
    for found in answer.get("pixel", ()):
        yield from _pixel_lines(found)
    if "weight" in answer:
        yield from _figure_lines(answer, items=items, words=words)


def lines_of_total(total: Mapping[str, Any], words: Wording | None = None) -> Iterable[str]:
    """The groups of several seeds together, in words."""
    yield f"All {counted(total['pictures'], 'picture')} together"
    yield from _group_lines(total, words or Wording())


def _group_lines(said: Mapping[str, Any], words: Wording) -> Iterable[str]:
    weight = f"{words.weight[0].lower()}{words.weight[1:]}"
    for at in said["steps"]:
        yield f"By {said['column']}, {weight} at {_step(at, at['step'] if at['finished'] else None, words)}"
        groups = at["groups"]
        rows = [(percent(group["share"]), value_of(group["value"])) for group in groups[:GROUPS]]
        if len(groups) > GROUPS:
            rest = groups[GROUPS:]
            share = sum(group["units"] for group in rest) / at["units"]
            rows.append((percent(share), f"{counted(len(rest), 'other group')}, all with --json"))
        yield from rows_of(rows)


def _figure_lines(answer: Mapping[str, Any], *, items: int, words: Wording) -> Iterable[str]:
    weight = answer["weight"]
    some = weight["items_with_weight"]
    yield f"{words.weight}: {some:,} of {counted(items, 'item')} {'has' if some == 1 else 'have'} some; most by"
    rows = [(percent(item["share"]), _named(item)) for item in weight["items"]]
    rest = some - len(weight["items"])
    if rest:
        units = weight["units"] - sum(item["units"] for item in weight["items"])
        rows.append((percent(units / weight["units"]), counted(rest, "other item")))
    yield from rows_of(rows)
    for column, groups in answer["groups"].items():
        said = [f"{value_of(group['value'])} ({percent(group['share'])})" for group in groups[:_LISTED]]
        more = f", and {len(groups) - _LISTED:,} more" if len(groups) > _LISTED else ""
        yield f"By {column}: {', '.join(said)}{more}"
    pixels = answer["pixels"]
    effective, owed, left = pixels["effective_sources"], pixels["top_item_share"], pixels["left_out"]
    yield (
        f"Effective sources of a pixel: median {effective['median']:,.1f}, mean {effective['mean']:,.1f}, most "
        f"{effective['most']:,.1f}; the sources listed leave out {percent(left['mean'])} of the weight, at most "
        f"{percent(left['most'])}"
    )
    yield (
        f"Copy map: a pixel owes {percent(owed['mean'])} to one item on average; {pixels['mostly_one_item']:,} of "
        f"{pixels['pixels']:,} owe more than half to one"
    )
    yield from _match_line(answer["match"])


def _match_line(match: Mapping[str, Any]) -> Iterable[str]:
    parts = []
    if match["patch_size"] and match["nearest_patch_rms"]:
        rms = match["nearest_patch_rms"]
        parts.append(
            f"the nearest patch of {match['patch_size']} is {rms['mean']:.1f} grey levels off on average, at most "
            f"{rms['most']:.1f}"
        )
    if match["nearest_items"]:
        nearest = match["nearest_items"][0]
        parts.append(f"the nearest item is {_named(nearest)}, {nearest['rms']:.1f} off")
    if parts:
        yield f"Match (a similarity, which says nothing of weight): {'; '.join(parts)}"


def _pixel_lines(found: Mapping[str, Any]) -> Iterable[str]:
    many = len(found["sources"]) + found["others"]["sources"]
    value = " ".join(map(str, found["value"]))
    yield (
        f"Pixel at {_place(found)}, step {found['step']} ({_windows(found['patch_size'])}), has the value "
        f"{value} and {counted(many, 'source')}; weights are whole numbers that sum to "
        f"{found['weight']:,}"
    )
    rows = [
        (
            f"{source['weight']:,}",
            f"{percent(source['share']):>8}  value {' '.join(map(str, source['value']))} at {_place(source)} of "
            f"{_named(source)}",
        )
        for source in found["sources"]
    ]
    if found["others"]["sources"]:
        others = found["others"]
        rows.append((f"{others['weight']:,}", f"{percent(others['weight'] / found['weight']):>8}  all others"))
    yield from rows_of(rows)
    channels = _CHANNELS[len(found["value"])]
    for channel, total, mean, value in zip(
        channels, found["weighted_sums"], found["mean"], found["value"], strict=True
    ):
        yield (
            f"Proof{channel}: sum of weight x q = {total:,}, with q = 2 value - 255; divided by 255 x "
            f"{found['weight']:,} it is {mean!r}, the mean that this step has, and rounded to a pixel {value}"
        )
    if "network" in found:
        said = found["network"]
        yield (
            f"The network's estimate there is {' '.join(map(repr, said['mean']))}, as a pixel "
            f"{' '.join(map(str, said['value']))}: {said['difference']:.1f} grey levels from the machine's"
        )


def _windows(patch_size: int) -> str:
    return f"patches of {patch_size}" if patch_size else "whole pictures compared"


def _named(item: Mapping[str, Any]) -> str:
    label = "" if item["label"] is None else f", label {item['label']}"
    return f"{item['name']}{label}, {item['id'][:12]}"


def value_of(value: str | None) -> str:
    """The value of a group, in words."""
    return "(none)" if value is None else value


def _place(found: Mapping[str, Any]) -> str:
    return f"column {found['x']}, row {found['y']}"


def _step(at: Mapping[str, Any], last: int | None, words: Wording) -> str:
    finished = f" ({words.last})" if at["step"] == last else ""
    return f"step {at['step']}{finished}, {_windows(at['patch_size'])}"


def rows_of(rows: Sequence[tuple[str, str]]) -> Iterable[str]:
    """Two columns, the numbers to the right."""
    wide = max(len(left) for left, _ in rows)
    return (f"  {left.rjust(wide)}  {right}" for left, right in rows)
