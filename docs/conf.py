"""Sphinx settings. `make docs` builds the pages from this folder and from the docstrings of the installed package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

project = "Smalti"
author = "The Smalti developers"
copyright = author
release = version = installed_version("smalti")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Smalti {release}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# Single backquotes in docstrings hold code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

_SECTION = re.compile(r"(Args|Keyword Args|Attributes|Raises|Returns|Yields|Example|Examples|Note|Notes):$")
_CODE_OR_BAR = re.compile(r"(`[^`]*`)|\|")
_ENTRY = re.compile(r"[a-z_][\w, ]*: ")


def _prose_as_written(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Shows the paragraphs before a docstring's sections as they stand in the source."""
    # A bar is a bar; an indented paragraph is a formula; lines that open with `name: ` list attributes or arguments.
    end = next((position for position, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    paragraphs = "\n".join(lines[:end]).split("\n\n")
    for place, text in enumerate(paragraphs):
        if text.startswith("    "):
            paragraphs[place] = f"::\n\n{text}"
            continue
        text = _CODE_OR_BAR.sub(lambda found: found[1] or r"\|", text)
        if _ENTRY.match(text):
            indents = ("    " if _ENTRY.match(line) else "        " for line in text.split("\n"))
            section = "Args:" if what in ("function", "method") else "Attributes:"
            entries = (indent + line.strip() for indent, line in zip(indents, text.split("\n"), strict=True))
            text = "\n".join((section, *entries))
        paragraphs[place] = text
    # Napoleon takes what stands before a colon in a property's first line for a type, and we write none there: it gets
    # an empty comment as the first line.
    first = ["..", ""] if what in ("attribute", "data", "property") else []
    lines[:end] = first + "\n\n".join(paragraphs).split("\n")


class CommandHelp(SphinxDirective):
    """What `smalti COMMAND --help` prints, taken from the installed program."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """One block of text."""
        program = Path(sys.executable).with_name("smalti")
        plain = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}
        done = subprocess.run(
            [program, *self.arguments[0].split(), "--help"],
            env=plain,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise self.error(f"smalti {self.arguments[0]} --help failed: {done.stderr.strip()}")
        text = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Any) -> None:
    """Registers the directive, and the step on docstrings before Napoleon turns their sections into fields."""
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-docstring", _prose_as_written, priority=400)
