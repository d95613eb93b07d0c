"""Machines: which corpus sites may serve which state sites."""

from smalti.machines.images import MACHINES, BorderAware, Equivariant, EquivariantLocal, Ideal, Local
from smalti.machines.machine import Machine, Report
from smalti.machines.text import TextMachine, text_machine_from

__all__ = [
    "MACHINES",
    "BorderAware",
    "Equivariant",
    "EquivariantLocal",
    "Ideal",
    "Local",
    "Machine",
    "Report",
    "TextMachine",
    "text_machine_from",
]
