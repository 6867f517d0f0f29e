"""Policies that are not trained: fixed rules to compare with, and to fall back on."""

from agents.baselines.baseline import Baseline
from agents.baselines.constant import ConstantSetpoint
from agents.baselines.random import RandomPolicy

__all__ = ["Baseline", "ConstantSetpoint", "RandomPolicy"]
