"""The networks of `smalti.networks.models` as PyTorch modules. Importing this module imports PyTorch; `build` does.

The names of the weights are those of the published code, see there.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from smalti.networks.models import NetworkConfig, Padding
from smalti.noise import STATE_UNITS, gaussian_state
from smalti.noise.words import uniforms

__all__ = ["ResNet", "UNet", "set_weights"]

# The UNet's embedding of time and class has this many numbers, whatever its width.
_UNET_EMBEDDING = 256


def _convolution(ins: int, outs: int, padding: Padding) -> Any:
    return nn.Conv2d(ins, outs, 3, padding=1, padding_mode=padding)


class _Embedding(nn.Module):
    """Sinusoids of the time, plus a learnt vector for the class: (B,) and (B,) or None to (B, width)."""

    periods: Any

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        half = width // 2
        # Not among the weights: it follows from the width.
        self.register_buffer("periods", 10_000.0 ** (torch.arange(half) / (half - 1)), persistent=False)
        if classes:
            self.class_embeddings = nn.Embedding(classes, width)

    def forward(self, time: Any, classes: Any) -> Any:
        angles = time[:, None] / self.periods[None, :]
        told = torch.cat((torch.sin(angles), torch.cos(angles)), dim=1)
        return told if classes is None else told + self.class_embeddings(classes)


class ResNet(nn.Module):
    """See `smalti.networks.models`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.channels
        self.embedding = _Embedding(width, len(config.labels))
        self.up_projection = _convolution(config.image_channels, width, config.padding)
        self.embs = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GroupNorm(8, width), nn.ReLU()) for _ in range(config.layers + 1)
        )
        self.convs = nn.ModuleList(
            nn.Sequential(_convolution(width, width, config.padding), nn.ReLU()) for _ in range(config.layers)
        )
        self.down_projection = _convolution(width, config.image_channels, config.padding)

    def forward(self, x: Any, time: Any, classes: Any = None) -> Any:
        """Predicts the noise in pictures (B, C, H, W)."""
        told = self.embedding(time, classes)
        state = self.up_projection(x)
        for convolve, embed in zip(self.convs, self.embs[:-1], strict=True):
            state = state + convolve(state + embed(told)[:, :, None, None])
        return self.down_projection(state + self.embs[-1](told)[:, :, None, None])


class _Pair(nn.Module):
    """Two convolutions at one size, with the embedding added before the first, and attention after them if wanted."""

    def __init__(self, ins: int, outs: int, config: NetworkConfig, *, full_size: bool) -> None:
        super().__init__()
        self.emb = nn.Sequential(nn.ReLU(), nn.Linear(_UNET_EMBEDDING, ins))
        first, second = _convolution(ins, outs, config.padding), _convolution(outs, outs, config.padding)
        self.model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        if config.net == "unet-attention" and not full_size:
            self.attention = _SelfAttention(outs)

    def forward(self, x: Any, told: Any) -> Any:
        found = self.model(x + self.emb(told)[:, :, None, None])
        return self.attention(found) if hasattr(self, "attention") else found


class _SelfAttention(nn.Module):
    """h + project(softmax(q k / sqrt(width)) v) over all places: one head, no positions, no normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ask = nn.Conv2d(width, 3 * width, 1)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x: Any) -> Any:
        query, key, value = self.ask(x).flatten(2).transpose(1, 2).chunk(3, dim=2)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.project(mixed.transpose(1, 2).reshape(x.shape))


class UNet(nn.Module):
    """See `smalti.networks.models`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = [config.channels << place for place in range(config.layers)]
        self.embedding = _Embedding(_UNET_EMBEDDING, len(config.labels))
        ins = [config.image_channels, *widths[:-2]]
        self.feature_blocks = nn.ModuleList(
            _Pair(a, b, config, full_size=place == 0) for place, (a, b) in enumerate(zip(ins, widths[:-1], strict=True))
        )
        self.bottleneck = _Pair(widths[-2], widths[-1], config, full_size=False)
        upwards = [(low, high) for high, low in pairwise(widths)][::-1]
        self.upsamples = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, stride=2) for low, high in upwards)
        self.output_blocks = nn.ModuleList(
            _Pair(2 * high, high, config, full_size=high == widths[0]) for _, high in upwards
        )
        self.last_emb = nn.Sequential(nn.ReLU(), nn.Linear(_UNET_EMBEDDING, widths[0]))
        self.output_conv = _convolution(widths[0], config.image_channels, config.padding)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Any, time: Any, classes: Any = None) -> Any:
        """Predicts the noise in pictures (B, C, H, W)."""
        told = self.embedding(time, classes)
        skips = []
        for block in self.feature_blocks:
            x = block(x, told)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x, told)
        for upsample, block in zip(self.upsamples, self.output_blocks, strict=True):
            x = block(torch.cat((skips.pop(), upsample(x)), dim=1), told)
        return self.output_conv(x + self.last_emb(told)[:, :, None, None])


def set_weights(module: Any, *, seed: int) -> None:
    """See `smalti.networks.models.initialise`."""
    with torch.no_grad():
        for place, part in module.named_modules():
            if isinstance(part, nn.GroupNorm):
                part.reset_parameters()
                continue
            # PyTorch counts the fan in of a transposed convolution along its second axis, as of any other.
            fan_in = math.prod(part.weight.shape[1:]) if hasattr(part, "weight") else 1
            for name, weight in part.named_parameters(recurse=False):
                purpose = f"network/initial/{place}.{name}"
                if isinstance(part, nn.Embedding):
                    drawn = gaussian_state(tuple(weight.shape), seed=seed, purpose=purpose) / STATE_UNITS
                else:
                    drawn = (2.0 * uniforms(weight.numel(), seed=seed, purpose=purpose) - 1.0) / math.sqrt(fan_in)
                weight.copy_(torch.from_numpy(drawn.astype("float32").reshape(tuple(weight.shape))))
