"""The folder of a prediction: what was asked, the pieces that are kept on the way, and the results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smalti.cli.sources import check_new, check_outside
from smalti.corpus.decode import shown
from smalti.errors import InputError
from smalti.networks.predicted import PICTURES, Case, draw, picture_rows, step_rows
from smalti.receipts.tables import write_table
from smalti.sampling.files import check_creatable, claimed, is_leftover, said_plainly, write_file

RESULT, ASKED, PIECES = "prediction.json", "asked.json", "parts"
_ROWS, _STEPS = "rows", "steps"
_FORMAT = "smalti.prediction-asked/1"

# What stays the same where a prediction goes on; with other pictures or another network it would be another one.
_FIXED = {
    "corpus_digest": "the pictures",
    "label": "--label",
    "network": "--network",
    "network_digest": "what is in the network",
    "predicts": "--predicts",
    "clock": "--clock",
    "device": "--device",
    "machine": "--machine",
    "schedule": "--schedule",
    "steps": "--steps",
}


def check_folder(out: Path, source: str, *, resume: bool) -> None:
    """Refuses, before any work, a folder that holds something else, or a prediction unless that is to go on.

    Raises:
        InputError: it does, or cannot be written to.
        UsageError: it lies in the source.
    """
    there = (out / RESULT).exists() or (out / ASKED).exists()
    if there and not resume:
        raise InputError(
            f"'{shown(out)}' holds a prediction already: choose another folder, or add --resume to go on with it"
        )
    if there or (out.is_dir() and all(map(is_leftover, out.iterdir()))):
        check_outside(out, source)
        check_creatable(out)
        return
    check_new(out, source)


@contextmanager
def begun(out: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Makes the folder and keeps other processes out; writes down what was asked, or sees that what is there goes on,
    and removes what a killed process left behind.

    Args:
        out: the folder.
        asked: settings; those that a prediction keeps are among them.

    Raises:
        InputError: the folder holds the prediction of another network, of other pictures or with other settings; or
            another process is at work in it.
    """
    with claimed(out):
        _write_down(out, asked)
        for path in [*out.iterdir(), *(out / PIECES).rglob(".*")]:
            if is_leftover(path):
                with said_plainly(path):
                    path.unlink()
        yield


def _write_down(out: Path, asked: Mapping[str, Any]) -> None:
    place = out / ASKED
    fixed = {"format": _FORMAT, **{name: asked[name] for name in _FIXED}}
    if place.exists():
        try:
            found = json.loads(place.read_bytes())
            different = [what for name, what in _FIXED.items() if found[name] != fixed[name]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"'{shown(place)}' is damaged, so nothing can go on from it: choose another folder"
            ) from error
        if different:
            raise InputError(
                f"'{shown(out)}' holds another prediction ({', '.join(different)} differ): choose another folder"
            )
        return
    write_file(place, _json(fixed))


def write_results(
    out: Path, case: Case, record: Mapping[str, Any], *, scales: Mapping[str, str], parquet: bool
) -> list[tuple[str, str]]:
    """Writes all files of a finished prediction.

    Args:
        out: the folder.
        case: the prediction.
        record: what prediction.json holds.

    Keyword Args:
        scales: contents of files of patch sizes, by name.
        parquet: whether the tables are written as Parquet too.

    Returns:
        The paths for people, each with what it holds.
    """
    pictures = draw(case)
    # Where this file is there, all that it tells of is. What was asked before, and is not now, goes.
    old = [RESULT, *(name for name in PICTURES if name not in pictures)]
    old += [] if parquet else [f"{name}.parquet" for name in (_ROWS, _STEPS)]
    for name in old:
        with said_plainly(out / name):
            (out / name).unlink(missing_ok=True)
    for name, content in pictures.items():
        write_file(out / name, content)
    for name, content in scales.items():
        write_file(out / name, content.encode())
    tables = {_ROWS: picture_rows(case.prediction), _STEPS: step_rows(case.prediction)}
    for name, table in tables.items():
        for suffix in (".csv", ".parquet") if parquet else (".csv",):
            write_table(out / f"{name}{suffix}", table, metadata={"smalti": json.dumps(record["settings"])})
    write_file(out / RESULT, _json(record))
    return list(_told(out, pictures, scales, parquet=parquet))


def _told(
    out: Path, pictures: Mapping[str, bytes], scales: Mapping[str, str], *, parquet: bool
) -> Iterator[tuple[str, str]]:
    for name in pictures:
        yield shown(out / name), PICTURES[name]
    for name in scales:
        yield shown(out / name), "these patch sizes, for --scales"
    also = ", and as .parquet" if parquet else ""
    yield shown(out / f"{_ROWS}.csv"), f"a row for each seed, predictor and network{also}"
    yield shown(out / f"{_STEPS}.csv"), f"a row for each seed, predictor and step{also}"
    yield shown(out / RESULT), "all figures, and what decided them"
    yield shown(out / PIECES), "pieces for --resume; not needed any more"


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()
