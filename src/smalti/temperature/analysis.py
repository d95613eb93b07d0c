"""From what a system answered to its background temperature, by every protocol that the answers allow.

`analyse` is a pure function of a recording, its references and a seed: the same recording gives the same bytes of
`result.json`. Answers from a cache are left out of every number: they say nothing about noise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smalti.errors import InputError, whole_number
from smalti.progress import SILENT, Progress
from smalti.temperature import curves, drift, matched, published, trust
from smalti.temperature.curves import Asked, ReferenceAnswers
from smalti.temperature.fit import Fit, goodness
from smalti.temperature.likelihood import GRID, Fitted, Sites, fit, sites
from smalti.temperature.metrics import Forms
from smalti.temperature.record import Recording
from smalti.temperature.references import Reference
from smalti.temperature.repeatability import agreeing, mean_of, repeatability
from smalti.temperature.result import ByReference, Estimate, Result, figure

__all__ = ["analyse"]

_EMPTY = "every answer is empty"
_TOO_RARE = (
    "Not tested: what is asked together counts once, and there is too little of it; ask for more repeats or time "
    "blocks."
)


def analyse(
    recording: Recording,
    *,
    references: Sequence[Reference] | Asked = (),
    draws: int = 2000,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Result:
    """The background temperature of a system. Tier: *statistical*; *bitwise* for given references, draws and seed.

    Args:
        recording: what it answered.

    Keyword Args:
        references: for the matched and the published protocol; three or more tell their systematic error. `Asked`
            remembers their answers for other recordings of the same prompts.
        draws: bootstrap draws and random exchanges of each test.
        seed: of the draws and of the references' answers.
        progress: is told of the references' answers.

    Returns:
        Estimates with intervals, and what speaks for and against them.

    Raises:
        InputError: no prompt was answered twice.
        UsageError: a number without meaning.
    """
    draws = whole_number(draws, "A number of draws is a whole number from 100", least=100)
    seed = whole_number(seed, "A seed is a whole number from 0")
    fresh = recording.fresh()
    forms = {p: Forms.of(answers) for p in range(len(fresh.prompts)) if (answers := fresh.of(prompt=p))}
    several = [prompt for prompt, one in forms.items() if one.runs > 1]
    if not several:
        raise InputError(
            f"no prompt has two answers that are not from a cache, of {len(recording.answers)} answers in all; "
            "ask each prompt several times"
        )
    spoken = [prompt for prompt in several if any(forms[prompt].forms)]
    work = _Work(fresh, forms, spoken or several, draws, seed, progress)
    found = sites(fresh)
    likely = None if found is None else fit(found, draws=draws, seed=seed)
    quality = Fit((), None, "Not tested: it needs log-probabilities.")
    if found is not None and likely is not None:
        quality = Fit((), None, "No answer left the likeliest path, so there is nothing to fit.")
        if likely.left:
            quality = goodness(found, likely.temperature, draws=draws, seed=seed)
    asked = references if isinstance(references, Asked) else Asked(references)
    answered = work.answers(asked) if len(asked) and spoken else []
    estimates = [] if found is None or likely is None else [_likelihood(work, found, likely, quality)]
    if answered:
        estimates += [_matched(work, answered), _published(work, answered)]
    return Result(
        system=dict(recording.system),
        units=recording.units,
        plan=_plan(recording),
        headline=_headline(estimates, work),
        estimates=tuple(estimates),
        unavailable=tuple(_unavailable(work, estimates)),
        repeatability=repeatability(fresh, forms, work.several, draws=draws, seed=seed),
        loads=tuple(_load(work, load) for load in fresh.loads),
        load_test=_load_test(work),
        drift=_drift(work),
        fingerprints=tuple(vars(one) for one in drift.fingerprints(recording)),
        fit={"thirds": [vars(one) for one in quality.thirds], "p": quality.p, "text": quality.text},
        curves={
            "likelihood": [] if likely is None else list(zip(GRID.tolist(), likely.curve.tolist(), strict=True)),
            "matched": [_points(one) for one in answered],
            "divergence": agreeing(work.shown, fresh.length, found, 0.0 if likely is None else likely.temperature),
        },
        notes=tuple(_notes(recording, work)),
    )


@dataclass(frozen=True)
class _Work:
    """What all parts of an analysis need."""

    recording: Recording
    forms: Mapping[int, Forms]
    several: list[int]  # answered more than once, and not with nothing each time unless all are
    draws: int
    seed: int
    progress: Progress

    @property
    def shown(self) -> list[Forms]:
        """Forms of the prompts whose answers are compared."""
        return [self.forms[prompt] for prompt in self.several]

    @property
    def silent(self) -> bool:
        """Whether all answers that could be compared are empty."""
        return not any(any(one.forms) for one in self.shown)

    @property
    def runs(self) -> int:
        """Answers that most of these prompts have."""
        return Counter(one.runs for one in self.shown).most_common(1)[0][0]

    def answers(self, asked: Asked) -> list[ReferenceAnswers]:
        """The references' answers to these prompts."""
        return asked.answers(
            [self.recording.prompts[prompt] for prompt in self.several],
            runs=self.runs,
            max_tokens=self.recording.max_tokens,
            seed=self.seed,
            progress=self.progress,
        )


