"""`smalti match`: how much of a picture, from anywhere, a corpus could have given."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.sources import Source, open_source
from smalti.cli.terminal import columns, one_line, progress, say, say_json, tell_notes, took
from smalti.corpus import ImageCorpus
from smalti.corpus import pixels as px
from smalti.corpus.decode import decode_file, quiet_pillow, shown
from smalti.corpus.pixels import shown_size
from smalti.errors import InputError, UsageError
from smalti.progress import duration
from smalti.receipts.copy_check import NEAR_LEVELS, NEAR_R, WITHIN, CopyCheck, SizeMatch, check_copies, fitting_sizes
from smalti.receipts.copy_pictures import draw
from smalti.sampling.files import said_plainly, write_file

STATEMENT = (
    "A match says that two things look alike and nothing more: common patches, flat ones above all, are found in "
    "corpora that a picture has nothing to do with, and patches of a copy that was scaled, turned, mirrored or "
    "recoloured are not found."
)

COMPARED = "What is compared"

# About what the kernel does on four cores; it decides only whether a person is told that a check will be long.
_PAIRS_PER_SECOND = 5e9
_TILES_WITHIN = 4
_MOST_LISTED, _MOST_ITEMS = 8, 100


@dataclass(frozen=True)
class Given:
    """A picture to check: the words that name it, its pixels (H, W, C), and what was done to it on the way in."""

    path: str
    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]


def match(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURE", help="Picture files of any size, from anywhere.", show_default=False),
    ],
    corpus: Annotated[
        str,
        typer.Option(
            "--corpus",
            metavar="SOURCE",
            help="What they are compared with: a folder of pictures, one picture, an .npz file, or built in: digits, "
            "photo.",
            rich_help_panel=opt.PICTURES_IN,
            show_default=False,
        ),
    ],
    size: opt.SizeOption = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            metavar="LIST",
            help="Patch sizes, odd, in pixels. Default: those of 3,5,9,17 that fit.",
            rich_help_panel=COMPARED,
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Also add up what is found by label, or by a column of the corpus's metadata.",
            rich_help_panel=COMPARED,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder, new or empty, for pictures of what was found and match.json.",
            rich_help_panel=opt.PICTURES_OUT,
            show_default=False,
        ),
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            "--fail-above",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Exit code 1 if more than this share of a picture lies in windows of the largest size that the "
            "corpus has as they are; 0 to 1. Default: exit code 0 whatever is found.",
            rich_help_panel=opt.RUNNING,
            show_default=False,
        ),
    ] = None,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Copy check: how much of any picture can be put together from patches of a corpus. Match, never weight."""
    wanted = read_sizes(sizes)
    at_size = opt.read_size(size, option="--size")
    if not corpus:
        raise UsageError("--corpus has an empty name: give a folder, a picture, an .npz file, or a built-in name")
    started = time.monotonic()
    with quiet_pillow():
        given = [_read(path) for path in pictures]
    _check_out(out, corpus)
    with opt.threads_in_use(threads):
        opened = open_source(corpus, size=at_size)
        values = opened.corpus.values(by) if by is not None else None
        chosen = [fitting_sizes(wanted, picture=one.pixels.shape[:2], items=opened.corpus.size) for one in given]
        tell_notes([*(f"'{one.path}': {note}" for one in given for note in one.notes), *opened.notes])
        _tell_if_long(given, chosen, opened.corpus)
        entries = []
        try:
            for one, its_sizes, folder in zip(given, chosen, _folders(out, given), strict=True):
                found = check_copies(one.pixels, opened.corpus.images, sizes=its_sizes, progress=progress())
                entries.append(_entry(one, found, opened.corpus, values))
                if folder is not None:
                    entries[-1]["files"] = _write_pictures(folder, found, opened.corpus)
        except KeyboardInterrupt:
            raise StoppedError(_what_is_left(out)) from None
    record = {
        "statement": STATEMENT,
        "corpus": _corpus_entry(opened),
        "by": by,
        "near_duplicate": {"rms_at_most": NEAR_LEVELS, "r_at_least": NEAR_R},
        "pictures": entries,
    }
    if out is not None:
        write_file(out / "match.json", (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    if as_json:
        say_json(record | {"seconds": round(time.monotonic() - started, 3)})
    else:
        (_say_one if len(entries) == 1 else _say_many)(entries, record["corpus"], by)
        say(STATEMENT)
        if out is not None:
            say(columns([(shown(out), "pictures of what was found, and match.json")]))
        say(f"Compared in {took(time.monotonic() - started)}")
    if fail_above is not None and any(entry["sizes"][-1]["identical"] > fail_above for entry in entries):
        raise typer.Exit(1)


def read_sizes(text: str | None) -> tuple[int, ...] | None:
    """Patch sizes from `3,5,9`; None stays None.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 9 for part in parts):
        raise UsageError(f"--sizes {text!r} has no meaning: give odd numbers of pixels, such as 3,5,9")
    return tuple(map(int, parts))


def _read(path: Path) -> Given:
    """A picture as a corpus would take it in."""
    picture = decode_file(path)
    clean = px.without_hidden(picture.pixels)
    hidden = () if clean is picture.pixels else ("colour under fully transparent pixels set to 0",)
    return Given(shown(path), clean, (*picture.conversions, *hidden))


def _check_out(out: Path | None, corpus: str) -> None:
    if out is None:
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{shown(out)}' is there already: choose a new or empty folder")
    if Path(corpus).is_dir() and out.absolute().resolve().is_relative_to(Path(corpus).resolve()):
        raise UsageError(
            f"'{shown(out)}' lies in the corpus '{corpus}', and its files would be taken for pictures of it next "
            "time: choose a folder outside"
        )


def _folders(out: Path | None, given: Sequence[Given]) -> list[Path | None]:
    """A folder for each picture, named as the picture; a number follows where a name was taken."""
    if out is None:
        return [None] * len(given)
    if len(given) == 1:
        return [out]
    names: list[str] = []
    taken: set[str] = set()
    for one in given:
        stem = name = Path(one.path).stem
        count = 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        names.append(name)
    return [out / name for name in names]


def _what_is_left(out: Path | None) -> str:
    if out is None or not out.exists():
        return "stopped; nothing was written: repeat the command"
    return (
        f"stopped; '{shown(out)}' holds pictures of what was found so far, without match.json: repeat the command with "
        "another folder"
    )


def _tell_if_long(given: Sequence[Given], chosen: Sequence[Sequence[int]], corpus: ImageCorpus) -> None:
    pairs = sum(
        len(corpus) * math.prod(side - size + 1 for side in (*one.pixels.shape[:2], *corpus.size))
        for one, sizes in zip(given, chosen, strict=True)
        for size in sizes
    )
    if pairs > 300 * _PAIRS_PER_SECOND:
        long = duration(pairs / _PAIRS_PER_SECOND)
        tell_notes(
            [
                f"{pairs / 1e9:,.0f} thousand million pairs of windows to compare, about {long} on four cores; fewer "
                "--sizes or smaller pictures take less"
            ]
        )


def _corpus_entry(opened: Source) -> dict[str, Any]:
    corpus = opened.corpus
    return {
        "source": opened.place,
        "digest": corpus.digest,
        "items": len(corpus),
        "size": list(corpus.size),
        "mode": corpus.mode,
        "notes": list(opened.notes),
    }


def _entry(one: Given, found: CopyCheck, corpus: ImageCorpus, values: Sequence[str | None] | None) -> dict[str, Any]:
    """All that was found about a picture, for match.json."""
    region = found.region
    return {
        "picture": one.path,
        "size": list(one.pixels.shape[:2]),
        "mode": px.MODES[one.pixels.shape[2]],
        "notes": list(one.notes),
        "compared_as": px.MODES[found.picture.shape[2]],
        "sizes": [_size_entry(part, corpus, values) for part in found.sizes],
        "copied_region": None
        if region is None
        else {
            "pixels": region.pixels,
            "share": region.pixels / region.mask.size,
            "box": dict(zip(("row", "column", "height", "width"), region.box, strict=True)),
            **_item_entry(corpus, region.item),
            "displacement": list(region.displacement),
            "other_items": region.others,
        },
        "whole": {
            "fitting": list(found.fitting),
            "nearest": [
                {
                    **_item_entry(corpus, near.item),
                    "rms": near.rms,
                    "r": near.r,
                    "mirrored": near.mirrored,
                    "near_duplicate": near.near_duplicate,
                }
                for near in found.whole
            ],
            "near_duplicates": [_item_entry(corpus, item) for item in found.near_duplicates],
        },
    }


def _size_entry(part: SizeMatch, corpus: ImageCorpus, values: Sequence[str | None] | None) -> dict[str, Any]:
    pixels = part.pixels(_TILES_WITHIN, len(corpus))
    whole = part.tiling.item.size
    order = [item for item in np.argsort(-pixels, kind="stable").tolist() if pixels[item]]
    groups: dict[str | None, int] = {}
    if values is not None:
        for item in order:
            groups[values[item]] = groups.get(values[item], 0) + int(pixels[item])
    return {
        "patch_size": part.patch_size,
        "windows": part.windows,
        "one_colour": part.one_colour / part.windows,
        "identical": part.identical,
        "within": {str(levels): share for levels, share in zip(WITHIN, part.coverage, strict=True) if levels},
        "distance": dict(zip(("10%", "50%", "90%"), part.distance, strict=True)),
        "tiled_within": _TILES_WITHIN,
        "items": [
            {**_item_entry(corpus, item), "pixels": int(pixels[item]), "share": int(pixels[item]) / whole}
            for item in order[:_MOST_ITEMS]
        ],
        "other_items": {"items": len(order[_MOST_ITEMS:]), "pixels": int(pixels[order[_MOST_ITEMS:]].sum())},
        "groups": [
            {"value": value, "pixels": count, "share": count / whole}
            for value, count in sorted(groups.items(), key=lambda g: (-g[1], g[0] is not None, g[0] or ""))
        ],
    }


def _item_entry(corpus: ImageCorpus, item: int) -> dict[str, Any]:
    return {"item": item, "id": corpus.ids[item], "name": corpus.names[item]}


def _write_pictures(folder: Path, found: CopyCheck, corpus: ImageCorpus) -> list[str]:
    with said_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = draw(found, corpus.names)
    for name, content in files.items():
        write_file(folder / name, content)
    return [shown((folder / name).absolute()) for name in files]


def _say_one(entries: Sequence[dict[str, Any]], corpus: dict[str, Any], by: str | None) -> None:
    (entry,) = entries
    items = f"{corpus['items']:,} pictures of {shown_size(tuple(corpus['size']))} ({corpus['mode']})"
    say(f"'{entry['picture']}', {shown_size(tuple(entry['size']))} ({entry['mode']}), against {items}")
    say("")
    say("Share of the picture in windows whose nearest patch is")
    head = ["size", "identical", *(f"within {levels}" for levels in WITHIN if levels)]
    rows = [[str(s["patch_size"]), *map(_percent, [s["identical"], *s["within"].values()])] for s in entry["sizes"]]
    last = ["distance 10 %", "50 %", "90 %", "windows of one colour"]
    for row, part in zip(rows, entry["sizes"], strict=True):
        row += [*(f"{value:.1f}" for value in part["distance"].values()), _percent(part["one_colour"])]
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
        f"Nearest patches of {part['patch_size']} within {_TILES_WITHIN} grey levels come from "
        "(of equally near ones, the first item counts)"
    )
    listed = [
        *([f"{by} {g['value']}" if g["value"] is not None else f"no {by}", g] for g in part["groups"][:_MOST_LISTED]),
        *([f"'{one_line(item['name'])}'", item] for item in part["items"][:_MOST_LISTED]),
    ]
    _say_table(["", "pixels", "share"], [[text, f"{n['pixels']:,}", _percent(n["share"])] for text, n in listed])


def _say_many(entries: Sequence[dict[str, Any]], corpus: dict[str, Any], by: str | None) -> None:
    say(
        f"{len(entries)} pictures against {corpus['items']:,} of {shown_size(tuple(corpus['size']))} ({corpus['mode']})"
    )
    say("")
    say("Share of each picture in windows that the corpus has as they are, by their size; the largest copied region;")
    say("the nearest whole picture with the root mean square in grey levels (m: mirrored, d: near-duplicate)")
    known = sorted({s["patch_size"] for entry in entries for s in entry["sizes"]})
    rows = []
    for entry in entries:
        shares = {s["patch_size"]: _percent(s["identical"]) for s in entry["sizes"]}
        near, region = entry["whole"]["nearest"][0], entry["copied_region"]
        marks = ("m" if near["mirrored"] else "") + ("d" if near["near_duplicate"] else "")
        rows.append(
            [
                f"'{one_line(entry['picture'])}'",
                *(shares.get(size, "-") for size in known),
                "-" if region is None else _percent(region["share"]),
                f"'{one_line(near['name'])}'",
                f"{near['rms']:.1f}",
                marks,
            ]
        )
        if by is not None:
            part = next((s for s in reversed(entry["sizes"]) if s["groups"]), None)
            best = part["groups"][0] if part else None
            rows[-1].append("-" if best is None else f"{best['value']} {_percent(best['share'])}")
    more = [] if by is None else [f"most within {_TILES_WITHIN} levels, by {by}"]
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
        else f"{others:,} other item{'s have' if others > 1 else ' has'} the same pixels there"
    )
    return (
        f"Largest region that one item has as it is: {region['pixels']:,} pixels ({_percent(region['share'])}), within "
        f"{box['width']}x{box['height']} at column {box['column']}, row {box['row']}, from "
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
    say(
        f"{count:,} near-duplicate{'' if count == 1 else 's'} "
        f"(rms at most {NEAR_LEVELS} grey levels and r at least {NEAR_R})"
    )


def _percent(share: float) -> str:
    """A share in per cent; only all is 100 and only nothing is 0."""
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
