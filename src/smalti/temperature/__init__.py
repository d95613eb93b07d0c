"""Background temperature: how much hidden randomness a system has that was asked for none."""

from smalti.resample import Interval
from smalti.temperature.analysis import analyse
from smalti.temperature.record import Answer, Recording, Units
from smalti.temperature.result import Estimate, Result

__all__ = ["Answer", "Estimate", "Interval", "Recording", "Result", "Units", "analyse"]
