"""The report in words: who wins and by how much, honest also where the trained policy loses or nothing is certain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.evaluation.comparison import Comparison, Result
from autoscaler.evaluation.formats import duration, number, percent
from autoscaler.evaluation.kept import start_sentence
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
    """A number of the main policy, whose name stands over all cards.

    Attributes:
        name: what it is.
        value: the number.
        note: how it compares.
    """

    name: str
    value: str
    note: str


def main_result(comparison: Comparison) -> Result:
    """The policy that the report is about: the cheapest that is no fixed rule, else the cheapest but the reference."""
    ranking = comparison.ranking
    tested = [result for result in ranking if result.contender.kind != "rule"]
    others = [result for result in ranking if result.contender.name != comparison.reference]
    return (tested or others or ranking)[0]


def opponent_of(comparison: Comparison) -> Result | None:
    """What the main policy is compared with: the reference, else the cheapest other; None where it is alone."""
    main = main_result(comparison)
    if comparison.reference is not None and main.contender.name != comparison.reference:
        return comparison.results[comparison.reference]
    return next((result for result in comparison.ranking if result is not main), None)


def headline(comparison: Comparison) -> Headline:
    """The verdict on the main policy, whose numbers the cards show, against its opponent."""
    main, opponent = main_result(comparison), opponent_of(comparison)
    name = main.contender.name
    if opponent is None:
        cost = f"{main.estimates['objective_usd'].mean:,.2f} USD"
        return Headline(f"{name} costs {cost} a window", "There is no other policy to compare it with.", "open")
    share = comparison.share_between(name, opponent.contender.name)
    title, detail, verdict = _verdict(name, opponent.contender.name, share)
    sentences = [detail, *_others(comparison, main, opponent), start_sentence(name, main.contender.kept)]
    return Headline(title, " ".join(filter(None, sentences)), verdict)


def _others(comparison: Comparison, main: Result, opponent: Result) -> list[str]:
    """How the next policy under test and the cheapest of all compare with the main one, where they are others."""
    tested = [result for result in comparison.ranking if result.contender.kind != "rule" and result is not main]
    sentences = []
    if tested and tested[0] is not opponent:
        first = f"Of the {len(tested) + 1} policies under test it is the cheapest on average"
        sentences.append(f"{first}: {_difference(comparison, tested[0], main)}.")
    cheapest = comparison.ranking[0]
    if cheapest not in (main, opponent):
        sentences.append(f"The cheapest of all on average is {_difference(comparison, cheapest, main, relative=True)}.")
    return sentences


def _difference(comparison: Comparison, result: Result, main: Result, relative: bool = False) -> str:
    """One policy against the main one, with what is certain of it."""
    name = result.contender.name + (", which" if relative else "")
    share = comparison.share_between(result.contender.name, main.contender.name)
    size = f"{name} costs {_more_or_less(share.mean)}"
    if share.low is None or share.high is None or share.includes_zero:
        return f"{size}, but no difference can be told"
    return f"{size}, with a 95 % interval from {_more_or_less(share.low)} to {_more_or_less(share.high)}"


def _verdict(name: str, other: str, share: Estimate) -> tuple[str, str, str]:
    if share.low is None or share.high is None:
        detail = "These are too few windows for an interval, so no difference can be told: this may be chance."
        return f"{name} costs {_more_or_less(share.mean)} than {other} on average", detail, "open"
    interval = f"from {_more_or_less(share.low)} to {_more_or_less(share.high)}"
    if share.low == share.high == 0.0:
        return f"{name} costs exactly as much as {other}", "Their costs are equal in every window.", "open"
    if share.includes_zero:
        detail = f"On average {name} costs {_more_or_less(share.mean)}; the 95 % interval runs {interval}, "
        return f"Between {name} and {other} no difference can be told", f"{detail}so zero is inside it.", "open"
    verdict = "better" if share.mean < 0 else "worse"
    return f"{name} costs {_more_or_less(share.mean)} than {other}", f"The 95 % interval runs {interval}.", verdict


def _more_or_less(share: float) -> str:
    return f"{percent(abs(share))} {'less' if share < 0 else 'more'}"


def cards(comparison: Comparison) -> list[Card]:
    """The main policy's numbers beside its opponent's."""
    main, opponent = main_result(comparison), opponent_of(comparison)

    def card(name: str, key: str, text: Callable[[float], str]) -> Card:
        note = "" if opponent is None else f"{opponent.contender.name}: {text(opponent.estimates[key].mean)}"
        return Card(name, text(main.estimates[key].mean), note)

    return [
        card("Cost of a window", "objective_usd", lambda value: f"{value:,.2f} USD"),
        card("Energy of a window", "energy_kwh.total", lambda value: f"{number(value)} kWh"),
        card("Mean wait", "metrics.wait_seconds.mean", duration),
        card("95th percentile of waits", "metrics.wait_seconds.p95", duration),
        card("Node-hours / bound", "metrics.node_hours_over_bound", lambda value: f"{value:.3f}"),
    ]
