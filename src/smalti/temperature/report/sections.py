"""The answer, the estimates behind it, the prompts, and the record of what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smalti.temperature.drift import ALARM
from smalti.temperature.report import words
from smalti.temperature.report.forest import Row, forest
from smalti.temperature.report.markup import Markup, tag
from smalti.temperature.report.plot import decades, key

__all__ = ["answer", "key_of", "prompts", "protocol_row", "protocols", "record", "temperatures"]

Result = Mapping[str, Any]

_WIDE = {True: "spread of the references", False: "what tokens that were not reported could change"}
# Prompts in sight at once.
_SHOWN = 12


def headline(result: Result) -> Mapping[str, Any] | None:
    """The estimate that the answer is taken from; None where no protocol could be used."""
    named = result["headline"]["protocol"]
    return next((one for one in result["estimates"] if one["protocol"] == named), None)


def answer(result: Result) -> Markup:
    """What a person came for: the number, what it rests on, and what it means for two answers to one prompt."""
    first, told = headline(result), result["repeatability"]
    return tag(
        "div",
        tag(
            "div",
            tag("p", _big(first), class_="big" if told["first_divergence"]["never"] < 1 else "big calm"),
            tag("p", result["headline"]["text"], class_="says"),
            tag("p", first["trust"], class_="trust") if first else None,
            _warnings(result, first),
            class_="number-part",
        ),
        tag("div", _facts(result), _notes(result), class_="meaning"),
        class_="answer",
    )


def _big(first: Mapping[str, Any] | None) -> str:
    if first is None:
        return "unknown"
    if first["bound"] is not None:
        return f"<\u00a0{words.temperature(first['bound'])}"
    return words.temperature(first["temperature"])


def _warnings(result: Result, first: Mapping[str, Any] | None) -> Markup | None:
    """What the answer must not be read without: its own warnings, and tests that found something."""
    found = {part: result[part] for part in ("fit", "load_test", "drift") if _alarming(result[part]["p"])}
    tested = {one["text"] for one in found.values()}
    rows = [] if first is None else [tag("li", text) for text in first["warnings"] if text not in tested]
    rows += [tag("li", tag("a", one["text"], href=f"#{part}")) for part, one in found.items()]
    return tag("ul", *rows, class_="warnings") if rows else None


def _notes(result: Result) -> Markup | None:
    """What happened to answers on the way, such as those that are empty: beside the figures, which rest on them."""
    return tag("ul", *(tag("li", note) for note in result["notes"]), class_="notes") if result["notes"] else None


def _alarming(p: float | None) -> bool:
    return p is not None and p < ALARM


def _facts(result: Result) -> Markup:
    told, length = result["repeatability"], len(result["curves"]["divergence"])
    first = told["first_divergence"]
    median, unit = first["median"], result["units"][:-1]
    return tag(
        "dl",
        _fact("Two answers to one prompt differ", told["disagreement"], "of all pairs"),
        _fact("The commonest answer is given", told["exact_match"], "of the time, on average over prompts"),
        _fact("Edits from one answer to another", told["edit_distance"], f"of the {result['units']}"),
        tag(
            "div",
            tag("dt", "Answers part first"),
            tag("dd", "never" if median is None else f"{unit} {median + 1:g}"),
            tag(
                "dd",
                _never(first["never"], length),
                class_="of",
            ),
        ),
        class_="figures",
    )


def _never(share: float, length: int) -> str:
    if share == 1:
        return "in any answer"
    return f"of {length}, the median of those that do; {words.percent(share)} of answers never do"


def _fact(term: str, figure: Mapping[str, Any], of: str) -> Markup:
    within = words.interval(figure)
    return tag(
        "div",
        tag("dt", term),
        tag("dd", words.percent(figure["value"])),
        tag("dd", of + (f" ({within})" if within else ""), class_="of"),
    )


def protocols(result: Result) -> Markup:
    """Every protocol's estimate on one axis, what to hold of it, and why others are missing."""
    estimates: Sequence[Mapping[str, Any]] = result["estimates"]
    axis = decades(temperatures(estimates), low=1e-4, high=1)
    first = headline(result)
    rows = [protocol_row(one, first=one is first) for one in estimates]
    told = [
        tag(
            "div",
            tag("dt", words.PROTOCOLS[one["protocol"]][0]),
            tag("dd", words.PROTOCOLS[one["protocol"]][1], class_="meaning-of"),
            # What to hold of the answer stands beside it.
            *([] if one is first else _reservations(one)),
            _by_reference(one),
        )
        for one in estimates
    ]
    missing = [
        tag("p", f"{words.PROTOCOLS[one['protocol']][0]}: not available, for {one['why']}.", class_="missing")
        for one in result["unavailable"]
    ]
    return tag(
        "section",
        tag("h2", "The temperature, by each protocol"),
        forest(rows, axis, title="Temperature") if rows else None,
        key(*key_of(estimates)),
        tag("dl", *told, class_="told"),
        *missing,
        class_="protocols",
    )


def _reservations(one: Mapping[str, Any]) -> list[Markup]:
    return [tag("dd", one["trust"]), *(tag("dd", warning, class_="warning") for warning in one["warnings"])]


