"""Errors of agents."""

from __future__ import annotations

from configs.errors import UserError


class AgentConfigError(UserError, ValueError):
    """Settings of an agent or of its training that have no meaning."""


class ArtifactError(UserError, ValueError):
    """A policy artifact or a checkpoint that is missing, damaged or made for something else."""


class PolicyNeedsLeverError(UserError, ValueError):
    """A fixed rule uses a lever that the codec layout has not."""


class PolicyNeedsTuningError(UserError, ValueError):
    """A policy that is tuned on a training window stands where there is none."""


class PolicyTypeError(UserError, TypeError):
    """Something that stands where a policy is wanted."""


class UnknownPolicyError(UserError, KeyError):
    """No policy has this name."""

    def __str__(self) -> str:
        """The message without the quotes that KeyError adds."""
        return str(self.args[0])
