"""Settings found without a network: patch sizes over the noise for pictures, windows and their worth for texts."""

from smalti.calibration.cache import cache_folder, cached_calibration
from smalti.calibration.leave_one_out import Calibration, calibrate
from smalti.calibration.text import (
    TextCalibration,
    Trial,
    cached_text_calibration,
    calibrate_text,
    read_text_settings,
)

__all__ = [
    "Calibration",
    "TextCalibration",
    "Trial",
    "cache_folder",
    "cached_calibration",
    "cached_text_calibration",
    "calibrate",
    "calibrate_text",
    "read_text_settings",
]
