"""Pieces of long work in a folder, so that it can be stopped and gone on with.

A piece is what one denoiser made of one batch of seeds. Its file says what decided it: corpus, settings and digest of
the denoiser, levels, size of the pictures, seeds. A file that says otherwise is refused, never used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smalti.errors import InputError, UsageError
from smalti.machines import Machine
from smalti.networks.comparison import StepAgreement
from smalti.noise import Level
from smalti.sampling.ddim import DDIM, Denoiser, pixels_of
from smalti.sampling.files import said_plainly, write_file
from smalti.sampling.trace import Trace
from smalti.sampling.trace_file import read_trace_file, trace_bytes

__all__ = ["Walk", "check_same", "identity_of", "kept_steps", "kept_trace", "name_of_seeds", "safe_name"]

_FORMAT = "smalti.network-steps/1"
_ARRAYS = ("r", "mse", "cosine")


class Walk:
    """A denoiser that is sampled along given levels, and what decides its samples.

    Attributes:
        sampler: the sampler, with the denoiser.
        size: height and width of the pictures.
        decided: what decides a sample beside its seed, as values that JSON can hold; None where that is not known.
    """

    def __init__(self, sampler: DDIM, size: tuple[int, int], given: str = "") -> None:
        """Takes the sampler, and what tells its denoiser from others where it has no digest."""
        self.sampler, self.size = sampler, size
        identity = identity_of(sampler.machine, sampler.levels, given)
        self.decided: dict[str, Any] | None = None
        if identity is not None:
            self.decided = {
                "corpus": sampler.machine.corpus.digest,
                "denoiser": identity,
                "settings": sampler.settings(),
                "levels": _listed(sampler.levels),
                "size": list(size),
            }


def identity_of(denoiser: Denoiser, levels: Sequence[Level], given: str = "") -> str | None:
    """What decides a denoiser's answers at these levels, beside corpus and label: class and patch sizes of a machine,
    the digest of another denoiser, or what is given where it has none; None where nothing of it is known. Tier:
    *bitwise*.
    """
    if isinstance(denoiser, Machine):
        sizes = "" if denoiser.scales is None else " ".join(map(str, denoiser.scales.along(levels)))
        return f"{type(denoiser).__module__}.{type(denoiser).__qualname__} {sizes}"
    return getattr(denoiser, "digest", "") or given or None


def kept_trace(path: Path | None, walk: Walk, seeds: Sequence[int], make: Callable[[], Trace]) -> tuple[Trace, bool]:
    """The trace of a batch: from its file, or made now and written there.

    Args:
        path: the file; None to keep nothing.
        walk: what is walked.
        seeds: the batch.
        make: makes the trace.

    Returns:
        The trace, and whether it came from the file.

    Raises:
        InputError: the file is damaged or was decided otherwise, or cannot be written.
    """
    if path is None:
        return make(), False
    decided = {**(walk.decided or {}), "seeds": list(seeds)}
    if path.exists():
        found = Trace.load(path)
        settings = dict(found.settings)
        check_same(path, decided, settings.pop("decided", None))
        whole = found.seeds == tuple(seeds) and found.levels == walk.sampler.levels and np.isfinite(found.means).all()
        if not whole or not np.array_equal(found.images, pixels_of(found.means)):
            raise InputError(f"{path} is damaged: delete it, and repeat the command to make it again.")
        machine = walk.sampler.machine
        return replace(found, settings=settings, machine=machine if isinstance(machine, Machine) else None), True
    made = make()
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace(made, settings={**made.settings, "decided": decided}, machine=None).save(path)
    return made, False


def kept_steps(
    path: Path | None, network: Walk, predictor: Walk, seeds: tuple[int, ...], make: Callable[[], StepAgreement]
) -> tuple[StepAgreement, bool]:
    """How a predictor agrees with the network along the network's own states, as `kept_trace`."""
    if path is None:
        return make(), False
    decided = {"network": network.decided, "predictor": predictor.decided, "seeds": list(seeds)}
    levels = network.sampler.levels
    if path.exists():
        record: dict[str, Any] = {}

        def read(array: Callable[[str], Any], written: dict[str, Any]) -> StepAgreement:
            record.update(written["decided"])
            arrays: dict[str, Any] = {name: np.array(array(name)) for name in _ARRAYS}
            shape = len(record["seeds"]), len(levels)
            if any(one.shape != shape or one.dtype != np.float64 for one in arrays.values()):
                raise ValueError
            if not (arrays["mse"] >= 0.0).all() or (np.abs([arrays["r"], arrays["cosine"]]) > 1.0).any():
                raise ValueError
            return StepAgreement(levels=levels, seeds=seeds, **arrays)

        found = read_trace_file(path, _FORMAT, read)
        check_same(path, decided, record)
        return found, True
    made = make()
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(made, name) for name in _ARRAYS}
    write_file(path, trace_bytes(arrays, {"format": _FORMAT, "decided": decided}))
    return made, False


def check_same(path: Path, wanted: Mapping[str, Any], found: Any) -> None:
    """Raises `InputError` if a file was decided by something else than is wanted, or does not say by what."""
    if not isinstance(found, dict):
        raise InputError(f"{path} does not say what decided it: give another folder, or delete it.")
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different or set(found) != set(wanted):
        what = " and ".join(different) or "settings"
        raise InputError(f"{path} was kept by other work than this ({what} differ): give another folder, or delete it.")


def name_of_seeds(seeds: Sequence[int]) -> str:
    """A file name for a batch of seeds, without ending."""
    ends = f"{seeds[0]}-{seeds[-1]}"
    if list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds-{ends}"
    return f"seeds-{ends}-{_short(repr(tuple(seeds)))}"


def safe_name(name: str) -> str:
    """A folder name for a denoiser that a person named; different names give different ones.

    Raises:
        UsageError: the name is empty.
    """
    if not name:
        raise UsageError("Each predictor has a name, but one of them is empty.")
    plain = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:60]
    return plain if plain == name else f"{plain}-{_short(name)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _listed(levels: Sequence[Level]) -> list[list[float]]:
    return [[level.time, level.signal, level.noise] for level in levels]
