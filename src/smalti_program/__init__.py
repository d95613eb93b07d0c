"""Where the program `smalti` starts: a package of its own, since importing anything of `smalti` takes a moment."""

from __future__ import annotations

import os
import signal

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> int:
    """Runs the program on the words this process was started with.

    Someone who interrupts it while it is being imported, when nothing has begun, sees no traceback: it just ends.

    Returns:
        The exit code, see `smalti.cli.main`.
    """
    # Not by catching KeyboardInterrupt: modules that are half imported may turn it into an error of their own.
    # Where interruptions are ignored, as in the background of a shell, they stay so.
    takes_over = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if takes_over:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from smalti.cli import main as program

    if takes_over:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return program()
