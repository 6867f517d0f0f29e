"""The scenarios as a document and as a table."""

from __future__ import annotations

from typing import Any

from autoscaler.bench.errors import MissingDataError
from autoscaler.bench.scenario import BenchConfig, NamedScenario, data_folder, find_scenario, shipped_names
from autoscaler.evaluation.tables import Table
from envs.gpu_cluster.cluster import ClusterConfig

SCHEMA = "autoscaler.bench.list/1"
HEADER = ("scenario", "version", "pools", "regions", "levers", "waiting, USD/GPU-h", "windows", "fingerprint", "data")


def list_document(data: str | None) -> dict[str, Any]:
    """Every scenario of the package.

    Args:
        data: folder of data files; None: the environment variable AUTOSCALER_DATA.
    """
    folder = data_folder(data)
    scenarios = [find_scenario(name, folder) for name in shipped_names()]
    return {"schema": SCHEMA, "scenarios": [_entry(scenario) for scenario in scenarios]}


def _entry(scenario: NamedScenario) -> dict[str, Any]:
    config = scenario.config
    environment = config.environment
    try:
        scenario.check_data()
        missing = None
    except MissingDataError as error:
        missing = str(error)
    return {
        "name": scenario.name,
        "version": config.version,
        "fingerprint": config.fingerprint,
        "description": config.description,
        "env": config.env,
        "trace": config.trace,
        "pools": _pools(config),
        "regions": [region.name for region in environment.regions],
        "levers": config.levers,
        "usd_per_gpu_hour": None if config.env else environment.objective.usd_per_gpu_hour,
        "usd_per_tonne": environment.objective.usd_per_tonne,
        "train": config.split.train,
        "windows": config.windows,
        "bound": config.bound,
        "data": [{"path": file.path, "sha256": file.sha256, "source": file.source} for file in config.data],
        "missing": missing,
    }


def _pools(config: BenchConfig) -> list[str]:
    if config.env is not None:
        return []
    cluster = config.cluster
    return [pool.name for pool in cluster.pools] if isinstance(cluster, ClusterConfig) else [cluster]


def list_tables(document: dict[str, Any]) -> list[Table]:
    """What each scenario is about, and its figures."""
    about = [[entry["name"], entry["description"]] for entry in document["scenarios"]]
    return [Table("scenarios", list(HEADER), _rows(document)), Table("", ["scenario", "what it is about"], about)]


def _rows(document: dict[str, Any]) -> list[list[str]]:
    return [
        [
            entry["name"],
            str(entry["version"]),
            str(len(entry["pools"])) if entry["env"] is None else entry["env"].rpartition("/")[2],
            str(len(entry["regions"]) or "-"),
            ", ".join(entry["levers"]) or "-",
            "-" if entry["usd_per_gpu_hour"] is None else f"{entry['usd_per_gpu_hour']:g}",
            str(entry["windows"]),
            entry["fingerprint"],
            _data_text(entry),
        ]
        for entry in document["scenarios"]
    ]


def _data_text(entry: dict[str, Any]) -> str:
    if not entry["data"]:
        return "none needed"
    return "there" if entry["missing"] is None else "missing"
