"""Names of predictors, `KIND` or `KIND:SCALES`, and the way they are written for people."""

from __future__ import annotations

__all__ = ["brief", "in_words", "parts"]


def parts(name: str) -> tuple[str, str | None]:
    """Kind and scales of a predictor; None where it has none."""
    kind, colon, scales = name.partition(":")
    return kind, scales if colon else None


def in_words(name: str) -> str:
    """`border-aware (network)` for `border-aware:network`."""
    kind, scales = parts(name)
    return kind if scales is None else f"{kind} ({scales})"


def brief(text: str, most: int = 40) -> str:
    """A name for a plot, which may be the path of a file: what is longer than `most` letters loses its middle."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]} … {text[-(most - most // 2 - 2) :]}"
