"""Options that several commands share, and what their words mean.

People write picture sizes width first, `48x32`; inside, a size is (height, width).
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.corpus.tokens import TOKENS
from smalti.engine import native
from smalti.errors import UsageError
from smalti.machines import MACHINES, Machine
from smalti.noise import SCHEDULES

PICTURES_IN, PICTURES_OUT, MACHINE, RUNNING = "Pictures in", "Pictures out", "Machine", "Running"
LEDGER, RUN, RESULT, GOES = "Ledger", "Run", "Result", "What goes"

MOST_SEEDS = 100_000
"""Most seeds of one run: a trace holds all steps of all of them."""


def option(*names: str, help: str, panel: str | None = None, metavar: str | None = None, **limits: Any) -> Any:
    """An option whose default, if it has one, its help tells."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, show_default=False, **limits)


def schedule_option(panel: str) -> Any:
    """The option for a noise schedule of pictures."""
    return typer.Option(
        "--schedule", metavar="NAME", help=f"Noise schedule: {', '.join(SCHEDULES)}.", rich_help_panel=panel
    )


def device_option(panel: str) -> Any:
    """The option for where PyTorch computes."""
    return typer.Option("--device", metavar="NAME", help="cpu, cuda, or cuda:1 and so on.", rich_help_panel=panel)


def threads_option(help: str) -> Any:
    """The option for the number of threads, whose help says what else depends on it."""
    return option("--threads", metavar="N", min=1, max=1024, help=help, panel=RUNNING)


def token_seed_option(panel: str) -> Any:
    """The option for the seed of the tokens that are looked at."""
    return typer.Option("--seed", metavar="N", min=0, help="Of tokens and masks.", rich_help_panel=panel)


def text_settings_option(panel: str) -> Any:
    """The option for what `smalti calibrate` found for texts."""
    return option(
        "--settings", metavar="FILE", help="Settings of the machine, a .json file from calibrate.", panel=panel
    )


def dry_run_option(panel: str | None = None) -> Any:
    """The option for a command that takes something out."""
    return option("--dry-run", help="Show what would go, and change nothing.", panel=panel)


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Pictures: a folder (its sub-folders are labels), one picture, an .npz file. Texts: a folder, one text "
        "file, a .jsonl file with a field text. A corpus store of either. Or built in: digits, photo, python-manual.",
        show_default=False,
    ),
]
PicturesArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Pictures: a folder (its sub-folders are labels), one picture, an .npz file, or a corpus store of "
        "pictures. Or built in: digits, photo.",
        show_default=False,
    ),
]
SizeOption = Annotated[
    str | None,
    option(
        "--size",
        metavar="N|WxH",
        help="Size at which the source's pictures are used, in pixels, width first. Default: their own; one large "
        "picture: 320 on its longer side.",
        panel=PICTURES_IN,
    ),
]
LabelOption = Annotated[
    str | None,
    option(
        "--label",
        metavar="LABEL",
        help="Use only the pictures with this label. Default: all.",
        panel=PICTURES_IN,
    ),
]
RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of a finished run; nothing in it is changed.", show_default=False),
]
RunSourceOption = Annotated[
    str | None,
    option(
        "--source",
        metavar="PATH",
        help="Where the pictures or texts are now. Default: where they were.",
        panel=RUN,
    ),
]
LedgerOption = Annotated[
    Path | None,
    option(
        "--ledger",
        metavar="FILE",
        help="The ledger. Default: SMALTI_LEDGER, or smalti/ledger.sqlite in the user's data folder.",
        panel=LEDGER,
    ),
]
MachineOption = Annotated[
    str,
    typer.Option("--machine", metavar="NAME", help=f"One of {', '.join(MACHINES)}.", rich_help_panel=MACHINE),
]
ScheduleOption = Annotated[str, schedule_option(MACHINE)]
ThreadsOption = Annotated[
    int | None,
    threads_option("Threads; changes speed, never a byte. Default: SMALTI_THREADS, or all processors."),
]
TextTokensOption = Annotated[
    str | None,
    option(
        "--tokens",
        metavar="NAME",
        help=f"How texts are cut: {', '.join(TOKENS)}. Default: that of the settings, or characters.",
        panel=MACHINE,
    ),
]
TextSettingsOption = Annotated[Path | None, text_settings_option(MACHINE)]
JsonOption = Annotated[
    bool,
    option("--json", help="Print one JSON object instead of text.", panel=RUNNING),
]


def read_size(text: str | None, *, option: str) -> tuple[int, int] | None:
    """Height and width from `N` or `WxH`; None stays None.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})(?:[xX×]([0-9]{1,9}))?", text.strip())
    width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if width < 1 or height < 1:
        raise UsageError(
            f"{option} {text!r} is not a size in pixels: give one number for squares, such as 32, or width x height, "
            "such as 48x32"
        )
    return height, width


def read_seeds(text: str, *, option: str = "--seeds") -> tuple[int, ...]:
    """Seeds, or other numbers, from `0-15`, `3`, or `0,2,5-7`, in the order given.

    Raises:
        UsageError: anything else, a range that runs backwards, or too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,18})\s*(?:-\s*([0-9]{1,18})\s*)?", part)
        if not found:
            raise UsageError(
                f"{option} {text!r} has no meaning: give whole numbers and ranges, such as 0-15 or 0,2,5-7"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(f"{option} {part.strip()} runs backwards: write {last}-{first}")
        if len(seeds) + last - first + 1 > MOST_SEEDS:
            raise UsageError(f"{option} {text!r} asks for more than {MOST_SEEDS:,} numbers: use several commands")
        seeds.extend(range(first, last + 1))
    return tuple(seeds)


def read_group(text: str, *, option: str) -> tuple[str, str | None]:
    """Column and value from `COLUMN=VALUE`; None where nothing follows, for items that have no value.

    Raises:
        UsageError: anything else.
    """
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise UsageError(f"{option} {text!r} has no meaning: write COLUMN=VALUE, such as licence=unknown")
    return column, value or None


def read_machine(name: str) -> type[Machine]:
    """The machine of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in MACHINES:
        raise UsageError(f"there is no machine called {name!r}: choose one of {', '.join(MACHINES)}")
    return MACHINES[name]


def has_patches(name: str) -> bool:
    """Whether a machine compares patches, so that it needs patch sizes, rather than whole pictures."""
    return read_machine(name).has_windows


def read_label(label: str | None) -> str | None:
    """A label in the form in which a corpus keeps it: keyboards and file systems write accents in different ways."""
    return None if label is None else unicodedata.normalize("NFC", label)


@contextlib.contextmanager
def threads_in_use(threads: int | None) -> Iterator[None]:
    """Lets the kernel use this many threads; None: as the environment says. The environment is checked either way.

    Raises:
        UsageError: SMALTI_THREADS or SMALTI_KERNEL has no meaning.
    """
    before = os.environ.get("SMALTI_THREADS")
    if threads is not None:
        os.environ["SMALTI_THREADS"] = str(threads)
    try:
        native.default_threads()
        native.default_target()
        yield
    finally:
        if threads is not None:
            if before is None:
                del os.environ["SMALTI_THREADS"]
            else:
                os.environ["SMALTI_THREADS"] = before
