"""A pool with GPUs that a job cannot use is not offered to it where another one may take it."""

from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.names import GATE_PLACEMENT
from autoscaler.live.policy.crowded import leave_crowded
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.policy.snapshot import fill_snapshot
from autoscaler.live.view.submissions import Submissions
from tests.live.views import JOB, NOW, booting, config, gang, node, pod, view

THERE = pod("there", node="n", gpus=1, cpu_milli=90_000, owner=JOB)
FULL_OF_CPUS = node("n", pods=[THERE])


def waiting(cpu_milli=8000, pools=("a", "b"), **fields):
    member = pod("g-0", gpus=1, gates=(GATE_PLACEMENT,), owner=JOB, cpu_milli=cpu_milli, **fields)
    return gang("g", 1, 1, members=(member,), pools=pools)


def chosen(nodes, job, *pods, **pools):
    """The pool that `reactive` sends a job to, and which are offered to it."""
    settings = config(**pools)
    seen = view(nodes, queue=[job], pods=[THERE, *pods])
    snapshot = fill_snapshot(seen, Submissions(NOW), settings)
    leave_crowded(seen, GuardrailState(), settings, snapshot)
    decided = make_decider("reactive", settings.codec).decide(snapshot)
    return int(decided.decision.placement[0]), snapshot.allowed[0, :2].tolist()


def test_a_job_goes_to_the_next_pool_when_the_first_has_only_the_gpus_for_it_and_may_not_grow():
    assert chosen([FULL_OF_CPUS], waiting(), a={"max_nodes": 1}) == (1, [0.0, 1.0])


def test_a_pool_that_may_grow_keeps_it():
    assert chosen([FULL_OF_CPUS], waiting(), a={"max_nodes": 2})[1] == [1.0, 1.0]


def test_so_does_one_whose_nodes_come():
    assert chosen([FULL_OF_CPUS, booting("m")], waiting(), a={"max_nodes": 2})[1] == [1.0, 1.0]


def test_a_job_that_fits_stays():
    assert chosen([FULL_OF_CPUS], waiting(cpu_milli=1000), a={"max_nodes": 1}) == (0, [1.0, 1.0])


def test_no_job_loses_its_last_pool():
    full = {"max_nodes": 1}
    other = pod("other", node="m", gpus=1, cpu_milli=90_000, owner=JOB)
    assert chosen([FULL_OF_CPUS], waiting(pools=("a",)), a=full)[1] == [1.0, 0.0]
    nodes = [FULL_OF_CPUS, node("m", "b", pods=[other])]
    assert chosen(nodes, waiting(), other, a=full, b=full)[1] == [1.0, 1.0]
