"""What `smalti explain` says of a sample: figures of the last step as values for JSON, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from smalti.cli.terminal import columns, counted
from smalti.corpus.decode import shown
from smalti.corpus.pixels import shown_size
from smalti.receipts import UNITS, ExactPixel, Receipt, exact
from smalti.sampling import OpenRun
from smalti.sampling.image_request import picture_name

# Items and groups that are said of each picture.
_LISTED = 8


def answer_of(
    receipt: Receipt,
    made: Mapping[str, Any] | None,
    *,
    by: str | None,
    at: tuple[int, int] | None,
    steps: Iterable[int],
    top: int,
) -> dict[str, Any]:
    """What is said of a seed: figures of the last step from its record, and a pixel at all steps asked for.

    Args:
        receipt: the receipt.
        made: its record; None where only a pixel was asked about.

    Keyword Args:
        by: the only column to count groups by; all of them unless given.
        at: row and column of a pixel to say the sources of.
        steps: the steps to say them at.
        top: how many of them.
    """
    sample = receipt.sample
    said: dict[str, Any] = {
        "seed": sample.seed,
        "picture": picture_name(sample.seed),
        "step": receipt.steps - 1,
        "patch_size": receipt.patch_size(),
    }
    if made is not None:
        said |= _figures(receipt, made, by)
    if at is not None:
        said["pixel"] = [_pixel(receipt, exact(receipt, *at, step=step), top) for step in steps]
    return said


def _figures(receipt: Receipt, made: Mapping[str, Any], by: str | None) -> dict[str, Any]:
    step = made["steps"][-1]
    pixels, items, whole = step["pixels"], made["items"], receipt.whole_units
    area = made["run"]["size"][0] * made["run"]["size"][1]
    share = np.array(pixels["item_units"]).reshape(area, -1)[:, 0] / UNITS
    rms = np.array([value for value in made["match"]["rms"] if value is not None])
    return {
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
        "groups": {
            column: [
                {"value": value, "units": units, "share": units / whole} for value, units in receipt.by(column).items()
            ]
            for column in (made["columns"] if by is None else [by])
        },
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
    yield (
        f"{shown(opened.folder / answer['picture'])}: {shown_size(request.size)} pixels, {request.machine} machine, "
        f"step {answer['step']} of {request.steps - 1} (the finished picture), {_windows(answer['patch_size'])}"
    )
    if "pixel" in answer:
        for found in answer["pixel"]:
            yield from _pixel_lines(found)
    if "weight" not in answer:
        return
    weight = answer["weight"]
    yield f"Weight: {weight['items_with_weight']:,} of {len(opened.machine.items):,} items have some; most have"
    yield from columns([(_percent(item["share"]), _named(item)) for item in weight["items"]]).split("\n")
    rest = weight["items_with_weight"] - len(weight["items"])
    if rest:
        share = 1 - sum(item["units"] for item in weight["items"]) / weight["units"]
        yield f"  {_percent(share)}  {counted(rest, 'other item')}"
    for column, groups in answer["groups"].items():
        said = [f"{_value(group['value'])} ({_percent(group['share']).strip()})" for group in groups[:_LISTED]]
        more = f", and {len(groups) - _LISTED:,} more" if len(groups) > _LISTED else ""
        yield f"By {column}: {', '.join(said)}{more}"
    pixels = answer["pixels"]
    effective, owed, left = pixels["effective_sources"], pixels["top_item_share"], pixels["left_out"]
    yield (
        f"Effective sources of a pixel: median {effective['median']:,.1f}, mean {effective['mean']:,.1f}, most "
        f"{effective['most']:,.1f}; the sources listed leave out {_percent(left['mean']).strip()} of the weight, at "
        f"most {_percent(left['most']).strip()}"
    )
    yield (
        f"Copy map: a pixel owes {_percent(owed['mean']).strip()} to one item on average; "
        f"{pixels['mostly_one_item']:,} of {pixels['pixels']:,} owe more than half to one"
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
        f"Pixel {found['x']},{found['y']} at step {found['step']} ({_windows(found['patch_size'])}) has the value "
        f"{value} and {counted(many, 'source')}; weights are whole numbers that sum to "
        f"{found['weight']:,}"
    )
    rows = [
        (
            f"{source['weight']:,}",
            f"{_percent(source['share'])}  value {' '.join(map(str, source['value']))} at {source['x']},{source['y']} "
            f"of {_named(source)}",
        )
        for source in found["sources"]
    ]
    if found["others"]["sources"]:
        others = found["others"]
        rows.append((f"{others['weight']:,}", f"{_percent(others['weight'] / found['weight'])}  all others"))
    wide = max(len(left) for left, _ in rows)
    yield from columns((left.rjust(wide), right) for left, right in rows).split("\n")
    for total, mean, value in zip(found["weighted_sums"], found["mean"], found["value"], strict=True):
        yield (
            f"Proof: sum of weight x q = {total:,}, with q = 2 value - 255; divided by 255 x {found['weight']:,} it is "
            f"{mean!r}, the mean that this step has, and rounded to a pixel {value}"
        )


def _windows(patch_size: int) -> str:
    return f"patches of {patch_size}" if patch_size else "whole pictures compared"


def _named(item: Mapping[str, Any]) -> str:
    label = "" if item["label"] is None else f", label {item['label']}"
    return f"{item['name']}{label}, {item['id'][:12]}"


def _value(value: str | None) -> str:
    return "(none)" if value is None else value


def _percent(share: float) -> str:
    return f"{100 * share:6.2f} %"
