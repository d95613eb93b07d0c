"""What a person asks of `smalti temperature`: settings, where they come from, and what they mean together.

A measurement that goes on takes its settings from its measure.json; those that are given again have to say the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from smalti.cli.imported import imported
from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError
from smalti.temperature.callables import CallableSystem
from smalti.temperature.client import MOST_ALTERNATIVES, Endpoint
from smalti.temperature.plan import ALONE, Load, Plan
from smalti.temperature.prompts import Prompt, builtin_prompts, read_prompts
from smalti.temperature.reply import Dialect
from smalti.temperature.runner import System
from smalti.temperature.store import Measurement, Setup, check_free, is_measurement
from smalti.temperature.transport import Address

REPEATS, BLOCKS, MAX_TOKENS = 10, 3, 32
NO_SYSTEM = "say what is to be measured: --endpoint URL, --callable MODULE:NAME, --replay RUN or --demo"
_MOST, _NONE = "most", "none"


@dataclass(frozen=True, kw_only=True)
class Order:
    """The options of the command, None where one was not given.

    Attributes:
        key: the key, out of the variable that --key-env names.
        fields: of --set, by name.
    """

    out: Path
    endpoint: str | None
    model: str | None
    callable_: str | None
    api: str | None
    stream: bool
    key: str | None
    key_header: str | None
    prompts: Path | None
    first: int | None
    repeats: int | None
    loads: tuple[str, ...]
    blocks: int | None
    pause: float | None
    max_tokens: int | None
    logprobs: str | None
    send_seed: int | None
    fields: Mapping[str, Any]
    timeout: float
    seed: int | None
    resume: bool
    command: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """What is to be asked, and of what.

    Attributes:
        system: the system; its dialect is that which was asked for, and not yet learned if `measurement` is None.
        learns: whether fewer log-probabilities than asked for are fine.
        measurement: the measurement that goes on; None for a new one.
    """

    system: System
    prompts: tuple[Prompt, ...]
    plan: Plan
    learns: bool
    measurement: Measurement | None


def work_of(order: Order) -> Work:
    """What an order means; nothing is asked or written.

    Raises:
        InputError, UsageError: it cannot be done.
    """
    going_on = order.resume and is_measurement(order.out)
    if going_on:
        measurement = Measurement.opened(order.out)
        _check_same(order, measurement.setup)
        setup = measurement.setup
        return Work(_system_of(order, setup), setup.prompts, setup.plan, False, measurement)
    check_free(order.out)
    _check_source(order)
    prompts = _prompts(order)
    plan = Plan(
        prompts=len(prompts),
        repeats=REPEATS if order.repeats is None else order.repeats,
        loads=_loads(order) or (ALONE,),
        blocks=BLOCKS if order.blocks is None else order.blocks,
        pause=order.pause or 0.0,
        seed=order.seed or 0,
    )
    if plan.repeats * len(plan.loads) * plan.blocks < 2:
        raise UsageError("one answer to a prompt cannot differ from another: give --repeats 2 or more")
    system = _system_of(order, None)
    if isinstance(system, Endpoint):
        for prompt in prompts:
            system.fields(prompt)  # refuses conversations where the API takes none
            if system.holds_key(prompt.text):
                raise UsageError("the key stands in a prompt, which is stored: take it out of the file of prompts")
    return Work(system, prompts, plan, order.logprobs in (None, _MOST), None)


def read_key(variable: str | None) -> str | None:
    """The key that a variable of the environment holds. What was given is in no message: it may be a key itself.

    Raises:
        UsageError: there is no such variable, or it is empty.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(
            "the environment has no variable of the name given to --key-env, or it is empty: put the key into a "
            "variable, and give its name"
        )
    return key


def read_fields(given: Sequence[str]) -> dict[str, Any]:
    """Fields of requests from `NAME=VALUE`; a value that is no JSON is a text.

    Raises:
        UsageError: anything else.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text!r} has no meaning: write NAME=VALUE, such as reasoning_effort=low")
        try:
            found[name] = json.loads(value, parse_constant=_refuse)
        except (ValueError, RecursionError):
            found[name] = value
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def read_prices(text: str | None) -> tuple[float, float] | None:
    """Prices of a million tokens of prompts and of answers, from `0.25,2`.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    try:
        there, back = (float(part) for part in text.split(","))
    except ValueError:
        there = back = -1.0
    if not (0 <= there < 1e9 and 0 <= back < 1e9):
        raise UsageError(
            f"--prices {text!r} has no meaning: give the prices of a million tokens of prompts and of answers, such as "
            "0.25,2"
        )
    return there, back


