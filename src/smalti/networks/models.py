"""The networks of Kamb & Ganguli 2025 (2412.20292), and how they are described.

    resnet          3x3 convolution up to `channels`; `layers` residual 3x3 convolutions with ReLU, h <- h + relu(conv(h
                    + e)); 3x3 convolution down. No normalisation. A pixel sees 2 (layers + 2) + 1 pixels across.
    unet            `layers` sizes with channels, 2 channels, 4 channels, ... at them; two 3x3 convolutions with ReLU at
                    each on the way down and up, max-pooling and transposed convolutions between, skips; 3x3 to pixels.
    unet-attention  the same, and self-attention over all places after every pair of convolutions below full size.

e is an embedding of time and class: sin and cos of t / 10000^(i / (d - 1)), i = 0, ..., d - 1, and a learnt vector for
the class, through a linear layer of its own at every place where it is added: before every convolution of the ResNet
but the first (there followed by group normalisation and ReLU), and before every pair of convolutions of the UNet and
before its last. This is the layout of the authors' published code, and the names of the weights are theirs, so
that their checkpoints fit; `unet-attention` is ours, since theirs was another project's network.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from smalti.corpus.pixels import shown_size
from smalti.errors import InputError, UsageError, whole_number
from smalti.networks.backend import torch_library

__all__ = ["Net", "NetworkConfig", "Padding", "build", "initialise", "parameter_count"]

Net = Literal["resnet", "unet", "unet-attention"]
Padding = Literal["zeros", "circular"]

_DEFAULTS = {"resnet": (256, 6), "unet": (64, 3), "unet-attention": (64, 3)}
# Group normalisation of the ResNet's embeddings is over eight groups.
_GROUPS = 8
_MOST_CHANNELS, _MOST_LAYERS = 4096, 64


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What decides the form of a network.

    Attributes:
        net: which network.
        padding: what lies outside of a picture: zeros, or the other side of it.
        image_channels: channels of the pictures: 1, 3 or 4.
        channels: width of the ResNet, or of the UNet at full size; a multiple of 8, at least 16. 256 and 64 in the
            paper.
        layers: residual convolutions of the ResNet, or sizes of the UNet, at least 2. 6 and 3 in the paper.
        labels: the classes it can be asked for, in the order of their numbers; empty: it knows no classes.

    Raises:
        UsageError: a value has no meaning.
    """

    net: Net
    padding: Padding
    image_channels: int
    channels: int
    layers: int
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.net not in get_args(Net):
            raise UsageError(f"There is no network called {self.net!r}: choose one of {', '.join(get_args(Net))}.")
        if self.padding not in get_args(Padding):
            raise UsageError(f"There is no padding called {self.padding!r}: choose zeros or circular.")
        whole_number(self.image_channels, "Pictures have 1, 3 or 4 channels", least=1)
        channels = whole_number(self.channels, "The channels of a network are a whole number", least=1)
        # A group of one number would be normalised to nothing.
        if channels % _GROUPS or not 2 * _GROUPS <= channels <= _MOST_CHANNELS:
            raise UsageError(
                f"The channels of a network are a multiple of {_GROUPS} from {2 * _GROUPS} to {_MOST_CHANNELS:,}, but "
                f"they are {channels}."
            )
        least = 1 if self.net == "resnet" else 2
        what = "convolutions of a ResNet" if self.net == "resnet" else "sizes of a UNet"
        layers = whole_number(self.layers, f"The layers are the number of {what}, at least {least}", least=least)
        if layers > _MOST_LAYERS or channels << (0 if self.net == "resnet" else layers - 1) > _MOST_CHANNELS:
            raise UsageError(
                f"A {self.net} of {layers} layers from {channels} channels is too large: {_MOST_LAYERS} layers and "
                f"{_MOST_CHANNELS:,} channels at most."
            )

    @classmethod
    def of_paper(
        cls,
        net: Net,
        *,
        padding: Padding,
        image_channels: int,
        labels: tuple[str, ...] = (),
        channels: int | None = None,
        layers: int | None = None,
    ) -> NetworkConfig:
        """A network of the paper, or a smaller or larger one of its kind.

        Args:
            net: which network.

        Keyword Args:
            padding: see the class.
            image_channels: see the class.
            labels: see the class.
            channels: the paper's unless given.
            layers: the paper's unless given.

        Raises:
            UsageError: a value has no meaning.
        """
        if net not in _DEFAULTS:
            raise UsageError(f"There is no network called {net!r}: choose one of {', '.join(_DEFAULTS)}.")
        default = _DEFAULTS[net]
        return cls(
            net=net,
            padding=padding,
            image_channels=image_channels,
            channels=default[0] if channels is None else channels,
            layers=default[1] if layers is None else layers,
            labels=labels,
        )

    @classmethod
    def from_record(cls, record: dict[str, Any], *, origin: str = "the record") -> NetworkConfig:
        """Reads what `to_record` gave.

        Raises:
            InputError: it is not that; `origin` is named.
        """
        try:
            return cls(**{**record, "labels": tuple(map(str, record["labels"]))})
        except (TypeError, KeyError, UsageError) as error:
            raise InputError(f"{origin} holds no description of a network that this Smalti knows ({error}).") from error

    def to_record(self) -> dict[str, Any]:
        """The description as values that JSON can hold."""
        return {**asdict(self), "labels": list(self.labels)}

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this."""
        return 1 if self.net == "resnet" else 1 << (self.layers - 1)

    @property
    def receptive_field(self) -> int | None:
        """Side of the square of pixels that decide one pixel of the prediction; None where attention sees all, and for
        the UNet, where it depends on the place.
        """
        return 2 * (self.layers + 2) + 1 if self.net == "resnet" else None

    def class_of(self, label: str | None) -> int | None:
        """The number of a class, or None where there are none.

        Raises:
            UsageError: the network has classes and this is none of them, or it has none and one is asked for.
        """
        if not self.labels:
            if label is not None:
                raise UsageError(f"The network was trained without labels and cannot be asked for {label!r}.")
            return None
        if label not in self.labels:
            shown = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            asked = "no label was given" if label is None else f"there is no label {label!r}"
            raise UsageError(f"The network was trained with labels and {asked}: choose one of {shown}.")
        return self.labels.index(label)

    def check_size(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if pictures of this height and width do not fit."""
        if any(side % self.multiple for side in size):
            raise UsageError(
                f"A {self.net} of {self.layers} sizes halves pictures {self.layers - 1} times, so sides must be "
                f"multiples of {self.multiple}, and pictures of {shown_size(size)} are not: use another size or fewer "
                "layers."
            )


def build(config: NetworkConfig) -> Any:
    """The network as a `torch.nn.Module`, called with (x, t, classes): pictures (B, C, H, W), times (B,), and class
    numbers (B,) or None. Its weights are PyTorch's own random ones; `initialise` sets them.

    Raises:
        InputError: PyTorch is not installed.
    """
    torch_library()
    from smalti.networks.modules import ResNet, UNet

    return ResNet(config) if config.net == "resnet" else UNet(config)


def initialise(module: Any, *, seed: int) -> None:
    """Sets the weights of a network to random ones from PyTorch's distributions, drawn by Smalti's own generator.

    Uniform in +-1 / sqrt(fan in) for convolutions and linear layers, normal for embeddings of classes; one and zero for
    normalisation. Tier: *bitwise*; a function of the seed and the name of each weight.

    Args:
        module: a network of `build`.

    Keyword Args:
        seed: whole number from 0.

    Raises:
        UsageError: the seed is not a whole number from 0.
    """
    from smalti.networks.modules import set_weights

    set_weights(module, seed=whole_number(seed, "A seed is a whole number from 0"))


def parameter_count(module: Any) -> int:
    """Number of weights of a network."""
    return sum(weight.numel() for weight in module.parameters())
