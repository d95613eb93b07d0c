"""From noise to samples: samplers, the traces they leave, and run folders."""

from smalti.sampling.ddim import DDIM, Denoiser, Step, Steps
from smalti.sampling.image_request import Request
from smalti.sampling.pictures import beside_nearest, grid, png_bytes, trajectory
from smalti.sampling.reopen import OpenRun, open_run, recorded_machine
from smalti.sampling.run import Difference, Report, RunRecord, read_run, verify, write_run
from smalti.sampling.text import TextDenoiser
from smalti.sampling.text_request import TextRequest
from smalti.sampling.text_settings import TextSettings
from smalti.sampling.text_trace import TextSample, TextTrace
from smalti.sampling.trace import Sample, Trace

__all__ = [
    "DDIM",
    "Denoiser",
    "Difference",
    "OpenRun",
    "Report",
    "Request",
    "RunRecord",
    "Sample",
    "Step",
    "Steps",
    "TextDenoiser",
    "TextRequest",
    "TextSample",
    "TextSettings",
    "TextTrace",
    "Trace",
    "beside_nearest",
    "grid",
    "open_run",
    "png_bytes",
    "read_run",
    "recorded_machine",
    "trajectory",
    "verify",
    "write_run",
]
