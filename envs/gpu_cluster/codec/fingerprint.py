"""One hash of everything that gives the numbers of observation and action their meaning."""

from __future__ import annotations

import hashlib
import json

from envs.gpu_cluster.codec.features import describe_features
from envs.gpu_cluster.codec.layout import (
    CODEC_VERSION,
    LEVERS,
    MAX_GPUS_PER_NODE,
    CodecLayout,
    Pool,
    PoolSignal,
    Signal,
    Slot,
)
from envs.gpu_cluster.codec.observation_sizes import observation_names


def description(layout: CodecLayout) -> dict[str, object]:
    """What the fingerprint hashes: names, scales, setpoints and sizes, as JSON can hold them."""
    return {
        "version": CODEC_VERSION,
        "layout": layout.to_dict(),
        "observation": observation_names(layout),
        "setpoints": layout.setpoints,
        "action_sizes": layout.action_sizes,
        "levers": [[lever.name, lever.choices] for lever in LEVERS],
        "max_gpus_per_node": MAX_GPUS_PER_NODE,
        "features": describe_features(),
        "snapshot": [[field.name for field in fields] for fields in (Pool, Slot, Signal, PoolSignal)],
    }


def fingerprint(layout: CodecLayout) -> str:
    """16 hexadecimal digits that change with any name, scale, size or the version of the codec.

    A change of the arithmetic that keeps all names must raise `CODEC_VERSION`; a test pins observations of fixed
    snapshots to remind of it.
    """
    text = json.dumps(description(layout), sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
