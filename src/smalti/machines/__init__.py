"""Machines: which corpus sites may serve which state sites."""

from smalti.machines.images import MACHINES, BorderAware, Equivariant, EquivariantLocal, Ideal, Local
from smalti.machines.machine import Machine, Report

__all__ = ["MACHINES", "BorderAware", "Equivariant", "EquivariantLocal", "Ideal", "Local", "Machine", "Report"]
