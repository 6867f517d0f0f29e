"""Annotations of KWOK's fake nodes."""

from __future__ import annotations

from typing import Final

from autoscaler.live.names import DOMAIN, NameTable

_table = NameTable()
_name = _table.add

ANNOTATION_KWOK_NODE: Final = _name("annotation", "kwok.x-k8s.io/node", 'Node: "fake" lets KWOK run it.')
ANNOTATION_KWOK_BOOT_SECONDS: Final = _name(
    "annotation", f"{DOMAIN}/boot-seconds", "Node under KWOK: wall seconds from creation until it is Ready."
)
ANNOTATION_KWOK_BOOT_STARTED: Final = _name(
    "annotation",
    f"{DOMAIN}/boot-started-at",
    "Node under KWOK: when its boot began; a simulated reboot writes it anew.",
)
ANNOTATION_KWOK_GPUS: Final = _name(
    "annotation", f"{DOMAIN}/gpus", "Node under KWOK: GPUs that its device plugin will report."
)
ANNOTATION_KWOK_GPU_DELAY_SECONDS: Final = _name(
    "annotation",
    f"{DOMAIN}/gpu-delay-seconds",
    "Node under KWOK: wall seconds from Ready until the GPUs are allocatable, or `never`.",
)

NAMES: Final = _table.all()
