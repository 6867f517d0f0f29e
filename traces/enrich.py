"""Attributes that real traces lack (checkpoints, slack, width, data...), drawn for each job from its id.

A job's attributes depend on its id and the seed alone, so a window of a trace gives them as the whole trace does, and a
larger fraction only adds jobs to those of a smaller one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import ndtri

from configs.checks import check_number
from traces.arrow import is_null, nullable, strings
from traces.errors import TraceValueError
from traces.schema import SCHEMA
from traces.trace import Trace
from traces.validation import MAX_DATA_GB, MAX_GPUS, MAX_SECONDS

USUAL_SECONDS: Final = (
    *(300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400),
    *(172_800, 259_200, 345_600, 432_000, 604_800, 1_209_600, 2_592_000),
)
"""Run times that users request, seconds; most estimates are one of a few round values.
Source of the shape: Tsafrir, Etsion and Feitelson, "Modeling User Runtime Estimates" (JSSPP 2005); values are ours."""

_Uniform: TypeAlias = Mapping[str, NDArray[np.float64]]
_STREAMS = (
    *("checkpointable", "deferrable", "slack", "with_deadline", "deadline", "elastic", "estimated", "priority"),
    *("workload", "image", "estimate_radius", "estimate_angle", "flexibility", "data_gb", "data_region", "spare_1"),
)
"""Uses of the 16 words of a job's hash, in their order: a new one takes a spare, so that the others stay."""