def _check_source(order: Order) -> None:
    if order.callable_ is not None:
        meant = [
            ("--endpoint", order.endpoint),
            ("--model", order.model),
            ("--api", order.api),
            ("--key-env", order.key),
            ("--key-header", order.key_header),
        ]
        meant += [("--logprobs", order.logprobs), ("--send-seed", order.send_seed), ("--set", order.fields or None)]
        for name, value in (*meant, ("--stream", order.stream or None)):
            if value is not None:
                raise UsageError(f"{name} is of an endpoint, and --callable asks none: leave one of them out")
        return
    if order.endpoint is None:
        raise UsageError(NO_SYSTEM)
    if order.model is None:
        raise UsageError("say which model is to be measured: --model NAME, as the endpoint knows it")
    if order.api not in (None, "chat", "completions"):
        raise UsageError(f"there is no API called {order.api!r}: choose chat or completions")


def _system_of(order: Order, setup: Setup | None) -> System:
    """The system of an order, or of a measurement that goes on."""
    if setup is not None and setup.dialect.api == "callable" and order.callable_ is None:
        raise UsageError("this measurement is of a callable: name it again by --callable MODULE:NAME")
    if order.callable_ is not None:
        limit = (order.max_tokens or MAX_TOKENS) if setup is None else setup.dialect.max_tokens
        function = imported(order.callable_, option="--callable", example="mymodel:answer")
        return CallableSystem(function, max_tokens=limit, name=order.callable_)
    if setup is not None:
        return _endpoint(order, setup.system["endpoint"], setup.system["model"], setup.dialect)
    dialect = Dialect(
        api="completions" if order.api == "completions" else "chat",
        max_tokens=MAX_TOKENS if order.max_tokens is None else order.max_tokens,
        transfer="stream" if order.stream else "whole",
        alternatives=_alternatives(order.logprobs),
        seed=order.send_seed,
        extra=dict(order.fields),
    )
    assert order.endpoint is not None
    assert order.model is not None
    return _endpoint(order, order.endpoint, order.model, dialect)


def _endpoint(order: Order, url: str, model: str, dialect: Dialect) -> Endpoint:
    """An endpoint; refuses a command line that holds the key, since it is kept in measure.json."""
    if order.key_header is not None and order.key is None:
        raise UsageError("--key-header says where a key goes, and there is none: name its variable by --key-env")
    endpoint = Endpoint(
        url, model=model, dialect=dialect, key=order.key, key_header=order.key_header, timeout=order.timeout
    )
    if endpoint.holds_key("\n".join(order.command)):
        raise UsageError("the key stands in the command line, which is stored: give it by --key-env only")
    return endpoint


def _prompts(order: Order) -> tuple[Prompt, ...]:
    prompts = builtin_prompts() if order.prompts is None else read_prompts(order.prompts)
    if order.first is not None and order.first > len(prompts):
        raise UsageError(f"--first {order.first} asks for more prompts than there are ({len(prompts)}): give fewer")
    return prompts[: order.first]


def _loads(order: Order) -> tuple[Load, ...]:
    return tuple(dict.fromkeys(map(Load.of, order.loads)))


def _alternatives(text: str | None) -> int | None:
    if text in (None, _MOST):
        return MOST_ALTERNATIVES
    if text == _NONE:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 4):
        raise UsageError(f"--logprobs {text!r} has no meaning: give most, none, or how many alternatives at each place")
    return int(text)


def _check_same(order: Order, setup: Setup) -> None:
    """Refuses options that say something else than the measurement that goes on.

    Raises:
        InputError: they do.
    """
    dialect, plan = setup.dialect, setup.plan
    given: dict[str, tuple[Any, Any]] = {
        "--model": (order.model, setup.system["model"]),
        "--callable": (order.callable_, setup.system["model"]),
        "--api": (order.api, dialect.api),
        "--repeats": (order.repeats, plan.repeats),
        "--load": (_loads(order) or None, plan.loads),
        "--blocks": (order.blocks, plan.blocks),
        "--pause": (order.pause, plan.pause),
        "--seed": (order.seed, plan.seed),
        "--max-tokens": (order.max_tokens, dialect.max_tokens),
        "--send-seed": (order.send_seed, dialect.seed),
        "--set": (order.fields or None, dict(dialect.extra)),
        "--stream": (order.stream or None, dialect.transfer == "stream"),
        "--first": (order.first, plan.prompts),
    }
    if order.endpoint is not None:
        given["--endpoint"] = (Address.of(order.endpoint).url, setup.system["endpoint"])
    if order.prompts is not None:
        given["--prompts"] = (_prompts(order), setup.prompts)
    if order.logprobs not in (None, _MOST):
        given["--logprobs"] = (_alternatives(order.logprobs) or 0, dialect.alternatives or 0)
    changed = [name for name, (now, then) in given.items() if now is not None and now != then]
    if changed:
        raise InputError(
            f"'{shown(order.out)}' holds a measurement with other settings ({', '.join(changed)}): choose another "
            "folder, or leave these options out"
        )


def learned(work: Work) -> Work:
    """The same with a system whose dialect it takes; asks the endpoint a few times.

    Raises:
        InputError: the system cannot be measured.
    """
    if not isinstance(work.system, Endpoint) or work.measurement is not None:
        return work
    found = work.system.learned(work.prompts[0], alternatives="most" if work.learns else "as given")
    return replace(work, system=found)
