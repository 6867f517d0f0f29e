"""The page: figures, tables and words in one HTML file without a single reference to anything outside it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.formats import MS_PER_DAY, duration, moment_text, number, percent
from autoscaler.evaluation.fronts import rule_front
from autoscaler.evaluation.insight.explanation import Explanation, explanation_of
from autoscaler.evaluation.kept import kept_label, kept_text
from autoscaler.evaluation.lanes import Lanes, busiest_span, lanes_of
from autoscaler.evaluation.report import figures
from autoscaler.evaluation.report.course_figures import over_time
from autoscaler.evaluation.report.front_figures import gap_closed, gap_rows, pareto
from autoscaler.evaluation.report.insight_figures import chosen_when, what_moves
from autoscaler.evaluation.report.lane_figures import node_lanes
from autoscaler.evaluation.report.signal_figures import day_of_decisions
from autoscaler.evaluation.report.style import css_variables, figure_style, policy_colours, to_svg
from autoscaler.evaluation.report.words import cards, headline, main_result, opponent_of
from autoscaler.evaluation.rollouts import event_log
from autoscaler.evaluation.statistics import Estimate
from autoscaler.evaluation.tables import incident_texts

Rows = list[dict[str, Any]]


def render(comparison: Comparison, document: Mapping[str, Any]) -> str:
    """The report of a comparison as HTML.

    Args:
        comparison: with timelines.
        document: of `Comparison.document`, for the provenance.
    """
    source = importlib.resources.files("autoscaler.evaluation.report").joinpath("page.html.j2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(source.read_text(encoding="utf-8"))
    lanes, told = shown_lanes(comparison), _explanation(comparison)
    return template.render(
        headline=headline(comparison),
        main=main_result(comparison).contender.name,
        cards=cards(comparison),
        facts=_facts(comparison),
        columns=_columns(comparison),
        rows=_rows(comparison),
        incidents=_incidents(comparison),
        figures=_figures(comparison, lanes, told),
        explanation=None if told is None else {"policy": told.policy, "sentences": told.sentences()},
        nodes=_nodes(comparison, lanes),
        shown=_shown(comparison),
        bases=", ".join(comparison.scenario.problem().prices.bases) or "as given",
        reference=comparison.reference,
        clairvoyant_usd=comparison.clairvoyant_usd,
        windows=_windows(comparison),
        settings=_settings(comparison),
        provenance=_provenance(document),
        more_terms=_more_terms(document),
        command=document["provenance"]["command"],
        light=css_variables(),
        dark=css_variables(dark=True),
    )


def colours_of(comparison: Comparison) -> dict[str, int]:
    """The colour of each policy: first the main one, then its opponent, then the others."""
    return policy_colours(list(dict.fromkeys([*chosen(comparison), *comparison.results])))


def chosen(comparison: Comparison) -> list[str]:
    """The policies that are shown over time: the main one and its opponent, where it has one."""
    opponent = opponent_of(comparison)
    return [main_result(comparison).contender.name, *([] if opponent is None else [opponent.contender.name])]


def window_shown(comparison: Comparison) -> int:
    """The window that is shown over time: the middle one."""
    return (len(comparison.windows) - 1) // 2


def has_timelines(comparison: Comparison) -> bool:
    """Whether it was kept what policies did over time."""
    return all(result.timelines for result in comparison.results.values())


def shown_lanes(comparison: Comparison) -> dict[str, Lanes]:
    """The nodes of the chosen policies on the busiest day of the window that is shown; each runs once more up to it."""
    if not has_timelines(comparison):
        return {}
    index, names, scenario = window_shown(comparison), chosen(comparison), comparison.scenario
    window = comparison.windows[index]
    start, end = busiest_span(comparison.results[names[0]].timelines[index], window.start_ms, window.end_ms)
    lanes = {}
    for name in names:
        policy = comparison.results[name].contender.policies[0]
        lanes[name] = lanes_of(event_log(policy, scenario, window, end), scenario.problem(policy), start, end)
    return lanes


def _explanation(comparison: Comparison) -> Explanation | None:
    """Why the main policy decides as it does, where it was trained."""
    main = main_result(comparison).contender
    return None if main.kind == "rule" else explanation_of(comparison, main.name)


def _figures(comparison: Comparison, lanes: Mapping[str, Lanes], told: Explanation | None) -> dict[str, Markup]:
    colours = colours_of(comparison)
    with figure_style():
        drawn = {
            "energy-wait": (figures.energy_against_wait(comparison, colours), "Energy against wait of all policies"),
            "energy-parts": (
                figures.parts_of(comparison, "energy_kwh", "kWh"),
                "Energy of each policy by its parts",
            ),
            "waits": (figures.wait_distribution(comparison, colours), "Distribution of waits of all policies"),
        }
        if any(result.versus is not None for result in comparison.results.values()):
            title = f"Cost of each policy against {comparison.reference}"
            drawn["cost"] = (figures.cost_against_reference(comparison, colours), title)
        drawn |= _possible(comparison, colours)
        if told is not None and told.influences:
            drawn["moves"] = (what_moves(told.influences), f"What moves the choices of {told.policy}")
            drawn["choices"] = (chosen_when(told.map, told.heuristic_choice), "What it chooses over load and hour")
        if lanes:
            figure = over_time(comparison, chosen(comparison), window_shown(comparison), colours)
            drawn["course"] = (figure, "Queue, nodes and power over time")
            figure = node_lanes(lanes, comparison.scenario.trace.metadata.start_time)
            title = f"What each node did under {' and under '.join(lanes)}; the table below sums it up"
            drawn["nodes"] = (figure, title)
            day = next(iter(lanes.values())).edges_ms[[0, -1]].tolist()
            decisions = day_of_decisions(
                comparison, chosen(comparison), window_shown(comparison), (day[0], day[1]), colours
            )
            if decisions is not None:
                drawn["decisions"] = (decisions, "Signals, power by region and queue on the busiest day")
    # to_svg escapes the title and takes everything else from matplotlib, which escapes its texts.
    return {name: Markup(to_svg(figure, name, title)) for name, (figure, title) in drawn.items()}  # noqa: S704


def _possible(comparison: Comparison, colours: dict[str, int]) -> dict[str, tuple[Figure, str]]:
    """Figures about what can be had: the gap that is closed, the front of fixed rules, and carbon by its parts."""
    drawn = {}
    if gap_rows(comparison):
        drawn["gap"] = (
            gap_closed(comparison, colours),
            f"Share of the gap between {comparison.reference} and {comparison.goal}",
        )
    if (front := rule_front(comparison)) is not None:
        drawn["front"] = (
            pareto(comparison, front, colours),
            "Energy, carbon and money against the 95th percentile of waits",
        )
    if any(result.estimates["carbon_kg.operational"].mean > 0.0 for result in comparison.results.values()):
        figure = figures.parts_of(comparison, "carbon_kg", "kgCO2e")
        drawn["carbon-parts"] = (figure, "Carbon of operation of each policy by its parts")
    return drawn


COLUMNS = (
    ("Energy", "kWh"),
    ("Mean wait", ""),
    ("Wait p95", ""),
    ("Node-hours", "/ packed bound"),
    ("Utilization", "of nodes on"),
    ("Moves", "/ job"),
    ("Scaling", "actions / h"),
)


def _columns(comparison: Comparison) -> list[tuple[str, str]]:
    """(name, small text) of each column; without a reference there is nothing to stand in its column."""
    versus = [] if comparison.reference is None else [("Difference", f"to {comparison.reference}")]
    return [("Policy", ""), ("Cost of a window", "USD, 95 % interval"), *versus, *COLUMNS]


def _rows(comparison: Comparison) -> Rows:
    main, colours = main_result(comparison).contender.name, colours_of(comparison)
    return [
        {
            "name": result.contender.name,
            "kind": _kind(result),
            "colour": colours[result.contender.name],
            "main": result.contender.name == main,
            "cells": _cells(result, comparison.reference),
        }
        for result in comparison.ranking
    ]


def _kind(result: Result) -> str:
    contender = result.contender
    if contender.kind == "trained":
        seeds = len(contender.policies)
        label = f", {kept_label(contender.kept)}" if contender.kept else ""
        return (f"trained, {seeds} seeds" if seeds > 1 else "trained, 1 seed") + label
    return "fixed rule" if contender.kind == "rule" else "given"


def _cells(result: Result, reference: str | None) -> list[tuple[str, str]]:
    """(text, small text) of each column after the name."""
    estimates = result.estimates
    scaling = estimates["metrics.scale_ups_per_hour"].mean + estimates["metrics.scale_downs_per_hour"].mean
    versus = [] if reference is None else [("reference", "")]
    if result.versus is not None:
        share = result.versus.objective_share
        versus = [(percent(share.mean, signed=True), interval_text(share, lambda end: percent(end, signed=True)))]
    objective = estimates["objective_usd"]
    return [
        (f"{objective.mean:,.2f}", interval_text(objective, lambda end: f"{end:,.0f}")),
        *versus,
        (number(estimates["energy_kwh.total"].mean), ""),
        (duration(estimates["metrics.wait_seconds.mean"].mean), ""),
        (duration(estimates["metrics.wait_seconds.p95"].mean), ""),
        (f"{estimates['metrics.node_hours_over_bound'].mean:.3f}", ""),
        (percent(estimates["metrics.utilization"].mean), ""),
        (f"{estimates['metrics.moves_per_job'].mean:.3f}", ""),
        (f"{scaling:.2f}", ""),
    ]


def _incidents(comparison: Comparison) -> dict[str, Any]:
    """What happened to nodes and jobs under each policy; empty where nothing of the kind did."""
    if not comparison.incidents:
        return {}
    rows = [(result.contender.name, incident_texts(comparison, result)) for result in comparison.ranking]
    columns = ["Policy", *(words[0].upper() + words[1:] for words in comparison.incidents.values())]
    return {"columns": columns, "rows": rows}


def interval_text(estimate: Estimate, text: Any) -> str:
    """Both ends of an interval, or why there is none."""
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{text(estimate.low)} to {text(estimate.high)}"


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    trace, windows = comparison.scenario.trace, comparison.windows
    start = trace.metadata.start_time
    span = f"{moment_text(start, windows[0].start_ms)} to {moment_text(start, windows[-1].end_ms)}"
    jobs = sum(window.num_jobs for window in windows)
    length = duration((windows[0].end_ms - windows[0].start_ms) / 1000.0)
    several = f"{len(windows)} windows of {length}" if len(windows) > 1 else f"1 window of {length}"
    pools = comparison.scenario.cluster.pools
    nodes = ", ".join(f"{pool.max_nodes:,} × {pool.gpus_per_node} GPUs ({pool.name})" for pool in pools)
    return [
        ("Trace", trace.metadata.source if trace.metadata.source != "unknown" else trace.uri),
        ("Evaluated on", f"{several}, {span}"),
        ("Jobs", f"{jobs:,}"),
        ("Cluster", f"at most {nodes}"),
        ("Policies", f"{len(comparison.results)}"),
    ]


def _shown(comparison: Comparison) -> dict[str, Any]:
    index = window_shown(comparison)
    window, start = comparison.windows[index], comparison.scenario.trace.metadata.start_time
    span = f"{moment_text(start, window.start_ms, clock=True)} to {moment_text(start, window.end_ms, clock=True)}"
    return {"policies": chosen(comparison), "number": index + 1, "count": len(comparison.windows), "span": span}


NODE_COLUMNS = (
    *("Policy", "Nodes that were on", "Busy, node-hours", "Idle", "Booting"),
    *("Orders", "Switched off", "Jobs moved", "Jobs preempted"),
)


def _nodes(comparison: Comparison, lanes: Mapping[str, Lanes]) -> dict[str, Any]:
    """The lanes in numbers, which a screen reader can read."""
    if not lanes:
        return {}
    start, edges = comparison.scenario.trace.metadata.start_time, next(iter(lanes.values())).edges_ms
    span = f"{moment_text(start, edges[0], clock=True)} to {moment_text(start, edges[-1], clock=True)}"
    rows = []
    for name, drawn in lanes.items():
        hours = [number(drawn.hours[state]) for state in ("busy", "idle", "booting")]
        counts = [drawn.events.get(kind, 0) for kind in ("node_order", "node_off", "job_move", "job_preempt")]
        rows.append((name, [f"{drawn.nodes:,}", *hours, *(f"{count:,}" for count in counts)]))
    return {"span": span, "columns": NODE_COLUMNS, "rows": rows}


def _windows(comparison: Comparison) -> Rows:
    start = comparison.scenario.trace.metadata.start_time
    names = [result.contender.name for result in comparison.ranking]
    rows = []
    for index, window in enumerate(comparison.windows):
        costs = [float(comparison.results[name].values["objective_usd"][:, index].mean()) for name in names]
        rows.append(
            {
                "number": index + 1,
                "start": moment_text(start, window.start_ms, clock=True),
                "days": f"{(window.end_ms - window.start_ms) / MS_PER_DAY:.2f}",
                "jobs": f"{window.num_jobs:,}",
                "costs": [(f"{cost:,.2f}", cost == min(costs)) for cost in costs],
            }
        )
    return [{"names": names, "rows": rows}]


def _settings(comparison: Comparison) -> list[tuple[str, str]]:
    """What tuning chose, and where trained policies come from."""
    lines = []
    for name, result in comparison.results.items():
        contender = result.contender
        if contender.settings:
            told = {key: value for key, value in contender.settings.items() if not _is_table(value)}
            lines.append((name, ", ".join(f"{key} {_plain(value)}" for key, value in told.items())))
        kept = [f" {kept_text(each)}" for each in contender.kept] or [""] * len(contender.sources)
        if contender.sources:
            lines.append((name, "; ".join(map("".join, zip(contender.sources, kept, strict=True)))))
    return lines


def _is_table(value: Any) -> bool:
    """Whether a value is too large for a line: a list of lists."""
    return isinstance(value, list | tuple) and any(isinstance(row, list | tuple) for row in value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return " / ".join(f"{key} {_plain(each)}" for key, each in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return " / ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


def _prices(document: Mapping[str, Any]) -> str:
    """What counts, each at its price; those of hours and places are signals."""
    environment = document["provenance"]["environment"]
    prices, regions = environment["objective"], environment["regions"]
    energy = f"{prices['usd_per_kwh']:g} USD per kWh"
    told = [f"{energy} where no signal says" if any(region["price"] for region in regions) else energy]
    told.append(f"{prices['usd_per_gpu_hour']:g} USD per waited GPU-hour")
    if prices["usd_per_tonne"]:
        told.append(f"{prices['usd_per_tonne']:g} USD per tonne of CO2e")
    nodes = sorted({pool["usd_per_node_hour"] for pool in document["cluster"]["pools"]} - {0.0})
    if nodes:
        told.append(f"{' to '.join(f'{usd:g}' for usd in sorted({nodes[0], nodes[-1]}))} USD per node-hour")
    return ", ".join(told)


def _more_terms(document: Mapping[str, Any]) -> list[str]:
    """What the cost holds beside energy and delay."""
    terms = []
    if any(pool["usd_per_node_hour"] for pool in document["cluster"]["pools"]):
        terms.append("node-hours at the price of a node")
    if document["provenance"]["environment"]["objective"]["usd_per_tonne"]:
        terms.append("carbon at its price")
    return terms


def _provenance(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    origin = document["provenance"]
    machine, intervals = origin["machine"], origin["intervals"]
    packages = ", ".join(f"{name} {version}" for name, version in origin["packages"].items() if version)
    return [
        ("Created", origin["created"]),
        ("Version", f"{origin['version']}, revision {origin['git_revision'] or 'unknown'}"),
        ("Trace", document["trace"]["uri"]),
        ("SHA-256 of the jobs", origin["trace_sha256"]),
        ("Cluster", document["cluster"]["source"]),
        ("Prices", _prices(document)),
        ("Codec fingerprint", origin["codec_fingerprint"]),
        ("Seed", str(origin["seed"])),
        ("Intervals", f"{intervals['confidence']:.0%}, {intervals['method']}, {intervals['draws']:,} draws"),
        ("Packages", packages),
        ("Machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"),
    ]
