"""Predictors by name: machines with scales from a network, from the corpus alone, or given; and their siblings.

A name is `KIND` or `KIND:SCALES`:

    border-aware:network    scales fitted to the network along its own trajectory (`fit_scales`)
    border-aware:auto       scales from leaving items of the corpus out, no network seen (`calibrate`)
    border-aware:WORD       scales that are given under that word
    ideal                   a kind without scales

A kind with scales that is named without them has `auto`, and the local linear fit, for which there is no calibration,
its usual patches of 5. The patch composite's `auto` is that of the equivariant local machine, the one of which it is
the average.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalti.calibration import Calibration, cached_calibration
from smalti.corpus import ImageCorpus
from smalti.denoisers import DataMaskLocal, Nearest, PatchMixture, PatchWiener, Wiener
from smalti.errors import InputError, UsageError
from smalti.machines import MACHINES
from smalti.networks.fitted_scales import KINDS, FittedScales, Search, fit_scales
from smalti.networks.kept import check_same, identity_of
from smalti.noise import Schedule
from smalti.noise import schedule as named_schedule
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser, checked_seeds
from smalti.sampling.files import claimed, said_plainly, write_file
from smalti.window import Scaled, Scales

__all__ = ["DEFAULT_PREDICTORS", "FIT_SEEDS", "PLAIN", "Predictors", "named_predictors", "parsed_name"]

PLAIN: dict[str, Callable[..., Denoiser]] = {
    **{name: machine for name, machine in MACHINES.items() if not machine.has_windows},
    **{one.name: one for one in (Wiener, Nearest, DataMaskLocal, PatchWiener, PatchMixture)},
}
"""Denoisers without scales, by name: called with a corpus and `label`."""

DEFAULT_PREDICTORS = (
    "border-aware:network",
    "border-aware:auto",
    "local:network",
    "ideal",
    "nearest",
    "wiener",
    "data-mask-local",
)
"""What a prediction compares unless told otherwise: what takes no longer than the border-aware machine. The patch
composite takes some six times as long."""

FIT_SEEDS = tuple(range(1_000_000, 1_000_016))
"""What a network draws for its scales to be fitted, unless told otherwise: seeds that are seldom predicted."""

_CALIBRATED = {**{name: name for name in KINDS if name in MACHINES}, "patch-composite": "equivariant-local"}


@dataclass(frozen=True, eq=False)
class Predictors:
    """Denoisers to compare with a network.

    Attributes:
        denoisers: by the name that was asked for.
        scales: where the patch sizes of those that have any came from, by the same name.
    """

    denoisers: Mapping[str, Denoiser]
    scales: Mapping[str, FittedScales | Calibration | Scales]


def named_predictors(
    network: Denoiser,
    corpus: ImageCorpus,
    names: Iterable[str] = DEFAULT_PREDICTORS,
    *,
    steps: int = 20,
    schedule: str | Schedule = "cosine",
    size: tuple[int, int] | None = None,
    label: str | None = None,
    given: Mapping[str, Scales] | None = None,
    fit_seeds: Iterable[int] = FIT_SEEDS,
    search: Search = "all",
    batch: int = 16,
    keep: str | Path | None = None,
    network_id: str = "",
    progress: Progress = SILENT,
) -> Predictors:
    """Makes predictors of a network by name (see `smalti.networks.named`). Tier: that of each.

    Args:
        network: the network.
        corpus: its pictures.
        names: what is wanted, none twice.

    Keyword Args:
        steps: number of steps, where scales are fitted to the network.
        schedule: noise schedule.
        size: height and width of the pictures; those of the network's corpus unless given.
        label: use only the items with this label; the network's own unless given.
        given: scales by word.
        fit_seeds: what the network draws for scales to be fitted; others than those that are predicted.
        search: as in `fit_scales`.
        batch: how many seeds share a call.
        keep: a folder in which fitted scales are kept, as in `predict`.
        network_id: as in `predict`.
        progress: shown while it runs.

    Raises:
        UsageError: a name without meaning or twice; or settings that cannot be used.
        InputError: kept scales are damaged or of other work, or another process writes to `keep`.
    """
    wanted = tuple(names)
    words = {} if given is None else dict(given)
    parsed = {name: parsed_name(name, words) for name in wanted}
    if len(parsed) != len(wanted) or not wanted:
        raise UsageError("Predictors are named once each, and at least one is needed.")
    if label is None:
        label = getattr(network, "label", None)
    known: dict[tuple[str, str], FittedScales | Calibration | Scales] = {}

    def scales(kind: str, word: str) -> FittedScales | Calibration | Scales:
        if word == "auto":
            calibrated = _CALIBRATED[kind]
            output = size or network.corpus.size
            settings: dict[str, Any] = {"machine": calibrated, "schedule": schedule, "label": label}
            return cached_calibration(corpus, **settings, output_size=output, progress=progress)[0]
        if word == "network":
            settings = {"seeds": checked_seeds(fit_seeds), "steps": steps, "schedule": schedule, "label": label}
            settings |= {"search": search, "size": size or network.corpus.size, "network_id": network_id}
            return _fitted(network, kind, corpus, settings, batch, None if keep is None else Path(keep), progress)
        return words[word]

    denoisers: dict[str, Denoiser] = {}
    used: dict[str, FittedScales | Calibration | Scales] = {}
    with contextlib.nullcontext() if keep is None else claimed(Path(keep)):
        for kind, word in parsed.values():
            if word is not None and (kind, word) not in known:
                known[kind, word] = scales(kind, word)
    for name, (kind, word) in parsed.items():
        if word is None:
            denoisers[name] = (PLAIN | KINDS)[kind](corpus, label=label)
            continue
        used[name] = known[kind, word]
        found = used[name]
        denoisers[name] = KINDS[kind](corpus, scales=found.scales if isinstance(found, Scaled) else found, label=label)
    return Predictors(denoisers, used)


def parsed_name(name: str, given: Collection[str] = ()) -> tuple[str, str | None]:
    """Kind of a predictor and the word for its scales, None where it takes none from elsewhere.

    Args:
        name: `KIND` or `KIND:SCALES`.
        given: words for scales that are given.

    Raises:
        UsageError: there is no such kind, or these are no scales for it.
    """
    kind, colon, word = name.partition(":")
    if kind in PLAIN:
        if colon:
            raise UsageError(f"The predictor {name!r} has no meaning: {kind} has no patch sizes.")
        return kind, None
    if kind not in KINDS:
        there = ", ".join(sorted({*KINDS, *PLAIN}))
        raise UsageError(f"There is no predictor {name!r}: choose from {there}.")
    if not colon:
        return kind, "auto" if kind in _CALIBRATED else None
    allowed = {"network", *given, *(["auto"] if kind in _CALIBRATED else [])}
    if word not in allowed:
        raise UsageError(
            f"The predictor {name!r} has no meaning: the patch sizes of {kind} are {' or '.join(sorted(allowed))}."
        )
    return kind, word


def _fitted(
    network: Denoiser,
    kind: str,
    corpus: ImageCorpus,
    settings: Mapping[str, Any],
    batch: int,
    keep: Path | None,
    progress: Progress,
) -> FittedScales:
    """Fitted scales, from their file or fitted now and written there."""
    if keep is None:
        return fit_scales(network, kind, corpus, **settings, batch=batch, progress=progress)
    schedule = settings["schedule"]
    levels = (named_schedule(schedule) if isinstance(schedule, str) else schedule).grid(settings["steps"])
    identity = identity_of(network, levels, settings["network_id"])
    if identity is None:
        raise UsageError(
            f"The network {network.name} does not say what decides its answers, so that scales fitted to it cannot be "
            "kept: give it a digest, or keep nothing."
        )
    path = keep / "scales" / f"{kind}.json"
    if path.exists():
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read ({error}): delete it to fit the scales again.") from error
        found = FittedScales.from_json(text, origin=str(path))
        wanted = {
            "machine": kind,
            "network_id": identity,
            "corpus_digest": corpus.digest,
            "label": settings["label"],
            "levels": [[level.time, level.signal, level.noise] for level in levels],
            "seeds": list(settings["seeds"]),
            "size": list(settings["size"]),
            "search": settings["search"],
        }
        check_same(path, wanted, {name: found.described()[name] for name in wanted})
        return found
    found = fit_scales(network, kind, corpus, **settings, batch=batch, progress=progress)
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, found.to_json().encode())
    return found