def _likelihood(work: _Work, found: Sites, likely: Fitted, quality: Fit) -> Estimate:
    warnings = []
    if likely.capped:
        warnings.append(f"The range reaches {GRID[-1]:g}, the highest temperature that is tried.")
    low, high = likely.systematic
    if likely.left and high > 1.2 * low:
        warnings.append(
            f"The tokens whose log-probabilities are not reported leave {figure(low)} to {figure(high)} open; "
            "ask for more alternatives."
        )
    if quality.p is not None and quality.p < drift.ALARM:
        warnings.append(quality.text)
    return Estimate(
        protocol="likelihood",
        temperature=likely.temperature if likely.left else None,
        low=likely.low if likely.left else None,
        high=likely.high if likely.left else None,
        bound=None if likely.left else likely.high,
        systematic=likely.systematic if likely.left else None,
        trust=trust.sentence(
            "likelihood",
            len(work.several),
            work.runs,
            likely.temperature if likely.left else likely.high,
            noisy=found.noisy,
        ),
        warnings=tuple(warnings + trust.few(len(work.several))),
    )


def _matched(work: _Work, answered: Sequence[ReferenceAnswers]) -> Estimate:
    length = work.recording.length
    every = [one.curve for one in answered]
    system = curves.of_forms(work.shown, length)
    joint, alone = matched.joined(system, every, draws=work.draws, seed=work.seed)
    by_reference, warnings = [], []
    for answers, curve, one in zip(answered, every, alone, strict=True):
        controls = []
        for which, truth in enumerate(curves.CONTROLS):
            back, _ = matched.joined(answers.control(which), [curve], draws=100, seed=work.seed)
            controls.append((truth, back.temperature))
            if not truth / curves.OFF <= back.temperature <= truth * curves.OFF:
                warnings.append(
                    f"The reference {answers.name!r} at {truth:g} was measured as {figure(back.temperature)}: "
                    "ask more prompts."
                )
        by_reference.append(ByReference(one.name or "", one.temperature, one.low, one.high, tuple(controls)))
    varied = joint.temperature > 0
    least, most = min(one.temperature for one in alone), max(one.temperature for one in alone)
    if len(answered) < matched.LEAST_REFERENCES:
        warnings.append(
            f"The systematic error needs {matched.LEAST_REFERENCES} references, and there are {len(answered)}."
        )
    if most > 2 * least > 0:
        warnings.append(
            f"References of different sharpness give {figure(least)} to {figure(most)}: name one that is like the "
            "system."
        )
    if joint.capped:
        warnings.append(f"The range reaches {matched.GRID[-1]:g}, the highest temperature of the references.")
    return Estimate(
        protocol="matched",
        temperature=joint.temperature if varied else None,
        low=joint.low if varied else None,
        high=joint.high if varied else None,
        bound=None if varied else joint.high,
        systematic=(least, most) if varied else None,
        by_reference=tuple(by_reference) if varied else (),
        trust=trust.sentence("matched", len(work.several), work.runs, joint.temperature if varied else joint.high),
        warnings=tuple(warnings + trust.few(len(work.several))),
    )


