"""`smalti doctor`: what a report of a fault should say, and a check of the kernels against the definition."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import typer

from smalti.calibration import cache_folder
from smalti.cli import options as opt
from smalti.cli.terminal import columns, say, say_json
from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.engine import naive, native
from smalti.machines import MACHINES
from smalti.noise import gaussian_state
from smalti.noise import schedule as named_schedule
from smalti.sampling.request import versions_in_use

# Of the features that a processor may list, those that decide which kernel is fast on it.
_FEATURES = ("sse4_2", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "asimd", "asimddp", "sve")


def doctor(as_json: opt.JsonOption = False) -> None:
    """Show versions, processor features and the kernel in use, and check every kernel against the definition."""
    with opt.threads_in_use(None):
        checks = {name: kernel_is_right(name) for name in native.targets()}
        report = _report(checks)
    if as_json:
        say_json(report)
    else:
        say(columns(_lines(report), indent=""))
    if not all(checks.values()):
        raise typer.Exit(1)


def kernel_is_right(target: str) -> bool:
    """Whether a kernel gives the sums of the naive twin, bit for bit, for every machine on a small corpus.

    Args:
        target: name of the kernel, one of `native.targets()`.
    """
    # More items than the widest kernel has lanes and no multiple of it: full and partly filled lanes both come up.
    images = np.random.default_rng(0).integers(0, 256, (max(native.targets().values()) + 3, 5, 6, 3), dtype=np.uint8)
    corpus = ImageCorpus.from_arrays(images)
    levels = named_schedule("cosine").grid(5)
    for name, kind in MACHINES.items():
        machine = kind(corpus, scales=3 if opt.has_patches(name) else None)
        for level in (levels[0], levels[-1]):
            state = gaussian_state((1, 5, 6, 3), seed=0, purpose="doctor")
            query = machine.query(state, level)
            if naive.sums(query, spread=True) != native.sums(query, spread=True, target=target):
                return False
    return True


def _report(checks: dict[str, bool]) -> dict[str, Any]:
    cache = cache_folder()
    return {
        "smalti": versions_in_use()["smalti"],
        "python": platform.python_version(),
        "libraries": {
            name: _version(name) for name in ("numpy", "pillow", "safetensors", "matplotlib", "rich", "typer")
        },
        "extras": {"torch": _version("torch") if importlib.util.find_spec("torch") else None},
        "platform": platform.platform(),
        "processor": {"name": _processor(), "features": _features()},
        "kernels": [{"name": name, "lanes": lanes, "right": checks[name]} for name, lanes in native.targets().items()],
        "kernel": native.default_target(),
        "threads": native.default_threads(),
        "memory": _memory(),
        "cache": {"folder": shown(cache.absolute()), "bytes": _size(cache)},
        "installed": shown(Path(__file__).parent.parent),
    }


def _lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    memory, cache, processor = report["memory"], report["cache"], report["processor"]
    extras = (f"{name} {found}" if found else f"{name} not installed" for name, found in report["extras"].items())
    lines = [
        ("smalti", f"{report['smalti']}, in {report['installed']}"),
        ("Python", f"{report['python']}, {report['platform']}"),
        ("libraries", ", ".join(f"{name} {found or 'not installed'}" for name, found in report["libraries"].items())),
        ("optional", ", ".join(extras)),
        ("processor", processor["name"] + (f": {' '.join(processor['features'])}" if processor["features"] else "")),
    ]
    for kernel in report["kernels"]:
        result = (
            "gives the sums of the definition" if kernel["right"] else "WRONG, not the definition's sums: please report"
        )
        used = ", in use" if kernel["name"] == report["kernel"] else ""
        lines.append(("kernel", f"{kernel['name']} ({kernel['lanes']} lanes{used}): {result}"))
    lines.append(("threads", str(report["threads"])))
    if memory:
        lines.append(("memory", f"{_amount(memory['available'])} free of {_amount(memory['total'])}"))
    lines.append(("cache", f"{cache['folder']}, {_amount(cache['bytes'])}"))
    return lines


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    for key in ("model name", "Model"):
        if found := _cpuinfo().get(key):
            return found
    return platform.processor() or platform.machine()


def _features() -> list[str]:
    listed = " ".join(_cpuinfo().get(key, "") for key in ("flags", "Features")).split()
    return [name for name in _FEATURES if name in listed]


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in reversed(lines))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory() -> dict[str, int] | None:
    """Bytes of memory, all and free for use; None where the system does not say."""
    try:
        page, total, free = (os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return None
    return {"total": page * total, "available": page * free}


def _size(folder: Path) -> int:
    """Bytes of all files in a folder and below it; 0 if there is none, or nobody may look."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def _amount(count: int) -> str:
    """Bytes in words: `12 kB`, `3.4 GB`."""
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"
