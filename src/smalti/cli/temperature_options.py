"""Options of `smalti temperature`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smalti.cli import options as opt

_SYSTEM, _PLAN, _ANALYSIS = "System", "What is asked", "Analysis"

EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="Address of an API like OpenAI's, such as http://127.0.0.1:8000/v1.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="The model, by the endpoint's name for it.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
KeyEnvOption = Annotated[
    str | None,
    typer.Option(
        "--key-env",
        metavar="VARIABLE",
        help="Name of the environment variable that holds the key; it is written nowhere.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
KeyHeaderOption = Annotated[
    str | None,
    typer.Option(
        "--key-header",
        metavar="NAME",
        help="The header that the key goes in, such as api-key. Default: Authorization, as a bearer.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="NAME",
        help="chat or completions. Default: chat.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
StreamOption = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Ask for answers as a stream of events.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
LogprobsOption = Annotated[
    str | None,
    typer.Option(
        "--logprobs",
        metavar="N|most|none",
        help="Log-probabilities asked for at each place. Default: most, as many as the system reports.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
SendSeedOption = Annotated[
    int | None,
    typer.Option(
        "--send-seed",
        metavar="N",
        help="A seed that goes with each request. Default: none.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
FieldsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another field of each request, such as reasoning_effort=low. May be given several times.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", help="Longest wait for an answer.", rich_help_panel=_SYSTEM),
]
CallableOption = Annotated[
    str | None,
    typer.Option(
        "--callable",
        metavar="MODULE:NAME",
        help="A Python function instead of an endpoint: from a prompt to a text or a list of tokens.",
        rich_help_panel=_SYSTEM,
        show_default=False,
    ),
]
PromptsOption = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="Prompts, one a line, or .jsonl with a field prompt or messages. Default: 36 that come with Smalti.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
FirstOption = Annotated[
    int | None,
    typer.Option(
        "--first",
        metavar="P",
        min=1,
        help="Use the first P prompts only.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
RepeatsOption = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        metavar="M",
        min=1,
        help="Requests for each prompt, load and block. Default: 10.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="L",
        min=1,
        help="Longest answer. Default: 32.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
LoadsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--load",
        metavar="LOAD",
        help="alone; burst:N, N copies of a request at once; mixed:N, N requests of different lengths at any time. "
        "May be given several times. Default: alone.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
BlocksOption = Annotated[
    int | None,
    typer.Option(
        "--blocks",
        metavar="B",
        min=1,
        help="Time blocks, in each of which all is asked. Default: 3.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
PauseOption = Annotated[
    float | None,
    typer.Option(
        "--pause",
        metavar="SECONDS",
        help="Pause between two blocks. Default: none.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Of the order of requests, and of the analysis. Default: that of the measurement, or 0.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
PricesOption = Annotated[
    str | None,
    typer.Option(
        "--prices",
        metavar="IN,OUT",
        help="Prices of a million tokens of prompts and of answers, for the budget.",
        rich_help_panel=_PLAN,
        show_default=False,
    ),
]
YesOption = Annotated[
    bool,
    typer.Option("--yes", help="Allow the budget without being asked.", rich_help_panel=_PLAN, show_default=False),
]
ReferencesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        metavar="TEXT",
        help="A text whose machine is one more reference of the matched protocol. May be given several times.",
        rich_help_panel=_ANALYSIS,
        show_default=False,
    ),
]
NoReferencesOption = Annotated[
    bool,
    typer.Option(
        "--no-references",
        help="Leave out the references that come with Smalti; without --reference too, only log-probabilities count.",
        rich_help_panel=_ANALYSIS,
        show_default=False,
    ),
]
DrawsOption = Annotated[
    int,
    typer.Option(
        "--draws", metavar="N", min=100, max=100_000, help="Draws behind each interval.", rich_help_panel=_ANALYSIS
    ),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option(
        "--replay",
        metavar="RUN",
        help="Analyse the measurement in this folder again; nothing is asked, and nothing in it changed.",
        rich_help_panel=_ANALYSIS,
        show_default=False,
    ),
]
ParquetOption = Annotated[
    bool,
    typer.Option(
        "--parquet",
        help="Write answers.parquet too; needs pyarrow.",
        rich_help_panel=_ANALYSIS,
        show_default=False,
    ),
]
DemoOption = Annotated[
    bool,
    typer.Option(
        "--demo",
        help="Show on this machine, without a network, that hidden temperatures are found again.",
        rich_help_panel=opt.RUN,
        show_default=False,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        metavar="OUT",
        help="Folder for the measurement: new, empty, or with --resume that of an earlier one.",
        rich_help_panel=opt.RUN,
        show_default=False,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Ask what has no answer yet in the measurement that OUT holds.",
        rich_help_panel=opt.RUNNING,
        show_default=False,
    ),
]