def _published(work: _Work, answered: Sequence[ReferenceAnswers]) -> Estimate:
    recording, prompts = work.recording, len(work.several)
    found = published.published(published.rows(work.shown, recording.length), [one.table for one in answered])
    asked = {
        "prompts": (prompts, published.PROMPTS),
        "answers to each": (work.runs, published.RUNS),
        "tokens": (recording.max_tokens, published.TOKENS),
    }
    other = [f"{ours} {what} instead of {theirs}" for what, (ours, theirs) in asked.items() if ours != theirs]
    warnings = [f"Not as published: {', '.join(other)}."] if other else []
    if all(len(one.forms) == 1 for one in work.shown):
        warnings.append("No two answers differed; this protocol then ties with several temperatures and takes a mean.")
    return Estimate(
        protocol="published",
        temperature=found.temperature,
        low=None,
        high=None,
        bound=None,
        systematic=(min(found.by_reference), max(found.by_reference)),
        by_reference=tuple(
            ByReference(one.name, value, None, None) for one, value in zip(answered, found.by_reference, strict=True)
        ),
        trust=trust.sentence("published", prompts, work.runs, found.temperature),
        warnings=tuple(warnings),
    )


def _plan(recording: Recording) -> dict[str, Any]:
    cached = sum(answer.cached for answer in recording.answers)
    repeats = Counter(Counter(answer.prompt for answer in recording.answers).values())
    return {
        "prompts": len(recording.prompts),
        "repeats": repeats.most_common(1)[0][0],
        "max_tokens": recording.max_tokens,
        "loads": list(recording.loads),
        "blocks": len(recording.blocks),
        "asked": len(recording.answers) + recording.failed,
        "answered": len(recording.answers),
        "failed": recording.failed,
        "cached": cached,
    }


def _headline(estimates: Sequence[Estimate], work: _Work) -> dict[str, Any]:
    first = next(iter(estimates), None)
    if first is None and work.silent:
        return {
            "protocol": None,
            "text": "Every answer is empty, so nothing can be said of a temperature: see what the system is asked, and "
            "what it answers.",
        }
    if first is None:
        match = mean_of([one.exact_match for one in work.shown], draws=work.draws, seed=work.seed)
        return {
            "protocol": None,
            "text": f"{100 * match.value:.3g} % of answers match their prompt's most frequent one; a temperature needs "
            "log-probabilities or references.",
        }
    if first.bound is not None:
        text = f"No answer was seen to leave the likeliest path: background temperature below {figure(first.bound)}"
        if all(len(one.forms) == 1 for one in work.shown):
            text = f"No two answers to a prompt differed: background temperature below {figure(first.bound)}"
        text += " (95 %)."
    else:
        assert first.temperature is not None
        assert first.low is not None
        assert first.high is not None
        value, low, high = map(figure, (first.temperature, first.low, first.high))
        if first.temperature >= GRID[-1]:
            text = f"Background temperature of {value}, the highest that is tried, or more (95 %: {low})."
        elif first.high >= GRID[-1]:
            text = f"Background temperature {value} (95 % interval {low} to {high} or more)."
        else:
            text = f"Background temperature {value} (95 % interval {low} to {high})."
    return {"protocol": first.protocol, "text": text}


def _unavailable(work: _Work, estimates: Sequence[Estimate]) -> list[dict[str, str]]:
    there = {one.protocol for one in estimates}
    out = []
    if "likelihood" not in there:
        told = [answer for answer in work.recording.answers if answer.logprobs is not None]
        if work.silent:
            why = _EMPTY
        elif not told:
            why = "the system reports no log-probabilities"
        elif any(len(at) > 1 for answer in told for at in answer.top or ()):
            why = "no two answers to a prompt report alternatives at the same place"
        else:
            why = "the system reports log-probabilities of the chosen tokens only; ask for alternatives"
        out.append({"protocol": "likelihood", "why": why})
    return out + [
        {"protocol": protocol, "why": _EMPTY if work.silent else "no reference was named"}
        for protocol in ("matched", "published")
        if protocol not in there
    ]


