"""The one operator: from a state and a corpus to exact sums, and from the sums to a posterior."""

from smalti.engine.partial import Partial, RecomputeError
from smalti.engine.posterior import Posterior, Sources
from smalti.engine.query import Exclusion, Query

__all__ = ["Exclusion", "Partial", "Posterior", "Query", "RecomputeError", "Sources"]
