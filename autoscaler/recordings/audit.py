"""Records of an audit of `autoscaler deploy` as rows of a recording: the same for a file and for a live stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from autoscaler.live.guardrails.record import unpack
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeState
from autoscaler.recordings.event_log import (
    BOOTING,
    BUSY,
    DRAINING,
    END,
    FAILED,
    GONE,
    IDLE,
    START,
    SUBMIT,
    WAITS,
    Rows,
    columns_of,
)
from autoscaler.recordings.setpoints import SETPOINT, describe_setpoint
from envs.recording import JOB_EVENTS, SHARED, TABLES, Batch, Head, Track, check_columns

CANCEL = JOB_EVENTS.index("cancel")
TRACK = "live"
EPOCH = "1970-01-01T00:00:00"
"""The clock of an audit is unix time, so that processes one after the other share it."""

_STATES = {
    NodeState.BOOTING: BOOTING,
    NodeState.IDLE: IDLE,
    NodeState.BUSY: BUSY,
    NodeState.CORDONED: DRAINING,
    NodeState.DRAINING: DRAINING,
    NodeState.UNREADY: FAILED,
}


class AuditReader:
    """Follows an audit record by record.

    Args:
        title: one line, for the head.

    Attributes:
        head: what is known so far.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self.head = Head("cluster", title, (Track(TRACK, "live", reference=False),), start_time=EPOCH)
        self._rows: dict[str, Rows] = {}
        self._offset = self._time = 0.0
        self._pools: list[str] = []
        self._nodes: dict[str, int] = {}
        self._states: dict[int, tuple[int, float]] = {}
        self._jobs: dict[str, int] = {}
        self._gangs: dict[str, str] = {}
        self._waiting: dict[str, float] = {}
        self._running: dict[str, tuple[int, float]] = {}
        self._targets: list[int] = []
        self._reasons: dict[tuple[str, int, str], str] = {}
        self._waited_gpu_hours, self._waiting_gpus, self._finished = 0.0, 0.0, 0
        self._spent: tuple[float, float] | None = None
        self._decided: Mapping[str, Any] = {}

    def read(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Batch]:
        """The rows that records come down to; a record that says nothing of what is shown is passed over.

        Raises:
            ValueError: the view of the guardrails in a record cannot be read.
        """
        handlers = {
            "header": self._begin,
            "decision": self._decide,
            "verdicts": self._judge,
            "account": self._account,
        }
        for record in records:
            handler = handlers.get(str(record["kind"]))
            if handler is not None:
                handler(record)
        rows, self._rows = self._rows, {}
        for table, found in rows.items():
            track = SHARED if table in ("nodes", "job_names", "signals") else TRACK
            yield Batch(track, table, check_columns(table, columns_of(found, list(TABLES[table]))))

    def _add(self, table: str, *values: Any) -> None:
        self._rows.setdefault(table, []).append(values)

    def _begin(self, record: Mapping[str, Any]) -> None:
        """A process begins: its pools keep their numbers, and new ones come behind."""
        pools = record["config"]["pools"]
        described = {each["name"]: each for each in self.head.pools}
        for pool in pools:
            described[pool["name"]] = {
                "name": pool["name"],
                "gpu_model": pool.get("gpu_type") or "",
                "gpus_per_node": pool.get("gpus_per_node", 8),
                "min_nodes": pool.get("min_nodes", 0),
                "max_nodes": pool["max_nodes"],
                "boot_seconds": pool.get("boot_seconds", 300.0),
                "zone": 0,
            }
        self._pools = [pool["name"] for pool in pools]
        self._targets = [-1] * len(pools)
        mode = ", dry run" if record.get("dry_run") else ""
        self.head = Head(
            "cluster", f"{self._title}{mode}", (Track(TRACK, str(record["policy"])),), start_time=EPOCH,
            start_seconds=self.head.start_seconds, pools=tuple(described.values()), zones=self.head.zones,
        )  # fmt: skip

    def _pool(self, name: str) -> int:
        return next((index for index, pool in enumerate(self.head.pools) if pool["name"] == name), -1)

    def _decide(self, record: Mapping[str, Any]) -> None:
        self._offset = record["wall_seconds"] - record["now_seconds"]
        # Wall clocks are set back now and then; rows are in the order of time.
        self._time = max(self._time, record["wall_seconds"])
        self._decided = record
        if self.head.start_seconds == 0.0:
            self.head = replace(self.head, start_seconds=self._time)

    def _judge(self, record: Mapping[str, Any]) -> None:
        before = dict(self._reasons)
        self._reasons = {}
        if record.get("judged_by") is not None:
            view, _ = unpack(record["judged_by"])
            self._look(view)
            self._explain_waiting(view)
        for verdict in record["verdicts"]:
            self._explain(verdict)
        for index, name in enumerate(self._pools):
            chosen = self._decided["action"][index], self._decided.get("reserve_nodes", {index: 0})[index]
            self._reasons["pool", self._pool(name), SETPOINT] = describe_setpoint(*chosen)
        for key in before.keys() - self._reasons.keys():
            self._add("reasons", self._time, *key, "")
        for key, text in self._reasons.items():
            if before.get(key) != text:
                self._add("reasons", self._time, *key, text)
        self._tell_targets(record)

    def _explain(self, verdict: Mapping[str, Any]) -> None:
        kind, name = verdict["kind"], verdict["subject"]
        if kind == "node":
            subject, number = "node", self._nodes.get(name, -1)
        elif kind == "gang":
            subject, number = "job", self._jobs.get(name, -1)
        else:
            subject, number = "pool", self._pool(name)
        if number >= 0:
            self._reasons[subject, number, verdict["rule"]] = verdict["reason"]

    def _explain_waiting(self, view: ClusterView) -> None:
        """What the policy decided about each job that waits; guardrails may say more."""
        places = self._decided["placement"]
        pools = {pool.index: pool for pool in view.pools}
        for slot, gang in enumerate(view.queue):
            behind = gang.default_pool or gang.allowed_pools[0]
            pool = pools.get(places[slot]) if slot < len(places) else view.pool(behind)
            if pool is None:
                text = "held back by the policy"
            else:
                boots = any(node.state is NodeState.BOOTING for node in pool.nodes) or bool(pool.orders)
                text = f"sent to pool {pool.name}{', where nodes boot' if boots else ''}"
            self._reasons["job", self._jobs[gang.key], WAITS] = text
        for gang in view.unplaceable:
            self._reasons["job", self._jobs[gang.key], WAITS] = "fits in no pool"

    def _tell_targets(self, record: Mapping[str, Any]) -> None:
        for index, name in enumerate(self._pools):
            target, before = int(self._decided["target_nodes"][index]), self._targets[index]
            ordered = record["orders"].get(name, 0)
            reasons = [each["reason"] for each in record["verdicts"] if each["subject"] == name]
            if target == before and not ordered and not reasons:
                continue
            by = "the built-in rule, for the policy failed" if self._decided["fallback"] else self._decided["policy"]
            words = [f"{by} aims at {target}", *([f"{ordered} ordered"] if ordered else []), *reasons]
            self._add("decisions", self._time, self._pool(name), max(before, 0), target, "; ".join(words))
            self._targets[index] = target

    def _look(self, view: ClusterView) -> None:
        """Nodes, jobs that wait and pods that run, as they are now."""
        seen: set[int] = set()
        for pool in view.pools:
            for node in pool.nodes:
                seen.add(self._node(node.name, pool.name, _STATES[node.state], node.used_gpu_milli / 1000.0))
            for order in pool.orders:
                seen.add(self._node(order.name, pool.name, BOOTING, 0.0))
        for number in self._states.keys() - seen:
            if self._states[number][0] != GONE:
                self._set(number, GONE, 0.0)
        gangs = (*view.queue, *view.unplaceable)
        for gang in gangs:
            self._gangs.update((pod.uid, gang.key) for pod in gang.pods)
        waiting = {gang.key: gang.pending_gpu_milli / 1000.0 for gang in gangs}
        for gang in gangs:
            if gang.key not in self._waiting:
                number = self._job(gang.key, f"{gang.ref.namespace}/{gang.ref.name}")
                self._add("jobs", self._time, number, SUBMIT, -1, waiting[gang.key])
        self._follow_pods(view, waiting)
        self._waiting = waiting

    def _follow_pods(self, view: ClusterView, waiting: Mapping[str, float]) -> None:
        running: dict[str, tuple[int, float]] = {}
        for pod in view.pods.values():
            if pod.gpu_milli and pod.node_name in self._nodes:
                running[pod.uid] = self._nodes[pod.node_name], pod.gpu_milli / 1000.0
                self._job(self._gangs.get(pod.uid, pod.uid), f"{pod.namespace}/{pod.name}")
        for uid, (node, gpus) in self._running.items():
            if running.get(uid) != (node, gpus):
                self._add("jobs", self._time, self._jobs[self._gangs.get(uid, uid)], END, node, gpus)
                self._finished += uid not in running
        for uid, (node, gpus) in running.items():
            if self._running.get(uid) != (node, gpus):
                self._add("jobs", self._time, self._jobs[self._gangs.get(uid, uid)], START, node, gpus)
        begun = {self._gangs.get(uid, uid) for uid in running}
        for key in self._waiting.keys() - waiting.keys() - begun:
            self._add("jobs", self._time, self._jobs[key], CANCEL, -1, self._waiting[key])
        self._running = running

    def _node(self, name: str, pool: str, state: int, used_gpus: float) -> int:
        if name not in self._nodes:
            self._nodes[name] = len(self._nodes)
            self._add("nodes", self._nodes[name], self._pool(pool), name)
        number = self._nodes[name]
        if state == IDLE and used_gpus:
            state = BUSY
        if self._states.get(number) != (state, used_gpus):
            self._set(number, state, used_gpus)
        return number

    def _set(self, number: int, state: int, used_gpus: float) -> None:
        self._states[number] = state, used_gpus
        self._add("node_states", self._time, number, state, used_gpus)

    def _job(self, key: str, name: str) -> int:
        """The number of a job; verdicts name it by namespace and name."""
        if key not in self._jobs:
            number = len(set(self._jobs.values()))
            self._jobs[key] = self._jobs[name] = number
            self._add("job_names", number, name)
        return self._jobs[key]

    def _account(self, record: Mapping[str, Any]) -> None:
        kwh, grams = record["energyKwh"]["total"], record["carbonGrams"]
        if self._spent is None:
            self._spent = self._time, kwh
        since, before = self._spent
        hours = (self._time - since) / 3600.0
        self._waited_gpu_hours += hours * self._waiting_gpus
        self._waiting_gpus = sum(self._waiting.values())
        self._add(
            "samples", self._time, kwh, grams["total"] + grams["embodied"], record["costUsd"]["total"],
            self._waited_gpu_hours, float("nan"), (kwh - before) / hours * 1000.0 if hours > 0.0 else float("nan"),
            sum(gpus for _, gpus in self._running.values()), self._waiting_gpus, len(self._waiting),
            len({self._gangs.get(uid, uid) for uid in self._running}), self._finished, 0,
        )  # fmt: skip
        self._spent = self._time, kwh
        self._signals(record.get("signals", ()))

    def _signals(self, statuses: Iterable[Mapping[str, Any]]) -> None:
        values: dict[str, dict[str, float]] = {}
        for each in statuses:
            if each["value"] is not None:
                values.setdefault(each["region"], {})[each["quantity"]] = each["value"]
        zones = [*self.head.zones, *(name for name in values if name not in self.head.zones)]
        if len(zones) != len(self.head.zones):
            self.head = replace(self.head, zones=tuple(zones))
        for region, found in values.items():
            row = [found.get(name, float("nan")) for name in ("carbon", "price")]
            self._add("signals", self._time, zones.index(region), *row)
