"""PPO of setpoints: its gradient and its returns are right, it learns, keeps what is proved, and resumes to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

from agents.cluster_task import ClusterTask
from agents.errors import AgentConfigError, ArtifactError
from agents.es.arena import Arena
from agents.loading import load_policy
from agents.ppo.learner import Learner, Network, Whitening, choices_of, log_probability, to_choices
from agents.ppo.rollouts import Rollout, advantages, roll_out
from agents.registry import make_agent
from agents.setpoints import LearnedSetpoints
from agents.training import Hooks, check, train
from autoscaler.live.policy.artifact import load_artifact
from envs.gpu_cluster.codec.setpoint_policy import OUTPUTS, RESERVES, TIMEOUTS, nearest_setpoint
from tests.agents.builders import ONE_COMPONENT, TWO_POOLS, small_problem, small_task

SMALL = {"windows": 2, "window_days": 0.2, "replicas": 4, "noise_seconds": 300.0, "batch_size": 64, "critic_units": 8}
STEPS = 12_000
COUNTS = choices_of(())


def task_of(seed: int = 0, steps: int = STEPS, train: dict[str, object] | None = None, **config: object) -> ClusterTask:
    lengths = {"total_steps": steps, "validations": 2, **(train or {})}
    task = small_task("dqn", seed, train=lengths)
    return replace(task, agent=make_agent("setpoint-ppo", **{**SMALL, **config}))


def trained(folder: Path, **config: object) -> LearnedSetpoints:
    folder.mkdir()
    train(task_of(**config), folder)
    policy = load_policy(folder)
    assert isinstance(policy, LearnedSetpoints)
    return policy


def rollout(minutes: list[list[float]], costs: list[list[float]], replicas: int = 1) -> Rollout:
    """One row for each sequence; the last column is the end."""
    times, usd = np.array(minutes), np.array(costs)
    count = np.full(len(times), times.shape[1] - 1)
    empty = np.zeros((*times.shape, 1))
    return Rollout(empty, np.zeros((len(times), times.shape[1] - 1, 2)), times, usd, count, replicas, 1)


def test_costs_are_discounted_by_the_time_between_decisions() -> None:
    """By hand: 1 USD in the first two minutes, 3 in the next one; the critic expects -2 from the end on."""
    values = np.array([[0.5, -1.0, -2.0]])
    found, returns = advantages(rollout([[0.0, 2.0, 3.0]], [[0.0, 1.0, 4.0]]), values, 1.0, 0.5, 0.25)
    last = -3.0 + 0.5 * -2.0 - -1.0
    first = -1.0 + 0.25 * -1.0 - 0.5
    expected = [first + (0.5 * 0.25) ** 2 * last, last]
    np.testing.assert_allclose(found, [expected])
    np.testing.assert_allclose(returns, [[expected[0] + 0.5, expected[1] - 1.0]])


def test_the_same_costs_in_the_same_time_have_the_same_return_however_often_one_decides() -> None:
    often = rollout([[0.0, 1.0, 2.0, 3.0, 4.0]], [[0.0, 0.0, 0.0, 0.0, 2.0]])
    seldom = rollout([[0.0, 3.0, 4.0]], [[0.0, 0.0, 2.0]])
    returns = [advantages(each, np.zeros(each.costs.shape), 1.0, 0.9, 1.0)[1][0, 0] for each in (often, seldom)]
    np.testing.assert_allclose(returns, -2.0 * 0.9**3)


def test_what_all_replicas_met_counts_for_none_of_them() -> None:
    """A dear hour, which all share, vanishes; what one cost more than the others stays, and sums to nothing."""
    costs = [[0.0, 10.0, 12.0], [0.0, 10.0, 13.0], [0.0, 10.0, 11.0]]
    found, _ = advantages(rollout([[0.0, 10.0, 20.0]] * 3, costs, 3), np.zeros((3, 3)), 1.0, 0.999999, 1.0)
    np.testing.assert_allclose(found[:, 1], [0.0, -1.5, 1.5], atol=1e-3)
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-9)


def test_choices_are_as_likely_as_noise_and_rounding_make_them() -> None:
    means, sigma = np.array([[2.3, 0.4], [-1.0, RESERVES + 2.0]]), np.array([0.7, 1.3])
    total = np.zeros(2)
    for edge in range(TIMEOUTS):
        for row in range(RESERVES):
            choices = torch.tensor([[edge, row]] * 2, dtype=torch.float64)
            total += np.exp(log_probability(torch.tensor(means), torch.tensor(np.log(sigma)), choices, COUNTS).numpy())
    always = torch.tensor([[0.0, RESERVES], [3.0, RESERVES]], dtype=torch.float64)
    on = np.exp(log_probability(torch.tensor(means), torch.tensor(np.log(sigma)), always, COUNTS).numpy())
    np.testing.assert_allclose(on, norm.sf(RESERVES - 0.5, means[:, 1], sigma[1]), rtol=1e-6)
    np.testing.assert_allclose(total + on, 1.0, rtol=1e-6)


def test_the_gradient_of_a_choice_is_that_of_finite_differences() -> None:
    generator = np.random.default_rng(0)
    means, log_sigma = torch.tensor(generator.normal(2.0, 3.0, (40, 2))), torch.tensor([-0.3, 0.2])
    log_sigma = log_sigma.double().requires_grad_()
    means.requires_grad_()
    noisy = means.detach().numpy() + generator.normal(0.0, 1.0, (40, 2))
    choices = torch.tensor(to_choices(noisy, COUNTS))
    assert torch.autograd.gradcheck(
        lambda *values: log_probability(*values, choices, COUNTS), (means, log_sigma), atol=1e-4
    )


def test_choices_are_those_of_the_codec() -> None:
    outputs = np.random.default_rng(0).uniform(-3.0, 20.0, (500, 2))
    edge, row = to_choices(outputs, COUNTS).T
    ours = np.where(row == RESERVES, RESERVES * TIMEOUTS, row * TIMEOUTS + edge)
    np.testing.assert_array_equal(ours, nearest_setpoint(outputs[:, 0], outputs[:, 1]))


@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_the_network_computes_what_kernels_compute_of_its_weights(hidden: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    policy = LearnedSetpoints(
        "p",
        small_arena().start,
        ("since_submit", "queue_gpus", "pool.idle_nodes"),
        hidden,
        generator.normal(0.0, 1.0, sum((a + 1) * b for a, b in zip((3, *hidden), (*hidden, 2), strict=True))),
    )
    inputs = generator.random((50, 3))
    whitening = Whitening.of(inputs)
    network = Network(policy.policies.weights[0], (3, *hidden, 2), whitening)
    np.testing.assert_allclose(network.weights(), policy.policies.weights[0], atol=1e-5)
    values = np.zeros((3, 5, 50))
    values[0, :3] = inputs.T
    from envs.gpu_cluster.codec.setpoint_policy import run_layers

    row = run_layers(policy.policies.weights[0], policy.policies.sizes, values)
    with torch.no_grad():
        found = network(torch.tensor((inputs - whitening.mean) @ whitening.matrix, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, values[row, :2].T, atol=1e-4)


def small_arena(**config: object) -> Arena:
    return Arena(task_of(**config))


def test_learning_moves_outputs_to_what_paid_and_the_leash_holds_them_back() -> None:
    """Disturbances of the time-out upwards paid where the first input is large."""
    generator = np.random.default_rng(0)
    moved = []
    for leash in (0.0, 100.0):
        rates = {"learning_rate": 0.05, "batch_size": 400, "leash": leash}
        settings = make_agent("setpoint-ppo", features=("since_submit",), **rates)
        inputs = generator.random((4000, 1))
        learner = Learner(settings, np.zeros(4), np.array([4.0, 1.0]), COUNTS, Whitening.of(inputs), 0)
        outputs = np.array([4.0, 1.0]) + generator.normal(0.0, 1.0, (4000, OUTPUTS))
        gains = (outputs[:, 0] - 4.0) * (inputs[:, 0] - 0.5)
        learner.learn(inputs, outputs, gains, np.zeros(4000), generator, 1.0)
        bias, slope = learner.policy.weights().reshape(2, 2)
        moved.append(slope[0])
        assert abs(bias[0] + 0.5 * slope[0]) < 0.1  # it did not pay on average
        assert abs(slope[1]) < max(0.25 * slope[0], 0.1)
    assert moved[0] > 0.2
    assert abs(moved[1]) < moved[0] / 5


def test_replicas_meet_the_same_window_with_noise_of_their_own() -> None:
    arena = small_arena()
    ground = arena.grounds[0]
    episodes = ground.draw(np.random.default_rng(0), 2)
    generator = np.random.default_rng(1)
    found = roll_out(ground, np.zeros(arena.size), episodes, 3, np.array([2.0, 2.0]), 300.0, generator)
    assert len(found.drawn) == 6
    np.testing.assert_array_equal(found.inputs[0, 0], found.inputs[1, 0])
    assert not np.array_equal(found.inputs[0, 0], found.inputs[3, 0])
    ends = found.costs[np.arange(6), found.drawn]
    assert len(set(ends.tolist())) == 6
    np.testing.assert_allclose(found.minutes[np.arange(6), found.drawn], (episodes[0, 1] - episodes[0, 0]) / 60_000.0)


def test_a_seed_gives_the_same_policy_and_stopping_changes_nothing(tmp_path: Path) -> None:
    whole, other = trained(tmp_path / "whole", proof=0.0), trained(tmp_path / "other", seed=1, proof=0.0)
    folder = tmp_path / "stopped"
    folder.mkdir()
    asked: list[None] = []
    task = task_of(proof=0.0)
    result = train(task, folder, Hooks(should_stop=lambda: len(asked) > 2 or asked.append(None) is not None))
    assert not result.finished
    assert 0 < result.steps < STEPS
    assert train(task, folder, resume=True).finished
    np.testing.assert_array_equal(load_policy(folder).policies.weights, whole.policies.weights)
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()
    assert (tmp_path / "other/metrics.jsonl").read_bytes() != (tmp_path / "whole/metrics.jsonl").read_bytes()
    assert other.policies.weights.shape == whole.policies.weights.shape


def test_it_beats_constants_that_are_bad(tmp_path: Path) -> None:
    # Ten idle minutes and no reserve are dear where an hour of waiting costs as much as a GPU does.
    folder = tmp_path / "run"
    folder.mkdir()
    result = train(task_of(steps=60_000, proof=0.0), folder)
    assert result.best_score < 0.9 * result.start_score
    assert load_policy(folder).policies.weights.any()


def test_constants_are_kept_where_the_gain_is_no_proof_and_a_cluster_runs_what_was_saved(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert "the tuned constants are kept" in train(task_of(proof=1e9), folder).describe()
    policy = load_policy(folder)
    assert not policy.policies.weights.any()
    deployed = load_artifact(folder, ONE_COMPONENT)
    observations = np.random.default_rng(0).random((50, 400), np.float32)
    masks = np.ones((50, ONE_COMPONENT.mask_size), np.bool_)
    np.testing.assert_array_equal(deployed.act(observations, masks), policy.act(observations, masks))


def test_it_begins_as_a_searched_policy_and_a_search_begins_as_it(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    search = {"restarts": 1, "windows": 2, "window_days": 0.2, "population": 6, "proof": 0.0}
    train(replace(task_of(), agent=make_agent("cma-es", **search)), tmp_path / "search")
    searched = load_policy(tmp_path / "search").policies.weights
    init = {"init_from": str(tmp_path / "search")}
    kept = trained(tmp_path / "kept", train=init, proof=1e9).policies.weights
    assert np.array_equal(kept, searched) or not kept.any()
    moved = trained(tmp_path / "moved", train=init, proof=0.0, learning_rate=1e-6).policies.weights
    np.testing.assert_allclose(moved, searched, atol=0.01)
    (tmp_path / "back").mkdir()
    back = task_of(train={"init_from": str(tmp_path / "moved")})
    assert train(replace(back, agent=make_agent("cma-es", **search)), tmp_path / "back").finished
    with pytest.raises(ArtifactError, match="other features"):
        trained(tmp_path / "other", train=init, features=("since_submit",))


def test_several_traces_and_pools_train_one_policy(tmp_path: Path) -> None:
    task = task_of(windows=4, price="crossed", hidden=())
    other = small_problem(ONE_COMPONENT, uri="synthetic:quickstart?days=2&seed=5")
    (tmp_path / "traces").mkdir()
    assert train(replace(task, others=(other,)), tmp_path / "traces").finished
    pools = replace(small_task("ppo", train={"total_steps": 4000, "validations": 1}), agent=task_of(hidden=(4,)).agent)
    assert pools.layout == TWO_POOLS
    (tmp_path / "pools").mkdir()
    assert train(pools, tmp_path / "pools").finished


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ("since_submitt",)}, "did you mean .since_submit"),
        ({"least_sigma": 2.0}, "above agent.sigma"),
        ({"gamma": 1.0}, "gamma"),
        ({"device": "tpu"}, "device"),
        ({"noise_seconds": 0.0}, "noise_seconds"),
    ],
)
def test_settings_without_meaning_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AgentConfigError, match=message) as found:
        check(make_agent("setpoint-ppo", **settings), task_of().train)
    assert "\n" not in str(found.value)


def test_a_reward_of_the_user_is_refused() -> None:
    with pytest.raises(AgentConfigError, match="disturbances"):
        check(make_agent("setpoint-ppo"), replace(task_of().train, reward="module:reward"))
