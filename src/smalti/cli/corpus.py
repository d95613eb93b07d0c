"""`smalti corpus`: pictures or texts in one file that can forget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli import options as opt
from smalti.cli.corpus_sources import SourcesArgument, kind_of_all, opened_all
from smalti.cli.corpus_words import gone, grouped, item_json, items_of, said, state_json, staying, table
from smalti.cli.generate_options import TextOption
from smalti.cli.holders import Holder, find_holders
from smalti.cli.kinds import check_options
from smalti.cli.terminal import columns, counted, one_line, say, say_json, tell_notes
from smalti.corpus import CorpusStore, Item, Removal, State
from smalti.corpus.decode import shown
from smalti.corpus.store.file import check_free
from smalti.errors import InputError, UsageError

corpus = typer.Typer(
    help="Keep pictures or texts in one file that can forget: items by content, a log, and nothing left of what was "
    "taken out.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)


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
    context: typer.Context,
    store: StoreArgument,
    sources: SourcesArgument,
    size: opt.SizeOption = None,
    text: TextOption = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Put the pictures or the texts of one source or several, with labels and metadata, into a new file."""
    check_free(store)  # before anything is read, which may take long
    kind = kind_of_all(sources, text=text)
    if kind == "texts":
        check_options(context, ("size",), kind, sources[0])
    (first, source), *more = opened_all(sources, kind, size=opt.read_size(size, option="--size"))
    made = CorpusStore.create(store, first, source=source, more=more)
    state = made.state()
    if as_json:
        say_json(state_json(made, state))
    else:
        say(said(made, state))


