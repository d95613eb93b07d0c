"""How rankings by effect are said, of pictures and of texts alike."""

from __future__ import annotations

from collections.abc import Sequence

from smalti.cli.terminal import counted, percent

LISTED = 20
"""Ranked items that are printed."""

DRAWN = 6
"""Ranked items that files show."""


def ranking_lines(
    seed: int,
    *,
    runs: int,
    among: int,
    thing: str,
    covered: float,
    of: str,
    head: str,
    rows: Sequence[str],
    told: Sequence[str],
) -> list[str]:
    """A ranking, in lines.

    Args:
        seed: of which sample.

    Keyword Args:
        runs: how many items were run again.
        among: how many there are.
        thing: what they are, in the singular.
        covered: the share of those run in what ordered the work.
        of: what that is.
        head: the head of the table.
        rows: its rows, at most `LISTED`, for those run again.
        told: what its columns say.
    """
    tried = f"{runs:,} of {counted(among, thing)}"
    first = f"seed {seed}: {tried}, each run again without, with {percent(covered)} of {of}"
    if not rows:
        return [first]
    more = [f"  and {runs - len(rows):,} more that were run"] if runs > len(rows) else []
    return [first, head, *rows, *more, *(f"  {text}" for text in told)]
