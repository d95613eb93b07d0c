"""Options that are for sources of one kind only, pictures or texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from smalti.corpus.decode import shown
from smalti.corpus.items import CorpusKind
from smalti.errors import UsageError


def check_options(context: typer.Context, wrong: Iterable[str], kind: CorpusKind, source: str) -> None:
    """Refuses options that a person gave and that are for the other kind.

    Raises:
        UsageError: one of `wrong` was given.
    """
    for name in wrong:
        where = context.get_parameter_source(name)
        if where is not None and where.name != "DEFAULT":
            other = "texts" if kind == "pictures" else "pictures"
            # A folder of texts with a picture among them is taken for one of pictures.
            instead = ", or add --text to use the folder's texts" if other == "texts" and Path(source).is_dir() else ""
            raise UsageError(
                f"--{name.replace('_', '-')} is for {other}, and '{shown(Path(source))}' holds {kind}: leave it out"
                f"{instead}"
            )