def _load(work: _Work, load: str) -> dict[str, Any]:
    part = replace(work.recording, answers=work.recording.of(load=load))
    forms = [Forms.of(answers) for p in work.several if len(answers := part.of(prompt=p)) > 1]
    found = sites(part)
    return {
        "load": load,
        "answers": len(part.answers),
        "exact_match": mean_of([one.exact_match for one in forms], draws=work.draws, seed=work.seed) if forms else None,
        "temperature": None if found is None else _of_load(found, work),
    }


def _of_load(found: Sites, work: _Work) -> dict[str, Any]:
    likely = fit(found, draws=work.draws, seed=work.seed)
    if not likely.left:
        return {"value": None, "low": None, "high": None, "bound": likely.high}
    return {"value": likely.temperature, "low": likely.low, "high": likely.high, "bound": None}


def _load_test(work: _Work) -> dict[str, Any]:
    effect = drift.load_effect(work.recording, draws=work.draws, seed=work.seed)
    if len(work.recording.loads) < 2:
        text = "All answers were asked for under one load, so its effect was not tested."
    elif effect.p is None:
        varied = any(len(one.forms) > 1 for one in work.shown)
        text = _TOO_RARE if varied else "No two answers to a prompt differed, under any load."
    elif effect.p < drift.ALARM:
        text = f"Answers depend on the load (p = {effect.p:.2g})."
    else:
        text = f"No effect of the load was found (p = {effect.p:.2g})."
    return {"statistic": effect.statistic, "p": effect.p, "text": text}


def _drift(work: _Work) -> dict[str, Any]:
    found = drift.change(work.recording, draws=work.draws, seed=work.seed)
    blocks = []
    for block in work.recording.blocks:
        answers = (work.recording.of(prompt=prompt, block=block) for prompt in work.several)
        forms = [Forms.of(one) for one in answers if len(one) > 1]
        blocks.append(
            {
                "block": block,
                "disagreement": float(np.mean([one.disagreement for one in forms])) if forms else None,
                "exact_match": float(np.mean([one.exact_match for one in forms])) if forms else None,
            }
        )
    if len(blocks) < 2:
        text = "All answers are of one time block, so a change over time was not tested."
    elif found.p is None:
        varied = any(len(one.forms) > 1 for one in work.shown)
        text = _TOO_RARE if varied else "No two answers to a prompt differed, at any time."
    elif found.at is None:
        text = f"No change over time was found (p = {found.p:.2g})."
    else:
        text = f"Answers changed from time block {found.at + 1} on (p = {found.p:.2g})."
    return {"blocks": blocks, "p": found.p, "change_at": found.at, "text": text}


def _points(answers: ReferenceAnswers) -> dict[str, Any]:
    curve = answers.curve
    rising = matched.isotonic(matched.means(curve.behind, np.ones((1, len(curve.behind)))))[0]
    return {"reference": answers.name, "points": list(zip(curve.temperatures.tolist(), rising.tolist(), strict=True))}


def _notes(recording: Recording, work: _Work) -> list[str]:
    notes = []
    cached = len(recording.answers) - len(work.recording.answers)
    if cached:
        notes.append(f"{cached} of {len(recording.answers)} answers came from a cache and are left out.")
    if recording.failed:
        notes.append(f"{recording.failed} requests were never answered; what they would have said is not known.")
    rare = sum(prompt not in work.forms or work.forms[prompt].runs < 2 for prompt in range(len(recording.prompts)))
    if rare:
        notes.append(f"{rare} prompts have fewer than two answers and take no part in comparisons of answers.")
    silent = len(recording.prompts) - rare - len(work.several)
    if silent:
        notes.append(f"{silent} prompts got empty answers each time and take no part in comparisons of answers.")
    named = drift.fingerprints(recording)
    if len(named) > 1:
        notes.append(f"The system named {len(named)} fingerprints: it was not one system all the time.")
    models = sorted({answer.model for answer in recording.answers if answer.model is not None})
    if len(models) > 1:
        notes.append(f"The system named {len(models)} models: {', '.join(models)}.")
    if recording.units == "words":
        notes.append("Answers are compared word by word: the system does not tell its tokens.")
    empty = sum(not answer.tokens for answer in work.recording.answers)
    if empty:
        notes.append(f"{empty} answers are empty; a hidden part of an answer may have used up its length.")
    return notes
