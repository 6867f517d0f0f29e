"""Errors of the Knative part."""

from __future__ import annotations

from configs.errors import UserError


class KnativeError(UserError, ValueError):
    """What is wanted cannot be done for Knative Services."""
