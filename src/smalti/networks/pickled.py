"""Tensors out of a PyTorch file, without running what the file says.

`torch.save` writes a zip archive: `data.pkl`, a pickle of the objects, and the numbers of each storage beside it. A
pickle is a program that may call anything. Here it is read with every name it mentions replaced: those of tensors by
functions that cut arrays out of the storages, all others by empty shells that keep what they are given and do nothing.
No module is imported and no class of the file is made. So whole pickled networks, as the published code of Kamb &
Ganguli 2025 saves them, give their tensors, and code in a file is never run.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError

__all__ = ["PickledTensors", "read_pickled"]

_DEEPEST = 64
_TYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclass(frozen=True, eq=False)
class PickledTensors:
    """What a PyTorch file holds, as far as it is data.

    Attributes:
        tensors: arrays by name, as in a state dict.
        paddings: the values of `padding_mode` that its convolutions have; empty where the file holds tensors only.
    """

    tensors: Mapping[str, NDArray[Any]]
    paddings: frozenset[str]


def read_pickled(path: Path | str) -> PickledTensors:
    """Reads the tensors of a file of `torch.save`: a state dict or a whole network.

    Raises:
        InputError: it cannot be read, or holds anything else.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); give a PyTorch file.") from error
    except Exception as error:  # a pickle can fail in any way
        raise InputError(
            f"{path} is not a PyTorch file with the tensors of a network, or it is damaged ({error}): give a file of "
            "torch.save."
        ) from error


class _Shell:
    """What stands for an object that is not data: it keeps its state and does nothing."""

    def __new__(cls, *args: object, **named: object) -> _Shell:
        return object.__new__(cls)

    def __init__(self, *args: object, **named: object) -> None:
        self.__dict__["kept"] = {}

    def __call__(self, *args: object, **named: object) -> _Shell:
        return _Shell()

    def __setstate__(self, state: Any) -> None:
        self.__dict__["kept"] = state if isinstance(state, dict) else {}


@dataclass(frozen=True, eq=False)
class _Storage:
    values: NDArray[Any]


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive, self._folder = archive, PurePosixPath(name).parent
        self._file = archive.open(name)
        super().__init__(self._file)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What a name in the pickle stands for: never what it names."""
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module_name == "torch._utils" and global_name == "_rebuild_tensor_v2":
            return _tensor
        if module_name == "torch._utils" and global_name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return _parameter
        # A type of its own each time: what a pickle does to one has no effect on another.
        return type(global_name if global_name.isidentifier() else "shell", (_Shell,), {})

    def persistent_load(self, pid: Any, /) -> _Storage:
        """A storage: its numbers, as they stand in the archive."""
        what, kind, key, _, count = pid[:5]
        if what != "storage":
            raise ValueError("an object that lies elsewhere")
        dtype = _TYPES.get(kind.__name__)
        if dtype is None:
            raise ValueError(f"numbers of the type {kind.__name__}")
        content = self._archive.read(str(self._folder / "data" / str(key)))
        return _Storage(np.frombuffer(content, dtype=dtype, count=count))


def _tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Any:
    """The part of a storage that a tensor shows, after a check that it lies in it."""
    sides, steps = [int(side) for side in size], [int(step) for step in stride]
    count = len(storage.values)
    if len(sides) != len(steps) or min([0, offset, *sides, *steps]) < 0 or math.prod(sides) > count:
        raise ValueError("a tensor that is larger than its storage")
    if math.prod(sides) and offset + sum((a - 1) * b for a, b in zip(sides, steps, strict=True)) >= count:
        raise ValueError("a tensor that reaches beyond its storage")
    width = storage.values.itemsize
    shown = np.lib.stride_tricks.as_strided(storage.values[offset:], sides, [step * width for step in steps])
    return np.array(shown)


def _parameter(data: Any, *_: object) -> Any:
    return data


def _read(archive: zipfile.ZipFile, most: int) -> PickledTensors:
    members = archive.infolist()
    # torch.save does not compress, so nothing in the file may be larger than the file.
    if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > most:
        raise ValueError("its parts are compressed")
    names = [m.filename for m in members if PurePosixPath(m.filename).name == "data.pkl"]
    if len(names) != 1:
        raise ValueError("no data.pkl")
    tensors: dict[str, NDArray[Any]] = {}
    paddings: set[str] = set()
    _walk(_Reader(archive, names[0]).load(), "", tensors, paddings, _DEEPEST)
    if not tensors:
        raise ValueError("no tensors")
    return PickledTensors(tensors, frozenset(paddings))


def _walk(found: Any, place: str, tensors: dict[str, NDArray[Any]], paddings: set[str], deepest: int) -> None:
    """Gathers the tensors of a state dict, or of a pickled module and those in it."""
    if deepest == 0:
        raise ValueError("modules in modules without end")
    if isinstance(found, dict):
        tensors.update({place + str(name): value for name, value in found.items() if isinstance(value, np.ndarray)})
        return
    if not isinstance(found, _Shell):
        raise ValueError("no network")
    kept = found.__dict__["kept"]
    # A transposed convolution says zeros, whatever the others do.
    if isinstance(kept.get("padding_mode"), str) and kept.get("transposed") is False:
        paddings.add(kept["padding_mode"])
    # Buffers that are not among the weights of such a network, such as tables, are left where they are.
    _walk(dict(kept.get("_parameters", {})), place, tensors, paddings, deepest - 1)
    for name, part in dict(kept.get("_modules", {})).items():
        if part is not None:
            _walk(part, f"{place}{name}.", tensors, paddings, deepest - 1)
