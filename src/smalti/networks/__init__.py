"""Trained networks beside the closed form: the paper's own, trained here, and other people's, asked in one way.

PyTorch is needed to build, train or open a network (`pip install 'smalti[torch]'`), and imported only then. A callable
on NumPy arrays needs none: `NetworkMachine`.
"""

from smalti.networks.adapters import edm_machine, open_diffusers, open_published
from smalti.networks.checkpoint import load_network
from smalti.networks.clock import Clock, ContinuousTime, DiscreteTime, SigmaTime
from smalti.networks.comparison import Agreement, StepAgreement, agreement, step_agreement
from smalti.networks.fitted_items import fit_shared_items
from smalti.networks.fitted_scales import FittedScales, fit_scales
from smalti.networks.models import Net, NetworkConfig, Padding, build, initialise, parameter_count
from smalti.networks.named import DEFAULT_PREDICTORS, FIT_SEEDS, Predictors, named_predictors
from smalti.networks.network import Network, Training
from smalti.networks.prediction import Prediction, predict
from smalti.networks.protocol import NetworkMachine, Predictor, Predicts, TrainedOn, clean_estimate
from smalti.networks.receipt import NetworkReceipt, network_receipt
from smalti.networks.training import Plan, StoppedTraining, train

__all__ = [
    "DEFAULT_PREDICTORS",
    "FIT_SEEDS",
    "Agreement",
    "Clock",
    "ContinuousTime",
    "DiscreteTime",
    "FittedScales",
    "Net",
    "Network",
    "NetworkConfig",
    "NetworkMachine",
    "NetworkReceipt",
    "Padding",
    "Plan",
    "Prediction",
    "Predictor",
    "Predictors",
    "Predicts",
    "SigmaTime",
    "StepAgreement",
    "StoppedTraining",
    "TrainedOn",
    "Training",
    "agreement",
    "build",
    "clean_estimate",
    "edm_machine",
    "fit_scales",
    "fit_shared_items",
    "initialise",
    "load_network",
    "named_predictors",
    "network_receipt",
    "open_diffusers",
    "open_published",
    "parameter_count",
    "predict",
    "step_agreement",
    "train",
]
