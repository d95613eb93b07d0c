"""Denoisers to compare machines with: linear ones, published siblings, and blends that err less than the linear ones.

They are called like machines and can be sampled like them, but give no receipts: their estimates, except those of
`SharedItems` and `SizeBlend`, are not made of single corpus pixels with weights.
"""

from smalti.denoisers.blend import Blend, Shares, fit_blend
from smalti.denoisers.data_mask import DataMaskLocal
from smalti.denoisers.denoiser import ClosedForm
from smalti.denoisers.local_linear import LocalLinear
from smalti.denoisers.local_linear_fit import fit_local_linear
from smalti.denoisers.nearest import Nearest
from smalti.denoisers.patch_composite import PatchComposite
from smalti.denoisers.patch_mixture import PatchMixture
from smalti.denoisers.patch_wiener import PatchWiener
from smalti.denoisers.shared_items import Recall, SharedItems
from smalti.denoisers.size_blend import SizeBlend, fit_size_blend
from smalti.denoisers.wiener import Spectrum, Wiener

__all__ = [
    "Blend",
    "ClosedForm",
    "DataMaskLocal",
    "LocalLinear",
    "Nearest",
    "PatchComposite",
    "PatchMixture",
    "PatchWiener",
    "Recall",
    "SharedItems",
    "Shares",
    "SizeBlend",
    "Spectrum",
    "Wiener",
    "fit_blend",
    "fit_local_linear",
    "fit_size_blend",
]
