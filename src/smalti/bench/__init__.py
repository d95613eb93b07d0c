"""How fast the engine is, always beside something else in the same run: `smalti bench`."""

from smalti.bench.measure import Explained, Findings, Measurement, measure

__all__ = ["Explained", "Findings", "Measurement", "measure"]
