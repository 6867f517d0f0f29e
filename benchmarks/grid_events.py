"""What grid events cost the jobs, by who meets them: the guardrail alone, or a policy that prepares for them.

One event a day. Every row meets the same budget, for the guardrail is a part of the simulator; what differs is what the
jobs pay for it, beside the same policy without any event.

- `no event`: the same world without a budget.
- `tiers-in-order`: the guardrail alone.
- `hold-ahead`: also holds the jobs at the head of the queue from the notice on, while the budget is below the power.
- `suspend-all`: suspends all that may be when the event starts, and lets all go on when it is over.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
from _common import parse, parser
from numpy.typing import NDArray

import traces
from agents.baselines import ConstantSetpoint
from configs.files import check_output_file
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import HOLD, CodecLayout, observation_names
from envs.gpu_cluster.codec.levers import RESUME, SUSPEND
from envs.gpu_cluster.config import CurvesConfig, EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.grid import GridEventConfig
from envs.gpu_cluster.simulator import PoolTotals, Simulator

DAY_SECONDS = 86400.0
ATTRIBUTES = "checkpointable=1&elastic=0.5&flexibility=0:1,1:2,2:3,3:4"


class AroundEvents(ConstantSetpoint):
    """`reactive`, and something of its own around events.

    Args:
        layout: the codec layout, with the levers and grid events.
        name: `hold-ahead` or `suspend-all`; another one does nothing more.
    """

    def __init__(self, layout: CodecLayout, name: str) -> None:
        super().__init__(layout, name=name)
        at = {entry: index for index, entry in enumerate(observation_names(layout))}
        self._known, self._share, self._starts = (
            at[entry] for entry in ("budget_known", "budget_against_power", "budget_starts")
        )
        self._slots = slice(layout.max_pools, layout.max_pools + layout.window_slots)
        self._edges = np.cumsum([0, *layout.action_sizes])

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The actions of `reactive`, changed where an event is known or over."""
        actions = super().act(observations, action_masks)
        is_known = observations[:, self._known] > 0.0
        is_tight = is_known & (observations[:, self._share] < 0.5)
        is_on = is_known & (observations[:, self._starts] == 0.0)
        if self.name == "hold-ahead":
            may_hold = action_masks[:, self._edges[self._slots]]
            actions[:, self._slots] = np.where(is_tight[:, None] & may_hold, HOLD, actions[:, self._slots])
        elif self.name == "suspend-all":
            wanted = np.where(is_on, SUSPEND, RESUME)
            for part in range(len(self._edges) - 1 - self.layout.max_pools, len(self._edges) - 1):
                valid = action_masks[np.arange(len(wanted)), self._edges[part] + wanted]
                actions[:, part] = np.where(valid, wanted, 0)
        return actions


def play(simulator: Simulator, policy: ConstantSetpoint) -> dict[str, float]:
    """The whole trace under a policy: what the jobs and the operator paid."""
    simulator.reset_all()
    while not simulator.is_done():
        simulator.step(policy.act(simulator.observations, simulator.action_masks))
    totals, times = PoolTotals.sum(simulator.pool_totals()), simulator.job_times()
    return {
        "excess_kw_seconds": float(simulator.excess_kw_seconds[0]),
        "waited_gpu_hours": float(simulator.waited_gpu_hours[0]),
        "overhead_gpu_hours": totals.overhead_milli_ms / 3.6e9,
        "delay_usd": simulator.account().delay_usd,
        "energy_kwh": simulator.energy().total,
        "suspensions": totals.suspensions,
        "resizes": totals.resizes,
        "mean_completion_seconds": float(times.completion_seconds.mean()),
    }


def main() -> None:
    """Play and print."""
    options = parser(__doc__)
    options.add_argument("--days", type=int, default=14, help="of the synthetic trace (default %(default)s)")
    options.add_argument("--fraction", type=float, default=0.35, help="budget over the peak (default %(default)s)")
    options.add_argument("--hours", type=float, default=2.0, help="of each event (default %(default)s)")
    arguments = parse(options, days=2)
    trace = traces.load(f"synthetic:quickstart?days={arguments.days}&seed=0&{ATTRIBUTES}")
    events = tuple(
        GridEventConfig(DAY_SECONDS * day + 64800.0, 3600.0 * arguments.hours, fraction=arguments.fraction)
        for day in range(arguments.days)
    )
    codec = CodecLayout(
        max_pools=1, power_caps=True, elastic_width=True, suspension=True, grid_events=True, max_hold_seconds=14400.0
    )
    curves = CurvesConfig(power_caps="preset:V100", scaling="preset:elasticflow")
    config = EnvironmentConfig(codec=codec, physics=PhysicsConfig(curves=curves), grid_events=events)
    cluster, rows = auto_cluster(trace), {}
    for name in ("no event", "tiers-in-order", "hold-ahead", "suspend-all"):
        world = replace(config, grid_events=()) if name == "no event" else config
        rows[name] = play(Simulator(trace, cluster, world), AroundEvents(codec, name))
        sys.stderr.write(f"{name} is done\n")
    names = list(rows["no event"])
    lines = [f"{'':16}" + "".join(f"{name:>26}" for name in names)]
    lines += [f"{row:16}" + "".join(f"{values[name]:26,.1f}" for name in names) for row, values in rows.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    if arguments.json is not None:
        check_output_file(arguments.json)
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
