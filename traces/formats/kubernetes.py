"""Pods of a Kubernetes cluster: `kubectl get pods --all-namespaces -o json`."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces import jobs
from traces.arrow import is_null
from traces.clock import read_times, seconds_between, set_second_0
from traces.errors import TraceValueError
from traces.format import Format
from traces.json_items import json_items
from traces.quantities import quantity
from traces.rows import Rows
from traces.tables import as_input
from traces.trace import Trace, TraceMetadata

GANG_LABELS: Final = (
    *("jobset.sigs.k8s.io/jobset-name", "training.kubeflow.org/job-name", "ray.io/cluster"),
    *("leaderworkerset.sigs.k8s.io/name", "kueue.x-k8s.io/pod-group-name", "pod-group.scheduling.sigs.k8s.io"),
    *("scheduling.x-k8s.io/pod-group", "volcano.sh/job-name", "batch.kubernetes.io/job-name", "job-name"),
)
"""Labels whose value names the group of a pod; the first that a pod has counts."""

MODEL_LABELS: Final = (
    *("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name"),
    *("amd.com/gpu.product-name", "accelerator"),
)
"""Labels of nodes that a pod selects a GPU model by."""

_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe", "habana.ai/gaudi")
_MIG = re.compile(r"nvidia\.com/mig-(\d+)g\..*")
_MIG_SLICES = 7
_ENDED = ("Succeeded", "Failed")
_NAMES = {
    "job_id": "metadata.name",
    "submit_time_seconds": "metadata.creationTimestamp",
    "start_time": "status.startTime",
    "end_time": "status.containerStatuses.finishedAt",
    "gpu_milli": "spec.containers.resources",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of kubernetes."""

    gangs: jobs.Gangs = field(
        default="split", metadata={"help": "groups whose pods share GPUs: split into pods, round up, or drop"}
    )
    strict: bool = field(
        default=False, metadata={"help": "a pod that cannot be used is an error, else it is left out and counted"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU jobs in a list of pods; second 0 is the earliest creation, UTC.

    Pods of one group (a JobSet, a Kubeflow or Volcano job, a Ray cluster, a pod group of Kueue or the scheduler
    plugins, a Job) are one job: it is submitted with the first of them, runs from the first start to the last end, and
    requests what all of them do. Pods of a Job that ran one after the other are jobs of their own.

    - A pod requests the GPUs of its containers together, or of its largest init container where that is more. An
      instance of MIG is its share of 7. Requests without a limit count too.
    - A pod ends when its last container does. Pods that have not started, and pods that still run, are dropped and
      counted: nobody knows how long they will run. So are pods without GPUs, and evicted ones that do not say when.
    - The namespace is our group; the user is in the label `kubernetes.io/created-by` or `owner` where it is set.
      A selector by the label of a GPU model limits the job to it. The phase is the status.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    columns: dict[str, list[Any]] = {name: [] for name in _FIELDS}
    problems, numbers = [], []
    for number, pod in enumerate(json_items(source, "items"), 1):
        try:
            fields = list(_pod(pod))
            numbers.append(number)
            for name, value in zip(columns, fields, strict=True):
                columns[name].append(value)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, IndexError) as error:
            problems.append((number, f"{type(error).__name__}: {error}"))
    rows = Rows.of(columns, str(source), _NAMES, options.strict, numbers)
    rows.total += len(problems)
    for number, problem in problems:
        rows.add_problem("it is no pod", TraceValueError(f"{source}: item {number} is no pod ({problem})"))
    rows.drop(jobs.numbers(rows, "gpu_milli") == 0, jobs.NO_GPU)
    read_times(rows, ("submit_time_seconds", "start_time", "end_time"))
    rows.drop(is_null(rows["start_time"]), jobs.NEVER_RAN)
    ended = [phase in _ENDED for phase in jobs.texts(rows, "status")]
    rows.drop(is_null(rows["end_time"]) & np.array(ended, np.bool_), "it ended, but nothing says when")
    rows.drop(is_null(rows["end_time"]), jobs.STILL_RAN)
    rows.set("duration_seconds", seconds_between(rows, "start_time", "end_time"))
    rows.drop(jobs.numbers(rows, "duration_seconds") == 0, "it ended in the second of its start")
    start = set_second_0(rows, ("start_time", "end_time"))
    return _grouped(rows, options).trace(TraceMetadata("pods of a Kubernetes cluster", FORMAT.licence, start))


_FIELDS = (
    *("job_id", "submit_time_seconds", "start_time", "end_time", "gpu_milli", "cpu_milli", "memory_mib", "priority"),
    *("gang", "model", "group", "user", "status", "image"),
)


def _pod(pod: dict[str, Any]) -> Iterator[Any]:
    """The fields of a pod, as `_FIELDS`."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    labels, selector = meta.get("labels") or {}, spec.get("nodeSelector") or {}
    name = f"{meta['namespace']}/{meta['name']}"
    yield name
    yield meta["creationTimestamp"]
    yield status.get("startTime")
    yield _end(status)
    requests = [_requests(container) for container in spec["containers"]]
    first = [_requests(container) for container in spec.get("initContainers") or []]
    needs = {key: _need(key, requests, first) for key in ("gpu", "cpu", "memory")}
    yield needs["gpu"]
    yield round(needs["cpu"] * 1000) or None
    yield round(needs["memory"] / 2**20) or None
    yield spec.get("priority")
    gang = next((labels[label] for label in GANG_LABELS if label in labels), None)
    yield f"{meta['namespace']}/{gang}" if gang else name
    yield next((selector[label] for label in MODEL_LABELS if label in selector), None)
    yield meta["namespace"]
    yield labels.get("kubernetes.io/created-by") or labels.get("owner")
    yield status.get("phase")
    yield spec["containers"][0].get("image")


def _end(status: dict[str, Any]) -> str | None:
    """When the last container ended; None while one has not."""
    ends = [
        each.get("state", {}).get("terminated", {}).get("finishedAt") for each in status.get("containerStatuses") or []
    ]
    return max(ends) if ends and all(ends) else None


def _requests(container: dict[str, Any]) -> dict[str, float]:
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    gpus = sum(quantity(wanted[name]) for name in _GPUS if name in wanted)
    for name, amount in wanted.items():
        slices = _MIG.fullmatch(name)
        gpus += int(slices[1]) / _MIG_SLICES * quantity(amount) if slices else 0.0
    return {"gpu": gpus, "cpu": quantity(wanted.get("cpu", 0)), "memory": quantity(wanted.get("memory", 0))}


def _need(key: str, containers: list[dict[str, float]], first: list[dict[str, float]]) -> float:
    return max(sum(each[key] for each in containers), max((each[key] for each in first), default=0.0))


def _grouped(rows: Rows, options: Options) -> Rows:
    """One row for each group whose pods ran at the same time."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, gang in enumerate(rows["gang"].to_pylist()):
        members[gang].append(index)
    table = rows.table.to_pydict()
    groups = [part for indices in members.values() for part in _overlapping(indices, table)]
    columns: dict[str, list[Any]] = {name: [] for name in (*_MERGED, "gpu_milli", "workers")}
    for part in groups:
        first = part[0]
        gpus = [table["gpu_milli"][index] for index in part]
        # Pods of unequal shares: their sum, as workers of one.
        equal = len({round(each, 6) for each in gpus}) == 1
        columns["gpu_milli"].append(gpus[0] if equal else sum(gpus))
        columns["workers"].append(float(len(part) if equal else 1))
        submit = min(table["submit_time_seconds"][index] for index in part)
        start, end = (
            choose(table[name][index] for index in part) for name, choose in (("start_time", min), ("end_time", max))
        )
        columns["submit_time_seconds"].append(submit)
        columns["duration_seconds"].append(end - start)
        columns["job_id"].append(
            table["gang"][first] if len(part) == len(members[table["gang"][first]]) else table["job_id"][first]
        )
        for name in ("cpu_milli", "memory_mib"):
            known = [table[name][index] for index in part]
            columns[name].append(None if None in known else sum(known))
        for name in ("priority", "model", "group", "user", "status", "image"):
            columns[name].append(table[name][first])
    made = _rows(columns, rows, np.array([part[0] for part in groups], np.int64))
    made.set("gpu_models", jobs.lists(made["model"].to_pylist()))
    made.table = made.table.drop_columns(["model"])
    jobs.gangs(made, "gpu_milli", "workers", options.gangs)
    return made


_MERGED = (
    *("job_id", "submit_time_seconds", "duration_seconds", "cpu_milli", "memory_mib", "priority"),
    *("model", "group", "user", "status", "image"),
)


def _overlapping(indices: list[int], table: dict[str, list[Any]]) -> list[list[int]]:
    """Pods of a group in the order of their starts, apart where none ran between one and the next."""
    parts: list[list[int]] = []
    latest = -np.inf
    for index in sorted(indices, key=lambda each: (table["start_time"][each], each)):
        if not parts or table["start_time"][index] >= latest:
            parts.append([])
        parts[-1].append(index)
        latest = max(latest, table["end_time"][index])
    return parts


def _rows(columns: dict[str, list[Any]], rows: Rows, first: NDArray[np.int64]) -> Rows:
    types = {"submit_time_seconds": pa.float64(), "duration_seconds": pa.float64(), "gpu_milli": pa.float64()}
    types |= {"workers": pa.float64(), **dict.fromkeys(("cpu_milli", "memory_mib", "priority"), pa.int64())}
    arrays = [pa.array(values, types.get(name, pa.string())) for name, values in columns.items()]
    numbers = rows.origin.rows[first] if rows.origin.rows is not None else first + 1
    origin = replace(rows.origin, rows=numbers)
    table = pa.table([pa.chunked_array([array]) for array in arrays], names=list(columns))
    return replace(rows, table=table, origin=origin)


def _detect(_name: str, text: str) -> str:
    start = text[:40_000]
    is_list = '"items"' in start and re.search(r'"kind":\s*"Pod(List)?"', start) is not None
    return "it is a list of pods as kubectl writes it" if is_list else ""


FORMAT = Format(
    name="kubernetes",
    kind="jobs",
    description="pods of a cluster, `kubectl get pods -A -o json`; pods of one group are one job",
    options=Options,
    load=load,
    licence="as the cluster's",
    citation="",
    example="kubernetes:pods.json",
    detect=_detect,
)
