"""The receipt of a network's picture as pictures: those of the machine's receipt, and how well the two agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.receipts.pictures import SIDES, draw, heat, scale_bar, sheet, shown_height
from smalti.sampling.pictures import Canvas, tiles

__all__ = ["draw_network"]


def draw_network(record: Mapping[str, Any], images: NDArray[np.uint8]) -> dict[str, Canvas]:
    """The pictures of a record, by name: those of `smalti.receipts.pictures.draw`, and `agreement`.

    Args:
        record: the record.
        images: the corpus's pictures. uint8, shape (N, H, W, C).

    Returns:
        RGB, uint8 (h, w, 3) each.
    """
    height, width = record["run"]["size"]
    network = record["network"]
    pictures = [
        np.array(pixels, np.uint8).reshape(1, height, width, -1)
        for pixels in (record["picture"]["pixels"], network["own"]["pixels"])
    ]
    apart = np.array(network["difference"]).reshape(height, width)
    # Pictures that are equal have a scale too.
    most = max(1.0, float(apart.max()))
    r = network["trust"]["r"]
    said = "r not defined" if r is None else f"r = {r:.3f}"
    agreement = sheet(
        f"Seed {record['seed']}: {said} with what the {record['run']['machine']} machine draws alone",
        [
            ("the network's picture", tiles(pictures[0], sides=SIDES)[0]),
            ("the machine's, from the same noise", tiles(pictures[1], sides=SIDES)[0]),
            ("how far apart, in grey levels", heat(apart / most)),
            ("", scale_bar(shown_height(height, width), [(n / 4, f"{n / 4 * most:.3g}") for n in range(5)])),
        ],
    )
    drawn = draw(record, images, caption="the network's picture", owes="the machine's estimate")
    return {**drawn, "agreement": agreement}
