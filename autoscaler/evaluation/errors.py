"""Errors of the evaluation."""

from __future__ import annotations

from configs.errors import UserError


class EvaluationError(UserError, ValueError):
    """What was asked for cannot be evaluated."""


class CodecMismatchError(EvaluationError):
    """A policy reads or writes another codec layout than the environment's."""
