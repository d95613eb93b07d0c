"""What `--network` means: a network from wherever it is kept, asked as a machine is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import typer
from numpy.typing import NDArray

from smalti.cli import options as opt
from smalti.cli.imported import imported
from smalti.cli.terminal import counted
from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.corpus.pixels import shown_size
from smalti.errors import InputError, UsageError
from smalti.networks.clock import Clock, ContinuousTime, DiscreteTime, SigmaTime
from smalti.networks.named import FIT_SEEDS
from smalti.networks.network import Network
from smalti.networks.protocol import NetworkMachine, Predicts
from smalti.noise import SCHEDULES, Schedule, gaussian_state
from smalti.sampling.ddim import DDIM, Denoiser, asked

NETWORK = "Network"

NetworkOption = Annotated[
    str | None,
    opt.option(
        "--network",
        metavar="MODEL",
        help="A network: a file of smalti train, a PyTorch file in the layout of the paper's code, a folder of "
        "diffusers, or MODULE:NAME, a function in Python from the pictures to a network.",
        panel=NETWORK,
    ),
]
PaddingOption = Annotated[
    str | None,
    opt.option(
        "--padding",
        metavar="NAME",
        help="What the network sees outside of a picture, zeros or circular, where its PyTorch file does not say.",
        panel=NETWORK,
    ),
]
PredictsOption = Annotated[
    str | None,
    opt.option(
        "--predicts",
        metavar="NAME",
        help="noise, clean or v: then MODULE:NAME is the network itself, called with noisy pictures (B, C, H, W) and "
        "times (B,), both float32.",
        panel=NETWORK,
    ),
]
ClockOption = Annotated[
    str | None,
    opt.option(
        "--clock",
        metavar="NAME",
        help=f"With --predicts, the times it is told: those of a schedule ({', '.join(SCHEDULES)}), up to 1; or sigma, "
        "with noise added to the clean picture. Default: cosine.",
        panel=NETWORK,
    ),
]
DeviceOption = Annotated[str, opt.device_option(NETWORK)]
FitSeedsOption = Annotated[
    str,
    typer.Option(
        "--fit-seeds",
        metavar="SEEDS",
        help="Seeds with which patch sizes are fitted to the network.",
        rich_help_panel=NETWORK,
    ),
]

DEFAULT_FIT_SEEDS = f"{FIT_SEEDS[0]}-{FIT_SEEDS[-1]}"

_NAMED = re.compile(r"[\w.]+:[\w.]+")
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


@dataclass(frozen=True)
class OpenedNetwork:
    """A network that a person named.

    Attributes:
        machine: what samplers drive.
        place: where it is: an absolute path, or MODULE:NAME.
        about: what is known of it, for records: `kind` and, for networks of Smalti and of the paper, `network`,
            `training` and `weights`.
        notes: what a person should know of it, one sentence each.
    """

    machine: Denoiser
    place: str
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def schedule(self) -> str | Schedule:
        """The schedule of its training, or cosine where it has none of its own."""
        clock = getattr(self.machine, "clock", None)
        if isinstance(clock, ContinuousTime):
            return clock.schedule.name if clock.schedule.name in SCHEDULES else clock.schedule
        return clock if isinstance(clock, DiscreteTime) else "cosine"


def open_network(
    text: str,
    corpus: ImageCorpus,
    *,
    label: str | None = None,
    padding: str | None = None,
    predicts: str | None = None,
    clock: str | None = None,
    device: str = "cpu",
) -> OpenedNetwork:
    """Opens the network that a person named, to be compared with machines on a corpus.

    Args:
        text: a file of `smalti train`; a file of `torch.save` in the layout of the paper's published code; a folder of
            a diffusers pipeline; or `MODULE:NAME`: something with the members of `smalti.sampling.Denoiser`, or a
            function from the corpus, and `label=` if one is asked for, to that; or, with `predicts`, the network itself
            as a function on arrays (`smalti.networks.Predictor`).
        corpus: the pictures, all of them.

    Keyword Args:
        label: the label it is asked for, if it has classes.
        padding: what the network sees outside of a picture, needed only where its file does not say.
        predicts: what a function on arrays returns: noise, clean or v.
        clock: the times it is told: name of a schedule, or sigma; cosine unless given.
        device: `cpu`, `cuda`, or `cuda:1` and so on.

    Raises:
        InputError: it is not there, is something else, or PyTorch is needed and not installed.
        UsageError: label, padding, predicts, clock or device have no meaning for it, or it does not make pictures like
            these.
    """
    path = Path(text)
    in_python = not path.exists() and _NAMED.fullmatch(text) is not None
    if clock is not None and predicts is None:
        raise UsageError("--clock is for a function that is the network itself: say what it returns, by --predicts")
    if predicts is not None and not in_python:
        raise UsageError("--predicts is for a function in Python, and other networks say it themselves: leave it out")
    if in_python:
        for option, value in (("--padding", padding), ("--device", None if device == "cpu" else device)):
            if value is not None:
                raise UsageError(f"{option} is for networks in files, and {text} sees to its own: leave it out")
        if predicts is None:
            opened = OpenedNetwork(_called(text, corpus, label), text, {"kind": "callable"})
        else:
            function = _on_arrays(text, corpus, predicts, clock or "cosine")
            notes = () if label is None else (_NOT_ASKED.format(label),)
            opened = OpenedNetwork(function, text, {"kind": "callable"}, notes)
    elif path.is_dir():
        if padding is not None:
            raise UsageError("--padding is for files of the paper's layout, and a folder says its own: leave it out")
        from smalti.networks import open_diffusers

        machine = open_diffusers(path, corpus, class_number=_number(label), device=device)
        opened = OpenedNetwork(machine, shown(path.absolute()), {"kind": "diffusers"})
    else:
        opened = _from_file(path, corpus, label=label, padding=padding, device=device)
    _check_pictures(opened.machine, corpus)
    return opened


def check_answers(denoiser: Denoiser, schedule: Schedule, steps: int, corpus: ImageCorpus) -> None:
    """Asks a denoiser once at the noisiest and the cleanest level, so that one that cannot answer is refused now.

    Raises:
        SmaltiError: its answer is none.
        UsageError: it does not know a level, or makes no pictures of the corpus's size.
    """
    sampler = DDIM(denoiser, steps=steps, schedule=schedule)
    size = sampler.checked_size(corpus.size)
    state = gaussian_state((*size, corpus.channels), seed=0, purpose="image/initial")[None]
    for level in dict.fromkeys((sampler.levels[0], sampler.levels[-1])):
        asked(denoiser, np.ascontiguousarray(state), level)


def fit_note(seeds: Iterable[int], fit_seeds: Iterable[int]) -> tuple[str, ...]:
    """What is to be said where patch sizes are judged by seeds with which they were fitted."""
    both = set(seeds) & set(fit_seeds)
    if not both:
        return ()
    return (
        f"patch sizes are fitted with {counted(len(both), 'seed')} that they are judged by too: choose others by "
        "--fit-seeds",
    )


@contextmanager
def network_threads(threads: int | None) -> Iterator[None]:
    """Lets PyTorch, where a network has loaded it, use this many threads while it lasts; None: as it is set."""
    import sys

    from smalti.networks.backend import threads_of_torch

    with threads_of_torch(threads if "torch" in sys.modules else None):
        yield


def _from_file(
    path: Path, corpus: ImageCorpus, *, label: str | None, padding: str | None, device: str
) -> OpenedNetwork:
    """A network in one file: of Smalti, or in the layout of the paper's code."""
    from smalti.networks import load_network, open_published, parameter_count

    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(
            f"--network '{shown(path)}' cannot be read ({error.strerror or error}): give the file or folder of a "
            "network, or MODULE:NAME"
        ) from error
    notes: list[str] = []
    if start == _ZIP or start.startswith(_PICKLE):
        around: Any = padding
        if padding not in (None, "zeros", "circular"):
            raise UsageError(f"--padding {padding!r} has no meaning: choose zeros or circular")
        network = open_published(path, padding=around, device=device)
        network = _with_names(network, corpus, notes)
        kind = "published"
    else:
        network = load_network(path, device=device)
        kind = "smalti"
        if padding not in (None, network.config.padding):
            raise UsageError(
                f"--padding {padding} is not that of '{shown(path)}', which says {network.config.padding}: leave it out"
            )
    if label is not None and not network.config.labels:
        notes.append(_without_classes(network, corpus, label))
    elif network.training is not None and network.training.corpus_digest != corpus.digest:
        notes.append(_OTHER_PICTURES)
    about = {
        "kind": kind,
        "network": network.config.to_record(),
        "training": None if network.training is None else network.training.to_record(),
        "weights": parameter_count(network.module),
    }
    machine = network.machine(corpus, label=label if network.config.labels else None)
    return OpenedNetwork(machine, shown(path.absolute()), about, tuple(notes))


