"""The report in words: who wins and by how much, honest also where the trained policy loses or nothing is certain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.formats import duration, number, percent
from autoscaler.evaluation.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Headline:
    """The first thing that a reader sees.

    Attributes:
        title: one sentence.
        detail: what qualifies it.
        verdict: "better", "worse" or "open"; colours the sentence.
    """

    title: str
    detail: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Card:
    """A number of the main policy.

    Attributes:
        name: what it is.
        value: the number.
        note: how it compares.
    """

    name: str
    value: str
    note: str


def main_result(comparison: Comparison) -> Result:
    """The policy that the report is about: the cheapest trained one, else the cheapest that is not the reference."""
    ranking = comparison.ranking
    trained = [result for result in ranking if result.contender.kind == "trained"]
    others = [result for result in ranking if result.contender.name != comparison.reference]
    return (trained or others or ranking)[0]


def headline(comparison: Comparison) -> Headline:
    """The verdict on the main policy against the reference."""
    result, cheapest = main_result(comparison), comparison.ranking[0]
    name = result.contender.name
    if result.versus is None:
        names = f"{len(comparison.results)} policies" if len(comparison.results) > 1 else "1 policy"
        return Headline(
            f"{cheapest.contender.name} is the cheapest of {names}", "There is no reference to compare with.", "open"
        )
    title, detail, verdict = _verdict(name, str(comparison.reference), result.versus.objective_share)
    if cheapest.contender.name not in (name, comparison.reference):
        detail += f" The cheapest of all on average is {cheapest.contender.name}."
    return Headline(title, detail, verdict)


def _verdict(name: str, reference: str, share: Estimate) -> tuple[str, str, str]:
    size, way = percent(abs(share.mean)), "less" if share.mean < 0 else "more"
    if share.low is None or share.high is None:
        detail = "These are too few windows for an interval, so this may be chance."
        return f"{name} costs {size} {way} than {reference} on average", detail, "open"
    interval = f"from {_more_or_less(share.low)} to {_more_or_less(share.high)}"
    if share.low == share.high == 0.0:
        return f"{name} costs exactly as much as {reference}", "Their costs are equal in every window.", "open"
    if share.includes_zero:
        title = f"{name} and {reference} cost the same, as far as these windows can tell"
        return (
            title,
            f"On average {name} costs {size} {way}; the 95 % interval runs {interval}, so no difference can be told.",
            "open",
        )
    return (
        f"{name} costs {size} {way} than {reference}",
        f"The 95 % interval runs {interval}.",
        "better" if share.mean < 0 else "worse",
    )


def _more_or_less(share: float) -> str:
    return f"{percent(abs(share))} {'less' if share < 0 else 'more'}"


def cards(comparison: Comparison) -> list[Card]:
    """The main policy's numbers beside the reference's."""
    result = main_result(comparison)
    base = comparison.results[comparison.reference] if comparison.reference is not None else None

    def card(name: str, key: str, text: Callable[[float], str]) -> Card:
        note = ""
        if base is not None and base is not result:
            note = f"{comparison.reference}: {text(base.estimates[key].mean)}"
        return Card(name, text(result.estimates[key].mean), note)

    return [
        card("Cost of a window", "objective_usd", lambda value: f"{value:,.2f} USD"),
        card("Energy of a window", "energy_kwh.total", lambda value: f"{number(value)} kWh"),
        card("Mean wait", "metrics.wait_seconds.mean", duration),
        card("95th percentile of waits", "metrics.wait_seconds.p95", duration),
        card("Node-hours / bound", "metrics.node_hours_over_bound", lambda value: f"{value:.3f}"),
    ]


def incident_texts(comparison: Comparison, result: Result) -> list[str]:
    """How much there was of each of `comparison.incidents` under a policy, mean over seeds and windows."""
    return [number(result.estimates[name].mean) for name in comparison.incidents]
