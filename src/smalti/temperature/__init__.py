"""Background temperature: how much hidden randomness a system has that was asked for none."""

from smalti.temperature.analysis import analyse
from smalti.temperature.record import Answer, Recording, Units
from smalti.temperature.result import Estimate, Interval, Result

__all__ = ["Answer", "Estimate", "Interval", "Recording", "Result", "Units", "analyse"]
