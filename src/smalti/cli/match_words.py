"""What `smalti match` says of pictures, from the entries of match.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smalti.cli.terminal import counted, one_line, say
from smalti.corpus.pixels import shown_size
from smalti.receipts.copies import NEAR_LEVELS, NEAR_R, WITHIN

TILES_WITHIN = 4
"""Grey levels up to which a pixel counts as an item's."""

_MOST_LISTED = 8


def say_one(entries: Sequence[dict[str, Any]], corpus: dict[str, Any], by: str | None) -> None:
    """One picture, with all that was found."""
    (entry,) = entries
    items = f"{counted(corpus['items'], 'picture')} of {shown_size(tuple(corpus['size']))} ({corpus['mode']})"
    say(f"'{entry['picture']}', {shown_size(tuple(entry['size']))} ({entry['mode']}), against {items}")
    say("")
    say("Share of the picture in windows whose nearest patch is")
    head = ["size", "identical", *(f"within {levels}" for levels in WITHIN if levels)]
    rows = [
        [str(s["patch_size"]), *map(share_of_pixels, [s["identical"], *s["within"].values()])] for s in entry["sizes"]
    ]
    last = ["distance 10 %", "50 %", "90 %", "windows of one colour"]
    for row, part in zip(rows, entry["sizes"], strict=True):
        row += [*(f"{value:.1f}" for value in part["distance"].values()), share_of_pixels(part["one_colour"])]
    _say_table([*head, *last], rows)
    say("(distances and limits: root mean square over a window, in grey levels; 10, 50 and 90 % of windows are nearer)")
    say("")
    say(_region_sentence(entry))
    say("")
    _say_whole(entry["whole"])
    part = next((s for s in reversed(entry["sizes"]) if s["items"]), None)
    if part is None:
        return
    say("")
    say(
        f"Nearest patches of {part['patch_size']} within {TILES_WITHIN} grey levels come from "
        "(of equally near ones, the first item counts)"
    )
    listed = [
        *([f"{by} {g['value']}" if g["value"] is not None else f"no {by}", g] for g in part["groups"][:_MOST_LISTED]),
        *([f"'{one_line(item['name'])}'", item] for item in part["items"][:_MOST_LISTED]),
    ]
    _say_table(["", "pixels", "share"], [[text, f"{n['pixels']:,}", share_of_pixels(n["share"])] for text, n in listed])


def say_many(entries: Sequence[dict[str, Any]], corpus: dict[str, Any], by: str | None) -> None:
    """A line for each picture."""
    say(
        f"{counted(len(entries), 'picture')} against {corpus['items']:,} of {shown_size(tuple(corpus['size']))} "
        f"({corpus['mode']})"
    )
    say("")
    say("Share of each picture in windows that the corpus has as they are, by their size; the largest copied region;")
    say("the nearest whole picture with the root mean square in grey levels (m: mirrored, d: near-duplicate)")
    known = sorted({s["patch_size"] for entry in entries for s in entry["sizes"]})
    rows = []
    for entry in entries:
        shares = {s["patch_size"]: share_of_pixels(s["identical"]) for s in entry["sizes"]}
        near, region = entry["whole"]["nearest"][0], entry["copied_region"]
        marks = ("m" if near["mirrored"] else "") + ("d" if near["near_duplicate"] else "")
        rows.append(
            [
                f"'{one_line(entry['picture'])}'",
                *(shares.get(size, "-") for size in known),
                "-" if region is None else share_of_pixels(region["share"]),
                f"'{one_line(near['name'])}'",
                f"{near['rms']:.1f}",
                marks,
            ]
        )
        if by is not None:
            part = next((s for s in reversed(entry["sizes"]) if s["groups"]), None)
            best = part["groups"][0] if part else None
            rows[-1].append("-" if best is None else f"{best['value']} {share_of_pixels(best['share'])}")
    more = [] if by is None else [f"most within {TILES_WITHIN} levels, by {by}"]
    _say_table(["picture", *map(str, known), "region", "nearest", "rms", "", *more], rows)


def _region_sentence(entry: dict[str, Any]) -> str:
    region = entry["copied_region"]
    if region is None:
        return f"No window of {entry['sizes'][0]['patch_size']} pixels is in any item as it is."
    box = region["box"]
    others = region["other_items"]
    also = (
        "no other item has it there"
        if not others
        else f"{counted(others, 'other item')} {'have' if others > 1 else 'has'} the same pixels there"
    )
    return (
        f"Largest region that one item has as it is: {counted(region['pixels'], 'pixel')} "
        f"({share_of_pixels(region['share'])}), within {box['width']}x{box['height']} at column {box['column']}, row "
        f"{box['row']}, from "
        f"'{one_line(region['name'])}'; {also}."
    )


def _say_whole(whole: dict[str, Any]) -> None:
    done = f" (the picture was {' and '.join(whole['fitting'])})" if whole["fitting"] else ""
    say(f"Nearest whole pictures{done}")
    rows = [
        [
            f"'{one_line(near['name'])}'",
            f"{near['rms']:.1f}",
            "-" if near["r"] is None else f"{near['r']:.3f}",
            "mirrored" if near["mirrored"] else "",
            "near-duplicate" if near["near_duplicate"] else "",
        ]
        for near in whole["nearest"]
    ]
    _say_table(["", "rms", "r", "", ""], rows)
    count = len(whole["near_duplicates"])
    say(f"{counted(count, 'near-duplicate')} (rms at most {NEAR_LEVELS} grey levels and r at least {NEAR_R})")


def share_of_pixels(share: float) -> str:
    """A share of pixels in per cent, to one decimal; only all is 100 and only nothing is 0."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %"


def _say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned text: the first column to the left, the others to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines if any(head) else rows:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        say("  " + "  ".join([first, *others]).rstrip())
