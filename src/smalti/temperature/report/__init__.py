"""A measurement as one page: the answer first, then what it rests on.

The page is drawn from result.json alone, opens in any browser without a network, and needs no script to be read.
Prompts and names of systems are whatever people and servers wrote: `markup` escapes all of them, and a content security
policy lets nothing run or load but the page's own style and the script of its one button.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smalti.temperature.report import sections, words
from smalti.temperature.report.evidence import evidence
from smalti.temperature.report.markup import Markup, tag
from smalti.temperature.report.page import page_of
from smalti.temperature.report.trials import Trial, trials_page

__all__ = ["Trial", "report_page", "trials_page"]


def report_page(result: Mapping[str, Any]) -> str:
    """A self-contained page of one measurement. Tier: *bitwise*.

    Args:
        result: what `Result.to_json()` gives, as result.json holds it.

    Returns:
        The HTML, for a file in UTF-8; the same for the same result.
    """
    name = str(result["system"].get("model") or result["system"].get("endpoint") or "A system")
    return page_of(
        title=f"Background temperature of {name}",
        name=name,
        about=_about(result),
        main=[
            sections.answer(result),
            sections.protocols(result),
            tag("div", *evidence(result), class_="parts"),
            sections.prompts(result),
        ],
        footer=[tag("h2", "About this measurement"), _footer(result)],
    )


def _about(result: Mapping[str, Any]) -> str:
    plan = result["plan"]
    asked = (
        f"{words.counted(plan['answered'], 'answer')} at temperature 0 to {words.counted(plan['prompts'], 'prompt')}"
    )
    return f"{asked}, up to {words.counted(plan['max_tokens'], 'token')} each"


_TERMS = (
    (
        "Background temperature",
        "is the temperature at which an ideal system, free of noise, would vary as much as this one does at 0.",
    ),
    ("Parting", "is where an answer first differs from the commonest answer to its prompt."),
    ("Intervals", "say what other prompts and time blocks of the same kind could have given."),
)


def _footer(result: Mapping[str, Any]) -> Markup:
    told = [tag("p", tag("b", title), f" {text}") for title, text in _TERMS]
    return tag("div", tag("div", *told), sections.record(result), class_="columns")