def key_of(estimates: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What the signs of these estimates mean, for `plot.key`."""
    found = [one for one in estimates if one["bound"] is None]
    signs = [("k-interval", f"{100 * one['level']:.0f}\u00a0% interval") for one in found if one["low"] is not None]
    signs += [("k-below", "below a bound") for one in estimates if one["bound"] is not None]
    signs += [("k-wide", _WIDE[bool(one["by_reference"])]) for one in found if _is_wide(one)]
    signs += [("k-other", "each reference") for one in found if one["by_reference"]]
    return list(dict.fromkeys(signs))


def _is_wide(one: Mapping[str, Any]) -> bool:
    return one["systematic"] is not None and one["systematic"][0] < one["systematic"][1]


def temperatures(estimates: Sequence[Mapping[str, Any]]) -> list[float]:
    """All temperatures that must find room on an axis."""
    found = [one[name] for one in estimates for name in ("temperature", "low", "high", "bound")]
    found += [value for one in estimates for value in one["systematic"] or ()]
    found += [own["temperature"] for one in estimates for own in one["by_reference"]]
    return [value for value in found if value is not None]


def protocol_row(one: Mapping[str, Any], *, first: bool) -> Row:
    """The row of an estimate."""
    name = words.PROTOCOLS[one["protocol"]][0]
    if one["bound"] is not None:
        detail = f"{100 * one['level']:.0f}\u00a0% bound"
        return Row(name=name, figure=_big(one), detail=detail, bound=one["bound"], first=first)
    low, high, systematic = one["low"], one["high"], one["systematic"]
    return Row(
        name=name,
        figure=_big(one),
        detail="no interval" if low is None else f"{words.temperature(low)} to {words.temperature(high)}",
        value=one["temperature"],
        low=low,
        high=high,
        wide=(systematic[0], systematic[1]) if _is_wide(one) else None,
        others=[
            (own["temperature"], f"{own['name']}: {words.temperature(own['temperature'])}")
            for own in one["by_reference"]
        ],
        first=first,
    )


def _by_reference(one: Mapping[str, Any]) -> Markup | None:
    told = [f"{words.temperature(own['temperature'])} with {own['name']}" for own in one["by_reference"]]
    return tag("dd", f"{'; '.join(told)}.", class_="by-reference") if told and one["bound"] is None else None


def prompts(result: Result) -> Markup:
    """Each prompt with how its answers fell out, the most varied first."""
    rows = sorted(result["repeatability"]["by_prompt"], key=lambda one: (one["exact_match"], one["prompt"]))
    length = len(result["curves"]["divergence"])
    shown, rest = rows[:_SHOWN], rows[_SHOWN:]
    same = sum(one["distinct"] == 1 for one in rows)
    more = (
        tag("details", tag("summary", f"The other {words.counted(len(rest), 'prompt')}"), _table(rest, length, result))
        if rest
        else None
    )
    return tag(
        "section",
        tag("h2", "Which prompts?"),
        tag(
            "p",
            f"{same:,} of {words.counted(len(rows), 'prompt')} got one answer every time. The most varied come first.",
            class_="finding",
        ),
        _table(shown, length, result),
        more,
        class_="prompts",
    )


def _table(rows: Sequence[Mapping[str, Any]], length: float, result: Result) -> Markup:
    head = (
        ("Prompt", None),
        ("Commonest", "number"),
        ("Different", "number"),
        (f"Where answers part, {result['units']} 1 to {length:g}", None),
    )
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", text, scope="col", class_=class_) for text, class_ in head))),
            tag("tbody", *(_prompt(one, length) for one in rows)),
        ),
        class_="scroller",
    )


def _prompt(one: Mapping[str, Any], length: float) -> Markup:
    places = [place for place in one["first_divergence"] if place is not None]
    counts = {place: places.count(place) for place in sorted(set(places))}
    strip = [
        tag(
            "rect",
            tag("title", f"token {place + 1}: {words.counted(count, 'answer')}"),
            class_="part-here",
            x=f"{100 * place / length:.2f}%",
            width=f"{max(0.6, 100 / length):.2f}%",
            y=f"{100 - 100 * max(0.2, count / one['answers']):.1f}%",
            height=f"{100 * max(0.2, count / one['answers']):.1f}%",
        )
        for place, count in counts.items()
    ]
    text = "none" if not counts else "; ".join(f"{count} at token {place + 1}" for place, count in counts.items())
    return tag(
        "tr",
        tag("th", tag("bdi", words.short(one["text"], 160), class_="prompt-text"), scope="row"),
        tag("td", words.percent(one["exact_match"]), class_="number"),
        tag("td", f"{one['distinct']:,} of {one['answers']:,}", class_="number"),
        tag("td", tag("svg", *strip, class_="strip", height=22, role="img", aria_label=text), class_="strip-cell"),
    )


def record(result: Result) -> Markup:
    """What was asked of which system, in full."""
    plan = result["plan"]
    rows = [(str(name), str(value)) for name, value in result["system"].items()]
    rows += [
        ("prompts", f"{plan['prompts']:,}"),
        ("answers", f"{plan['repeats']:,} to a prompt"),
        ("length", f"up to {words.counted(plan['max_tokens'], 'token')}"),
        ("compared by", str(result["units"])),
        ("loads", ", ".join(plan["loads"])),
        ("time blocks", f"{plan['blocks']:,}"),
        ("answered", f"{plan['answered']:,} of {plan['asked']:,}"),
        ("from a cache", f"{plan['cached']:,}"),
        ("failed", f"{plan['failed']:,}"),
    ]
    rows += [
        (
            "fingerprint" if n == 0 else "",
            f"{one['value'] or 'none given'} ({words.counted(one['answers'], 'answer')}, "
            f"from number {one['first']:,} to {one['last']:,})",
        )
        for n, one in enumerate(result["fingerprints"])
    ]
    return tag("dl", *(piece for name, value in rows for piece in (tag("dt", name), tag("dd", value))), class_="record")
