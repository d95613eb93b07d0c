"""Made-up results of measurements for the tests of their pages, with prompts and names that try to be HTML."""

from __future__ import annotations

from typing import Any

HOSTILE = (
    "</script><script>window.broken = true</script>",
    "<b onmouseover=alert(1)>bold</b> & \"quoted\" <img src=x onerror='window.broken = 1'>",
    "صف النهر في جملتين",
    "line\u2028separator\n<!-- and a comment",
    "{{style}} {{main}}",
)
LENGTH = 32
REPEATS = 20
Result = dict[str, Any]


def figure(value: float, spread: float = 0.05) -> dict[str, float | None]:
    return {"value": value, "low": max(0.0, value - spread), "high": min(1.0, value + spread)}


def estimate(protocol: str, temperature: float | None, **more: Any) -> dict[str, Any]:
    given = {"low": None, "high": None, "level": 0.95, "bound": None, "systematic": None, "by_reference": []}
    told = {"trust": f"What to hold of {protocol} <i>here</i>.", "warnings": []}
    return {"protocol": protocol, "temperature": temperature} | given | told | more


def prompt(place: int, text: str, parted: list[int]) -> dict[str, Any]:
    first = [*parted, *[None] * (REPEATS - len(parted))]
    return {
        "prompt": place,
        "text": text,
        "answers": REPEATS,
        "distinct": 1 + len(set(parted)),
        "exact_match": 1 - len(parted) / REPEATS,
        "first_divergence": first,
    }


def varied() -> Result:
    """A system that varies, differs under load, changes once, and is not described by one temperature."""
    texts = [*HOSTILE, *(f"Prompt {n}" for n in range(11))]
    prompts = [prompt(n, text, [n, n, 2 * n][: n % 4]) for n, text in enumerate(texts)]
    references = [("machine of radius 4", 0.022), ("machine of radius 8", 0.036), ("machine of <words>", 0.054)]
    by_reference = [{"name": n, "temperature": t, "low": t / 1.3, "high": t * 1.3} for n, t in references]
    grid = [0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0]
    share = sum(p is None for one in prompts for p in one["first_divergence"]) / (REPEATS * len(prompts))
    return {
        "format": "smalti.temperature/1",
        "system": {"endpoint": "http://127.0.0.1:1/v1", "model": HOSTILE[1], "api": "chat"},
        "units": "tokens",
        "plan": {
            "prompts": len(prompts),
            "repeats": REPEATS,
            "max_tokens": LENGTH,
            "loads": ["alone", "burst:8"],
            "blocks": 3,
            "asked": 1920,
            "answered": 1917,
            "failed": 3,
            "cached": 2,
        },
        "headline": {"protocol": "likelihood", "text": "Background temperature 0.031 (95 % interval 0.024 to 0.039)."},
        "estimates": [
            estimate("likelihood", 0.031, low=0.024, high=0.039, warnings=["A warning of its own & more."]),
            estimate("matched", 0.036, low=0.027, high=0.047, systematic=[0.019, 0.058], by_reference=by_reference),
            estimate("published", 0.05, by_reference=[{"name": "one", "temperature": 0.05, "low": None, "high": None}]),
        ],
        "unavailable": [],
        "repeatability": {
            "exact_match": figure(0.71),
            "disagreement": figure(0.46),
            "edit_distance": figure(0.18),
            "behind": figure(0.25),
            "first_divergence": {"median": 21, "never": share},
            "by_prompt": prompts,
        },
        "loads": [
            {"load": "alone", "answers": 960, "exact_match": figure(0.86), "temperature": figure(0.012, 0.004)},
            {"load": "burst:8", "answers": 957, "exact_match": figure(0.61), "temperature": None},
        ],
        "load_test": {"statistic": 0.25, "p": 0.0005, "text": "Load matters: bursts differ more (p = 0.0005)."},
        "drift": {
            "blocks": [{"block": n, "disagreement": d, "exact_match": 1 - d} for n, d in enumerate((0.3, 0.32, 0.6))],
            "p": 0.003,
            "change_at": 2,
            "text": "Answers changed from time block 3 on (p = 0.003).",
        },
        "fingerprints": [
            {"value": "fp_1", "answers": 1000, "first": 0, "last": 999},
            {"value": None, "answers": 917, "first": 1000, "last": 1916},
        ],
        "fit": {
            "thirds": [
                {"predicted": p, "observed": o, "n": 7000} for p, o in ((4e-4, 0.0), (0.004, 0.0046), (0.041, 0.037))
            ],
            "p": 0.018,
            "text": "One temperature does not describe this noise well (p = 0.018).",
        },
        "curves": {
            "likelihood": [[t, -800 - 200 * abs(t / 0.031 - 1)] for t in grid],
            "matched": [{"reference": n, "points": [[t, t / (t + at)] for t in grid]} for n, at in references],
            "divergence": [[t, 1 - 0.01 * t, 1 - 0.012 * t] for t in range(LENGTH)],
        },
        "notes": ["3 requests failed & are left out."],
    }


def steady() -> Result:
    """A system that never varied, asked alone, once."""
    result = varied()
    prompts = [prompt(n, f"Prompt {n}", []) for n in range(3)]
    return result | {
        "system": {"endpoint": "http://127.0.0.1:1/v1", "model": "steady", "api": "completions"},
        "plan": result["plan"] | {"prompts": 3, "loads": ["alone"], "blocks": 1, "failed": 0, "cached": 0},
        "headline": {"protocol": "likelihood", "text": "No divergence: the temperature is below 0.0021 (95 %)."},
        "estimates": [
            estimate("likelihood", 0.0, low=0.0, high=0.0021, bound=0.0021),
            estimate("matched", 0.0, low=0.0, high=0.0043, bound=0.0043),
            estimate("published", 0.0),
        ],
        "repeatability": {
            "exact_match": figure(1.0, 0),
            "disagreement": figure(0.0, 0),
            "edit_distance": figure(0.0, 0),
            "behind": figure(0.0, 0),
            "first_divergence": {"median": None, "never": 1.0},
            "by_prompt": prompts,
        },
        "loads": [{"load": "alone", "answers": 60, "exact_match": figure(1.0, 0), "temperature": None}],
        "load_test": {"statistic": None, "p": None, "text": "There is one load only."},
        "drift": {
            "blocks": [{"block": 0, "disagreement": 0.0, "exact_match": 1.0}],
            "p": None,
            "change_at": None,
            "text": "There is one block only.",
        },
        "fingerprints": [{"value": "fp_1", "answers": 60, "first": 0, "last": 59}],
        "fit": {"thirds": [], "p": None, "text": "Nothing parted, so there is nothing to fit."},
        "curves": {
            "likelihood": [[t, -1500 * t] for t in (1e-4, 1e-3, 2e-3, 5e-3, 1e-2)],
            "matched": [],
            "divergence": [[t, 1.0, None] for t in range(LENGTH)],
        },
        "notes": [],
    }


def unknown() -> Result:
    """A system that reports words only, measured without references: no protocol can be used."""
    whys = {"likelihood": "the system reports no log-probabilities", "matched": "no reference was named"}
    return steady() | {
        "units": "words",
        "headline": {"protocol": None, "text": "100 % of answers match; a temperature needs more."},
        "estimates": [],
        "unavailable": [{"protocol": protocol, "why": why} for protocol, why in whys.items()],
        "curves": {"likelihood": [], "matched": [], "divergence": [[t, 1.0, None] for t in range(9)]},
    }
