"""Generated invocations of functions, calibrated to what is published of serverless platforms."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from configs.errors import did_you_mean
from traces.errors import TraceURIError
from traces.format import Format
from traces.invocations import Integers, Invocations

DAY_SECONDS = 86_400.0
SESSION_REQUESTS, SESSION_GAP_SECONDS = 8.0, 90.0
"""Mean requests of a session of a user, and the mean time between two."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Shares of functions by the process that calls them, and what they are.

    Attributes:
        timer: share of functions that a timer calls. Source: 29 % of the functions of ATC 2020 (figure 2).
        diurnal: share whose calls follow the hour of the day.
        gpu_milli: median of the thousandths of a GPU; 0: no GPU.
        run_seconds: median run time.
        memory_mib: median memory.
    """

    timer: float
    diurnal: float
    gpu_milli: int
    run_seconds: float
    memory_mib: float


PRESETS = {
    "mixed": Preset(0.29, 0.35, 250, 20.0, 3072.0),
    "web": Preset(0.29, 0.35, 0, 0.7, 170.0),
    "fine-tuning": Preset(0.15, 0.45, 1000, 180.0, 8192.0),
}
"""Names of what is generated."""
TIMER_SECONDS = (60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 86_400.0)
TIMER_SHARES = (0.15, 0.2, 0.15, 0.15, 0.1, 0.15, 0.02, 0.08)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of synthetic-functions."""

    functions: int = field(default=200, metadata={"help": "number of functions"})
    hours: float = field(default=48.0, metadata={"help": "length, hours"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same invocations"})
    load: float = field(default=1.0, metadata={"help": "factor of the rate of every function"})

    def __post_init__(self) -> None:
        check_number("functions", self.functions, TraceURIError, low=1, high=1_000_000)
        check_number("hours", self.hours, TraceURIError, above=0.0, high=24.0 * 366)
        check_number("seed", self.seed, TraceURIError, low=0)
        check_number("load", self.load, TraceURIError, above=0.0, high=1000.0)


def load(path: str, options: Options) -> Invocations:
    """The invocations of a preset.

    The rates of functions have the published skew: the median function is called some times an hour, 45 % of them less
    than once an hour, and few have most of the calls (ATC 2020, figure 5). Timers call at fixed intervals with a jitter
    of a second; diurnal functions at a rate that the hour of the day moves; the others in sessions of a user.

    Raises:
        TraceURIError: the preset is unknown.
    """
    if path not in PRESETS:
        raise TraceURIError(f"synthetic-functions:{path}: there is no preset {path!r}{did_you_mean(path, PRESETS)}")
    preset, rng = PRESETS[path], np.random.default_rng(options.seed)
    span = options.hours * 3600.0
    times, owners = [], []
    for number in range(options.functions):
        kind = rng.random()
        if kind < preset.timer:
            found = _timer(rng, span)
        else:
            # Log-normal: 45 % of functions below once an hour, 19 % above once a minute (ATC 2020, section 3.3).
            per_hour = options.load * float(np.exp(rng.normal(np.log(1.7), 3.0)))
            per_hour = min(per_hour, 1000.0)
            found = (
                _diurnal(rng, span, per_hour)
                if kind < preset.timer + preset.diurnal
                else _sessions(rng, span, per_hour)
            )
        times.append(found[found < span])
        owners.append(np.full(len(times[-1]), number))
    time_s, function = np.concatenate(times), np.concatenate(owners)
    if not len(time_s):
        raise TraceURIError(f"synthetic-functions:{path}: nothing is called in {options.hours:g} hours; make it longer")
    median = preset.run_seconds * np.exp(rng.normal(0.0, 1.0, options.functions))
    run_s = median[function] * np.exp(rng.normal(0.0, 0.4, len(function)))
    return Invocations.from_columns(
        [f"{path}-{number:05d}" for number in range(options.functions)],
        np.floor(time_s * 1000.0).astype(np.int64),
        function.astype(np.int64),
        np.maximum(1, np.rint(run_s * 1000.0)).astype(np.int64),
        span_ms=round(span * 1000.0),
        memory_mib=np.maximum(32.0, preset.memory_mib * np.exp(rng.normal(0.0, 0.7, options.functions))),
        gpu_milli=_shares(rng, preset.gpu_milli, options.functions),
        source=f"synthetic functions, {path}",
        licence=FORMAT.licence,
    )


def _shares(rng: np.random.Generator, median: int, count: int) -> Integers:
    """Shares of a GPU: half, the median or twice of it, at most a whole one where the median is below."""
    drawn = median * rng.choice([0.5, 1.0, 1.0, 2.0], count)
    return np.asarray(np.rint(drawn), np.int64)


def _timer(rng: np.random.Generator, span: float) -> NDArray[np.float64]:
    period = float(rng.choice(TIMER_SECONDS, p=TIMER_SHARES))
    ticks = rng.random() * period + period * np.arange(int(span / period) + 1)
    return np.sort(ticks + rng.random(len(ticks)))


def _diurnal(rng: np.random.Generator, span: float, per_hour: float) -> NDArray[np.float64]:
    """A Poisson process whose rate has one peak a day, thinned from its highest rate."""
    peak, depth = rng.random() * DAY_SECONDS, rng.uniform(0.5, 0.95)
    highest = per_hour * (1.0 + depth) / 3600.0
    times = np.sort(rng.random(rng.poisson(highest * span)) * span)
    rate = 1.0 + depth * np.cos(2.0 * np.pi * (times - peak) / DAY_SECONDS)
    return np.asarray(times[rng.random(len(times)) * (1.0 + depth) < rate])


def _sessions(rng: np.random.Generator, span: float, per_hour: float) -> NDArray[np.float64]:
    """Users come at random, and call several times."""
    count = rng.poisson(per_hour * span / 3600.0 / SESSION_REQUESTS)
    starts, sizes = rng.random(count) * span, rng.geometric(1.0 / SESSION_REQUESTS, count)
    gaps = rng.exponential(SESSION_GAP_SECONDS, int(sizes.sum()))
    passed = np.cumsum(gaps)
    first = np.repeat(passed[np.cumsum(sizes) - sizes], sizes) if count else np.zeros(0)
    return np.sort(np.repeat(starts, sizes) + passed - first)


FORMAT: Format[Any] = Format(
    name="synthetic-functions",
    kind="invocations",
    description=f"generated functions, by preset: {', '.join(PRESETS)}",
    options=Options,
    load=load,
    licence="Apache-2.0 (generated)",
    citation="calibrated to Shahrad et al., Serverless in the Wild, ATC 2020",
    example="synthetic-functions:mixed?functions=200&seed=0",
)
