"""Smalti: new pictures and text from your own by closed-form diffusion, with nothing trained.

corpus = smalti.ImageCorpus.from_folder("photos/", size=(32, 32))
machine = smalti.BorderAware(corpus, scales=smalti.calibrate(corpus))
trace = smalti.DDIM(machine, steps=20)(seeds=range(16))
trace.images  # uint8 (16, 32, 32, 3)
"""

from importlib.metadata import version as _version

from smalti.calibration import Calibration, calibrate
from smalti.corpus import CorpusStore, ImageCorpus, TextCorpus, open_images, open_text
from smalti.engine import Exclusion, Partial, Posterior, Sources
from smalti.errors import InputError, SmaltiError, UsageError
from smalti.machines import MACHINES, BorderAware, Equivariant, EquivariantLocal, Ideal, Local, Machine, TextMachine
from smalti.noise import Level, Schedule, schedule
from smalti.sampling import DDIM, OpenRun, Step, Trace, open_run
from smalti.window import Scales

__version__ = _version("smalti")

__all__ = [
    "DDIM",
    "MACHINES",
    "BorderAware",
    "Calibration",
    "CorpusStore",
    "Equivariant",
    "EquivariantLocal",
    "Exclusion",
    "Ideal",
    "ImageCorpus",
    "InputError",
    "Level",
    "Local",
    "Machine",
    "OpenRun",
    "Partial",
    "Posterior",
    "Scales",
    "Schedule",
    "SmaltiError",
    "Sources",
    "Step",
    "TextCorpus",
    "TextMachine",
    "Trace",
    "UsageError",
    "__version__",
    "calibrate",
    "open_images",
    "open_run",
    "open_text",
    "schedule",
]
