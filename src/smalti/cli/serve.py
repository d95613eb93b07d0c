"""`smalti serve`: a text machine behind an HTTP API that clients of OpenAI's understand."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.calibration.text import read_text_settings
from smalti.cli import options as opt
from smalti.cli.signals import terminated_as_interrupted
from smalti.cli.terminal import columns, counted, finish, one_line, say, say_json, tell, tell_notes
from smalti.corpus import open_text
from smalti.corpus.text import BUILTIN_TEXT
from smalti.errors import UsageError
from smalti.machines.text import TextMachine

_SERVICE = "Service"
_MOST_PORT = 65_535


def serve(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="Text file, folder of text files, .jsonl file with a field 'text', a corpus store, or python-manual.",
            show_default=False,
        ),
    ],
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", help="0 takes a free one.", rich_help_panel=_SERVICE),
    ] = 8000,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Where to listen. Anything but a loopback address lets other computers in: there are no keys.",
            rich_help_panel=_SERVICE,
        ),
    ] = "127.0.0.1",
    name: Annotated[
        str | None,
        opt.option(
            "--name",
            metavar="MODEL",
            help="What clients call the model. Default: the name of TEXT.",
            panel=_SERVICE,
        ),
    ] = None,
    hidden_noise: Annotated[
        str,
        typer.Option(
            "--hidden-noise",
            metavar="NOISE",
            help="Noise on the logits that clients are not told of, to have something to measure: gumbel:0.03 (which "
            "is temperature 0.03), gaussian:0.1, bounded:0.1, batch:8x0.05 (eight fixed errors of 0.05 that the load "
            "chooses from), or none.",
            rich_help_panel=_SERVICE,
        ),
    ] = "none",
    noise_seed: Annotated[
        int | None,
        opt.option(
            "--noise-seed",
            metavar="N",
            min=0,
            help="Seed of the hidden noise. Default: another one each time.",
            panel=_SERVICE,
        ),
    ] = None,
    tokens: opt.TextTokensOption = None,
    settings: opt.TextSettingsOption = None,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Answer requests as OpenAI's completions and chat API does, from a text, until it is stopped by Ctrl-C.

    The same request gets the same bytes, whatever else the service is doing: without a seed the seed is 0. Messages of
    a chat are written one after the other, each with a line break, and continued.
    """
    from smalti.serve import LOOPBACK, ServedModel, Service
    from smalti.temperature.noise import parse_noise

    if not 0 <= port <= _MOST_PORT:
        raise UsageError(f"--port {port} has no meaning: give 1 to {_MOST_PORT:,}, or 0 for a free one")
    noise = parse_noise(hidden_noise)
    given: dict[str, Any] = {} if settings is None else read_text_settings(settings)
    if tokens is not None:
        given["tokens"] = tokens
    with opt.threads_in_use(threads):
        corpus = open_text(text)
        tell_notes(corpus.notes)
        called = name if name is not None else text if text in BUILTIN_TEXT else Path(text).absolute().stem
        model = ServedModel(TextMachine(corpus, **given), called, noise)
        with terminated_as_interrupted(), Service(model, host=host, port=port, noise_seed=noise_seed) as service:
            if host not in LOOPBACK:
                tell_notes([f"other computers that reach {host} can ask, and there are no keys"])
            record = {"url": service.url, "model": model.name, "fingerprint": model.fingerprint, "noise": str(noise)}
            if as_json:
                say_json(record)
            else:
                say(columns((key, one_line(value)) for key, value in record.items()))
            # Whoever started this program reads the address before the first request.
            finish()
            with contextlib.suppress(KeyboardInterrupt):
                service.wait()
            answered = service.engine.answered
    tell(f"stopped; {counted(answered, 'request')} answered")
