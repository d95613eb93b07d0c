"""`smalti bench`: the engine's speed beside a matrix-product implementation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from smalti.cli import options as opt


def bench(
    items: Annotated[int, typer.Option(help="Pictures of 32 x 32 in the comparison.", min=1, max=3000)] = 400,
    repeats: Annotated[int, typer.Option(help="Runs of each measurement; the best counts.", min=1)] = 3,
    as_json: opt.JsonOption = False,
) -> None:
    """Measure pairs of (state site, corpus site) per second, and the ratio to matrix products in the same run."""
    from smalti.bench import measure
    from smalti.cli.terminal import progress, say, say_json
    from smalti.engine import native

    found = measure(items=items, repeats=repeats, progress=progress())
    if as_json:
        setting = {"kernel": native.default_target(), "threads": native.default_threads(), "items": items}
        say_json({**setting, **asdict(found)})
        return
    say(f"kernel {native.default_target()}, {native.default_threads()} threads, {items} crops of 32 x 32")
    say("million pairs a second; plain: matrix products on all cores, shared: a block of them on each core")
    say(f"{'channels':>8} {'P':>3} {'engine':>8} {'plain':>8} {'ratio':>6} {'shared':>8} {'ratio':>6}")
    for m in found.compared:
        assert m.plain is not None
        assert m.shared is not None
        say(
            f"{m.case.channels:>8} {m.case.patch_size:>3} {m.engine / 1e6:>8.0f} {m.plain / 1e6:>8.0f} "
            f"{m.engine / m.plain:>6.1f} {m.shared / 1e6:>8.0f} {m.engine / m.shared:>6.1f}"
        )
    say("\ntime against the number of items (3 channels, P = 5)")
    say(f"{'items':>8} {'seconds':>9} {'microseconds an item':>21}")
    for m in found.grown:
        say(f"{m.case.items:>8} {m.seconds:>9.4f} {1e6 * m.seconds / m.case.items:>21.1f}")
    say(
        "\neach item's own part of a posterior, as a receipt needs it: time beside that of the step's sums (1: as long)"
    )
    say(f"{'channels':>8} {'P':>3} {'seconds':>9} {'weights':>8} {'and pixels':>11} {'sums and weights':>17}")
    for e in found.explained:
        weights, pixels = e.weights / e.seconds, e.pixels / e.seconds
        say(
            f"{e.case.channels:>8} {e.case.patch_size:>3} {e.seconds:>9.4f} {weights:>8.2f} {pixels:>11.2f} "
            f"{1 + weights:>17.2f}"
        )