_NOT_ASKED = (
    "the network knows no labels, and is not asked for {!r}; machines and other predictors use only pictures of that "
    "label"
)
_OTHER_PICTURES = "the network was trained on other pictures than these, or at another size"


def _with_names(network: Network, corpus: ImageCorpus, notes: list[str]) -> Network:
    """The network with the labels of the corpus for its classes, which its file only counts."""
    names = tuple(sorted(set(corpus.labels or ())))
    if not network.config.labels or len(names) != len(network.config.labels) or names == network.config.labels:
        return network
    notes.append(f"the classes of the network have no names; they are taken as the labels in order: {', '.join(names)}")
    return replace(network, config=replace(network.config, labels=names))


def _without_classes(network: Network, corpus: ImageCorpus, label: str) -> str:
    """What is to be said where pictures of one label are asked for, and the network knows no labels."""
    if network.training is not None and network.training.corpus_digest == corpus.with_label(label).digest:
        return f"the network knows no labels, and was trained on the pictures of {label!r} alone"
    return _NOT_ASKED.format(label)


def _on_arrays(text: str, corpus: ImageCorpus, predicts: str, clock: str) -> NetworkMachine:
    """A function on arrays as a machine."""
    function: Callable[..., Any] = imported(text, option="--network", example="mynetwork:predict")
    if predicts not in get_args(Predicts):
        raise UsageError(f"--predicts {predicts!r} has no meaning: choose one of {', '.join(get_args(Predicts))}")
    if clock != "sigma" and clock not in SCHEDULES:
        raise UsageError(f"--clock {clock!r} has no meaning: choose one of {', '.join(SCHEDULES)}, sigma")
    told: Clock = SigmaTime() if clock == "sigma" else ContinuousTime(clock)

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[Any]:
        try:
            return np.asarray(function(x, time))
        except Exception as error:  # whatever a person's own function raises
            what = ": ".join(filter(None, (type(error).__name__, str(error))))
            raise InputError(
                f"--network {text} raised {what}: it is called with noisy pictures, float32 of shape {x.shape}, and "
                f"times, float32 of shape {time.shape}"
            ) from error

    meaning: Any = predicts
    return NetworkMachine(predict, corpus, predicts=meaning, clock=told, name=text.rpartition(":")[2])


