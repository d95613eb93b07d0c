"""The image machines of Kamb & Ganguli 2025 (arXiv 2412.20292)."""

from __future__ import annotations

from smalti.corpus.pixels import shown_size
from smalti.errors import UsageError
from smalti.machines.machine import Machine
from smalti.noise import Level
from smalti.window import Admission, Scales, Whole, border_axis, check_patch_size, inside_axis, local_axis


class _WholeImage(Machine):
    """One weight for all pixels of a picture: no windows, no scales."""

    has_windows = False
    _whole: Whole

    def _checked_scales(self, scales: Scales | None) -> None:
        if scales is not None:
            raise UsageError(f"the {self.name} machine looks at whole images and takes no scales")

    def admission(self, patch_size: int, size: tuple[int, int]) -> Admission:
        """Which corpus sites may serve which sites of a state of this height and width."""
        if size != self.corpus.size:
            raise UsageError(
                f"the {self.name} machine makes pictures of the corpus's own size "
                f"{shown_size(self.corpus.size)}, not {shown_size(size)}"
            )
        return Admission(half=0, padding="zero", pairs=(), whole=self._whole)

    def patch_size(self, level: Level) -> int:
        """1: whole-image machines have no windows."""
        return 1

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` unless the size is the corpus's own."""
        self.admission(1, size)


class Ideal(_WholeImage):
    """The perfect denoiser of the corpus: whole images, same place. It returns training images and nothing else.
    Tier: bitwise.
    """

    name = "ideal"
    _whole = "same-place"


class Equivariant(_WholeImage):
    """Whole images at every circular shift: shifted training images. Tier: bitwise."""

    name = "equivariant"
    _whole = "every-shift"


class Local(Machine):
    """Patches, each only at its own place: a mosaic locked to position. Zero padding. Tier: bitwise."""

    name = "local"

    def admission(self, patch_size: int, size: tuple[int, int]) -> Admission:
        """Which corpus sites may serve which sites of a state of this height and width."""
        half = check_patch_size(patch_size)
        rows, columns = (local_axis(s, c) for s, c in zip(size, self.corpus.size, strict=True))
        return Admission(half, "zero", tuple((r, c) for r in rows for c in columns))


class EquivariantLocal(Machine):
    """Patches from anywhere inside the items, on a state that wraps around (ELS): a free mosaic. Tier: bitwise."""

    name = "equivariant-local"

    def admission(self, patch_size: int, size: tuple[int, int]) -> Admission:
        """Which corpus sites may serve which sites of a state of this height and width."""
        half = check_patch_size(patch_size)
        rows, columns = (inside_axis(s, c, half) for s, c in zip(size, self.corpus.size, strict=True))
        return Admission(half, "circular", tuple((r, c) for r in rows for c in columns))


class BorderAware(Machine):
    """Patches from places with the same padding pattern (bbELS): a mosaic that knows where the frame is. Tier:
    bitwise.
    """

    name = "border-aware"

    def admission(self, patch_size: int, size: tuple[int, int]) -> Admission:
        """Which corpus sites may serve which sites of a state of this height and width."""
        half = check_patch_size(patch_size)
        rows, columns = (border_axis(s, c, half) for s, c in zip(size, self.corpus.size, strict=True))
        return Admission(half, "zero", tuple((r, c) for r in rows for c in columns))


MACHINES: dict[str, type[Machine]] = {m.name: m for m in (Ideal, Equivariant, Local, EquivariantLocal, BorderAware)}
