"""Patch sizes over the noise, found without a network."""

from smalti.calibration.cache import cache_folder, cached_calibration
from smalti.calibration.leave_one_out import Calibration, calibrate

__all__ = ["Calibration", "cache_folder", "cached_calibration", "calibrate"]
