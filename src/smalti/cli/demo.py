"""`smalti demo`: the main jobs on the pictures that come with Smalti, and on the manual that comes with Python."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.generate_pictures import Order, carry_out, run_paths, run_summary
from smalti.cli.generate_texts import TextOrder, carry_out_texts, tell_lines, text_paths, text_summary
from smalti.cli.terminal import columns, progress, say, say_json, took
from smalti.corpus.decode import shown
from smalti.errors import InputError
from smalti.receipts.match import nearest_items
from smalti.sampling import Trace, beside_nearest, png_bytes
from smalti.sampling.files import write_file

_DIGITS, _TEXTURE, _TEXT, _PAIRS = "digits", "texture", "text", "digits-beside-nearest.png"
_METER = "temperature"
# Large patches at high noise keep petals whole.
_TEXTURE_SCALES = "5,5,7,7,9,9,11,13,15,17,19,21,23,25,27,29,31,33,33,33"


def demo(
    out: Annotated[
        Path,
        opt.option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder for all of it; what an earlier demo finished there is kept.",
        ),
    ],
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Make new digits, a new texture and a new text from what comes with Smalti and with Python, and try the meter of
    background temperature on two servers of this machine.
    """
    from smalti.cli.temperature_demo import SHORT, carry_out_trials, summary, tell_trials

    _check_folder(out)
    digits, texture = _orders(out)
    text = _text_order(out)
    started = time.monotonic()
    with opt.threads_in_use(threads):
        try:
            made = carry_out(digits, progress=progress())
            _write_pairs(out, digits, made.machine.images)
            grown = carry_out(texture, progress=progress())
            written = carry_out_texts(text, progress=progress())
            tried = carry_out_trials(out / _METER, SHORT, progress=progress())
        except KeyboardInterrupt:
            raise StoppedError(
                f"stopped; '{shown(out)}' keeps what is finished: repeat the command to make the rest"
            ) from None
    seconds = time.monotonic() - started
    if as_json:
        say_json(
            {
                "digits": run_summary(digits.out, made.record),
                "pairs": shown((out / _PAIRS).absolute()),
                "texture": run_summary(texture.out, grown.record),
                "text": text_summary(text.out, written),
                "temperature": summary(tried, out / _METER),
                "seconds": round(seconds, 3),
            }
        )
        return
    say(f"16 new digits from {len(made.machine.images):,} of them, as made by\n  {' '.join(digits.command)}")
    pairs = (shown(out / _PAIRS), "each beside its nearest training digit")
    say(columns([pairs, *run_paths(digits.out, digits.seeds)]))
    say(f"A new texture grown from one photograph, as made by\n  {' '.join(texture.command)}")
    say(columns(run_paths(texture.out, texture.seeds)))
    say(f"A new text from the manual of Python, as made by\n  {' '.join(text.command)}")
    tell_lines(written.texts[0])
    say(columns(text_paths(text.out, text.seeds)))
    say("Temperatures hidden in servers of this machine, as found by a short form of\n  smalti temperature --demo")
    tell_trials(tried, out / _METER)
    say(f"Finished in {took(seconds)}")


def _orders(out: Path) -> tuple[Order, Order]:
    """What the demo makes, each with the words of a command that makes the same."""
    places = [out / name for name in (_DIGITS, _TEXTURE)]
    digits, texture = ("smalti", "generate", "digits"), ("smalti", "generate", "photo", "--size", "160x107")
    return (
        Order(
            source="digits",
            out=places[0],
            seeds=opt.read_seeds("0-15"),
            existing="resume",
            command=(*digits, "-o", shown(places[0]), "--seeds", "0-15"),
        ),
        Order(
            source="photo",
            out=places[1],
            seeds=(5,),
            size=(107, 160),
            output_size=(160, 256),
            scales=_TEXTURE_SCALES,
            existing="resume",
            command=(
                *(*texture, "--output-size", "256x160", "--scales", _TEXTURE_SCALES),
                *("-o", shown(places[1]), "--seeds", "5"),
            ),
        ),
    )


def _text_order(out: Path) -> TextOrder:
    """The text that the demo makes."""
    place = out / _TEXT
    return TextOrder(
        source="python-manual",
        out=place,
        seeds=(0,),
        existing="resume",
        command=("smalti", "generate", "python-manual", "-o", shown(place), "--seeds", "0"),
    )


def _check_folder(out: Path) -> None:
    """Refuses a place that holds something else than a demo."""
    if out.exists() and not out.is_dir():
        raise InputError(f"'{shown(out)}' is a file, and the demo needs a folder: choose another place")
    if out.is_dir():
        others = sorted({path.name for path in out.iterdir()} - {_DIGITS, _TEXTURE, _TEXT, _PAIRS, _METER})
        if others:
            raise InputError(
                f"'{shown(out)}' holds files that are not a demo's (such as '{shown(others[0])}'): choose a new folder"
            )


def _write_pairs(out: Path, digits: Order, items: NDArray[np.uint8]) -> None:
    """The picture of each new digit beside its nearest training digit."""
    images = Trace.load(digits.out / "trace.safetensors").images
    item, _ = nearest_items(items, images)
    content = png_bytes(beside_nearest(images, items[item[:, 0]], columns=4))
    place = out / _PAIRS
    if place.exists() and place.read_bytes() != content:
        raise InputError(f"'{shown(place)}' is not the picture that this demo makes: move it away")
    if not place.exists():
        write_file(place, content)
