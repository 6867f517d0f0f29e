"""The report is one file that needs nothing else, and says what the numbers say."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import traces
from agents.registry import make_baseline
from autoscaler.evaluation.comparison import Comparison, Contender, compare
from autoscaler.evaluation.errors import EvaluationError
from autoscaler.evaluation.formats import moment_text
from autoscaler.evaluation.kept import Kept
from autoscaler.evaluation.report import render, write_picture
from autoscaler.evaluation.report.figures import bound_energy_kwh, cost_against_reference, window_differences
from autoscaler.evaluation.report.style import spread_labels
from autoscaler.evaluation.report.words import headline
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.tables import tables_of
from autoscaler.evaluation.windows import equal_windows
from configs.files import OutputFileError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig, auto_cluster
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig

SECTIONS = [
    "headline", "policies", "cost", "gap", "energy-against-wait", "front", "energy-parts", "over-time", "nodes",
    "waits", "windows", "terms", "provenance",
]  # fmt: skip
VOID = ("meta", "link", "br", "img", "hr", "input")


def comparison_of(
    days: int = 4, windows: int = 5, reference: str | None = "reactive", better: str = "rule"
) -> Comparison:
    """Two rules, one of which plays the trained policy."""
    trace = traces.load(f"synthetic:quickstart?days={days}&seed=2")
    # Where waiting is cheap, nodes that are always on certainly cost more.
    config = EnvironmentConfig(objective=ObjectiveConfig(usd_per_gpu_hour=0.1))
    scenario = Scenario(trace, auto_cluster(trace), config)
    layout = scenario.config.codec
    contenders = [
        Contender("trained <&>", (make_baseline("always-on", layout),), "trained", sources=("runs/a",)),
        Contender("reactive", (make_baseline("reactive", layout),), better, settings={"idle_timeout_seconds": 600.0}),
    ]
    chosen = equal_windows(trace, 0.4, 1.0, windows)
    return compare(scenario, contenders, chosen, np.random.default_rng(0), reference=reference)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return comparison_of()


@pytest.fixture(scope="module")
def page(comparison: Comparison) -> str:
    return render(comparison, comparison.document())


class Checker(HTMLParser):
    """Collects ids and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_html_with_every_section(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert [name for name in checker.ids if name in SECTIONS] == SECTIONS
    assert len(set(checker.ids)) == len(checker.ids)
    assert page.count("<svg") == 8


def test_it_refers_to_nothing_outside_itself(page: str) -> None:
    assert "http" not in page
    assert "@import" not in page
    assert "<script" not in page
    checker = Checker()
    checker.feed(page)
    targets = [value for name, value in checker.attributes if name in ("src", "href", "xlink:href", "data", "srcset")]
    assert targets
    assert all(target.startswith("#") or target == "data:," for target in targets)
    references = {target for target in targets if target.startswith("#")}
    references |= {f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", page)}
    assert {reference.removeprefix("#") for reference in references} <= set(checker.ids)
    assert not re.findall(r"url\((?!#)", page)


def test_figures_follow_the_page_into_dark_mode(page: str) -> None:
    """No colour of a figure is fixed, and every variable that is used is defined for both modes."""
    figures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", figures)) == set()
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", page))
    light, dark = page.split("@media (prefers-color-scheme: dark)")
    for name in used - {"font"}:
        assert f"--{name}:" in light
        assert f"--{name}:" in dark.split("* {")[0]


def test_it_says_what_the_gap_counts_against(comparison: Comparison, page: str) -> None:
    assert "Share of the gap between reactive and the bound" in page
    theirs = comparison.results["reactive"].values["objective_usd"].mean(axis=0)
    known = replace(comparison, clairvoyant=theirs - 1.0)
    usd, decidable = known.clairvoyant_usd or (0.0, 0.0)
    assert usd == pytest.approx(theirs.mean() - 1.0)
    assert decidable == pytest.approx(comparison.results["reactive"].estimates["decidable_usd"].mean - 1.0)
    told = render(known, known.document())
    assert "Share of the gap between reactive and the clairvoyant look-ahead" in told
    assert f"({usd:,.2f} USD a window, {decidable:,.2f} of it above the bound)" in told
    assert "and the bound" not in told.split('id="gap"')[1].split("</section>")[0]
    assert f"{usd:,.2f} USD" in tables_of(known)[0].title
    assert "look-ahead" not in tables_of(comparison)[0].title


def test_names_are_escaped(page: str) -> None:
    assert "trained <&>" not in page
    assert "trained &lt;&amp;&gt;" in page


def test_it_is_small(page: str) -> None:
    assert len(page.encode()) < 2_000_000


def test_the_same_comparison_gives_the_same_page(comparison: Comparison) -> None:
    document = comparison.document()
    assert render(comparison, document) == render(comparison, document)


def test_a_policy_that_loses_is_said_to_lose(comparison: Comparison) -> None:
    verdict = headline(comparison)
    assert verdict.verdict == "worse"
    assert "more than reactive" in verdict.title
    assert "95 % interval" in verdict.detail


def test_few_windows_claim_nothing() -> None:
    verdict = headline(comparison_of(windows=2))
    assert verdict.verdict == "open"
    assert "too few windows for an interval, so no difference can be told" in verdict.detail


def cards_of(page: str) -> str:
    return page.partition('<h2 class="over">')[2].partition("<section")[0]


def test_without_a_reference_the_main_policy_is_compared_with_the_cheapest_other() -> None:
    """The headline, the name over the numbers and the numbers are of one policy, also where another is cheaper."""
    alone = comparison_of(reference=None)
    page = render(alone, alone.document())
    assert 'id="cost"' not in page
    assert headline(alone).title.startswith("trained <&> costs ")
    assert headline(alone).title.endswith(" more than reactive")
    cards = cards_of(page)
    assert cards.startswith("trained &lt;&amp;&gt;</h2>")
    assert f"{alone.results['trained <&>'].estimates['objective_usd'].mean:,.2f} USD" in cards
    assert f"reactive: {alone.results['reactive'].estimates['objective_usd'].mean:,.2f} USD" in cards


def shifted(comparison: Comparison, name: str, factors: list[float], **change: object) -> Comparison:
    """The comparison with one more policy: the reference's results, its costs times a factor in each window."""
    base = comparison.results["reactive"]
    values = {**base.values, "objective_usd": base.values["objective_usd"] * np.array(factors)}
    mean = base.estimates["objective_usd"]._replace(mean=float(values["objective_usd"].mean()))
    contender = replace(base.contender, name=name, kind="trained", **change)
    result = replace(base, contender=contender, values=values, estimates={**base.estimates, "objective_usd": mean})
    return replace(comparison, results={**comparison.results, name: result})


def test_of_two_trained_policies_the_headline_says_what_is_certain(comparison: Comparison) -> None:
    """0.3 % on average is no difference where windows differ by more; a constant 3 % is one."""
    unclear = shifted(comparison, "b", [0.90, 1.09, 0.91, 1.08, 1.01])
    verdict = headline(shifted(unclear, "c", [0.91, 1.07, 0.93, 1.06, 1.03]))
    assert verdict.title == "Between b and reactive no difference can be told"
    assert "Of the 3 policies under test it is the cheapest on average: c costs" in verdict.detail
    assert "more, but no difference can be told." in verdict.detail
    clear = headline(shifted(shifted(comparison, "b", [0.97] * 5), "c", [0.94] * 5))
    assert clear.title == "c costs 6.0 % less than reactive"
    assert "b costs 3.2 % more, with a 95 % interval from 3.2 % more to 3.2 % more." in clear.detail


def test_a_kept_policy_that_is_the_start_is_said_to_be(comparison: Comparison) -> None:
    start = shifted(comparison, "b", [0.97] * 5, kept=(Kept(0, 2048),), sources=("runs/b",))
    assert "b is the policy that training started from: no later one scored better" in headline(start).detail
    page = render(start, start.document())
    assert "trained, 1 seed, step 0 of 2,048: the start" in page
    assert "runs/b keeps step 0 of 2,048, the start of training" in page
    assert start.document()["policies"]["b"]["kept_steps"] == [0]
    later = shifted(comparison, "b", [0.97] * 5, kept=(Kept(1024, 2048),), sources=("runs/b",))
    assert "started from" not in headline(later).detail
    assert "trained, 1 seed, step 1,024 of 2,048" in render(later, later.document())


def test_one_policy_alone_has_a_report() -> None:
    trace = traces.load("synthetic:quickstart?days=2&seed=2")
    scenario = Scenario(trace, auto_cluster(trace), EnvironmentConfig())
    rule = Contender("reactive", (make_baseline("reactive", scenario.config.codec),), "rule")
    alone = compare(scenario, [rule], equal_windows(trace, 0.0, 1.0, 1), np.random.default_rng(0))
    assert headline(alone).title.startswith("reactive costs ")
    assert "no other policy" in headline(alone).detail
    assert "Nodes of reactive" in render(alone, alone.document())


def test_equal_policies_cost_the_same() -> None:
    trace = traces.load("synthetic:quickstart?days=3&seed=2")
    scenario = Scenario(trace, auto_cluster(trace), EnvironmentConfig())
    rule = make_baseline("reactive", scenario.config.codec)
    other = make_baseline("always-on", scenario.config.codec)
    all_three = [
        Contender("copy", (rule,), "trained"),
        Contender("reactive", (rule,), "rule"),
        Contender("other", (other,), "rule"),
    ]
    windows = equal_windows(trace, 0.2, 1.0, 5)
    comparison = compare(scenario, all_three, windows, np.random.default_rng(0), reference="reactive")
    assert headline(comparison).title == "copy costs exactly as much as reactive"
    # The axis shows the one that differs, and not a tenth of a per cent around nothing.
    shown = cost_against_reference(comparison, {"copy": 0, "reactive": 1, "other": 2}).axes[0].get_xlim()
    difference = window_differences(comparison.results["other"], comparison).mean()
    assert abs(difference) > 0.2
    assert shown[0] < difference < shown[1]


def test_what_counts_is_said_with_its_price() -> None:
    trace = traces.load("synthetic:quickstart?days=2&seed=2")
    config = EnvironmentConfig(objective=ObjectiveConfig(usd_per_tonne=80.0))
    cluster = ClusterConfig((PoolConfig("a", max_nodes=30, usd_per_node_hour=20.0, embodied_g_per_node_hour=50.0),))
    scenario = Scenario(trace, cluster, config)
    rule = Contender("reactive", (make_baseline("reactive", config.codec),), "rule")
    priced = compare(scenario, [rule], equal_windows(trace, 0.0, 1.0, 1), np.random.default_rng(0))
    page = render(priced, priced.document())
    assert "80 USD per tonne of CO2e, 20 USD per node-hour" in page
    assert "plus node-hours at the price of a node, plus carbon at its price" in page


def test_unequal_pools_have_a_report_without_a_bound_of_energy() -> None:
    trace = traces.load("synthetic:quickstart?days=3&seed=2")
    large = -(-trace.peak_gpu_milli // 8000)
    cluster = ClusterConfig((PoolConfig("a", max_nodes=large), PoolConfig("b", max_nodes=4, gpus_per_node=4)))
    scenario = Scenario(trace, cluster, EnvironmentConfig())
    rules = [
        Contender(name, (make_baseline(name, scenario.config.codec),), "rule") for name in ("reactive", "always-on")
    ]
    comparison = compare(scenario, rules, equal_windows(trace, 0.0, 1.0, 2), np.random.default_rng(0))
    assert bound_energy_kwh(comparison) is None
    assert "<svg" in render(comparison, comparison.document())


def test_energy_at_the_bound_is_below_that_of_every_policy(comparison: Comparison) -> None:
    bound = bound_energy_kwh(comparison)
    assert bound is not None
    assert all(bound < result.estimates["energy_kwh.total"].mean for result in comparison.results.values())


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_is_the_same_file_each_time(comparison: Comparison, tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"]
    for path in paths:
        write_picture(comparison, str(path))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 10_000


def test_a_file_that_cannot_be_written_is_no_half_file(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(OutputFileError):
        comparison.write_report(tmp_path / "nowhere" / "r.html")
    with pytest.raises(OutputFileError):
        comparison.write_figure(tmp_path / "nowhere" / "r.png")
    with pytest.raises(EvaluationError, match=r"the picture is a \.png or a \.svg"):
        comparison.write_figure(tmp_path / "r.pdf")
    assert list(tmp_path.iterdir()) == []


def test_labels_keep_their_distance_and_their_order() -> None:
    placed = spread_labels([10.0, 11.0, 50.0, 10.5], 15.0)
    ordered = sorted(placed)
    assert ordered == [placed[0], placed[3], placed[1], placed[2]]
    assert min(np.diff(ordered)) >= 15.0 - 1e-9
    assert placed[2] == 50.0


def test_moments_are_dates_where_the_trace_knows_them() -> None:
    from datetime import datetime

    start = datetime(2021, 4, 8, 21, 0)  # noqa: DTZ001 (traces carry local time)
    assert moment_text(start, 3 * 3_600_000.0, clock=True) == "9 Apr 2021 00:00"
    assert moment_text(None, 12 * 86_400_000.0) == "day 12"
