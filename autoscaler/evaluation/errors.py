"""Errors of the evaluation."""

from __future__ import annotations

from configs.errors import UserError


class EvaluationError(UserError, ValueError):
    """What is wanted cannot be evaluated."""


class PolicyFitError(EvaluationError):
    """A policy cannot run on a cluster or with settings that its codec does not describe."""
