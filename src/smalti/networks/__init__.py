"""Trained networks beside the closed form: the paper's own, trained here, and other people's, asked in one way.

PyTorch is needed to build, train or open a network (`pip install 'smalti[torch]'`), and imported only then. A callable
on NumPy arrays needs none: `NetworkMachine`.
"""

from smalti.networks.adapters import edm_machine, open_diffusers, open_published
from smalti.networks.checkpoint import load_network
from smalti.networks.clock import Clock, ContinuousTime, DiscreteTime, SigmaTime
from smalti.networks.models import Net, NetworkConfig, Padding, build, initialise, parameter_count
from smalti.networks.network import Network, Training
from smalti.networks.protocol import NetworkMachine, Predictor, Predicts, TrainedOn, clean_estimate
from smalti.networks.training import Plan, StoppedTraining, train

__all__ = [
    "Clock",
    "ContinuousTime",
    "DiscreteTime",
    "Net",
    "Network",
    "NetworkConfig",
    "NetworkMachine",
    "Padding",
    "Plan",
    "Predictor",
    "Predicts",
    "SigmaTime",
    "StoppedTraining",
    "TrainedOn",
    "Training",
    "build",
    "clean_estimate",
    "edm_machine",
    "initialise",
    "load_network",
    "open_diffusers",
    "open_published",
    "parameter_count",
    "train",
]
