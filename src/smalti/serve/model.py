"""What is served: a text machine with a name, and a fingerprint of all that decides its answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

from smalti.corpus.tokens import BytePairs, Bytes
from smalti.errors import UsageError
from smalti.machines.text import TextMachine
from smalti.sampling.text_settings import MASKING
from smalti.temperature.noise import HiddenNoise

__all__ = ["ServedModel"]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A machine that writes left to right.

    Attributes:
        machine: with mask or hybrid noise.
        name: what clients call it.
        noise: hidden noise on its logits, to have something to measure.

    Raises:
        UsageError: the machine's noise has no masks, or the name is empty.
    """

    machine: TextMachine
    name: str
    noise: HiddenNoise = field(default_factory=HiddenNoise)

    def __post_init__(self) -> None:
        if self.machine.noise not in MASKING:
            raise UsageError(
                f"a machine with {self.machine.noise} noise cannot be served, as it does not write from the left: "
                f"choose {' or '.join(MASKING)}"
            )
        if not self.name.strip():
            raise UsageError("the name of the served model is empty: give it one (--name)")

    @cached_property
    def fingerprint(self) -> str:
        """A digest of corpus, settings, tokens and hidden noise: equal fingerprints, equal answers."""
        decides = [
            self.machine.corpus.digest,
            self.machine.settings(),
            hashlib.sha256(json.dumps(self.machine.tokenizer.to_json(), sort_keys=True).encode()).hexdigest(),
            str(self.noise),
        ]
        return f"smalti-{hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]}"

    def bytes_of(self, symbol: int) -> bytes:
        """The UTF-8 bytes of a symbol; with small tokens they may be a part of a character."""
        tokenizer = self.machine.tokenizer
        if isinstance(tokenizer, Bytes):
            return bytes([symbol])
        return tokenizer.piece(symbol) if isinstance(tokenizer, BytePairs) else tokenizer.decode([symbol]).encode()

    def name_of(self, symbol: int) -> str:
        r"""A symbol as log-probabilities name it: its text, or `bytes:\xc3` for a part of a character."""
        found = self.bytes_of(symbol)
        try:
            return found.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in found)
