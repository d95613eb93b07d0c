"""What a person touches: the program `smalti`."""

from smalti.cli.app import app, main

__all__ = ["app", "main"]
