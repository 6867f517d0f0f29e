"""Throughputs that Gavel measured on K80, P100 and V100."""

import ast
import gzip
import json
import re
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from traces.curves.arrays import column_medians
from traces.curves.names import workload_name
from traces.curves.tables import SpeedTable
from traces.errors import TraceFileError, TraceValueError
from traces.inputs import check_readable

GPU_MODELS = {"k80": "K80", "p100": "P100", "v100": "V100"}
REFERENCE = "V100"

_JOB = re.compile(r"(.+?)(?: \(batch size \d+\))?")


def load_gavel_speeds(path: str) -> SpeedTable:
    """The speed of networks on one GPU of each model, over that on the V100.

    The file (`simulation_throughputs.json`, plain or .gz) holds iterations per second as
    `{gpu: {"('ResNet-50 (batch size 64)', 1)": {"null": alone, other job: [co-located pair]}}}`. Read are jobs on one
    GPU (scale factor 1) that run alone. A network is the median over its batch sizes. 0 is a run that failed.

    Source: Narayanan et al., "Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads" (OSDI 2020);
    github.com/stanford-futuredata/gavel, MIT.

    Raises:
        TraceFileError: the file cannot be read.
        TraceValueError: it holds something else.
    """
    document = _read(path)
    ratios: dict[str, list[list[float]]] = defaultdict(list)
    for key in document.get("v100", {}):
        name, scale_factor = _job(key, path)
        if scale_factor == 1:
            speeds = np.array([_alone(document, gpu, key, path) for gpu in GPU_MODELS])
            base = speeds[list(GPU_MODELS.values()).index(REFERENCE)]
            ratios[workload_name(name)].append((speeds / base).tolist())
    names = tuple(sorted(name for name, rows in ratios.items() if not np.isnan(rows).all()))
    if not names:
        raise TraceValueError(f"{path}: has no job on one GPU under v100; give Gavel's simulation_throughputs.json")
    values = np.array([column_medians(np.array(ratios[name])) for name in names])
    return SpeedTable(names, tuple(GPU_MODELS.values()), values, f"Gavel {path}")


def _read(path: str) -> dict[str, dict[str, Any]]:
    check_readable(path)
    try:
        content = Path(path).read_bytes()
        text = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        document = json.loads(text)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise TraceFileError(f"{path}: is damaged or not JSON ({error}); fetch the file again") from error
    if not isinstance(document, dict) or not all(isinstance(jobs, dict) for jobs in document.values()):
        raise TraceValueError(f"{path}: is no object of GPU models; give Gavel's simulation_throughputs.json")
    return document


def _job(key: str, path: str) -> tuple[str, int]:
    try:
        job, scale_factor = ast.literal_eval(key)
        match = _JOB.fullmatch(job)
        assert match is not None
        return match[1], int(scale_factor)
    except (ValueError, SyntaxError, TypeError, AssertionError) as error:
        raise TraceValueError(f"{path}: v100: {key!r} is no job such as \"('A3C', 1)\"") from error


def _alone(document: dict[str, dict[str, Any]], gpu: str, key: str, path: str) -> float:
    """Iterations per second alone; NaN where the run is missing or failed."""
    runs = document.get(gpu, {}).get(key, {})
    value = runs.get("null") if isinstance(runs, dict) else None
    if value is None:
        return float("nan")
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise TraceValueError(f"{path}: {gpu}, {key}: {value!r} is no number of iterations per second")
    return float(value) or float("nan")
