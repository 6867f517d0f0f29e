"""A summary says what a signal holds and how well it could be forecast."""

import traces
from traces.signals.summary import SHOWN_FORECASTS, summarize_signal


def test_a_summary_has_the_numbers_of_the_signal() -> None:
    summary = summarize_signal(traces.load_signal("synthetic:solar?seed=1&days=120"))
    rows = dict(summary.rows())
    assert (summary.values, summary.unit, summary.basis) == (2880, "gCO2e/kWh", "average")
    assert rows["signal"] == "carbon of synthetic-solar, gCO2e/kWh, average, location-based"
    assert rows["odd"] == "nothing"
    assert set(summary.forecast_errors) == set(SHOWN_FORECASTS)
    assert summary.forecast_errors["ridge"][0] < summary.forecast_errors["persistence"][0]
    assert 0.3 < summary.daily_swing < 0.9


def test_a_short_signal_is_summarized_without_forecasts() -> None:
    summary = summarize_signal(traces.load_signal("synthetic:flat?days=0.5"))
    assert (summary.forecast_errors, summary.daily_swing, summary.mean) == ({}, 0.0, 400.0)
