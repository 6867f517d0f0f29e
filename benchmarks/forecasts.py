"""How far forecasts of a signal are from the truth, by zone and by how far they look ahead.

Each forecast is issued at the beginning of an hour, from the fifth week of the signal on and every `--step` hours, and
knows what was before. The error is the mean absolute one over the mean of the signal.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
from _common import describe, heading, parse, parser, tell

import traces
from traces.signals.forecasts import ForecastError, forecast_errors, make_forecaster

FORECASTS = ("persistence", "last-week", "ridge")
HOUR_SECONDS = 3600.0
PAST_HOURS = 28 * 24
"""`ridge` needs three weeks of the past."""


def errors_of(uri: str, horizons: list[float], step: int) -> dict[str, list[ForecastError]]:
    """The errors of each forecast of a signal, by horizon."""
    signal = traces.load_signal(uri)
    first = np.ceil(signal.first_seconds / HOUR_SECONDS) * HOUR_SECONDS + PAST_HOURS * HOUR_SECONDS
    times = np.arange(first, signal.end_seconds, step * HOUR_SECONDS)
    return {
        name: forecast_errors(make_forecaster(name, signal), times, np.array(horizons) * HOUR_SECONDS)
        for name in FORECASTS
    }


def main() -> None:
    """Print a table."""
    options = parser(__doc__)
    data = Path(os.environ.get("AUTOSCALER_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    options.add_argument("signals", nargs="*", help="URIs (default: three grids of 2022 in the folder of --data)")
    options.add_argument("--data", type=Path, default=data, help="folder with carbon/eia2022_ZONE.csv.gz (%(default)s)")
    options.add_argument(
        "--hours", nargs="+", type=float, default=[1, 3, 6, 12, 24], help="how far ahead (%(default)s)"
    )
    options.add_argument("--step", type=int, default=7, help="hours between two forecasts (default %(default)s)")
    arguments = parse(options, signals=["synthetic:solar?days=60"], step=97)
    carbon = sorted((arguments.data / "carbon").glob("eia2022_*.csv.gz"))
    uris = arguments.signals or [f"eia:{path}" for path in carbon]
    if not uris:
        print(f"skipped: no carbon intensities in {arguments.data / 'carbon'}")
        return
    before, found = describe(), {}
    for uri in uris:
        begin = time.perf_counter()
        found[uri] = errors_of(uri, arguments.hours, arguments.step)
        tell(f"{uri}: {time.perf_counter() - begin:.1f} s")
    print(f"{heading(before)}\n")
    print(f"| zone | forecast | {' | '.join(f'{hours:g} h' for hours in arguments.hours)} | forecasts |")
    print("|" + "---|" * (len(arguments.hours) + 3))
    for uri, table in found.items():
        zone = traces.load_signal(uri).zone
        best = [min(column, key=lambda each: each.relative) for column in zip(*table.values(), strict=True)]
        for name, row in table.items():
            cells = [f"**{each.relative:.1%}**" if each in best else f"{each.relative:.1%}" for each in row]
            print(f"| {zone} | `{name}` | {' | '.join(cells)} | {row[0].forecasts:,} |")
    if arguments.json is not None:
        rows = [
            {"uri": uri, "forecast": name, "hours": each.horizon_seconds / HOUR_SECONDS, "relative": each.relative,
             "mean_absolute": each.mean_absolute, "root_mean_square": each.root_mean_square}
            for uri, table in found.items() for name, row in table.items() for each in row
        ]  # fmt: skip
        arguments.json.write_text(json.dumps({"machine": before, "errors": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
