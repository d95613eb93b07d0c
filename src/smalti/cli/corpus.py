"""`smalti corpus`: pictures in one file that can forget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli import options as opt
from smalti.cli.generate_pictures import MODES
from smalti.cli.holders import Holder, find_holders
from smalti.cli.sources import named
from smalti.cli.terminal import columns, counted, one_line, say, say_json, tell_notes
from smalti.corpus import BUILTIN, Check, CorpusStore, Item, Removal, State, open_images
from smalti.corpus.decode import shown
from smalti.corpus.pixels import MODES as NAMES
from smalti.corpus.pixels import shown_size
from smalti.corpus.store.file import check_free
from smalti.errors import InputError, UsageError

corpus = typer.Typer(
    help="Keep pictures in one file that can forget: items by content, a log, and nothing left of what was taken out.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)

FORGET = "What goes"

StoreArgument = Annotated[
    Path,
    typer.Argument(metavar="STORE", help="File of the corpus, usually called something.smalti.", show_default=False),
]


@corpus.callback()
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@corpus.command()
def create(
    store: StoreArgument, source: opt.SourceArgument, size: opt.SizeOption = None, as_json: opt.JsonOption = False
) -> None:
    """Put the pictures of a source, with labels and metadata, into a new file."""
    check_free(store)  # before pictures are read, which may take long
    pictures = open_images(named(source), size=opt.read_size(size, option="--size"))
    tell_notes(pictures.notes)
    made = CorpusStore.create(store, pictures, source=_place(source))
    state = made.state()
    if as_json:
        say_json(_state(store, state))
    else:
        say(_said(store, state))


@corpus.command()
def add(
    store: StoreArgument,
    source: opt.SourceArgument,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Also add pictures that were forgotten before.", show_default=False)
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Add the pictures of a source that are not there yet, brought to the size of those that are."""
    opened = CorpusStore.open(store)
    pictures = open_images(named(source), size=opened.state().size)
    tell_notes(pictures.notes)
    done = opened.add(pictures, source=_place(source), forgotten="take back" if take_back else "leave out")
    if done.forgotten:
        one = len(done.forgotten) == 1
        these = "1 picture was" if one else f"{len(done.forgotten):,} different pictures were"
        such = f"{'' if one else 'such as '}{done.forgotten[0]}"
        tell_notes([f"{these} forgotten before and left out under any name, {such}: see --take-back"])
    state = opened.state()
    if as_json:
        changed = {"added": done.items, "present": done.present, "forgotten": list(done.forgotten)}
        say_json(_state(store, state) | changed | {"digest_before": done.before})
        return
    there = f", {done.present:,} there already" if done.present else ""
    say(f"{_items(done.items)} added{there}; {_said(store, state)}")


