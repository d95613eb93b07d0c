"""Options of `smalti temperature`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smalti.cli import options as opt

_SYSTEM, _PLAN, _ANALYSIS = "System", "What is asked", "Analysis"

EndpointOption = Annotated[
    str | None,
    opt.option(
        "--endpoint",
        metavar="URL",
        help="Address of an API like OpenAI's, such as http://127.0.0.1:8000/v1.",
        panel=_SYSTEM,
    ),
]
ModelOption = Annotated[
    str | None,
    opt.option(
        "--model",
        metavar="NAME",
        help="The model, by the endpoint's name for it.",
        panel=_SYSTEM,
    ),
]
KeyEnvOption = Annotated[
    str | None,
    opt.option(
        "--key-env",
        metavar="VARIABLE",
        help="Name of the environment variable that holds the key; it is written nowhere.",
        panel=_SYSTEM,
    ),
]
KeyHeaderOption = Annotated[
    str | None,
    opt.option(
        "--key-header",
        metavar="NAME",
        help="The header that the key goes in, such as api-key. Default: Authorization, as a bearer.",
        panel=_SYSTEM,
    ),
]
ApiOption = Annotated[
    str | None,
    opt.option(
        "--api",
        metavar="NAME",
        help="chat or completions. Default: chat.",
        panel=_SYSTEM,
    ),
]
StreamOption = Annotated[
    bool,
    opt.option(
        "--stream",
        help="Ask for answers as a stream of events.",
        panel=_SYSTEM,
    ),
]
LogprobsOption = Annotated[
    str | None,
    opt.option(
        "--logprobs",
        metavar="N|most|none",
        help="Log-probabilities asked for at each place. Default: most, as many as the system reports.",
        panel=_SYSTEM,
    ),
]
SendSeedOption = Annotated[
    int | None,
    opt.option(
        "--send-seed",
        metavar="N",
        help="A seed that goes with each request. Default: none.",
        panel=_SYSTEM,
    ),
]
FieldsOption = Annotated[
    list[str] | None,
    opt.option(
        "--set",
        metavar="NAME=VALUE",
        help="Another field of each request, such as reasoning_effort=low. May be given several times.",
        panel=_SYSTEM,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", help="Longest wait for an answer.", rich_help_panel=_SYSTEM),
]
CallableOption = Annotated[
    str | None,
    opt.option(
        "--callable",
        metavar="MODULE:NAME",
        help="A Python function instead of an endpoint: from a prompt to a text or a list of tokens.",
        panel=_SYSTEM,
    ),
]
PromptsOption = Annotated[
    Path | None,
    opt.option(
        "--prompts",
        metavar="FILE",
        help="Prompts, one a line, or .jsonl with a field prompt or messages. Default: 36 that come with Smalti.",
        panel=_PLAN,
    ),
]
FirstOption = Annotated[
    int | None,
    opt.option(
        "--first",
        metavar="P",
        min=1,
        help="Use the first P prompts only.",
        panel=_PLAN,
    ),
]
RepeatsOption = Annotated[
    int | None,
    opt.option(
        "--repeats",
        metavar="M",
        min=1,
        help="Requests for each prompt, load and block. Default: 10.",
        panel=_PLAN,
    ),
]
MaxTokensOption = Annotated[
    int | None,
    opt.option(
        "--max-tokens",
        metavar="L",
        min=1,
        help="Longest answer. Default: 32.",
        panel=_PLAN,
    ),
]
LoadsOption = Annotated[
    list[str] | None,
    opt.option(
        "--load",
        metavar="LOAD",
        help="alone; burst:N, N copies of a request at once; mixed:N, N requests of different lengths at any time. "
        "May be given several times. Default: alone.",
        panel=_PLAN,
    ),
]
BlocksOption = Annotated[
    int | None,
    opt.option(
        "--blocks",
        metavar="B",
        min=1,
        help="Time blocks, in each of which all is asked. Default: 3.",
        panel=_PLAN,
    ),
]
PauseOption = Annotated[
    float | None,
    opt.option(
        "--pause",
        metavar="SECONDS",
        help="Pause between two blocks. Default: none.",
        panel=_PLAN,
    ),
]
SeedOption = Annotated[
    int | None,
    opt.option(
        "--seed",
        metavar="N",
        min=0,
        help="Of the order of requests, and of the analysis. Default: that of the measurement, or 0.",
        panel=_PLAN,
    ),
]
PricesOption = Annotated[
    str | None,
    opt.option(
        "--prices",
        metavar="IN,OUT",
        help="Prices of a million tokens of prompts and of answers, for the budget.",
        panel=_PLAN,
    ),
]
YesOption = Annotated[
    bool,
    typer.Option("--yes", help="Allow the budget without being asked.", rich_help_panel=_PLAN, show_default=False),
]
ReferencesOption = Annotated[
    list[str] | None,
    opt.option(
        "--reference",
        metavar="TEXT",
        help="A text whose machine is one more reference of the matched protocol. May be given several times.",
        panel=_ANALYSIS,
    ),
]
NoReferencesOption = Annotated[
    bool,
    opt.option(
        "--no-references",
        help="Leave out the references that come with Smalti; without --reference too, only log-probabilities count.",
        panel=_ANALYSIS,
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
    opt.option(
        "--replay",
        metavar="RUN",
        help="Analyse the measurement in this folder again; nothing is asked, and nothing in it changed.",
        panel=_ANALYSIS,
    ),
]
ParquetOption = Annotated[
    bool,
    opt.option(
        "--parquet",
        help="Write answers.parquet too; needs pyarrow.",
        panel=_ANALYSIS,
    ),
]
DemoOption = Annotated[
    bool,
    opt.option(
        "--demo",
        help="Show on this machine, without a network, that hidden temperatures are found again.",
        panel=opt.RUN,
    ),
]
OutOption = Annotated[
    Path | None,
    opt.option(
        "-o",
        "--out",
        metavar="OUT",
        help="Folder for the measurement: new, empty, or with --resume that of an earlier one.",
        panel=opt.RUN,
    ),
]
ResumeOption = Annotated[
    bool,
    opt.option(
        "--resume",
        help="Ask what has no answer yet in the measurement that OUT holds.",
        panel=opt.RUNNING,
    ),
]