def _option(default: Any, description: str) -> Any:
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What `enrich` adds, to which share of the jobs. As options of a URI: `itp:x.csv?checkpointable=0.8`.

    Attributes:
        enrich_seed: another seed chooses other jobs and values.
        checkpointable: share of the jobs that can be checkpointed, and so be moved and preempted.
        checkpoint_interval_seconds: their run time between checkpoints, seconds.
        deferrable: share of the jobs that need not start at once.
        min_slack_seconds: least time from submission to the latest start, seconds.
        max_slack_seconds: most such time, seconds; uniform between the two.
        with_deadline: share of the jobs that have a deadline.
        min_deadline_factor: least time from submission to the deadline, in run times of the job.
        max_deadline_factor: most such time, in run times; uniform between the two.
        elastic: share of the jobs on whole GPUs that run on fewer and on more than they requested.
        min_width_factor: fewest of their GPUs over those requested, rounded up to whole GPUs; in (0, 1].
        max_width_factor: most of their GPUs over those requested, rounded down; >= 1.
        estimated: share of the jobs whose user estimated the run time.
        estimate_sigma: standard deviation of the natural logarithm of estimate over run time; 0: all the same.
        estimate_bias: median of estimate over run time.
        estimate_rounding: `second`: to whole seconds; `usual`: up to the next of `USUAL_SECONDS`, above the last
            one to whole days.
        priorities: priority -> weight.
        flexibility: flexibility tier (0 to 3, see `traces.Trace`) -> weight.
        workloads: workload -> weight.
        images: number of container images, `image-0` being the most popular; 0: none.
        image_exponent: the n-th most popular image is used in proportion to n ** -`image_exponent` (Zipf).
        median_data_gb: median of the data that jobs read, GB; 0: none.
        data_sigma: standard deviation of the natural logarithm of it; 0: all the same.
        data_regions: the region where the data of a job are -> weight.
    """

    enrich_seed: int = _option(0, "another seed chooses other jobs and values")
    checkpointable: float = _option(0.0, "share of the jobs that can be checkpointed (moved, preempted)")
    checkpoint_interval_seconds: float = _option(1800.0, "their run time between checkpoints, seconds")
    deferrable: float = _option(0.0, "share of the jobs that need not start at once")
    min_slack_seconds: float = _option(21_600.0, "least time from their submission to the latest start, seconds")
    max_slack_seconds: float = _option(86_400.0, "most such time, seconds")
    with_deadline: float = _option(0.0, "share of the jobs that have a deadline")
    min_deadline_factor: float = _option(1.5, "least time from their submission to the deadline, in run times")
    max_deadline_factor: float = _option(3.0, "most such time, in run times")
    elastic: float = _option(0.0, "share of the jobs on whole GPUs that run on fewer and on more GPUs")
    min_width_factor: float = _option(0.5, "their fewest GPUs over those requested")
    max_width_factor: float = _option(2.0, "their most GPUs over those requested")
    estimated: float = _option(0.0, "share of the jobs whose user estimated the run time")
    estimate_sigma: float = _option(0.0, "standard deviation of ln(estimate / run time)")
    estimate_bias: float = _option(1.0, "median of estimate / run time")
    estimate_rounding: Literal["second", "usual"] = _option(
        "second", "round estimates to seconds, or up to usual values"
    )
    priorities: Mapping[int, float] = _option(None, "mix of priorities, PRIORITY:WEIGHT,PRIORITY:WEIGHT")
    flexibility: Mapping[int, float] = _option(None, "mix of flexibility tiers, TIER:WEIGHT,TIER:WEIGHT")
    workloads: Mapping[str, float] = _option(None, "mix of workloads, NAME:WEIGHT,NAME:WEIGHT")
    images: int = _option(0, "number of container images")
    image_exponent: float = _option(1.0, "skew of their popularity (Zipf)")
    median_data_gb: float = _option(0.0, "median of the data that jobs read, GB")
    data_sigma: float = _option(1.5, "standard deviation of the natural logarithm of it")
    data_regions: Mapping[str, float] = _option(None, "mix of the regions where they are, NAME:WEIGHT,NAME:WEIGHT")

    def __post_init__(self) -> None:
        for name in ("priorities", "flexibility", "workloads", "data_regions"):
            object.__setattr__(self, name, dict(getattr(self, name) or {}))
            _check_mix(name, getattr(self, name))
        check = partial(check_number, error=TraceValueError)
        for name in ("checkpointable", "deferrable", "with_deadline", "elastic", "estimated"):
            check(name, getattr(self, name), low=0, high=1)
        check("enrich_seed", self.enrich_seed, low=0, high=2**64 - 1)
        check("checkpoint_interval_seconds", self.checkpoint_interval_seconds, above=0, high=MAX_SECONDS)
        check("min_slack_seconds", self.min_slack_seconds, low=0, high=MAX_SECONDS)
        check("max_slack_seconds", self.max_slack_seconds, low=self.min_slack_seconds, high=MAX_SECONDS)
        check("min_deadline_factor", self.min_deadline_factor, above=0, high=1e6)
        check("max_deadline_factor", self.max_deadline_factor, low=self.min_deadline_factor, high=1e6)
        check("min_width_factor", self.min_width_factor, above=0, high=1)
        check("max_width_factor", self.max_width_factor, low=1, high=MAX_GPUS)
        check("estimate_sigma", self.estimate_sigma, low=0, high=10)
        check("estimate_bias", self.estimate_bias, above=0, high=1e6)
        check("images", self.images, low=0, high=1_000_000)
        check("image_exponent", self.image_exponent, low=0, high=10)
        check("median_data_gb", self.median_data_gb, low=0, high=MAX_DATA_GB)
        check("data_sigma", self.data_sigma, low=0, high=10)

    @property
    def adds_anything(self) -> bool:
        """Whether any job gets any attribute."""
        shares = (self.checkpointable, self.deferrable, self.with_deadline, self.elastic, self.estimated, self.images)
        mixes = (self.priorities, self.flexibility, self.workloads, self.data_regions)
        return any(shares) or self.median_data_gb > 0 or any(map(bool, mixes))


def enrich(trace: Trace, config: Enrichment) -> Trace:
    """The trace with the attributes of `config` where a job does not have them yet; the others stay.

    The columns that were filled are named in `metadata.synthetic_columns`.

    Args:
        trace: any trace.
        config: what to add.

    Raises:
        TraceValueError: a value breaks an invariant of a trace, such as a slack that ends after the last time of one.
    """
    if not config.adds_anything:
        return trace
    uniform = _uniform(trace, config.enrich_seed)
    drawn: dict[str, pa.ChunkedArray] = {}
    for column, (values, present) in _numbers(trace, config, uniform).items():
        drawn[column] = pa.chunked_array([nullable(values, present)])
    for column, mix in (("workload", config.workloads), ("data_region", config.data_regions)):
        if mix:
            names = sorted(mix)
            drawn[column] = _texts(names, _pick([mix[name] for name in names], uniform[column]))
    if config.images:
        ranks = np.arange(1, config.images + 1, dtype=np.float64)
        weights = (ranks**-config.image_exponent).tolist()
        drawn["image"] = _texts([f"image-{rank}" for rank in range(config.images)], _pick(weights, uniform["image"]))
    columns = {name: trace.table.column(name) for name in SCHEMA.names}
    changed = []
    for column, added in drawn.items():
        merged = _merge(columns[column], added)
        if merged.null_count < columns[column].null_count:
            columns[column] = merged
            changed.append(column)
    if not changed:
        return trace
    synthetic = tuple(name for name in SCHEMA.names if name in {*trace.metadata.synthetic_columns, *changed})
    metadata = replace(trace.metadata, synthetic_columns=synthetic)
    return type(trace).from_columns(columns, uri=trace.uri, metadata=metadata)


def _numbers(trace: Trace, config: Enrichment, uniform: _Uniform) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Column -> values and which jobs have one, [jobs] each."""
    submit, duration, gpus = trace.submit_time_seconds, trace.duration_seconds, trace.gpu_milli // 1000
    drawn: dict[str, tuple[NDArray[Any], NDArray[np.bool_]]] = {}
    if config.checkpointable:
        interval = np.full(trace.num_jobs, config.checkpoint_interval_seconds)
        drawn["checkpoint_interval_seconds"] = interval, uniform["checkpointable"] < config.checkpointable
    if config.deferrable:
        slack = _between(config.min_slack_seconds, config.max_slack_seconds, uniform["slack"])
        drawn["latest_start_seconds"] = submit + slack, uniform["deferrable"] < config.deferrable
    if config.with_deadline:
        factor = _between(config.min_deadline_factor, config.max_deadline_factor, uniform["deadline"])
        # At least a millisecond: a float of a late submit time may swallow a shorter length.
        deadline = submit + np.maximum(factor * duration, 0.001)
        drawn["deadline_seconds"] = deadline, uniform["with_deadline"] < config.with_deadline
    if config.elastic:
        set_already = ~(is_null(trace.table["min_gpus"]) & is_null(trace.table["max_gpus"]))
        chosen = (uniform["elastic"] < config.elastic) & (gpus > 0) & ~set_already
        fewest = np.maximum(np.ceil(gpus * config.min_width_factor), 1)
        most = np.minimum(np.floor(gpus * config.max_width_factor), MAX_GPUS)
        drawn["min_gpus"] = fewest.astype(np.int64), chosen
        drawn["max_gpus"] = most.astype(np.int64), chosen
    if config.estimated:
        estimates = _estimates(duration, config, uniform)
        drawn["predicted_duration_seconds"] = estimates, uniform["estimated"] < config.estimated
    everybody = np.ones(trace.num_jobs, np.bool_)
    if config.priorities:
        drawn["priority"] = _drawn_levels(config.priorities, uniform["priority"]), everybody
    if config.flexibility:
        drawn["flexibility"] = _drawn_levels(config.flexibility, uniform["flexibility"]), everybody
    if config.median_data_gb:
        sizes = config.median_data_gb * np.exp(config.data_sigma * ndtri(uniform["data_gb"]))
        drawn["data_gb"] = np.minimum(sizes, MAX_DATA_GB), everybody
    return drawn


