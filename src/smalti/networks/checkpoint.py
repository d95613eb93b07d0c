"""The file of a network: tensors as safetensors, and one metadata entry that holds the rest as JSON.

`weights/...` are the weights to predict with. A training leaves `first/...` and `second/...` too (Adam's running means
of the gradient and of its square), `raw/...` where the weights are a running mean themselves, and `losses`. Nothing in
such a file can be code, and reading one runs none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError
from smalti.networks.backend import usable_device
from smalti.networks.models import NetworkConfig, build
from smalti.networks.network import Network, Training
from smalti.sampling.files import write_file

__all__ = ["Checkpoint", "fitted", "load_network", "read_checkpoint", "write_checkpoint"]

_FORMAT = "smalti.network/1"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What the file of a network holds.

    Attributes:
        config: form of the network.
        training: how it was trained.
        tensors: arrays by name, see the module.
    """

    config: NetworkConfig
    training: Training
    tensors: Mapping[str, NDArray[Any]]

    def part(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays whose name starts with `name/`, without that."""
        start = f"{name}/"
        return {key.removeprefix(start): array for key, array in self.tensors.items() if key.startswith(start)}


def write_checkpoint(path: Path | str, checkpoint: Checkpoint) -> None:
    """Writes the file of a network: all of it or, if anything fails, nothing.

    Raises:
        InputError: the disk is full, or the file cannot be written for another reason.
    """
    from safetensors.numpy import save

    record = {
        "format": _FORMAT,
        "config": checkpoint.config.to_record(),
        "training": checkpoint.training.to_record(),
    }
    tensors = {name: np.ascontiguousarray(array) for name, array in checkpoint.tensors.items()}
    metadata = {"smalti": json.dumps(record, sort_keys=True, allow_nan=False)}
    write_file(Path(path), save(tensors, metadata=metadata))


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Reads the file of a network, without PyTorch.

    Raises:
        InputError: it cannot be read, is something else, such as a pickle, or holds weights that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = (file.metadata() or {}).get("smalti")
            if metadata is None:
                raise InputError(f"{path} holds tensors but no network of Smalti: give a file of smalti train.")
            record = json.loads(metadata)
            if record["format"] != _FORMAT:
                raise InputError(f"{path} has the format {record['format']!r}; this Smalti reads {_FORMAT!r}.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = NetworkConfig.from_record(record["config"], origin=str(path))
            training = Training.from_record(record["training"], origin=str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); give the file of a network.") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        if _starts_as_pickle(path):
            raise InputError(
                f"{path} is a pickle, which could hold code, and is not opened: give a .safetensors file of smalti "
                "train, or read the paper's checkpoints with smalti.networks.open_published."
            ) from error
        raise InputError(
            f"{path} is not the file of a network, or it is damaged: give a file of smalti train."
        ) from error
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path} is of no use: its tensor {name} holds numbers that are not finite.")
    return Checkpoint(config, training, tensors)


def _starts_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(_PICKLE_STARTS)


def load_network(path: Path | str, *, device: str = "cpu") -> Network:
    """Opens the file of a network.

    Args:
        path: the file.

    Keyword Args:
        device: `cpu`, `cuda`, or `cuda:1` and so on.

    Returns:
        The network, on the device.

    Raises:
        InputError: PyTorch is not installed; the file cannot be read or is something else; its weights are not finite
            or do not fit its description.
        UsageError: there is no such device.
    """
    where = usable_device(device)
    read = read_checkpoint(path)
    module = fitted(read.config, read.part("weights"), origin=str(path)).to(where)
    return Network(read.config, module, read.training, read.tensors.get("losses", np.empty(0, np.float32)))


def fitted(config: NetworkConfig, weights: Mapping[str, NDArray[Any]], *, origin: str) -> Any:
    """A module of this form with these weights, ready to predict.

    Args:
        config: form of the network.
        weights: arrays by name.

    Keyword Args:
        origin: where they came from, for the sentence.

    Raises:
        InputError: names, shapes or types do not fit, or a number is not finite.
    """
    module = build(config)
    wanted = module.state_dict()
    odd = sorted(set(wanted) ^ set(weights))
    if odd:
        what = "has no weights" if odd[0] in wanted else "has weights too many:"
        raise InputError(f"{origin} does not hold a {config.net} of {config.layers} layers: it {what} {odd[0]}.")
    import torch  # pyright: ignore[reportMissingImports]

    for name, tensor in wanted.items():
        array = weights[name]
        if array.dtype != np.float32 or array.shape != tuple(tensor.shape):
            raise InputError(
                f"{origin} does not hold a {config.net} of {config.channels} channels: its weights {name} are "
                f"{array.dtype} of shape {array.shape}, not float32 of shape {tuple(tensor.shape)}."
            )
        if not np.isfinite(array).all():
            raise InputError(f"{origin} is of no use: its weights {name} hold numbers that are not finite.")
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return module.eval()
