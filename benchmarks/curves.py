"""Derive the constants of traces/curves/presets.py from the measurements, and compare."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from traces.curves import derive
from traces.curves.presets import ELASTICFLOW, GAVEL, POLLUX, ZEUS


def main() -> None:
    """Print each constant as it is derived now, and whether the presets hold the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=os.environ.get("AUTOSCALER_TEST_DATA", "../shared/data"),
        help="holds elastic/{gavel,elasticflow,pollux} and power/zeus",
    )
    folder = parser.parse_args().folder
    if not folder.is_dir():
        print(f"no data in {folder}: nothing to derive")
        return
    derived: dict[str, tuple[Any, Any]] = {
        "GAVEL": (derive.speeds(folder), GAVEL),
        "ELASTICFLOW": (derive.scaling(folder), ELASTICFLOW),
        "POLLUX": (derive.spread(folder), POLLUX),
    }
    for gpu_model, (_, speed, watts) in ZEUS.items():
        derived[f"ZEUS {gpu_model}"] = derive.power_caps(folder, gpu_model), (speed, watts)
    for name, (now, preset) in derived.items():
        print(f"{name}: {'as in the presets' if now == preset else 'NOT as in the presets'}")
        for rows in now if isinstance(now, tuple) else (now,):
            for workload, numbers in rows.items():
                print(f"    {workload}: {numbers}")


if __name__ == "__main__":
    main()