def _called(text: str, corpus: ImageCorpus, label: str | None) -> Denoiser:
    found = imported(text, option="--network", example="mynetwork:make")
    if _is_denoiser(found):
        return found
    make: Callable[..., Any] = found
    try:
        made = make(corpus) if label is None else make(corpus, label=label)
    except (InputError, UsageError):
        raise
    except Exception as error:  # whatever a person's own function raises
        what = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise InputError(
            f"--network {text} raised {what}: it is called with the pictures, an ImageCorpus, and label= if --label is "
            "given, unless --predicts says that it is the network itself"
        ) from error
    if not _is_denoiser(made):
        raise InputError(
            f"--network {text} gave {type(made).__name__}: let it give a smalti.networks.NetworkMachine, or anything "
            "with the members name, corpus (with digest, size and channels), check_output and a call"
        )
    return made


def _is_denoiser(found: Any) -> bool:
    members = all(hasattr(found, name) for name in ("name", "corpus", "check_output"))
    pictures = all(hasattr(getattr(found, "corpus", None), name) for name in ("digest", "size", "channels"))
    return members and pictures and callable(found) and not isinstance(found, type)


def _number(label: str | None) -> int | None:
    """The class of a pipeline of diffusers, which has numbers for names."""
    if label is None:
        return None
    if not (label.isascii() and label.isdecimal() and len(label) < 10):
        raise UsageError(f"--label {label!r}: the classes of a diffusers network are numbers from 0, so it must be one")
    return int(label)


def _check_pictures(machine: Denoiser, corpus: ImageCorpus) -> None:
    if machine.corpus.channels != corpus.channels:
        raise UsageError(
            f"the network {machine.name} makes pictures of {machine.corpus.channels} channels, and the source has "
            f"{corpus.channels}: give the pictures that it was trained on"
        )
    try:
        machine.check_output(corpus.size)
    except UsageError as error:
        raise UsageError(f"{error} The source has {shown_size(corpus.size)}: use --size.") from error
