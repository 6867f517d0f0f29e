"""Signals: what energy costs and emits by hour and by place, recorded, synthetic or forecast.

`Signal` is one piecewise-constant series of one zone; `alignment` says which moment of it belongs to a moment of a
trace, and `forecasts` what was known of it in advance.
"""

from traces.signals.alignment import Alignment, align
from traces.signals.forecasts import FORECASTERS, Forecaster, forecast_errors, make_forecaster
from traces.signals.signal import Quality, Quantity, Signal

__all__ = [
    "FORECASTERS",
    "Alignment",
    "Forecaster",
    "Quality",
    "Quantity",
    "Signal",
    "align",
    "forecast_errors",
    "make_forecaster",
]
