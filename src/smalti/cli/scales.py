"""What `--scales` means: patch sizes for a machine, and a sentence on where they came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from smalti.calibration import Calibration, cache_folder, cached_calibration
from smalti.cli.options import has_patches
from smalti.cli.terminal import tell_notes
from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError
from smalti.networks.fitted_scales import FittedScales
from smalti.noise import schedule as named_schedule
from smalti.progress import Progress
from smalti.window import NAMED_SCALES, Scales


@dataclass(frozen=True)
class ScalesWanted:
    """What `--scales` asks for, before the pictures are known.

    Attributes:
        text: the words given, or "auto".
        given: the patch sizes, where the words alone say them; otherwise they come from a calibration.
        calibration: what the file holds that the words name.
    """

    text: str
    given: Scales | None = None
    calibration: Calibration | FittedScales | None = None


@dataclass(frozen=True)
class ScalesFound:
    """Patch sizes and, for the record of the run, where they came from."""

    scales: Scales | None
    notes: tuple[str, ...] = ()


def read_scales(text: str | None, *, machine: str, schedule: str) -> ScalesWanted | None:
    """What the words ask for; None for a machine that looks at whole pictures.

    Raises:
        UsageError: the words have no meaning, or the machine takes no patch sizes.
        InputError: a file cannot be read, or is no calibration.
    """
    if not has_patches(machine):
        if text is not None:
            raise UsageError(f"the {machine} machine compares whole pictures and takes no --scales: leave it out")
        return None
    if text is None or text == "auto":
        return ScalesWanted("auto")
    if text in NAMED_SCALES:
        return ScalesWanted(text, given=Scales.named(text))
    if re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6})*", text):
        return ScalesWanted(text, given=Scales.listed(map(int, text.split(",")), schedule=named_schedule(schedule)))
    if text.lower().endswith(".json"):
        return ScalesWanted(text, calibration=read_calibration(Path(text)))
    raise UsageError(
        f"--scales {text!r} has no meaning: give auto, {', '.join(NAMED_SCALES)}, odd patch sizes from the lowest "
        "noise up, such as 3,3,5,9, or a .json file that 'smalti calibrate' wrote"
    )


def read_calibration(path: Path) -> Calibration | FittedScales:
    """The calibration in a file, or the patch sizes that `smalti predict` fitted to a network.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    name = f"'{shown(path)}'"
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(
            f"{name} cannot be read ({error.strerror or error}): give a file that 'smalti calibrate' wrote"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text: give a file that 'smalti calibrate' wrote") from error
    kind = FittedScales if '"format": "smalti fitted scales ' in text else Calibration
    return kind.from_json(text, origin=name)


def find_scales(
    wanted: ScalesWanted | None,
    corpus: ImageCorpus,
    *,
    machine: str,
    schedule: str,
    label: str | None,
    output_size: tuple[int, int] | None,
    progress: Progress,
) -> ScalesFound:
    """The patch sizes for these pictures; calibrates where none are given, and says so on standard error.

    Raises:
        InputError, UsageError: as `smalti.calibrate`.
    """
    if wanted is None:
        return ScalesFound(None)
    if wanted.given is not None:
        return ScalesFound(wanted.given)
    if wanted.calibration is not None:
        notes = _read_notes(wanted.text, wanted.calibration, corpus, machine=machine, label=label)
        tell_notes(notes)
        return ScalesFound(wanted.calibration.scales, notes)
    found, kept = cached_calibration(
        corpus, machine=machine, schedule=schedule, label=label, output_size=output_size, progress=progress
    )
    note = f"patch sizes calibrated: {basis(found)}"
    where = f"read from '{shown(kept)}'" if kept else f"kept in '{shown(cache_folder())}' for these pictures"
    tell_notes([f"{note} ({where})"])
    return ScalesFound(found.scales, (note,))


def basis(calibration: Calibration) -> str:
    """On what a calibration stands, in words."""
    if calibration.single:
        return f"at {calibration.queries} places of one picture, those overlapping them left out"
    return f"{calibration.queries} of {calibration.items:,} pictures left out in turn"


def _read_notes(
    text: str, calibration: Calibration | FittedScales, corpus: ImageCorpus, *, machine: str, label: str | None
) -> tuple[str, ...]:
    """Where sizes from a file may not fit what they are used for."""
    differs = []
    if calibration.machine != machine:
        differs.append(f"the {calibration.machine} machine")
    if calibration.corpus_digest != corpus.digest:
        differs.append("other pictures")
    elif calibration.label != label:
        differs.append("all labels" if calibration.label is None else f"the label {calibration.label!r}")
    found_for = f", where they were found for {' and '.join(differs)}" if differs else ""
    return (f"patch sizes from '{shown(text)}'{found_for}",)
