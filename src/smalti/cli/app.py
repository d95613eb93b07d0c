"""The program: its commands, and how every outcome becomes an exit code.

Results go to standard output, notes, progress and failures to standard error. Exit codes: 0 done, 1 failed, 2 wrong
usage, 130 interrupted by a person, 141 the reader of the output went away.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from smalti.cli.bench import bench
from smalti.cli.calibrate import calibrate
from smalti.cli.corpus import corpus
from smalti.cli.credit import credit
from smalti.cli.demo import demo
from smalti.cli.doctor import doctor
from smalti.cli.effect import effect
from smalti.cli.explain import explain
from smalti.cli.failures import INTERRUPTED, exit_code_of
from smalti.cli.generate import generate
from smalti.cli.ledger import ledger
from smalti.cli.match import match
from smalti.cli.measure import measure
from smalti.cli.predict import predict
from smalti.cli.score import score
from smalti.cli.serve import serve
from smalti.cli.temperature import temperature
from smalti.cli.terminal import finish, open_streams, say
from smalti.cli.train import train
from smalti.cli.verify import verify

app = typer.Typer(
    name="smalti",
    help="New pictures and texts from your own, by closed-form diffusion: nothing is trained, and the same request "
    "gives the same bytes.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MAKE, _KEEP, _RECEIPTS, _CHECK = "Make pictures and texts", "Keep pictures and texts", "Receipts", "Check"
_SYSTEMS = "Served models"
_NETWORKS = "Trained networks"
app.command(rich_help_panel=_MAKE)(generate)
app.command(rich_help_panel=_MAKE)(calibrate)
app.command(rich_help_panel=_MAKE)(demo)
app.add_typer(corpus, name="corpus", rich_help_panel=_KEEP)
app.command(rich_help_panel=_RECEIPTS)(explain)
app.command(rich_help_panel=_RECEIPTS)(credit)
app.add_typer(ledger, name="ledger", rich_help_panel=_RECEIPTS)
app.command(rich_help_panel=_RECEIPTS)(effect)
app.command(rich_help_panel=_RECEIPTS)(match)
app.command(rich_help_panel=_SYSTEMS)(serve)
app.command(rich_help_panel=_SYSTEMS)(temperature)
app.command(rich_help_panel=_NETWORKS)(train)
app.command(rich_help_panel=_NETWORKS)(predict)
app.command(rich_help_panel=_NETWORKS)(measure)
app.command(rich_help_panel=_CHECK)(score)
app.command(rich_help_panel=_CHECK)(verify)
app.command(rich_help_panel=_CHECK)(doctor)
app.command(rich_help_panel=_CHECK)(bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        from smalti import __version__

        say(f"smalti {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program.

    Args:
        arguments: the words after `smalti`; those this process was started with unless given. Without any,
            the help is shown.

    Returns:
        The exit code. Nothing is raised: every failure is one sentence on standard error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        open_streams()
        code = app(words or ["--help"], prog_name="smalti", standalone_mode=False, obj=("smalti", *words))
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # which Typer takes for an exit code without a word
        finish()
        return code or 0
    except BaseException as error:
        return exit_code_of(error)
