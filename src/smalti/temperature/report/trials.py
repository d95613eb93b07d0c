"""Measurements of systems whose noise is known, as one page: what was hidden, and what the meter found."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smalti.temperature.report import words
from smalti.temperature.report.forest import Row, forest
from smalti.temperature.report.markup import Markup, joined, tag
from smalti.temperature.report.page import page_of
from smalti.temperature.report.plot import Axis, decades, key
from smalti.temperature.report.sections import key_of, protocol_row, temperatures

__all__ = ["Trial", "trials_page"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A measurement of a system whose noise is known.

    Attributes:
        hidden: the temperature that its noise acts like; 0 for none.
        noise: the noise as it was asked for.
        result: what was measured, as result.json holds it.
        page: where its own page lies, seen from this one.
    """

    hidden: float
    noise: str
    result: Mapping[str, Any]
    page: str

    def estimate(self, protocol: str) -> Mapping[str, Any] | None:
        """The estimate by a protocol; None where the data did not allow it."""
        return next((one for one in self.result["estimates"] if one["protocol"] == protocol), None)

    def holds(self, protocol: str) -> bool | None:
        """Whether the interval, or the bound, holds the hidden temperature; None where there is neither."""
        one = self.estimate(protocol)
        if one is not None and one["bound"] is not None:
            return self.hidden <= one["bound"]
        if one is None or one["low"] is None:
            return None
        return one["low"] <= self.hidden <= one["high"]


def trials_page(trials: Sequence[Trial]) -> str:
    """A self-contained page of trials. Tier: *bitwise*.

    Args:
        trials: one or more, in the order in which they are shown.

    Returns:
        The HTML, for a file in UTF-8.
    """
    protocols = [name for name in words.PROTOCOLS if any(trial.estimate(name) for trial in trials)]
    # One axis for all, so that protocols can be compared by eye.
    everything = [one for trial in trials for one in trial.result["estimates"]]
    axis = decades([*temperatures(everything), *(trial.hidden for trial in trials)], low=1e-4, high=1)
    main = tag(
        "div",
        tag("div", tag("p", _held(trials, protocols), class_="says"), tag("p", _MEANING, class_="trust")),
        class_="tried",
    )
    about = f"{words.counted(len(trials), 'local server')} with known hidden noise, measured over HTTP"
    return page_of(
        title="Background temperature: the meter, tried out",
        name="The meter, tried out",
        about=about,
        main=[main, *(_protocol(name, trials, axis) for name in protocols), _table(trials, protocols)],
        footer=[tag("h2", "About this page"), tag("p", html.escape(_ABOUT))],
    )


_MEANING = (
    "Each server answers at temperature 0, and adds noise of a known size to its logits without telling. A meter that "
    "works finds that size from the answers alone. An interval of 95\u00a0% misses once in twenty times; "
    "a row that misses is red."
)
_ABOUT = (
    "The servers ran on this machine, each on its own port; nothing was sent anywhere else. What was measured of each "
    "is in its own folder, from which its page can be drawn again."
)


def _held(trials: Sequence[Trial], protocols: Sequence[str]) -> str:
    told = []
    for name in protocols:
        found = [held for held in (trial.holds(name) for trial in trials) if held is not None]
        if found:
            told.append(f"{words.PROTOCOLS[name][0].lower()} {sum(found)} of {len(found)}")
    return (
        f"Intervals and bounds that hold the hidden temperature: {', '.join(told)}." if told else "Nothing was found."
    )


def _protocol(name: str, trials: Sequence[Trial], axis: Axis) -> Markup:
    found = [(trial, one) for trial in trials if (one := trial.estimate(name)) is not None]
    rows: list[Row] = [
        replace(
            protocol_row(one, first=trial.holds(name) is False),
            name=_hidden(trial),
            expected=trial.hidden,
        )
        for trial, one in found
    ]
    return tag(
        "section",
        tag("h2", words.PROTOCOLS[name][0]),
        tag("p", words.PROTOCOLS[name][1], class_="finding"),
        forest(rows, axis, title="Temperature"),
        key(("hollow", "hidden"), ("dot", "measured"), *key_of([one for _, one in found])),
    )


def _hidden(trial: Trial) -> str:
    return "nothing hidden" if trial.hidden == 0 else f"hidden {trial.hidden:.2g}"


def _table(trials: Sequence[Trial], protocols: Sequence[str]) -> Markup:
    head = ("Hidden noise", "Acts like", *(words.PROTOCOLS[name][0] for name in protocols), "Pairs that differ")
    rows = (
        tag(
            "tr",
            tag("th", tag("a", trial.noise, href=trial.page), scope="row"),
            tag("td", f"{trial.hidden:.2g}", class_="number"),
            *(tag("td", *_found(trial, name), class_="number") for name in protocols),
            tag("td", words.percent(trial.result["repeatability"]["disagreement"]["value"]), class_="number"),
        )
        for trial in trials
    )
    return tag(
        "section",
        tag("h2", "Each measurement"),
        tag("p", "Each has a page of its own.", class_="finding"),
        tag(
            "div",
            tag(
                "table",
                tag(
                    "thead",
                    tag(
                        "tr",
                        *(tag("th", text, scope="col", class_="number" if k else None) for k, text in enumerate(head)),
                    ),
                ),
                tag("tbody", *rows),
            ),
            class_="scroller",
        ),
        class_="trials",
    )


def _found(trial: Trial, name: str) -> tuple[Markup, ...]:
    one = trial.estimate(name)
    if one is None:
        return (joined(["not available"]),)
    row = protocol_row(one, first=False)
    return (tag("b", row.figure), tag("small", row.detail, class_="of"))
