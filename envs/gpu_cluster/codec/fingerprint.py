"""One hash of everything that gives the numbers of observation and action their meaning."""

from __future__ import annotations

import hashlib
import json

from envs.gpu_cluster.codec import observation as obs
from envs.gpu_cluster.codec.layout import (
    CODEC_VERSION,
    CONSOLIDATION_CHOICES,
    MAX_GPUS_PER_NODE,
    POWER_CAP_FRACTIONS,
    WIDTH_CHOICES,
    CodecLayout,
    Pool,
    Signal,
    Slot,
)
from envs.gpu_cluster.codec.observation import observation_names


def description(layout: CodecLayout) -> dict[str, object]:
    """What the fingerprint hashes: names, scales, setpoints and sizes, as JSON can hold them."""
    return {
        "version": CODEC_VERSION,
        "layout": layout.to_dict(),
        "observation": observation_names(layout),
        "setpoints": layout.setpoints,
        "action_sizes": layout.action_sizes,
        "levers": [CONSOLIDATION_CHOICES, POWER_CAP_FRACTIONS, WIDTH_CHOICES],
        "max_gpus_per_node": MAX_GPUS_PER_NODE,
        "submitted_scales_gpus": obs.SUBMITTED_SCALES_GPUS,
        "snapshot": [[field.name for field in fields] for fields in (Pool, Slot, Signal)],
    }


def fingerprint(layout: CodecLayout) -> str:
    """16 hexadecimal digits that change with any name, scale, size or the version of the codec.

    A change of the arithmetic that keeps all names must raise `CODEC_VERSION`; a test pins observations of fixed
    snapshots to remind of it.
    """
    text = json.dumps(description(layout), sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
