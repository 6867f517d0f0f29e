"""What a replay of a window came to, as rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from tests.cluster.witness import NodeParts, WaitParts


@dataclass(frozen=True, slots=True)
class Result:
    """What a replay came to, in trace seconds.

    Attributes:
        name: who decided.
        node_seconds: nodes that exist, from the first submission to the end of the last job.
        waits_seconds: from submission until the last pod of the job has a node, by job.
        finished: jobs that completed.
        evicted: pods that were deleted after they had a node and before they ended.
        hurt_delay_seconds: mean time by which jobs with such a pod ended later than their run; NaN: there is none.
        decisions: reconciles.
        nodes: what the nodes did.
        parts: what each job waited for; empty where nobody asked us.
        boot_seconds: mean, from a node's order until it is usable.
        extra_run_seconds: mean time by which pods hold their node longer than they run.
    """

    name: str
    node_seconds: float
    waits_seconds: tuple[float, ...]
    finished: int
    evicted: int = 0
    hurt_delay_seconds: float = float("nan")
    decisions: int = 0
    nodes: NodeParts | None = None
    parts: tuple[WaitParts, ...] = ()
    boot_seconds: float = 0.0
    extra_run_seconds: float = 0.0

    def row(self) -> str:
        """One line of the table."""
        waits = np.array(self.waits_seconds)
        numbers = f"{self.node_seconds / 3600.0:10.2f} {waits.mean():9.1f} {np.percentile(waits, 95):9.1f}"
        return (
            f"{self.name:36} {numbers} {waits.max():9.1f} {self.finished:8d} {self.evicted:7d} "
            f"{self.hurt_delay_seconds:8.0f} {self.decisions:9d}"
        )

    def details(self) -> str:
        """Where the node-hours and the waits come from, in lines below the table."""
        text = f"{self.name}:"
        if self.nodes is not None:
            hours = [(each.name, getattr(self.nodes, each.name) / 3600.0) for each in fields(self.nodes)]
            text += "\n  node-hours: " + ", ".join(f"{name} {value:.2f}" for name, value in hours)
        if self.boot_seconds:
            text += (
                f"\n  seconds: node boot {self.boot_seconds:.1f}, pod longer than its run {self.extra_run_seconds:.1f}"
            )
        if self.parts:
            means = [
                (each.name, np.mean([getattr(part, each.name) for part in self.parts])) for each in fields(WaitParts)
            ]
            text += f"\n  mean wait, {len(self.parts)} jobs: " + ", ".join(f"{name} {mean:.1f}" for name, mean in means)
        return f"{text}\n"


HEAD = (
    f"{'':36} {'node-hours':>10} {'mean wait':>9} {'p95 wait':>9} {'max wait':>9} {'finished':>8} {'evicted':>7} "
    f"{'delayed':>8} {'decisions':>9}"
)

SPREAD_HEAD = (
    f"{'min / median / max':36} {'runs':>4} {'node-hours':>23} {'mean wait':>23} {'p95 wait':>23} "
    f"{'finished':>8} {'evicted':>13}"
)


def spread(found: Sequence[Result]) -> str:
    """Least, median and most of each live row that there are several of: a table."""
    lines = [SPREAD_HEAD]
    for name in dict.fromkeys(result.name for result in found):
        runs = [result for result in found if result.name == name]
        if len(runs) > 1:
            hours = [result.node_seconds / 3600.0 for result in runs]
            means = [float(np.mean(result.waits_seconds)) for result in runs]
            tails = [float(np.percentile(result.waits_seconds, 95)) for result in runs]
            evicted = " / ".join(str(each) for each in sorted(result.evicted for result in runs))
            columns = f"{_span(hours, 2)} {_span(means, 1)} {_span(tails, 1)}"
            lines.append(
                f"{name:36} {len(runs):4d} {columns} {min(result.finished for result in runs):8d} {evicted:>13}"
            )
    return "\n".join(lines) + "\n"


def _span(values: Sequence[float], digits: int) -> str:
    middle = float(np.median(values))
    return f"{' / '.join(f'{value:.{digits}f}' for value in (min(values), middle, max(values))):>23}"
