"""A network and what is known of its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError
from smalti.networks.backend import digest_of_weights, torch_library
from smalti.networks.clock import ContinuousTime
from smalti.networks.models import NetworkConfig
from smalti.networks.protocol import NetworkMachine, Predictor, TrainedOn
from smalti.sampling.ddim import DenoiserCorpus

__all__ = ["Network", "Training", "torch_predictor"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network was trained.

    Attributes:
        corpus_digest: digest of the corpus.
        size: height and width of the pictures, in pixels.
        items: number of pictures.
        seed: of weights, order, times and noise.
        schedule: name of the noise schedule.
        batch: pictures in one step.
        rate: step size of Adam at the first step.
        decay: factor on it after each step.
        ema: factor of the running mean of the weights, or None: the weights themselves.
        steps: steps done.
    """

    corpus_digest: str
    size: tuple[int, int]
    items: int
    seed: int
    schedule: str
    batch: int
    rate: float
    decay: float
    ema: float | None
    steps: int

    @classmethod
    def from_record(cls, record: dict[str, Any], *, origin: str = "the record") -> Training:
        """Reads what `to_record` gave.

        Raises:
            InputError: it is not that; `origin` is named.
        """
        try:
            height, width = record["size"]
            return cls(**{**record, "size": (int(height), int(width))})
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"{origin} holds no record of a training that this Smalti knows ({error}).") from error

    def to_record(self) -> dict[str, Any]:
        """The record as values that JSON can hold."""
        return {**asdict(self), "size": list(self.size)}


@dataclass(frozen=True, eq=False)
class Network:
    """A network of `smalti.networks.models` with its weights, on a device.

    Attributes:
        config: its form.
        module: the `torch.nn.Module`, called with (x, time, classes).
        training: how it was trained; None where that is not known, as for the published ones, whose schedule is cosine.
        losses: mean squared error of the predicted noise at each step of the training. float32 (steps,).
    """

    config: NetworkConfig
    module: Any
    training: Training | None = None
    losses: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def machine(
        self,
        corpus: DenoiserCorpus | None = None,
        *,
        label: str | None = None,
        name: str | None = None,
    ) -> NetworkMachine:
        """The network as a machine that samplers can drive.

        Args:
            corpus: its corpus; unless given, what its training tells of it.

        Keyword Args:
            label: the label it is asked for; needed where it was trained with labels.
            name: name, for records; `network-` and its kind unless given.

        Raises:
            UsageError: the label is missing or wrong, or no corpus is known.
        """
        number = self.config.class_of(label)
        if corpus is None:
            if self.training is None:
                raise UsageError("The file of this network does not say what it was trained on: give its corpus.")
            corpus = TrainedOn(self.training.corpus_digest, self.training.size, self.config.image_channels)
        if corpus.channels != self.config.image_channels:
            raise UsageError(
                f"The network was trained on pictures with {self.config.image_channels} channels, and those of the "
                f"corpus have {corpus.channels}."
            )
        return NetworkMachine(
            torch_predictor(self.module, class_number=number),
            corpus,
            predicts="noise",
            clock=ContinuousTime("cosine" if self.training is None else self.training.schedule),
            name=name or f"network-{self.config.net}",
            label=label,
            multiple=self.config.multiple,
            digest=digest_of_weights(self.module, self.config.to_record()),
        )

    def plot(self, path: Path | str) -> None:
        """Draws the loss over the steps of the training as a PNG: single steps, and means over a hundredth of them.

        Raises:
            InputError: nothing is known of the training.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        count = len(self.losses)
        if not count:
            raise InputError("The file of this network holds no losses to draw.")
        figure = Figure(figsize=(7, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        steps = np.arange(1, count + 1)
        axes.plot(steps, self.losses, color="0.8", linewidth=0.8, label="single steps")
        ends = np.unique(np.linspace(0, count, 101).round().astype(int))[1:]
        starts = np.concatenate([[0], ends[:-1]])
        means = [float(self.losses[a:b].mean(dtype=np.float64)) for a, b in zip(starts, ends, strict=True)]
        axes.plot((starts + 1 + ends) / 2, means, color="black", label="means")
        axes.set(xlabel="step", ylabel="loss: mean squared error of the noise", yscale="log")
        axes.legend()
        figure.savefig(path, dpi=150, metadata={"Software": None})


def torch_predictor(module: Any, *, class_number: int | None = None) -> Predictor:
    """A `Predictor` of a module called with (x, time, classes), wherever its weights are.

    Args:
        module: the module.

    Keyword Args:
        class_number: the class that is asked for, or None.
    """
    torch = torch_library()
    device = next(module.parameters()).device

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        classes = None if class_number is None else torch.full((len(x),), class_number, device=device)
        with torch.inference_mode():
            answer = module(torch.from_numpy(x).to(device), torch.from_numpy(time).to(device), classes)
        return answer.float().cpu().numpy()

    return predict
