"""How fast the engine is, always beside something else in the same run: `smalti bench`."""

from smalti.bench.measure import Measurement, measure

__all__ = ["Measurement", "measure"]
