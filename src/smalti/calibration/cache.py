"""Calibrations kept between runs, by what they are a function of."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from smalti.calibration.leave_one_out import Calibration, calibrate
from smalti.corpus import ImageCorpus
from smalti.errors import InputError
from smalti.noise import SCHEDULES
from smalti.noise import schedule as named_schedule
from smalti.progress import SILENT, Progress
from smalti.sampling.files import write_file


def cache_folder() -> Path:
    """Where calibrations are kept: $SMALTI_CACHE, else $XDG_CACHE_HOME/smalti, else ~/.cache/smalti."""
    if os.environ.get("SMALTI_CACHE"):
        return Path(os.environ["SMALTI_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "smalti"


def cached_calibration(
    corpus: ImageCorpus, *, progress: Progress = SILENT, **settings: Any
) -> tuple[Calibration, Path | None]:
    """`calibrate` with the settings, or its result from an earlier call. Tier: bitwise, as `calibrate`.

    Returns:
        The calibration, and the file it was read from (None if it was computed now). A cache that cannot be written
        is no error.
    """
    asked = inspect.signature(calibrate).bind(corpus, **settings)
    asked.apply_defaults()
    named = {k: v for k, v in asked.arguments.items() if k not in ("corpus", "progress")}
    named["sizes"] = settings["sizes"] = None if named["sizes"] is None else tuple(named["sizes"])
    if named["output_size"] == corpus.size:
        named["output_size"] = None  # the same calibration, by another name
    if not isinstance(named["schedule"], str):
        name = named["schedule"].name
        if name not in SCHEDULES or type(named["schedule"]) is not type(named_schedule(name)):
            return calibrate(corpus, progress=progress, **settings), None  # a schedule of somebody's own has no key
        named["schedule"] = name
    described = "\n".join(f"{k}={named[k]!r}" for k in sorted(named))
    key = hashlib.sha256(f"smalti calibration 2 {version('smalti')}\n{corpus.digest}\n{described}".encode()).hexdigest()
    path = cache_folder() / "calibrations" / f"{key[:32]}.json"
    with contextlib.suppress(OSError, InputError, UnicodeDecodeError):
        return Calibration.from_json(path.read_text("utf-8"), origin=str(path)), path
    found = calibrate(corpus, progress=progress, **settings)
    with contextlib.suppress(OSError, InputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, found.to_json().encode())
    return found, None