def _drawn_levels(mix: Mapping[int, float], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers chosen in proportion to their weights, [jobs] int64."""
    levels = sorted(mix)
    return np.array(levels, dtype=np.int64)[_pick([mix[level] for level in levels], uniform)]


def _uniform(trace: Trace, seed: int) -> _Uniform:
    """For each use, numbers in (0, 1) from job ids, [jobs] float64."""
    key = seed.to_bytes(8, "little")
    ids = trace.table.column("job_id").to_pylist()
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=64, key=key).digest() for name in ids)
    words = np.frombuffer(digests, dtype="<u4").reshape(len(ids), len(_STREAMS))
    return {name: (words[:, index] + 0.5) / 2.0**32 for index, name in enumerate(_STREAMS)}


def _between(low: float, high: float, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    return low + (high - low) * uniform


def _pick(weights: list[float], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices chosen in proportion to weights, [jobs] int64."""
    edges = np.cumsum(weights)
    return np.searchsorted(edges[:-1] / edges[-1], uniform, side="right").astype(np.int64)


def _estimates(duration: NDArray[np.float64], config: Enrichment, uniform: _Uniform) -> NDArray[np.float64]:
    # Box-Muller: a normal number from two uniform ones.
    normal = np.sqrt(-2 * np.log(uniform["estimate_radius"])) * np.cos(2 * np.pi * uniform["estimate_angle"])
    seconds = duration * config.estimate_bias * np.exp(config.estimate_sigma * normal)
    rounded: NDArray[np.float64] = np.maximum(np.floor(seconds + 0.5), 1)
    if config.estimate_rounding == "usual":
        usual = np.array(USUAL_SECONDS, dtype=np.float64)
        index = np.searchsorted(usual, seconds, side="left")
        days = np.ceil(seconds / 86_400) * 86_400
        rounded = np.where(index < len(usual), usual[np.minimum(index, len(usual) - 1)], days)
    return np.where(rounded > MAX_SECONDS, MAX_SECONDS, rounded)


def _texts(names: list[str], index: NDArray[np.int64]) -> pa.ChunkedArray:
    return pa.chunked_array([strings(names).take(nullable(index, np.ones(len(index), np.bool_)))])


def _merge(column: pa.ChunkedArray, added: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with the cells of `added` where it is null."""
    if column.null_count == len(column):
        return added
    return pc.coalesce(column, added)


def _check_mix(name: str, mix: Mapping[Any, float]) -> None:
    for key, weight in mix.items():
        check_number(f"{name}: the weight of {key}", weight, TraceValueError, low=0)
        if key == "":
            raise TraceValueError(f"{name}: a name is empty; write NAME:WEIGHT")
    if mix and not sum(mix.values()) > 0:
        raise TraceValueError(f"{name}: all weights are 0; at least one must be above")