@corpus.command()
def forget(
    store: StoreArgument,
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ITEM",
            help="Content ids, their first 8 or more digits, or exact names.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason", metavar="TEXT", help="Why; kept in the log.", rich_help_panel=FORGET, show_default=False
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="COLUMN=VALUE",
            help="Every item with this label or metadata, like licence=unknown; COLUMN= for those without.",
            rich_help_panel=FORGET,
            show_default=False,
        ),
    ] = None,
    look_in: Annotated[
        list[Path] | None,
        typer.Option(
            "--look-in",
            metavar="FOLDER",
            help="Also look here for runs, receipts, effects, ledgers and other stores that hold pieces of the items.",
            rich_help_panel="What is left elsewhere",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what would go, and change nothing.", rich_help_panel=FORGET, show_default=False
        ),
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Take items out for good, and list what was made from them earlier. Nothing asks: see --dry-run."""
    groups = [opt.read_group(text, option="--group") for text in group or []]
    if not dry_run and not (reason or "").strip():
        raise UsageError("forgetting is written into the log: say why with --reason TEXT")
    opened = CorpusStore.open(store)
    chosen = opened.find(items or [], groups=groups)
    # Looked for before anything goes, so that a folder that cannot be searched is said while nothing has changed.
    holders = find_holders(opened, chosen, look_in=look_in or [])
    removal = None if dry_run else opened.forget(items or [], reason=reason or "", groups=groups)
    state = opened.state()
    # What a damaged file says it has overwritten may be somewhere else in it.
    problems = _problems(opened)
    if problems:
        tell_notes(
            [
                f"'{shown(store)}' is damaged ({counted(len(problems), 'problem')}, see smalti corpus verify), so that "
                "what is forgotten may still be in it: create it again, and delete this file"
            ]
        )
    if as_json:
        say_json(_forgotten(store, state, chosen, holders, removal) | {"problems": list(problems)})
        return
    say(_table(chosen))
    if removal is not None and removal.kept:
        tell_notes([f"other items have the same pixels, which stay: {', '.join(removal.kept)}"])
    count = _items(len(chosen))
    if removal is None:
        say(f"{count} would be forgotten; {_said(store, state)}")
    else:
        say(f"{count} forgotten; {_said(store, state)}, before {removal.before[:12]}")
    if holders:
        say("made earlier, and for you to delete or keep:")
        say(columns((f"{one_line(one.path)}", f"{one.kind}, {one.state}: {one_line(one.why)}") for one in holders))


@corpus.command("list")
def show(
    store: StoreArgument,
    removed: Annotated[
        bool, typer.Option("--removed", help="List what was forgotten, when and why, instead.", show_default=False)
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """List the items, or what was forgotten."""
    opened = CorpusStore.open(store)
    state = opened.state()
    if removed:
        removals = opened.removals()
        if as_json:
            say_json(_state(store, state) | {"removals": [asdict(removal) for removal in removals]})
            return
        for removal in removals:
            say(f"{removal.time}  {_items(len(removal.ids))}  {one_line(removal.reason)}")
            say(columns(zip(removal.ids, _after(removal), strict=True)))
        say(f"{_items(state.removed)} forgotten; {_said(store, state)}")
        return
    items = opened.items()
    if as_json:
        log = [asdict(event) for event in opened.events()]
        say_json(_state(store, state) | {"items": [_item(item) for item in items], "log": log})
        return
    say(_table(items))
    say(_said(store, state))


@corpus.command()
def verify(store: StoreArgument, as_json: opt.JsonOption = False) -> None:
    """Check every byte: content ids, digest, log, and that the forgotten is gone; exit code 1 if anything is wrong."""
    done = CorpusStore.open(store).verify()
    if as_json:
        say_json({"store": shown(store.absolute()), "sound": done.sound, **asdict(done)})
    else:
        for problem in done.problems:
            say(one_line(problem))
        if done.sound:
            say(
                f"sound: {_items(done.items)} ({done.pictures:,} different) are those of the log{_gone(done)}; digest "
                f"{done.digest}"
            )
        else:
            count = counted(len(done.problems), "problem")
            say(f"not sound: {count} with '{shown(store)}'; restore it from a backup")
    if not done.sound:
        raise typer.Exit(1)


@corpus.command()
def compact(store: StoreArgument, as_json: opt.JsonOption = False) -> None:
    """Give the space of what was forgotten back; pictures and digest stay as they are."""
    opened = CorpusStore.open(store)
    done = opened.compact()
    state = opened.state()
    if as_json:
        say_json(_state(store, state) | {"bytes_before": done.before, "bytes_after": done.after})
        return
    say(f"{done.before:,} bytes before, {done.after:,} now; {_said(store, state)}")


def _problems(store: CorpusStore) -> tuple[str, ...]:
    try:
        return store.verify().problems
    except InputError as error:
        return (str(error),)


def _after(removal: Removal) -> Iterator[str]:
    """What is told of each item forgotten: its label, and that it was taken back."""
    for label, time in zip(removal.labels, removal.taken_back, strict=True):
        back = [] if time is None else [f"taken back on {time}"]
        yield "  ".join([*([one_line(label)] if label is not None else []), *back])


def _gone(done: Check) -> str:
    """What became of everything that was forgotten, as part of a sentence."""
    nothing = done.removed - done.taken_back - done.kept
    parts = [
        f"and nothing left of {_items(nothing)} forgotten" if nothing else "",
        f"{_items(done.kept)} forgotten whose pixels another item has" if done.kept else "",
        f"{_items(done.taken_back)} forgotten and taken back (see smalti corpus list --removed)"
        if done.taken_back
        else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _place(source: str) -> str:
    return source if source in BUILTIN else shown(Path(source).absolute())


def _state(store: Path, state: State) -> dict[str, Any]:
    return {
        "store": shown(store.absolute()),
        "items": state.items,
        "size": list(state.size),
        "mode": NAMES[state.channels],
        "labelled": state.labelled,
        "digest": state.digest,
        "removed": state.removed,
    }


def _said(store: Path, state: State) -> str:
    look = f"{shown_size(state.size)} pixels ({MODES[NAMES[state.channels]]})"
    return f"'{shown(store)}' has {_items(state.items)} of {look}, digest {state.digest[:12]}"


def _item(item: Item) -> dict[str, Any]:
    return asdict(item) | {"metadata": dict(item.metadata)}


def _forgotten(
    store: Path, state: State, chosen: Sequence[Item], holders: Sequence[Holder], removal: Removal | None
) -> dict[str, Any]:
    return {
        "done": removal is not None,
        "forgotten": [_item(item) for item in chosen],
        "removal": None if removal is None else asdict(removal),
        "holders": [asdict(holder) for holder in holders],
        **_state(store, state),
    }


def _table(items: Sequence[Item]) -> str:
    """A line for each item: the beginning of its content id, its label, its name."""
    labelled = any(item.label is not None for item in items)
    names = (
        f"{one_line(item.label or '')}  {one_line(item.name)}" if labelled else one_line(item.name) for item in items
    )
    return columns(zip((item.id[:16] for item in items), names, strict=True))


def _items(count: int) -> str:
    return counted(count, "item")
