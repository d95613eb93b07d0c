"""Denoisers measured: how local, how equivariant, how near to a gradient, and of how many dimensions.

Small functions on one protocol: anything that samplers drive, networks and machines alike. Each takes a denoiser and
states (`on_trajectory`, `noisy_items`) and returns a record with the values of all samples, medians with intervals, a
plot and JSON.
"""

from smalti.networks.measures.asking import derivatives, jacobian, signs, step_units, unit_directions
from smalti.networks.measures.curl import Conservation, conservation
from smalti.networks.measures.dimensions import Dimension, ScoreSpectrum, dimension, score_spectrum
from smalti.networks.measures.measured import Measured, edges_of, measure, plot_maps, plot_measured
from smalti.networks.measures.reading import Measurement, Reading, plot_readings
from smalti.networks.measures.shifts import Equivariance, equivariance
from smalti.networks.measures.states import StateSet, noisy_items, on_trajectory
from smalti.networks.measures.windows import Edges, Locality, locality

__all__ = [
    "Conservation",
    "Dimension",
    "Edges",
    "Equivariance",
    "Locality",
    "Measured",
    "Measurement",
    "Reading",
    "ScoreSpectrum",
    "StateSet",
    "conservation",
    "derivatives",
    "dimension",
    "edges_of",
    "equivariance",
    "jacobian",
    "locality",
    "measure",
    "noisy_items",
    "on_trajectory",
    "plot_maps",
    "plot_measured",
    "plot_readings",
    "score_spectrum",
    "signs",
    "step_units",
    "unit_directions",
]
