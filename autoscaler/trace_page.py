"""One page about a trace, or about two: what `autoscaler traces plot` writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

import traces
from autoscaler.evaluation.report.style import DASHES, GRID, INK, MUTED, PAPER, SERIES, figure_style, to_svg
from autoscaler.trace_tables import length_text
from configs.files import write_text
from traces import Trace
from traces.comparison import SCALES_SECONDS, dispersion
from traces.errors import TraceValueError
from traces.summary import kind_of_data

_POINTS = 500

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>:root {{ {variables}; --font: system-ui, sans-serif }}
body {{ font-family: var(--font); color: var(--ink); background: var(--paper) }}
body {{ max-width: 72rem; margin: 2rem auto; padding: 0 1rem }}
h1, li {{ overflow-wrap: anywhere }} li {{ margin: .3rem 0 }} svg {{ width: 100%; height: auto }}</style></head>
<body><h1>{title}</h1><ul>{items}</ul>{figure}</body></html>
"""


def write_page(uris: Sequence[str], output: str) -> None:
    """Write the page; it opens offline, and appears whole or not at all.

    Args:
        uris: of one trace, or of two to hold against each other.
        output: HTML file.

    Raises:
        TraceError: a trace cannot be loaded, or has a single job.
        OutputFileError: the file cannot be written.
    """
    found = [traces.load(uri) for uri in uris]
    for trace in found:
        if trace.num_jobs < 2:
            raise TraceValueError(f"{trace.uri}: has {trace.num_jobs} jobs; a picture needs two at least")
    with figure_style():
        figure = _figure(found)
        picture = to_svg(figure, "trace", "arrivals, run times, GPUs, load, users and bursts")
    variables = {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER}
    variables |= {f"series-{number}": colour for number, colour in enumerate(SERIES)}
    text = _PAGE.format(
        title=escape(" and ".join(trace.metadata.source for trace in found)),
        variables="; ".join(f"--{name}: {colour}" for name, colour in variables.items()),
        items="".join(f"<li>{escape(_about(trace))}</li>" for trace in found),
        figure=picture,
    )
    write_text(output, text)


def _about(trace: Trace) -> str:
    days = trace.span_seconds / 86_400
    size = f"{trace.num_jobs:,} jobs over {days:,.1f} days, {trace.gpu_hours:,.0f} GPU-hours"
    return f"{trace.uri}: {kind_of_data(trace)}, {size}; {trace.metadata.source}, licence: {trace.metadata.licence}"


def _figure(found: Sequence[Trace]) -> Figure:
    figure = Figure(figsize=(11.0, 9.0), layout="constrained")
    panels: tuple[tuple[str, str, str, Callable[[Axes, Trace, dict[str, object]], None]], ...] = (
        ("Arrivals", "days", "jobs an hour", _arrivals),
        ("Hour of the day", "hour", "share of the jobs", _hours),
        ("Run times", "seconds", "share of the jobs", _durations),
        ("GPUs of a job", "GPUs", "share of the jobs", _gpus),
        ("Load if nobody waited", "days", "GPUs", _load),
        ("Users", "share of the users", "share of the jobs", _users),
        ("Bursts: index of dispersion", "interval", "variance over mean", _bursts),
    )
    grid = figure.add_gridspec(4, 2)
    for number, (title, x, y, draw) in enumerate(panels):
        row, column = divmod(number, 2)
        axes = figure.add_subplot(grid[row, :] if number == len(panels) - 1 else grid[row, column])
        axes.set_title(title)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        for index, trace in enumerate(found):
            draw(axes, trace, {"color": SERIES[index], "linestyle": DASHES[index], "label": trace.metadata.source})
        if draw in (_hours, _load):  # not before: a limit stays as the first trace needs it
            axes.set_ylim(bottom=0)
        if not axes.has_data():
            axes.text(0.5, 0.5, "not in the data", transform=axes.transAxes, ha="center", color=MUTED)
            axes.set(xticks=[], yticks=[])
        if number == 0 and len(found) > 1:
            axes.legend(loc="upper right")
    return figure


def _arrivals(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    hours = ((trace.submit_time_seconds - trace.first_submit_seconds) // 3600).astype(np.int64)
    counts = np.bincount(hours).astype(np.float64)
    width = max(len(counts) // _POINTS, 1)
    means = counts[: len(counts) // width * width].reshape(-1, width).mean(axis=1)
    axes.plot(np.arange(len(means)) * width / 24, means, **style)  # type: ignore[arg-type]


def _hours(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    local = (trace.submit_time_seconds + trace.week_offset_seconds) // 3600 % 24
    axes.plot(np.arange(24), np.bincount(local.astype(np.int64), minlength=24) / trace.num_jobs, **style)  # type: ignore[arg-type]


def _durations(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    shares = np.linspace(0, 1, _POINTS)
    axes.plot(np.quantile(trace.duration_seconds, shares), shares, **style)  # type: ignore[arg-type]
    axes.set_xscale("log")


def _gpus(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    values, counts = np.unique(trace.gpu_milli, return_counts=True)
    shares = np.cumsum(counts) / trace.num_jobs
    axes.step(values / 1000, shares, where="post", **style)  # type: ignore[arg-type]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 1.02)


def _load(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    times, milli = trace.demand()
    moments = np.linspace(trace.first_submit_seconds, trace.last_submit_seconds, _POINTS)
    place = np.maximum(np.searchsorted(times, moments * 1000, side="right") - 1, 0)
    axes.plot((moments - trace.first_submit_seconds) / 86_400, milli[place] / 1000, **style)  # type: ignore[arg-type]


def _users(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    _, user = trace.codes("user")
    counts = np.sort(np.bincount(user[user >= 0]))[::-1] if (user >= 0).any() else np.zeros(0)
    if not len(counts):
        return
    place = np.unique(np.linspace(0, len(counts) - 1, _POINTS).astype(np.int64))
    axes.plot((place + 1) / len(counts), np.cumsum(counts)[place] / counts.sum(), **style)  # type: ignore[arg-type]


def _bursts(axes: Axes, trace: Trace, style: dict[str, object]) -> None:
    # Jobs that were all submitted at once have no dispersion.
    found = {float(scale): value for scale, value in dispersion(trace).items() if value > 0.0}
    if not found:
        return
    axes.plot(list(found), list(found.values()), marker="o", **style)  # type: ignore[arg-type]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(SCALES_SECONDS))
    axes.xaxis.set_major_formatter(FixedFormatter([length_text(scale) for scale in SCALES_SECONDS]))
    axes.xaxis.set_minor_locator(NullLocator())
