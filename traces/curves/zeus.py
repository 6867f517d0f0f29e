"""Training time and power under GPU power limits that Zeus measured."""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from traces.arrow import to_numpy
from traces.curves.arrays import column_medians
from traces.curves.names import workload_name
from traces.curves.tables import PowerCapTable
from traces.errors import TraceValueError
from traces.tables import read_csv
from traces.validation import Origin, check, present, seconds

_KEYS = ("dataset", "network", "batch_size", "optimizer")
_COLUMNS = {
    "dataset": pa.string(),
    "network": pa.string(),
    "batch_size": pa.int64(),
    "optimizer": pa.string(),
    "power_limit": pa.int64(),
    "time_per_epoch": pa.float64(),
    "average_power": pa.float64(),
}


def load_zeus_power_caps(path: str, gpu_model: str) -> PowerCapTable:
    """Speed and power by power limit, over those at the highest limit, from `summary_power_<gpu>.csv`.

    Rows are `dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power` (watts, seconds, watts).
    A run is compared with the same data, batch and optimizer at the highest limit; a network is the median over these.

    Args:
        path: the file.
        gpu_model: the model, which the file does not name.

    Source: You, Chung and Chowdhury, "Zeus" (NSDI 2023); github.com/ml-energy/zeus, Apache-2.0.

    Raises:
        TraceFileError: the file cannot be read.
        TraceValueError: a cell is not valid.
    """
    table = read_csv(path, _COLUMNS)
    origin = Origin(path)
    for name in ("network", "power_limit", "time_per_epoch", "average_power"):
        check(present(table[name], name), origin)
    epochs, watts = to_numpy(table["time_per_epoch"]), to_numpy(table["average_power"])
    check(seconds(epochs, "time_per_epoch", positive=True, noun="epochs", zero_fix="remove the row"), origin)
    bad = ~(np.isfinite(watts) & (watts > 0))
    if bad.any():
        index = int(bad.argmax())
        raise origin.error(index, "average_power", f"{watts[index]} is no power; it must be above 0 watts")
    limits = table["power_limit"].to_pylist()
    caps = tuple(sorted(set(limits)))
    runs: dict[tuple[object, ...], dict[int, tuple[float, float]]] = defaultdict(dict)
    keys = zip(*(table[name].to_pylist() for name in _KEYS), strict=True)
    for key, limit, second, watt in zip(keys, limits, epochs.tolist(), watts.tolist(), strict=True):
        runs[key][limit] = second, watt
    speed: dict[str, list[list[float]]] = defaultdict(list)
    power: dict[str, list[list[float]]] = defaultdict(list)
    for (_, network, *_), points in runs.items():
        if caps[-1] in points:
            name, (base_seconds, base_watts) = workload_name(str(network)), points[caps[-1]]
            gap = (np.nan, np.nan)
            speed[name].append([base_seconds / points.get(cap, gap)[0] for cap in caps])
            power[name].append([points.get(cap, gap)[1] / base_watts for cap in caps])
    if not speed:
        raise TraceValueError(f"{path}: has no run at its highest power limit; check that it is the right file")
    names = tuple(sorted(speed))
    relative_speed, relative_watts = (
        np.array([column_medians(np.array(rows[name])) for name in names]) for rows in (speed, power)
    )
    return PowerCapTable(gpu_model, names, caps, relative_speed, relative_watts, f"Zeus {path}")
