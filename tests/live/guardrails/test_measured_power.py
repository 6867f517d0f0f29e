"""Grid events on a cluster: whatever the policy wants, what is measured comes below the budget and stays there."""

from dataclasses import dataclass, field, replace

import numpy as np

from autoscaler.live.guardrails import Allowed, GuardrailState, evaluate
from autoscaler.live.model import ClusterView
from autoscaler.live.names import ANNOTATION_FLEXIBILITY
from autoscaler.live.objects import SuspendedBy, SuspendedJob
from envs.gpu_cluster.codec import SUSPENSION_CHOICES, CodecLayout
from tests.live.guardrails.test_consolidations import cluster, running, worker
from tests.live.guardrails.test_power_budget import event
from tests.live.guardrails.test_suspensions import TIER_3, limits
from tests.live.views import NOW, decision, node

EVENTS = 1000
GPUS = 8
SUSPEND = SUSPENSION_CHOICES.index("suspend")
LEVER = CodecLayout(suspension=True)


@dataclass
class Metered:
    """A cluster whose GPUs draw another power than the model says, which a meter sees on some nodes.

    Attributes:
        jobs: by name: GPUs of its only pod, tier, and watts of each of its GPUs; each on a node of its own.
        metered: names of the jobs whose node has a meter.
        idle: nodes without a job.
        suspended: jobs that were suspended, and by whom.
    """

    jobs: dict[str, tuple[int, str, float]]
    metered: set[str]
    idle: list[str]
    suspended: dict[str, SuspendedBy] = field(default_factory=dict)

    def kw(self) -> float:
        """What is drawn now."""
        on = [self.gpu_watts(name) for name in self.jobs if name not in self.suspended]
        return (sum(on) + 400.0 * (len(on) + len(self.idle)) + GPUS * 50.0 * len(self.idle)) / 1000.0

    def gpu_watts(self, name: str) -> float:
        gpus, _, watts = self.jobs[name]
        return gpus * watts + (GPUS - gpus) * 50.0

    def view(self) -> ClusterView:
        gangs = {
            name: running(worker(name, f"n-{name}", gpus, annotations=TIER_3 | {ANNOTATION_FLEXIBILITY: tier}))
            for name, (gpus, tier, _) in self.jobs.items()
            if name not in self.suspended
        }
        gangs = {name: replace(gang, running_since_seconds=NOW - 7200.0) for name, gang in gangs.items()}
        nodes = [
            node(f"n-{name}", pods=gang.pods, measured_gpu_watts=self.gpu_watts(name) if name in self.metered else None)
            for name, gang in gangs.items()
        ]
        marks = tuple(
            SuspendedJob(worker(name, "").owner, NOW, 1000 * self.jobs[name][0], True, by, "a", NOW + 9000.0)
            for name, by in self.suspended.items()
        )
        more = [node(name, idle_for=1.0) for name in self.idle]
        return cluster(*gangs.values(), nodes=nodes, more=more, suspended=marks)

    def carry_out(self, allowed: Allowed) -> bool:
        """Let what the guardrails allow happen, and say whether anything did."""
        self.suspended |= {each.gang.ref.name: each.by for each in allowed.suspensions}
        gone = {each.name for each in allowed.removals}
        # A job's node is idle once its pods are gone.
        self.idle += [f"n-{each.gang.ref.name}" for each in allowed.suspensions]
        self.idle = [name for name in self.idle if name not in gone]
        ordered = sum(allowed.orders.values())
        self.idle += [f"new-{len(self.idle)}-{index}" for index in range(ordered)]
        return bool(allowed.suspensions or gone or ordered)


def a_cluster(generator: np.random.Generator) -> Metered:
    count = int(generator.integers(0, 9))
    names = [f"j{index}" for index in range(count)]
    has_meter = {name: bool(generator.random() < 0.5) for name in names}
    jobs = {
        name: (
            int(generator.integers(1, GPUS + 1)),
            str(generator.choice(["0", "1", "3"], p=[0.2, 0.2, 0.6])),
            # The model says 300 W of a GPU at work; where nobody measures it has to be right.
            float(generator.uniform(100.0, 700.0)) if has_meter[name] else 300.0,
        )
        for name in names
    }
    idle = [f"i{index}" for index in range(int(generator.integers(0, 4)))]
    return Metered(jobs, {name for name in names if has_meter[name]}, idle)


def test_measured_power_comes_below_the_budget_of_each_of_a_thousand_random_events() -> None:
    """But for what may not be stopped. A policy that wants nodes, and suspends what it may, changes nothing of it."""
    generator, kept = np.random.default_rng(0), 0
    for _ in range(EVENTS):
        world = a_cluster(generator)
        budget_kw = float(generator.uniform(0.0, 1.2)) * world.kw()
        settings = replace(limits(event(budget_kw)), codec=LEVER)
        firm = {name for name, (_, tier, _) in world.jobs.items() if tier != "3"}
        for _ in range(30):
            lever = np.array([SUSPEND * int(generator.random() < 0.2), 0, 0, 0])
            want = decision(a=int(generator.integers(0, 11)))._replace(suspension=lever)
            allowed = evaluate(world.view(), want, GuardrailState(), settings)
            if not world.carry_out(allowed):
                break
        assert not firm & world.suspended.keys(), "who did not opt in runs on"
        may_stop = world.jobs.keys() - firm - world.suspended.keys()
        is_kept = world.kw() <= budget_kw + 1e-9
        assert is_kept or not (may_stop or world.idle), (world, budget_kw)
        kept += is_kept
    assert kept > EVENTS // 2