@corpus.command()
def add(
    store: StoreArgument,
    sources: SourcesArgument,
    take_back: Annotated[bool, opt.option("--take-back", help="Also add items that were forgotten before.")] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Add the items of one source or several that are not there yet; pictures are brought to the size of the store."""
    opened = CorpusStore.open(store)
    kind_of_all(sources, of=opened)
    (first, source), *more = opened_all(sources, opened.kind, size=opened.state().size)
    done = opened.add(first, source=source, more=more, forgotten="take back" if take_back else "leave out")
    if done.forgotten:
        one = len(done.forgotten) == 1
        these = f"1 {opened.kind[:-1]} was" if one else f"{len(done.forgotten):,} different {opened.kind} were"
        such = f"{'' if one else 'such as '}{done.forgotten[0]}"
        tell_notes([f"{these} forgotten before and left out under any name, {such}: see --take-back"])
    state = opened.state()
    if as_json:
        changed = {"added": done.items, "present": done.present, "forgotten": list(done.forgotten)}
        say_json(state_json(opened, state) | changed | {"digest_before": done.before})
        return
    there = f", {done.present:,} there already" if done.present else ""
    say(f"{items_of(done.items)} added{there}; {said(opened, state)}")


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
        opt.option(
            "--reason",
            metavar="TEXT",
            help="Why; kept in the log.",
            panel=opt.GOES,
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        opt.option(
            "--group",
            metavar="COLUMN=VALUE",
            help="Every item with this label or metadata, like licence=unknown; COLUMN= for those without.",
            panel=opt.GOES,
        ),
    ] = None,
    look_in: Annotated[
        list[Path] | None,
        opt.option(
            "--look-in",
            metavar="FOLDER",
            help="Also look here for runs, receipts, effects, ledgers and other stores that hold pieces of the items.",
            panel="What is left elsewhere",
        ),
    ] = None,
    dry_run: Annotated[bool, opt.dry_run_option(opt.GOES)] = False,
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
    removal = None if dry_run else opened.forget(items or [], reason=reason or "", groups=groups, found=chosen)
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
        say_json(_forgotten(opened, state, chosen, holders, removal) | {"problems": list(problems)})
        return
    say(table(chosen))
    if removal is not None and removal.kept:
        tell_notes([staying(removal, opened.kind)])
    count = items_of(len(chosen))
    if removal is None:
        say(f"{count} would be forgotten; {said(opened, state)}")
    else:
        say(f"{count} forgotten; {said(opened, state)}, before {removal.before[:12]}")
    if holders:
        say("made earlier, and for you to delete or keep:")
        say(columns((f"{one_line(one.path)}", f"{one.kind}, {one.state}: {one_line(one.why)}") for one in holders))


@corpus.command("list")
def show(
    store: StoreArgument,
    by: Annotated[
        str | None,
        opt.option(
            "--by",
            metavar="COLUMN",
            help="List the groups of a column instead: label, or one of the metadata, as for forget --group.",
        ),
    ] = None,
    removed: Annotated[bool, opt.option("--removed", help="List what was forgotten, when and why, instead.")] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """List the items, their groups, or what was forgotten."""
    if removed and by is not None:
        raise UsageError("--by groups what is there, and --removed lists what is gone: give one of them")
    opened = CorpusStore.open(store)
    state = opened.state()
    if removed:
        removals = opened.removals()
        if as_json:
            say_json(state_json(opened, state) | {"removals": [asdict(removal) for removal in removals]})
            return
        for removal in removals:
            say(f"{removal.time}  {items_of(len(removal.ids))}  {one_line(removal.reason)}")
            say(columns(zip(removal.ids, _after(removal), strict=True)))
        say(f"{items_of(state.removed)} forgotten; {said(opened, state)}")
        return
    items = opened.items()
    groups = {} if by is None else grouped(items, by)
    if as_json:
        about: dict[str, Any] = {"by": by, "groups": [{"value": v, "items": count} for v, count in groups.items()]}
        if by is None:
            about = {"items": [item_json(one) for one in items], "log": [asdict(event) for event in opened.events()]}
        say_json(state_json(opened, state) | about)
        return
    if by is None:
        say(table(items))
    else:
        say(columns((f"{count:,}", "(none)" if value is None else one_line(value)) for value, count in groups.items()))
    say(said(opened, state))


@corpus.command()
def verify(store: StoreArgument, as_json: opt.JsonOption = False) -> None:
    """Check every byte: content ids, digest, log, and that the forgotten is gone; exit code 1 if anything is wrong."""
    opened = CorpusStore.open(store)
    done = opened.verify()
    if as_json:
        say_json({"store": shown(store.absolute()), "kind": opened.kind, "sound": done.sound, **asdict(done)})
    else:
        for problem in done.problems:
            say(one_line(problem))
        if done.sound:
            say(
                f"sound: {items_of(done.items)} ({done.different:,} different) are those of the log"
                f"{gone(done, opened.kind)}; digest {done.digest}"
            )
        else:
            count = counted(len(done.problems), "problem")
            say(f"not sound: {count} with '{shown(store)}'; restore it from a backup")
    if not done.sound:
        raise typer.Exit(1)


@corpus.command()
def compact(store: StoreArgument, as_json: opt.JsonOption = False) -> None:
    """Give the space of what was forgotten back; items and digest stay as they are."""
    opened = CorpusStore.open(store)
    done = opened.compact()
    state = opened.state()
    if as_json:
        say_json(state_json(opened, state) | {"bytes_before": done.before, "bytes_after": done.after})
        return
    say(f"{done.before:,} bytes before, {done.after:,} now; {said(opened, state)}")


def _problems(store: CorpusStore[Any]) -> tuple[str, ...]:
    try:
        return store.verify().problems
    except InputError as error:
        return (str(error),)


def _after(removal: Removal) -> Iterator[str]:
    """What is told of each item forgotten: its label, and that it was taken back."""
    for label, time in zip(removal.labels, removal.taken_back, strict=True):
        back = [] if time is None else [f"taken back on {time}"]
        yield "  ".join([*([one_line(label)] if label is not None else []), *back])


def _forgotten(
    store: CorpusStore[Any],
    state: State,
    chosen: Sequence[Item],
    holders: Sequence[Holder],
    removal: Removal | None,
) -> dict[str, Any]:
    return {
        "done": removal is not None,
        "forgotten": [item_json(item) for item in chosen],
        "removal": None if removal is None else asdict(removal),
        "holders": [asdict(holder) for holder in holders],
        **state_json(store, state),
    }
