"""The file of a trace: arrays as safetensors, and one metadata entry that holds the rest as JSON.

One entry, not several, because the library writes several in random order, and equal traces must be equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError

__all__ = ["read_trace_file", "trace_bytes"]

AnyTrace = TypeVar("AnyTrace")


def trace_bytes(arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> bytes:
    """The content of the file of a trace; `record` is what JSON holds, with its `format`. Tier: *bitwise*."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(tensors, metadata={"smalti": json.dumps(record, sort_keys=True, allow_nan=False)})


def read_trace_file(
    path: str | Path, known: str, make: Callable[[Callable[[str], Any], dict[str, Any]], AnyTrace]
) -> AnyTrace:
    """Reads the file of a trace.

    Args:
        path: the file.
        known: the format that is read.
        make: gives the trace from a function that reads an array by name, and the record.

    Raises:
        InputError: the file cannot be read, has another format, or is not a complete trace.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            record = json.loads((file.metadata() or {})["smalti"])
            if record["format"] != known:
                raise InputError(f"{path} is a trace in the format {record['format']!r}; this Smalti reads {known!r}")
            return make(file.get_tensor, record)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); give the path of a trace.") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is not a complete trace written by Smalti: delete it, and repeat the request with --resume to "
            "make it again."
        ) from error
