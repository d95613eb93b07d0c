"""A text machine behind an HTTP API that clients of OpenAI's understand: `smalti serve`.

Requests that come at the same time are answered together, token by token, by one search of the corpus (`engine`), and
the bytes of each answer stay what they would be alone.
"""

from smalti.serve.engine import BusyError, Engine, Job
from smalti.serve.model import ServedModel
from smalti.serve.server import LOOPBACK, Service

__all__ = ["LOOPBACK", "BusyError", "Engine", "Job", "ServedModel", "Service"]
