"""What `smalti temperature` leaves and says: result.json, report.html, answers.parquet, and a summary for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smalti.cli.terminal import columns, one_line, percent, say
from smalti.corpus.decode import shown
from smalti.receipts.tables import write_parquet
from smalti.sampling.files import said_plainly, write_file
from smalti.temperature.record import Recording
from smalti.temperature.report import report_page, words

RESULT, PAGE, TABLE = "result.json", "report.html", "answers.parquet"
_CONTENTS = {
    RESULT: "every estimate with its interval, and what it rests on",
    PAGE: "a page that shows it in any browser, without a network",
    TABLE: "a row for each answer",
    "measure.json": "what was asked, and how",
    "log.jsonl": "a line for each request that was made",
    "responses": "every response as it came",
}


def write_results(folder: Path, record: Mapping[str, Any], recording: Recording | None) -> None:
    """Writes what is made from a recording; what was made from an earlier part of it is replaced.

    Args:
        folder: the folder of the measurement, or another.
        record: the result.
        recording: what it was made from, for the table of answers; None: no table.

    Raises:
        InputError: a file cannot be written, or pyarrow is not there.
    """
    with said_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / RESULT, result_bytes(record))
    write_file(folder / PAGE, report_page(record).encode())
    if recording is not None:
        write_parquet(folder / TABLE, _table(recording), metadata={"format": "smalti.answers/1"})


def result_bytes(record: Mapping[str, Any]) -> bytes:
    """The content of result.json; the same recording gives the same bytes."""
    return (json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def files_of(folder: Path) -> list[tuple[str, str]]:
    """The files of a folder that are a person's business, each with what it holds."""
    return [(shown(folder / name), what) for name, what in _CONTENTS.items() if (folder / name).exists()]


def tell_result(record: Mapping[str, Any], folder: Path | None) -> None:
    """Says what was found, for people."""
    say(one_line(record["headline"]["text"]))
    say("")
    rows = [(each["protocol"], _estimate(each)) for each in record["estimates"]]
    rows += [(each["protocol"], f"not to be had: {each['why']}") for each in record["unavailable"]]
    say(columns((name, one_line(text)) for name, text in rows))
    for each in record["estimates"]:
        for sentence in each["warnings"]:
            say(f"  {each['protocol']}: {one_line(sentence)}")
        if each["trust"] and each["protocol"] == record["headline"]["protocol"]:
            say(f"  {each['protocol']}: {one_line(each['trust'])}")
    say("")
    say(one_line(_repeatability(record)))
    for part in ("load_test", "drift", "fit"):
        if record.get(part) and record[part].get("text"):
            say(one_line(record[part]["text"]))
    if len(record["fingerprints"]) > 1:
        say(f"The system named {len(record['fingerprints'])} fingerprints: it was changed while it was measured.")
    for note in record["notes"]:
        say(one_line(note))
    if folder is not None:
        say("")
        say(columns(files_of(folder)))


def _estimate(each: Mapping[str, Any]) -> str:
    """An estimate in one line."""
    text = words.estimate(each)
    low, high = map(words.temperature, each["systematic"] or (0.0, 0.0))
    return text if low == high else f"{text}, systematically from {low} to {high}"


def _repeatability(record: Mapping[str, Any]) -> str:
    found = record["repeatability"]
    exact, differ = found["exact_match"], found["disagreement"]
    plan = record["plan"]
    return (
        f"{plan['answered']:,} of {plan['asked']:,} requests were answered; an answer is its prompt's commonest in "
        f"{percent(exact['value'])} of cases, and two answers to a prompt differ in {percent(differ['value'])}."
    )


def _table(recording: Recording) -> dict[str, list[Any]]:
    answers = recording.of()
    one_by_one = ("order", "prompt", "repeat", "load", "block")
    after = ("finish", "started", "seconds", "model", "fingerprint", "digest", "cached")
    return {
        **{name: [getattr(answer, name) for answer in answers] for name in one_by_one},
        "text": ["".join(answer.tokens) for answer in answers],
        "units": [len(answer.tokens) for answer in answers],
        "logprob": [None if answer.logprobs is None else sum(answer.logprobs) for answer in answers],
        **{name: [getattr(answer, name) for answer in answers] for name in after},
    }
