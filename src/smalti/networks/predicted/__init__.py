"""What a prediction becomes: pictures for people, tables and a record for programs."""

from smalti.networks.predicted.case import Case, Comparison
from smalti.networks.predicted.pictures import PICTURES, draw
from smalti.networks.predicted.record import prediction_record
from smalti.networks.predicted.tables import pictures as picture_rows
from smalti.networks.predicted.tables import steps as step_rows

__all__ = ["PICTURES", "Case", "Comparison", "draw", "picture_rows", "prediction_record", "step_rows"]
