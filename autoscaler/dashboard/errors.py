"""What can go wrong with the dashboard, in words that help."""

from __future__ import annotations

from configs.errors import UserError


class DashboardError(UserError, ValueError):
    """The dashboard cannot show what was asked for, or not as it was asked for."""
