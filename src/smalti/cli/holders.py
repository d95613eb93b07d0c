"""What still holds pieces of a corpus item: runs, receipts, effects, ledgers, calibrations and other stores made
earlier.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from smalti.calibration.cache import cache_folder
from smalti.cli.terminal import counted
from smalti.corpus import BUILTIN, CorpusStore, Item, Use
from smalti.corpus.database import mark_of
from smalti.corpus.decode import shown
from smalti.corpus.store import is_store
from smalti.corpus.text import BUILTIN_TEXT
from smalti.errors import InputError, SmaltiError
from smalti.receipts.ledger import LEDGER, Ledger, default_ledger
from smalti.sampling import RunRecord, read_run

RECORD = "run.json"

Drawn: TypeAlias = Literal["report", "effect", "match", "table", "calibration"]
"""Kinds of what is made from runs or from the items themselves, and is no run."""

_WHAT: dict[Drawn, str] = {
    "report": "pieces, names and weights of items",
    "effect": "pieces, names and weights of items",
    "match": "pieces and names of items",
    "table": "ids, names and metadata of items",
    "calibration": "figures that were found with them, and no piece of them",
}
"""What one holds."""

_DRAWN: dict[str, Drawn] = {
    "smalti.receipt": "report",
    "smalti.network-receipt": "report",
    "smalti.text-receipt": "report",
    "smalti.effect": "effect",
    "smalti.effect-ranking": "effect",
    "smalti.text-effect": "effect",
    "smalti.text-effect-ranking": "effect",
    "smalti.match": "match",
    "smalti.text-settings": "calibration",
    "smalti calibration 1": "calibration",
}
"""What a file is, by the name of its format."""

_IN_FOLDER = re.compile(r"report\.html|[0-9]{6,}\.receipt\.json|(?:effect|match)\.json")
"""Names that files have in a folder made by one command."""

_IN_PAGE = re.compile(r'<script type="application/json" class="receipt"[^>]*>(.*?)</script>', re.DOTALL)

_ELSE = {"pictures": "from the pictures at another size", "texts": "from other texts of that store"}
"""Where a digest comes from that no version of the store has, though what has it was made from the store."""


@dataclass(frozen=True)
class Holder:
    """Something made earlier.

    Attributes:
        kind: "run" (a folder), "ledger" or "store" (a file), "report", "effect" or "match" (a folder or a file),
            "table" or "calibration" (a file).
        path: where it is, absolute.
        state: "holds" pieces of the items, or what was found with them; "may hold" them, where that cannot be told;
            "gone" from where it was.
        why: what is known, as the end of a sentence.
    """

    kind: Literal["run", "ledger", "store"] | Drawn
    path: str
    state: Literal["holds", "may hold", "gone"]
    why: str


def remember_use(kind: Literal["run", "ledger"] | Drawn, path: Path, *, source: str, digest: str) -> tuple[str, ...]:
    """Tells the corpus store that a source is, if it is one, what is made from it; best before anything is made.

    Args:
        kind: what is made.
        path: where.

    Keyword Args:
        source: the source.
        digest: digest of the corpus in use.

    Returns:
        A note, if the store cannot be written.
    """
    if source in (*BUILTIN, *BUILTIN_TEXT) or not is_store(Path(source)):
        return ()
    try:
        CorpusStore.open(source).record_use(kind, path, digest)
    except InputError as error:
        return (f"{str(error).rstrip('.')}; smalti corpus forget will not name this {kind}",)
    return ()


def find_holders(store: CorpusStore[Any], items: Sequence[Item], *, look_in: Iterable[Path]) -> tuple[Holder, ...]:
    """What was made earlier and holds pieces of items, there or forgotten.

    Args:
        store: the store.
        items: the items.

    Keyword Args:
        look_in: folders to search, beside what the store remembers, the default ledger and the kept calibrations.

    Returns:
        What was found, sorted by kind and path.

    Raises:
        InputError: a folder cannot be listed, or the store cannot be read.
    """
    items = tuple(items)
    found: dict[tuple[str, str], Holder | None] = {}
    for use in store.uses_of(item.id for item in items):
        path = Path(use.path)
        if use.kind == "run":
            found[use.kind, _real(path)] = _run(store, items, path, use)
        elif use.kind == "ledger":
            found[use.kind, _real(path)] = _ledger(items, path, use)
        else:
            found[use.kind, _real(path)] = _drawn(path, use)
    places = [*(place for folder in look_in for place in _walk(folder)), *_calibrations()]
    ledger = default_ledger().absolute()
    if ledger.exists():
        places.append(("ledger", ledger))
    for kind, path in places:
        key = (kind, _real(path))
        if key in found:
            continue
        if kind == "run":
            found[key] = _run(store, items, path.absolute(), None)
        elif kind == "ledger":
            found[key] = _ledger(items, path.absolute(), None)
        elif kind == "drawn":
            for one in _read_drawn(store, items, path.absolute()):
                _note_drawn(found, one)
        elif not path.samefile(store.path):
            found[key] = _store(items, path.absolute())
    return tuple(sorted(filter(None, found.values()), key=lambda one: (one.kind, one.path)))


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _cause(error: SmaltiError) -> str:
    """What is wrong, without what to do about it: of something that may go, that advice would be odd."""
    return str(error).rpartition(": ")[0]


def _run(store: CorpusStore[Any], items: Sequence[Item], folder: Path, use: Use | None) -> Holder | None:
    path = shown(folder)
    if not (folder / RECORD).exists():
        return Holder("run", path, "gone", "there is no run any more") if use else None
    try:
        request = (record := read_run(folder)).request
    except SmaltiError as error:
        return Holder("run", path, "may hold", f"its record cannot be read: {_cause(error)}")
    if request.kind != store.kind:
        return None
    # A run with a label has nothing of items with others; texts have none.
    label = getattr(request, "label", None)
    ids = {item.id for item in items if label is None or item.label == label}
    held = store.contained(ids, digest=request.corpus_digest)
    if held:
        return Holder("run", path, "holds", _made(record))
    if held is not None or not ids:
        return None
    if use is not None and use.digest == request.corpus_digest:
        return Holder("run", path, "holds", f"{_made(record)}, {_ELSE[store.kind]}")
    if _is_at(request.source, store):
        return Holder("run", path, "may hold", f"{_made(record)}, {_ELSE[store.kind]}")
    return None


def _is_at(source: str, store: CorpusStore[Any]) -> bool:
    """Whether a record names the store as what it was made from."""
    return Path(source).exists() and Path(source).samefile(store.path)


def _made(record: RunRecord) -> str:
    request = record.request
    return f"{counted(len(request.seeds), request.kind[:-1])} and a trace, made on {record.created}"


def _ledger(items: Sequence[Item], file: Path, use: Use | None) -> Holder | None:
    path = shown(file)
    if not file.exists():
        return Holder("ledger", path, "gone", "there is no ledger any more") if use else None
    try:
        held = Ledger.open(file).holds(item.id for item in items)
    except SmaltiError as error:
        return Holder("ledger", path, "may hold", f"it cannot be read: {_cause(error)}")
    if not held:
        return None
    samples = counted(sum(held.values()), "credit")
    why = f"names and metadata of {counted(len(held), 'item')}, with {samples}; see smalti ledger remove"
    return Holder("ledger", path, "holds", why)


def _drawn(path: Path, use: Use) -> Holder:
    """What is no run: which items are in it depends on what was asked for."""
    known: dict[str, Drawn] = {kind: kind for kind in _WHAT}
    kind = known.get(use.kind, "report")
    if not path.exists():
        return Holder(kind, shown(path), "gone", f"there is no {kind} any more")
    state = "holds" if kind == "calibration" else "may hold"
    return Holder(kind, shown(path), state, f"{_WHAT[kind]}, made on {use.time}")


def _store(items: Sequence[Item], file: Path) -> Holder | None:
    try:
        there = {item.id for item in CorpusStore.open(file).items()}
    except SmaltiError as error:
        return Holder("store", shown(file), "may hold", f"it cannot be read: {_cause(error)}")
    held = there.intersection(item.id for item in items)
    return Holder("store", shown(file), "holds", f"{counted(len(held), 'item')}, whole") if held else None


def _read_drawn(store: CorpusStore[Any], items: Sequence[Item], file: Path) -> Iterator[Holder]:
    """What a JSON file or page of Smalti's holds, if items were among those that it is about."""
    try:
        texts = [file.read_text(encoding="utf-8")]
    except (OSError, UnicodeDecodeError):
        return
    if file.suffix.lower() == ".html":
        texts = _IN_PAGE.findall(texts[0])
    for text in texts:
        try:
            record = json.loads(text)
            kind, label, digest, source = _about(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        ids = {item.id for item in items if label is None or item.label == label}
        held = store.contained(ids, digest=digest)
        listed = counted(sum(identity in text for identity in ids), "item")
        # Made in a folder with others, which tell of the same run.
        place = shown(file.parent if _IN_FOLDER.fullmatch(file.name) else file)
        if held and kind == "calibration":
            yield Holder(kind, place, "holds", _WHAT[kind])
        elif held and any(identity in text for identity in held):
            yield Holder(kind, place, "holds", f"{_WHAT[kind]}; {listed} named in it")
        elif held:
            yield Holder(kind, place, "may hold", "it was made from them, and does not list them by name")
        elif held is None and ids and source and _is_at(source, store):
            yield Holder(kind, place, "may hold", f"made {_ELSE[store.kind]}")


def _about(record: Any) -> tuple[Drawn, str | None, str, str]:
    """Kind, label, digest of the corpus and source that a record names. Raises whatever it meets in any other JSON."""
    kind = _DRAWN[record["format"].partition("/")[0]]
    if kind == "calibration":
        about = record.get("calibration", record)
        return kind, about.get("label"), str(about["corpus_digest"]), ""
    if kind == "match":
        return kind, None, str(record["corpus"]["digest"]), str(record["corpus"]["source"])
    run = record["run"]
    return kind, run.get("label"), str(run["corpus_digest"]), str(run["source"])


def _note_drawn(found: dict[tuple[str, str], Holder | None], one: Holder) -> None:
    """Keeps what says most of several files of one folder, and of what the store remembers."""
    key = (one.kind, _real(Path(one.path)))
    known = found.get(key)
    if known is None or (known.state != "holds" and one.state == "holds"):
        found[key] = one


def _calibrations() -> Iterator[tuple[Literal["drawn"], Path]]:
    """Calibrations that Smalti keeps. A cache that cannot be read holds no piece of anything, and is passed over."""
    with contextlib.suppress(OSError):
        for file in sorted((cache_folder() / "calibrations").glob("*.json")):
            yield "drawn", file


def _walk(folder: Path) -> Iterator[tuple[Literal["run", "ledger", "store", "drawn"], Path]]:
    """Everything in a folder and below it that could hold pieces; links to folders are not followed."""
    if not folder.is_dir():
        raise InputError(f"'{shown(folder)}' is no folder: give one to look in")

    def refuse(error: OSError) -> None:
        raise InputError(
            f"'{shown(error.filename)}' cannot be listed ({error.strerror}): make it readable, or look elsewhere"
        )

    for place, _, names in os.walk(folder, onerror=refuse):
        for name in sorted(names):
            file = Path(place) / name
            if name == RECORD:
                yield "run", file.parent
            elif file.suffix.lower() in (".json", ".html") and file.is_file():
                yield "drawn", file
            elif file.is_file():
                try:
                    mark = mark_of(file)
                except OSError:
                    continue
                if mark == LEDGER.mark:
                    yield "ledger", file
                elif is_store(file):
                    yield "store", file
