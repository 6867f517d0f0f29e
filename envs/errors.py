"""Errors of the environments."""

from __future__ import annotations

from configs.errors import UserError


class CompilerError(UserError, ValueError):
    """A choice of compiler that there is not."""


class ClusterError(UserError, ValueError):
    """A cluster description that has no meaning, or that cannot run the trace."""


class EnvironmentConfigError(UserError, ValueError):
    """Settings of an environment that have no meaning."""


class PackingError(UserError, ValueError):
    """Pods, nodes or a packer that node packing cannot use."""


class EndlessJobError(UserError, RuntimeError):
    """A job that outlives its nodes and begins anew each time, so that a replay would never end."""


class InvalidActionError(UserError, ValueError):
    """An action that is not in the action space: another shape, no integers, or a choice that does not exist."""


class SimulatorError(RuntimeError):
    """The simulator found itself in a state that cannot be, or its event log was too small."""
