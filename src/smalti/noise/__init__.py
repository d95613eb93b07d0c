"""The forward process: noise schedules and noise on the state grid."""

from smalti.noise.gaussian import STATE_LIMIT, STATE_UNITS, gaussian_state
from smalti.noise.schedule import CLEAN, SCHEDULES, Level, RecordedSchedule, Schedule, schedule

__all__ = [
    "CLEAN",
    "SCHEDULES",
    "STATE_LIMIT",
    "STATE_UNITS",
    "Level",
    "RecordedSchedule",
    "Schedule",
    "gaussian_state",
    "schedule",
]
