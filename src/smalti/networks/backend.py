"""PyTorch, where it is installed: nothing of Smalti imports it before a network is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from smalti.errors import InputError, UsageError, whole_number

__all__ = ["digest_of_weights", "library", "threads_of_torch", "torch_library", "usable_device"]


def library(name: str) -> Any:
    """A library that only networks need.

    Args:
        name: name of its package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        wanted = "'smalti[torch]'" if error.name == "torch" else error.name
        what = "PyTorch" if error.name == "torch" else error.name
        raise InputError(f"A network needs {what}, which is not installed here: pip install {wanted}.") from error


def torch_library() -> Any:
    """The module `torch`.

    Raises:
        InputError: PyTorch is not installed.
    """
    return library("torch")


def usable_device(name: str) -> Any:
    """A device of PyTorch that is there.

    Args:
        name: `cpu`, `cuda`, or `cuda:1` and so on.

    Raises:
        InputError: PyTorch is not installed.
        UsageError: there is no such device.
    """
    torch = torch_library()
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not (number.isascii() and number.isdecimal()))):
        raise UsageError(f"There is no device called {name!r}: choose cpu, cuda, or one of several as in cuda:1.")
    there = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= there:
        seen = f"{there} CUDA device{'' if there == 1 else 's'}" if there else "no CUDA device"
        raise UsageError(f"The device {name!r} was asked for, but PyTorch sees {seen} here: choose cpu.")
    return torch.device(name)


def digest_of_weights(module: Any, form: Mapping[str, Any] | None = None) -> str:
    """SHA-256 of a network: its form, and the names, shapes and bytes of its weights, wherever they are. Tier:
    *bitwise*.

    Args:
        module: a `torch.nn.Module`.
        form: what else makes it what it is, as values that JSON can hold.
    """
    torch = torch_library()
    found = hashlib.sha256(json.dumps(form, sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def threads_of_torch(threads: int | None) -> Iterator[None]:
    """Lets PyTorch use this many threads of the processor while it lasts; None: as it is set.

    Raises:
        UsageError: the number is not a whole number of at least 1.
    """
    if threads is None:
        yield
        return
    threads = whole_number(threads, "The number of threads is a whole number of at least 1", least=1)
    torch = torch_library()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
