"""The agent that searches: it finds what pays, keeps the constants where it does not, and resumes to the same bits."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import traces
from agents.artifact import MANIFEST, WEIGHTS
from agents.cluster_task import ClusterTask
from agents.config import VariationConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.es.arena import Arena, Ground, start_weights
from agents.es.run import SearchRun
from agents.loading import load_policy
from agents.registry import make_agent
from agents.setpoints import LearnedSetpoints
from agents.training import Hooks, check, train
from autoscaler.live.policy.artifact import load_artifact
from envs.gpu_cluster.simulator.problem import make_problem
from tests.agents.builders import ONE_COMPONENT, small_problem, small_task

SMALL = {"restarts": 2, "windows": 2, "window_days": 0.2, "population": 6}
STEPS = 12_000


def task_of(seed: int = 0, steps: int = STEPS, train: dict[str, object] | None = None, **config: object) -> ClusterTask:
    lengths = {"total_steps": steps, "validations": 2, **(train or {})}
    task = small_task("dqn", seed, train=lengths)
    return replace(task, agent=make_agent("cma-es", **{**SMALL, **config}))


def trained(folder: Path, **config: object) -> LearnedSetpoints:
    folder.mkdir()
    train(task_of(**config), folder)
    policy = load_policy(folder)
    assert isinstance(policy, LearnedSetpoints)
    return policy


@pytest.mark.slow
def test_a_seed_gives_the_same_policy_and_the_same_curve(tmp_path: Path) -> None:
    first, again, other = (
        trained(tmp_path / name, seed=seed, proof=0.0) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    np.testing.assert_array_equal(first.policies.weights, again.policies.weights)
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (tmp_path / "b/metrics.jsonl").read_bytes()
    assert (tmp_path / "a/metrics.jsonl").read_bytes() != (tmp_path / "c/metrics.jsonl").read_bytes()
    assert first.policies.weights.shape == other.policies.weights.shape


def test_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    folder = tmp_path / "stopped"
    folder.mkdir()
    asked: list[None] = []
    result = train(task_of(), folder, Hooks(should_stop=lambda: len(asked) > 3 or asked.append(None) is not None))
    assert not result.finished
    assert result.steps < STEPS
    assert train(task_of(), folder, resume=True).finished
    np.testing.assert_array_equal(load_policy(folder).policies.weights, whole.policies.weights)
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


@pytest.mark.parametrize(("proof", "refit", "goes_on"), [(0.0, 0.5, True), (0.0, 0.0, False), (1e9, 0.5, False)])
def test_a_search_that_proved_a_gain_goes_on_over_what_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof: float, refit: float, goes_on: bool
) -> None:
    """Before, and where nothing is proved, no window ends in the validation part."""
    drawn: list[tuple[bool, bool]] = []

    def draw(ground: Ground, *arguments: object, everything: bool = False) -> np.ndarray:
        windows = original(ground, *arguments, everything=everything)
        drawn.append((everything, bool((windows[:, 1] > ground.validation[0, 0]).any())))
        return windows

    original = Ground.draw
    monkeypatch.setattr(Ground, "draw", draw)
    folder = tmp_path / "run"
    folder.mkdir()
    result = train(task_of(steps=60_000, proof=proof, refit=refit), folder)
    assert any(late for _, late in drawn) is goes_on
    assert not any(late for everything, late in drawn if not everything)
    first = next((number for number, (everything, _) in enumerate(drawn) if everything), len(drawn))
    assert all(everything for everything, _ in drawn[first:])
    assert (len(drawn) / 4 < first < len(drawn) * 3 / 4) is goes_on
    assert ("then searched on over all" in result.describe()) is goes_on


def test_a_search_that_goes_on_can_be_stopped_there_and_resumed_to_the_same_bits(tmp_path: Path) -> None:
    settings = {"steps": 60_000, "proof": 0.0}
    results = []
    for name, most in (("whole", 10**9), ("stopped", 15)):
        asked, folder = [0], tmp_path / name
        folder.mkdir()

        def stop(asked: list[int] = asked, most: int = most) -> bool:
            asked[0] += 1
            return asked[0] > most

        results.append(train(task_of(**settings), folder, Hooks(should_stop=stop)))
        assert results[-1].finished is (name == "whole")
        if not results[-1].finished:
            assert "then searched on" in results[-1].describe()
            results[-1] = train(task_of(**settings), folder, resume=True)
    weights = [load_policy(tmp_path / name).policies.weights for name in ("whole", "stopped")]
    np.testing.assert_array_equal(*weights)
    assert results[0] == results[1]


def test_a_finished_training_can_be_made_longer(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    result = train(task_of(steps=2 * STEPS), tmp_path / "run", resume=True)
    assert result.steps >= 2 * STEPS


def test_search_beats_constants_that_are_bad(tmp_path: Path) -> None:
    # Ten idle minutes and no reserve are dear where an hour of waiting costs as much as a GPU does.
    folder = tmp_path / "run"
    folder.mkdir()
    result = train(task_of(steps=60_000, proof=0.0), folder)
    assert result.best_score < result.start_score
    assert result.kept_step == result.steps
    assert load_policy(folder).policies.weights.any()


def test_constants_are_kept_and_named_where_the_gain_is_no_proof(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    result = train(task_of(proof=1e9), folder)
    assert result.kept_step == 0
    assert "the tuned constants are kept" in result.describe()
    assert not load_policy(folder).policies.weights.any()


def test_a_network_is_searched_likewise_and_starts_as_the_constants(tmp_path: Path) -> None:
    policy = trained(tmp_path / "run", hidden=(4,), proof=1e9)
    plain = trained(tmp_path / "plain", proof=1e9)
    generator = np.random.default_rng(0)
    observations = generator.random((50, 400), np.float32)
    masks = np.ones((50, ONE_COMPONENT.mask_size), np.bool_)
    np.testing.assert_array_equal(policy.act(observations, masks), plain.act(observations, masks))


def test_another_run_is_a_start_if_its_features_are_the_same(tmp_path: Path) -> None:
    trained(tmp_path / "first", proof=0.0)
    init = {"init_from": str(tmp_path / "first")}
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
    assert train(task_of(train=init), tmp_path / "second").finished
    with pytest.raises(ArtifactError, match="other features"):
        train(task_of(train=init, features=("since_submit",)), tmp_path / "third")


def test_a_cluster_runs_the_policy_with_numpy_alone(tmp_path: Path) -> None:
    policy = trained(tmp_path / "run", proof=0.0)
    deployed = load_artifact(tmp_path / "run", ONE_COMPONENT)
    observations = np.random.default_rng(0).random((50, 400), np.float32)
    masks = np.ones((50, ONE_COMPONENT.mask_size), np.bool_)
    np.testing.assert_array_equal(deployed.act(observations, masks), policy.act(observations, masks))
    assert deployed.packer == policy.packer
    with pytest.raises(ArtifactError, match="max_pools"):
        load_artifact(tmp_path / "run", replace(ONE_COMPONENT, max_pools=2))


WITH_RESERVES = replace(ONE_COMPONENT, reserve_nodes=True)


def reserving(folder: Path, **config: object) -> LearnedSetpoints:
    """A training where reserves in nodes are on."""
    folder.mkdir()
    problem = small_problem(WITH_RESERVES)
    train(replace(task_of(proof=0.0, **config), problem=problem), folder)
    policy = load_policy(folder)
    assert isinstance(policy, LearnedSetpoints)
    return policy


def test_levers_that_are_on_are_searched_and_a_setting_names_fewer(tmp_path: Path) -> None:
    every, none = reserving(tmp_path / "all"), reserving(tmp_path / "none", levers=())
    assert (every.levers, none.levers) == (("reserve_nodes",), ())
    inputs = len(every.features)
    assert every.policies.weights.size == 3 * (inputs + 1)
    assert none.policies.weights.size == 2 * (inputs + 1)
    observations = np.random.default_rng(0).random((200, 400), np.float32)
    masks = np.ones((200, WITH_RESERVES.mask_size), np.bool_)
    deployed = load_artifact(tmp_path / "all", WITH_RESERVES)
    np.testing.assert_array_equal(deployed.act(observations, masks), every.act(observations, masks))
    assert len(np.unique(every.act(observations, masks)[:, -1])) > 1
    assert (none.act(observations, masks)[:, -1] == none.rule[-1]).all()
    (tmp_path / "more").mkdir()
    again = task_of(proof=0.0, train={"init_from": str(tmp_path / "all")})
    assert train(replace(again, problem=small_problem(WITH_RESERVES)), tmp_path / "more").finished
    (tmp_path / "other").mkdir()
    other = task_of(levers=(), train={"init_from": str(tmp_path / "all")})
    with pytest.raises(ArtifactError, match="levers"):
        train(replace(other, problem=small_problem(WITH_RESERVES)), tmp_path / "other")


def test_a_lever_that_is_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentConfigError, match="switches none on"):
        train(task_of(levers=("reserve_nodes",)), tmp_path)


def test_a_policy_of_before_there_were_as_many_levers_loads(tmp_path: Path) -> None:
    policy = trained(tmp_path / "run", proof=0.0)
    weights, manifest = (next((tmp_path / "run").rglob(name)) for name in (WEIGHTS, MANIFEST))
    tensors = safetensors.numpy.load_file(weights)
    safetensors.numpy.save_file({**tensors, "start": tensors["start"][:5]}, weights)
    document = json.loads(manifest.read_text())
    del document["settings"]["levers"]
    document["files"][WEIGHTS] = hashlib.sha256(weights.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(document))
    before = load_policy(tmp_path / "run")
    observations = np.random.default_rng(0).random((50, 400), np.float32)
    masks = np.ones((50, ONE_COMPONENT.mask_size), np.bool_)
    np.testing.assert_array_equal(before.act(observations, masks), policy.act(observations, masks))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    for state in (tmp_path / "run/checkpoints").glob("*/state.json"):
        state.write_text(json.dumps({"steps": 1}))
    with pytest.raises(ArtifactError, match="cannot be resumed"):
        train(task_of(steps=2 * STEPS), tmp_path / "run", resume=True)
    shutil.rmtree(tmp_path / "run/checkpoints")
    with pytest.raises(ArtifactError, match="no checkpoint"):
        train(task_of(steps=2 * STEPS), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ("since_submitt",)}, "did you mean .since_submit"),
        ({"features": ()}, "empty"),
        ({"features": ("weekend", "weekend")}, "twice"),
        ({"hidden": (0,)}, "hidden"),
        ({"population": 2}, "population"),
        ({"levers": ("reserve_node",)}, "did you mean .reserve_nodes"),
        ({"levers": ("width", "width")}, "twice"),
    ],
)
def test_settings_without_meaning_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AgentConfigError, match=message):
        check(make_agent("cma-es", **settings), task_of().train)


def test_a_reward_of_the_user_is_refused() -> None:
    with pytest.raises(AgentConfigError, match="whole windows"):
        check(make_agent("cma-es"), replace(task_of().train, reward="module:reward"))


def test_one_policy_is_searched_on_several_traces_and_each_counts_by_its_own_costs(tmp_path: Path) -> None:
    task = task_of(proof=0.0, windows=4)
    other = small_problem(ONE_COMPONENT, uri="synthetic:quickstart?days=2&seed=5")
    both = replace(task, others=(other,))
    arena, alone = Arena(both), Arena(task)
    windows = arena.draw(np.random.default_rng(0))
    assert [len(part) for part in windows] == [2, 2]
    generator = np.random.default_rng(1)
    weights = np.vstack([np.zeros(arena.size), generator.normal(0.0, 0.3, (3, arena.size))])
    costs = arena.costs(weights, windows)
    assert costs.shape == (4, 4)
    np.testing.assert_allclose(costs[0, :2].mean(), costs[0, 2:].mean())  # the constants cost as much on each
    own = alone.costs(weights, windows[:1])
    np.testing.assert_allclose(costs[:, :2] / costs[0, 0], own / own[0, 0])
    folder = tmp_path / "run"
    folder.mkdir()
    assert train(both, folder).finished


def test_windows_are_of_some_traces_only_where_there_are_more_traces_than_windows() -> None:
    others = (small_problem(ONE_COMPONENT),) * 4
    arena = Arena(replace(task_of(windows=3), others=others))
    drawn = [[len(part) for part in arena.draw(np.random.default_rng(seed))] for seed in range(20)]
    assert all(sum(counts) == 3 and max(counts) == 1 for counts in drawn)
    assert np.array(drawn).sum(axis=0).all()


def test_a_training_from_another_policy_keeps_it_where_nothing_better_is_proved(tmp_path: Path) -> None:
    # The other policy counts from other constants: its choices must stay, not its weights.
    first = trained(tmp_path / "first", proof=0.0)
    folder = tmp_path / "second"
    folder.mkdir()
    task = task_of(train={"init_from": str(tmp_path / "first")}, proof=1e9)
    better = replace(task.tuned, idle_timeout_seconds=900.0, headroom=0.15)
    result = train(replace(task, tuned=better), folder)
    kept = load_policy(folder)
    observations = np.random.default_rng(0).random((200, 400), np.float32)
    masks = np.ones((200, ONE_COMPONENT.mask_size), np.bool_)
    if "the policy that it started from is kept" in result.describe():
        np.testing.assert_array_equal(kept.act(observations, masks), first.act(observations, masks))
    else:
        assert "the tuned constants are kept" in result.describe()
        assert not kept.policies.weights.any()
    moved = SearchRun(replace(task, tuned=better), task.agent, folder, Hooks())
    moved.start_from(str(tmp_path / "first"))
    policy = moved._arena.policy(moved._anchor)
    np.testing.assert_array_equal(policy.act(observations, masks), first.act(observations, masks))


def test_a_policy_that_reads_the_price_begins_as_constants_that_suit_each_price() -> None:
    """It costs no more than the best constants for all, and keeps more where waiting costs more."""
    task = task_of(price="added")
    config = task.problem.config
    priced = [replace(config, objective=replace(config.objective, usd_per_gpu_hour=usd)) for usd in (0.01, 20.0)]
    trace = traces.load("synthetic:quickstart?days=2&seed=0")
    task = replace(task, others=tuple(make_problem(trace, task.problem.cluster, each) for each in priced))
    arena = Arena(task)
    weights = arena.constants_by_price(start_weights(task.agent, task.layout, 0))
    grounds = arena.grounds
    usd = np.array([ground.constants() for ground in grounds])
    usd /= usd.min(axis=(1, 2), keepdims=True)
    ours = [ground.costs(weights[None], ground.whole()).mean() / ground.constants().min() for ground in grounds]
    assert np.mean(ours) <= usd.mean(axis=0).min() + 1e-9
    bias, slope = weights[:2], weights[-2:]
    assert (bias + slope * grounds[1].price < bias + slope * grounds[2].price).any()


def test_an_agent_that_trains_on_one_trace_refuses_several() -> None:
    config = replace(task_of().train, traces=("synthetic:quickstart",))
    with pytest.raises(AgentConfigError, match=r"train\.traces"):
        check(make_agent("ars"), config)
    check(make_agent("cma-es"), config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"load": (2.0, 1.0)}, "the lower bound comes first"),
        ({"boot_seconds": (0.0, 10.0)}, "boot_seconds"),
        ({"copies": -1}, "copies"),
    ],
)
def test_variations_without_meaning_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AgentConfigError, match=message):
        VariationConfig(**settings)
