"""Custom packers in both simulators and the environments: one function and one line, compiled or plain."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import EnvironmentConfigError, PackingError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.simulator import PACKERS, Nodes, Packer, Pod, ReferenceSimulator, Simulator, Tables, make_problem
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.kernels import steps as kernels
from envs.gpu_cluster.simulator.packing.gpus import tightest_gpus
from envs.gpu_cluster.simulator.packing.node_packer import NodePacker
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from tests.envs.gpu_cluster.builders import Job, make_trace, small_problem
from tests.envs.gpu_cluster.players import STYLES, Player
from tests.envs.gpu_cluster.side_by_side import assert_same_times, both_simulators, step_both, whole
from tests.envs.gpu_cluster.simulator.test_fragmentation import openb_like
from tests.envs.gpu_cluster.worlds import kernel_property, problems

ROOT = Path(__file__).resolve().parents[4]
WORLDS = kernel_property(examples=40)
SHARES: list[Job] = [(float(10 * index), 4000.0, (0.5, 1.0, 2.0)[index % 3]) for index in range(30)]


def emptiest(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The busy node with the most free capacity."""
    return -n.node[node, ns.FREE_MILLI]


def anything(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """A key that depends on all that a score may look at: the simulators agree only if all of it is the same."""
    key = f.most[0] + f.share_level[500] + f.cpu_level[0]
    for column in range(ns.NODE_COLUMNS):  # those behind are scratch of kernels
        key = (31 * key + n.node[node, column]) % 1_000_003
    for gpu in range(n.gpu.shape[1]):
        key = (31 * key + n.gpu[node, gpu] + 7 * n.kind[node, gpu + 1]) % 1_000_003
    for other in range(n.node.shape[0]):
        key = (31 * key + n.kind[other, 0] + n.node[other, ns.OPEN]) % 1_000_003
    for column in range(ns.END):
        key = (31 * key + pod[column]) % 1_000_003
    return key


def anything_of_pods(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The same of what belongs to one pod."""
    return (31 * pod[ns.END] + 17 * pod[ns.NUMBER] + 7 * n.node[node, ns.LATEST_END]) % 1009


def highest_gpus(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The GPUs with the highest numbers that fit."""
    bits, left = 0, pod[ns.NUM_GPUS]
    for gpu in range(n.node[node, ns.GPUS] - 1, -1, -1):
        if left > 0 and n.gpu[node, gpu] >= pod[ns.MILLI]:
            bits |= 1 << gpu
            left -= 1
    return bits


def by_text(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """A score in words that numba does not compile."""
    return -int({"free": str(n.node[node, ns.FREE_MILLI])}["free"])


def tenths(n: Nodes, f: Tables, pod: Pod, node: int) -> float:
    """A key that is no integer, which plain packers may give."""
    return float(n.node[node, ns.FREE_MILLI] + node) / 10


OWN = {
    "emptiest": Packer(emptiest, idle_first=True),
    "anything": Packer(anything, highest_gpus, per_pod=anything_of_pods),
    "any-python": Packer(anything, highest_gpus, per_pod=anything_of_pods, compiled=False),
    "by-text": Packer(by_text, compiled=False),
    "tenths": Packer(tenths, compiled=False),
    "own-best-fit": Packer(best_fit, tightest_gpus),
    "plain-best-fit": Packer(best_fit, tightest_gpus, compiled=False),
}


@pytest.fixture(scope="module", autouse=True)
def custom_packers() -> Iterator[None]:
    """They are known in this module, and in no other."""
    before = tuple(PACKERS)
    for name, packer in OWN.items():
        PACKERS[name] = packer
    yield
    for name in OWN:
        del PACKERS[name]
    assert tuple(PACKERS) == before


def problem_with(packer: str | Packer, jobs: list[Job] = SHARES, max_nodes: int = 4) -> Problem:
    """Jobs on nodes of four GPUs; a `Packer` is registered for the moment."""
    if isinstance(packer, Packer):
        PACKERS["mine"] = packer
    try:
        name = "mine" if isinstance(packer, Packer) else packer
        return small_problem(jobs, (PoolConfig("gpu", max_nodes, gpus_per_node=4),), packer=name, debug=True)
    finally:
        if "mine" in PACKERS:
            del PACKERS["mine"]


def replayed(problem: Problem, clusters: int = 1, threads: int = 1) -> Simulator:
    """A whole replay."""
    simulator = Simulator.from_problem(problem, clusters, threads=threads)
    simulator.reset_all()
    simulator.replay(np.arange(clusters))
    return simulator


def assert_same(ours: Simulator, theirs: Simulator) -> None:
    """All memory is the same, but for the keys that only packers of the package write down."""
    for (name, left), right in zip(ours.state_arrays().items(), theirs.state_arrays().values(), strict=True):
        if name == "Nodes.key":
            continue
        np.testing.assert_array_equal(left, right, err_msg=name)


def play_plain(problem: Problem) -> None:
    """Some steps of the reference simulator."""
    slow = ReferenceSimulator(problem)
    slow.reset(*whole(problem))
    for _ in range(100):
        if slow.done:
            break
        slow.step(np.ones(len(problem.config.codec.action_sizes), np.int64))


@pytest.mark.slow
@WORLDS
@given(
    problem=problems(is_stochastic=True, detailed=True, packers=tuple(OWN)),
    seed=st.integers(0, 2**32 - 1),
    style=st.sampled_from(STYLES),
)
def test_both_twins_agree_on_a_packer_of_ones_own(problem: Problem, seed: int, style: str) -> None:
    player = Player(problem.config.codec, style, np.random.default_rng(seed))
    fast, slow = both_simulators(problem, whole(problem))
    for _ in range(200):
        if slow.done:
            break
        action = player.act(slow.mask)
        step_both(fast, slow, action)
    assert_same_times(fast, slow)


@pytest.mark.slow
@pytest.mark.parametrize("packer", ["own-best-fit", "plain-best-fit"])
@WORLDS
@given(problem=problems(detailed=True, packers=["best-fit"]), setpoint=st.integers(0, 5))
def test_a_copy_of_best_fit_does_what_best_fit_does(packer: str, problem: Problem, setpoint: int) -> None:
    if not problem.config.physics.second_resources:
        return  # the name `best-fit` means another packer there
    own = replace(problem, config=replace(problem.config, packer=packer), custom_packer=OWN[packer])
    assert_same(replayed(own), replayed(problem))


@pytest.mark.slow
def test_the_node_with_the_lowest_key_is_taken_as_worked_out_by_hand() -> None:
    """Of two busy nodes with two free GPUs and one, the emptiest is the first, the fullest the second; one is idle."""
    jobs: list[Job] = [(0.0, 9000.0, 2.0), (0.0, 9000.0, 3.0), (100.0, 9000.0, 1.0)]
    free = {name: free_in_the_end(name, jobs) for name in ("by-text", "own-best-fit", "emptiest")}
    assert free == {"by-text": [1000, 1000, 4000], "own-best-fit": [0, 2000, 4000], "emptiest": [1000, 2000, 3000]}


def free_in_the_end(packer: str, jobs: list[Job]) -> list[int]:
    """Free thousandths of three nodes that are on from the start, the fullest first, when all jobs run."""
    pool = PoolConfig("gpu", 3, 3, gpus_per_node=4)
    problem = small_problem(jobs, (pool,), packer=packer)
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    while simulator.time_ms[0] <= 1_000_000:
        simulator.step(np.ones((1, len(problem.config.codec.action_sizes)), np.int64))
    return sorted(simulator._world.clusters.detail.node[0, :3, ns.FREE_MILLI].tolist())


@pytest.mark.slow
def test_kernels_are_compiled_once_for_all_packers_of_ones_own() -> None:
    if not hasattr(kernels.step_clusters, "overloads"):
        pytest.skip("numba does not compile")
    before = None
    for packer in ("emptiest", "anything", "by-text"):
        replayed(problem_with(packer))
        now = len(kernels.replay_clusters.overloads)
        assert before in (None, now)
        before = now


SCRIPT = """
import json, sys
import numpy as np
from envs.gpu_cluster.simulator.kernels import steps as kernels
from envs.gpu_cluster.simulator import PACKERS, Packer, Simulator
from tests.envs.gpu_cluster.simulator.test_custom_packers import problem_with
simulator = Simulator.from_problem(problem_with(Packer(lambda n, f, pod, node: 3 * node % 5)))
simulator.reset_all()
simulator.replay(np.zeros(1, np.int64))
stats = getattr(kernels.replay_clusters, "stats", None)
print(json.dumps([sum(stats.cache_misses.values()) if stats else -1, simulator.energy().to_dict()]))
"""


def run_script(**environment: str) -> list[object]:
    """What a new process prints that has a packer of its own."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[object] = json.loads(run.stdout)
    return answer


@pytest.mark.slow
def test_another_process_compiles_no_kernels_and_none_are_needed() -> None:
    replayed(problem_with("emptiest"))
    compiled = run_script()
    assert compiled[0] <= 0
    assert run_script(NUMBA_DISABLE_JIT="1") == [-1, compiled[1]]


@pytest.mark.slow
@pytest.mark.parametrize("packer", ["anything", "any-python"])
def test_threads_and_pickled_simulators_give_the_same_bits(packer: str) -> None:
    problem = pickle.loads(pickle.dumps(problem_with(packer)))
    alone = replayed(problem, clusters=4)
    assert_same(replayed(problem, clusters=4, threads=2), alone)
    simulator = Simulator.from_problem(problem, 4)
    simulator.reset_all()
    simulator.replay_decisions(np.arange(4), 5)
    simulator = pickle.loads(pickle.dumps(simulator))
    simulator.replay(np.arange(4))
    for name in ("clock", "queue", "run"):
        np.testing.assert_array_equal(getattr(simulator._world.clusters, name), getattr(alone._world.clusters, name))


@pytest.mark.slow
@pytest.mark.parametrize("packer", ["anything", "any-python"])
def test_environments_take_it_by_its_name(packer: str) -> None:
    problem = problem_with(packer)
    batch = GpuClusterVecEnv(problem, 2, seed=0)
    batch.reset()
    batch.reset()
    for _ in range(5):
        batch.step(np.zeros((2, len(problem.config.codec.action_sizes)), np.int64))
    environment = GpuClusterEnv(make_trace(SHARES), problem.cluster, problem.config)
    environment.reset(seed=0)
    assert environment.step(np.zeros(len(problem.config.codec.action_sizes), np.int64))[1] <= 0.0


@pytest.mark.slow
def test_the_same_functions_serve_node_packing() -> None:
    one, other, tables, pods = openb_like(5)
    placed = NodePacker(one, tables, "plain-best-fit").place(pods[:80])
    np.testing.assert_array_equal(placed, NodePacker(other, tables, "best-fit").place(pods[:80]))


def broken(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """A score that raises for the third job and later ones."""
    if pod[ns.NUMBER] >= 3:
        raise LookupError("no key for this one")
    return 0


@pytest.mark.slow
def test_what_a_plain_packer_raises_comes_out_with_its_traceback() -> None:
    simulator = Simulator.from_problem(problem_with(Packer(broken, compiled=False)), 2)
    for _ in range(2):
        simulator.reset_all()
        with pytest.raises(LookupError, match="no key for this one") as error:
            simulator.replay(np.zeros(2, np.int64))
        assert "broken" in [entry.name for entry in error.traceback]


def test_what_a_compiled_packer_raises_is_an_error_of_one_line() -> None:
    simulator = Simulator.from_problem(problem_with(Packer(broken)))
    simulator.reset_all()
    with pytest.raises((PackingError, LookupError)) as error:
        simulator.replay(np.zeros(1, np.int64))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bits", [0, 1, 0b11111, -1, 1 << 40])
@pytest.mark.parametrize("compiled", [True, False])
def test_gpus_that_cannot_be_are_an_error_and_take_nothing(bits: int, compiled: bool) -> None:
    problem = problem_with(Packer(best_fit, lambda n, f, pod, node: bits, compiled=compiled))
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    with pytest.raises(PackingError, match="packer 'mine': its gpus returned GPUs that node") as error:
        simulator.replay(np.zeros(1, np.int64))
    assert "\n" not in str(error.value)
    assert simulator._world.clusters.detail.gpu.min() >= 0
    with pytest.raises(PackingError, match="packer 'mine': its gpus returned GPUs that node"):
        play_plain(problem)


@pytest.mark.parametrize(
    ("packer", "message"),
    [
        (Packer("best-fit"), "score is 'best-fit'; it must be a function"),  # type: ignore[arg-type]
        (Packer(emptiest, gpus=3), "gpus is 3"),  # type: ignore[arg-type]
        (Packer(max), "score is a builtin_function_or_method, and numba compiles functions only"),
        (emptiest, "is a function; write Packer"),
    ],
)
def test_a_registration_that_cannot_be_is_refused_at_once(packer: Packer, message: str) -> None:
    with pytest.raises(PackingError, match=message) as error:
        PACKERS["mine"] = packer
    assert "\n" not in str(error.value)
    assert "mine" not in PACKERS


def test_packers_of_the_package_stay_what_they_are() -> None:
    with pytest.raises(EnvironmentConfigError, match="'best-fit' is one of the package; choose another name"):
        PACKERS["best-fit"] = Packer(emptiest)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (by_text, "numba cannot compile its score: .*compiled=False"),
        (tenths, "its score returns float64; it must return an integer"),
        (lambda n, f, pod: 0, "numba cannot compile its score: .*compiled=False"),
    ],
)
def test_a_score_that_numba_cannot_compile_says_so(score: Callable[..., int], message: str) -> None:
    if not hasattr(kernels.step_clusters, "overloads"):
        pytest.skip("numba does not compile")
    with pytest.raises(PackingError, match=message) as error:
        Simulator.from_problem(problem_with(Packer(score)))
    assert "\n" not in str(error.value)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(EnvironmentConfigError, match="unknown packer 'emptyest'; did you mean 'emptiest'"):
        EnvironmentConfig(packer="emptyest")
    PACKERS["forgotten"] = Packer(emptiest)
    config = EnvironmentConfig(packer="forgotten")
    del PACKERS["forgotten"]
    with pytest.raises(EnvironmentConfigError, match="unknown packer 'forgotten'"):
        make_problem(make_trace(SHARES), ClusterConfig((PoolConfig("gpu", 4),)), config)


@pytest.mark.slow
def test_it_looks_at_cpus_where_they_count() -> None:
    config = EnvironmentConfig(packer="emptiest", physics=PhysicsConfig(second_resources=True))
    pool = PoolConfig("gpu", 2, 2, gpus_per_node=8, cpus_per_node=4.0)
    trace = make_trace([(0.0, 500.0, 1.0)] * 3, cpu_milli=[4000] * 3)
    simulator = Simulator(trace, ClusterConfig((pool,)), config)
    simulator.reset_all()
    simulator.replay(np.zeros(1, np.int64))
    starts = simulator.job_times().start_ms[:3]
    assert len(set(starts.tolist())) == 2
