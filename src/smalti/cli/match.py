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
from smalti.cli.holders import remember_use
from smalti.cli.match_words import TILES_WITHIN, say_many, say_one, share_of_pixels
from smalti.cli.sources import Source, check_new, open_source
from smalti.cli.terminal import columns, one_line, progress, say, say_json, tell_notes, took
from smalti.corpus import ImageCorpus
from smalti.corpus import pixels as px
from smalti.corpus.decode import decode_file, quiet_pillow, shown
from smalti.errors import SmaltiError, UsageError
from smalti.progress import duration
from smalti.receipts.copies import NEAR_LEVELS, NEAR_R, SIZES, WITHIN, CopyCheck, SizeMatch, check_copies, fitting_sizes
from smalti.receipts.copies.pictures import draw
from smalti.sampling.files import said_plainly, write_file

STATEMENT = (
    "A match says that two things look alike and nothing more: common patches, flat ones above all, are found in "
    "corpora that a picture has nothing to do with, and patches of a copy that was scaled, turned, mirrored or "
    "recoloured are not found."
)

COMPARED = "What is compared"

# About what the kernel does on four cores; it decides only whether a person is told that a check will be long.
_PAIRS_PER_SECOND = 5e9
_MOST_ITEMS = 100


class MatchError(SmaltiError):
    """A picture has more in common with the corpus than was allowed."""


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
        opt.option(
            "--corpus",
            metavar="SOURCE",
            help="What they are compared with: a folder of pictures, one picture, an .npz file, a corpus store, or "
            "built in: digits, photo.",
            panel=opt.PICTURES_IN,
        ),
    ],
    size: opt.SizeOption = None,
    sizes: Annotated[
        str | None,
        opt.option(
            "--sizes",
            metavar="LIST",
            help="Patch sizes, odd, in pixels. Default: those of 3,5,9,17 that fit.",
            panel=COMPARED,
        ),
    ] = None,
    by: Annotated[
        str | None,
        opt.option(
            "--by",
            metavar="COLUMN",
            help="Also add up what is found by label, or by a column of the corpus's metadata.",
            panel=COMPARED,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        opt.option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder, new or empty, for pictures of what was found and match.json.",
            panel=opt.PICTURES_OUT,
        ),
    ] = None,
    fail_above: Annotated[
        float | None,
        opt.option(
            "--fail-above",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Fail, with exit code 1, if more than this share of a picture lies in windows of the largest size "
            "that the corpus has as they are; 0 to 1. A copy that was mirrored, scaled or saved as JPEG has few of "
            "them: see --fail-on-near-duplicate. Default: nothing fails.",
            panel=opt.RUNNING,
        ),
    ] = None,
    fail_on_near_duplicate: Annotated[
        bool,
        opt.option(
            "--fail-on-near-duplicate",
            help="Fail, with exit code 1, if a picture is a near-duplicate of a whole item, as it is or mirrored.",
            panel=opt.RUNNING,
        ),
    ] = False,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Copy check: how much of any picture can be put together from patches of a corpus. Match, never weight."""
    wanted = read_sizes(sizes)
    at_size = opt.read_size(size, option="--size")
    if not corpus:
        raise UsageError("--corpus has an empty name: give a folder, a picture, an .npz file, or a built-in name")
    started = time.monotonic()
    if out is not None:
        check_new(out, corpus)
    with quiet_pillow():
        given = [_read(path) for path in pictures]
    with opt.threads_in_use(threads):
        opened = open_source(corpus, size=at_size)
        values = opened.corpus.values(by) if by is not None else None
        chosen = _sizes(given, wanted, opened.corpus)
        tell_notes([*(f"'{one.path}': {note}" for one in given for note in one.notes), *opened.notes])
        _tell_if_long(given, chosen, opened.corpus)
        if out is not None:
            tell_notes(remember_use("match", out, source=corpus, digest=opened.corpus.digest))
        entries = []
        try:
            for one, its_sizes, folder in zip(given, chosen, _folders(out, given), strict=True):
                found = check_copies(one.pixels, opened.corpus.images, sizes=its_sizes, progress=progress())
                entries.append(_entry(one, found, opened.corpus, values))
                if folder is not None:
                    entries[-1]["files"] = _write_pictures(folder, found, opened.corpus)
        except KeyboardInterrupt:
            raise StoppedError(_what_is_left(out)) from None
    failed = [
        {"picture": entry["picture"], "why": why}
        for entry in entries
        if (why := _why_it_fails(entry, above=fail_above, near=fail_on_near_duplicate))
    ]
    record = {
        "format": "smalti.match/1",
        "statement": STATEMENT,
        "corpus": _corpus_entry(opened),
        "by": by,
        "near_duplicate": {"rms_at_most": NEAR_LEVELS, "r_at_least": NEAR_R},
        "fail": {"above": fail_above, "on_near_duplicate": fail_on_near_duplicate},
        "failed": failed,
        "pictures": entries,
    }
    if out is not None:
        write_file(out / "match.json", (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    if as_json:
        say_json(record | {"seconds": round(time.monotonic() - started, 3)})
    else:
        (say_one if len(entries) == 1 else say_many)(entries, record["corpus"], by)
        say(STATEMENT)
        if out is not None:
            say(columns([(shown(out), "pictures of what was found, and match.json")]))
        say(f"Compared in {took(time.monotonic() - started)}")
    if fail_above is not None and not fail_on_near_duplicate:
        tell_notes(
            f"'{entry['picture']}' is a near-duplicate, which --fail-above does not look for: see "
            "--fail-on-near-duplicate"
            for entry in entries
            if entry["whole"]["near_duplicates"] and entry["picture"] not in [one["picture"] for one in failed]
        )
    if failed:
        first = failed[0]
        more = f"; so {'do' if len(failed) > 2 else 'does'} {len(failed) - 1:,} more" if len(failed) > 1 else ""
        raise MatchError(f"'{first['picture']}' fails: {' and '.join(first['why'])}{more}")


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


def _sizes(given: Sequence[Given], wanted: tuple[int, ...] | None, corpus: ImageCorpus) -> list[tuple[int, ...]]:
    """The patch sizes to compare for each picture.

    Raises:
        UsageError: one asked for does not fit, or none fits; of a picture, it names the file.
    """
    # What the corpus itself has no room for is no picture's fault.
    ample = max(*corpus.size, *(wanted or SIZES))
    fitting_sizes(wanted, picture=(ample, ample), items=corpus.size)
    chosen = []
    for one in given:
        try:
            chosen.append(fitting_sizes(wanted, picture=one.pixels.shape[:2], items=corpus.size))
        except UsageError as error:
            raise UsageError(f"'{one.path}' cannot be compared: {error}") from error
    return chosen


def _why_it_fails(entry: dict[str, Any], *, above: float | None, near: bool) -> list[str]:
    """What of a picture is more than was allowed, in words."""
    why = []
    largest, near_duplicates = entry["sizes"][-1], entry["whole"]["near_duplicates"]
    if above is not None and largest["identical"] > above:
        why.append(
            f"{share_of_pixels(largest['identical'])} of it lies in windows of {largest['patch_size']} that the "
            f"corpus has as they are, more than {share_of_pixels(above)}"
        )
    if near and near_duplicates:
        also = f" and {len(near_duplicates) - 1:,} more" if len(near_duplicates) > 1 else ""
        why.append(f"it is a near-duplicate of '{one_line(near_duplicates[0]['name'])}'{also}")
    return why


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
    pixels = part.pixels(TILES_WITHIN, len(corpus))
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
        "tiled_within": TILES_WITHIN,
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
