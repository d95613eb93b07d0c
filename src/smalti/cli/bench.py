"""`smalti bench`: the engine's speed beside a matrix-product implementation."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def bench(
    items: Annotated[int, typer.Option(help="Pictures of 32 x 32 in the comparison.", min=1, max=3000)] = 400,
    repeats: Annotated[int, typer.Option(help="Runs of each measurement; the best counts.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measures pairs of (state site, corpus site) per second, and the ratio to matrix products in the same run."""
    import sys

    from smalti.bench import measure
    from smalti.engine import native
    from smalti.progress import progress_for

    compared, grown = measure(items=items, repeats=repeats, progress=progress_for(sys.stderr))
    if as_json:
        setting = {"kernel": native.default_target(), "threads": native.default_threads(), "items": items}
        rows = {"compared": [asdict(m) for m in compared], "grown": [asdict(m) for m in grown]}
        typer.echo(json.dumps({**setting, **rows}, indent=1))
        return
    typer.echo(f"kernel {native.default_target()}, {native.default_threads()} threads, {items} crops of 32 x 32")
    typer.echo("million pairs a second; plain: matrix products on all cores, shared: a block of them on each core")
    typer.echo(f"{'channels':>8} {'P':>3} {'engine':>8} {'plain':>8} {'ratio':>6} {'shared':>8} {'ratio':>6}")
    for m in compared:
        assert m.plain is not None
        assert m.shared is not None
        typer.echo(
            f"{m.case.channels:>8} {m.case.patch_size:>3} {m.engine / 1e6:>8.0f} {m.plain / 1e6:>8.0f} "
            f"{m.engine / m.plain:>6.1f} {m.shared / 1e6:>8.0f} {m.engine / m.shared:>6.1f}"
        )
    typer.echo("\ntime against the number of items (3 channels, P = 5)")
    typer.echo(f"{'items':>8} {'seconds':>9} {'microseconds an item':>21}")
    for m in grown:
        typer.echo(f"{m.case.items:>8} {m.seconds:>9.4f} {1e6 * m.seconds / m.case.items:>21.1f}")
