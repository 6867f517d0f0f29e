"""Deletion taints that Cluster Autoscaler left: on a migration nobody else takes them back."""

from __future__ import annotations

import logging

from autoscaler.live.actuate.progress import clear_progress
from autoscaler.live.constraints import Taint
from autoscaler.live.guardrail_config import RemovalTimes
from autoscaler.live.kube.client import KubeClient, KubeError, NotFoundError
from autoscaler.live.kube.fields import ParseError, taints
from autoscaler.live.names import ANNOTATION_REMOVAL_STEP, TAINT_TO_BE_DELETED

_LOG = logging.getLogger(__name__)

STALE_TAINT_SECONDS = 300.0
"""How long after the last step that a removal may take its taint counts as left behind."""


def is_stale(taint: Taint, wall_seconds: float, times: RemovalTimes) -> bool:
    """Whether the process that set a deletion taint must have ended.

    Args:
        taint: its value is the unix time at which it was set; one that is no number is stale.
        wall_seconds: unix time.
        times: what a removal may take.
    """
    if taint.key != TAINT_TO_BE_DELETED:
        return False
    try:
        since = float(taint.value)
    except ValueError:
        return True
    longest = times.eviction_timeout_seconds + times.grace_timeout_seconds + STALE_TAINT_SECONDS
    return not wall_seconds - since <= longest


def recover(client: KubeClient, name: str, wall_seconds: float, times: RemovalTimes) -> bool:
    """Take back the stale deletion taint of a node.

    Args:
        client: fenced, see `KubeClient.fenced`.
        name: the node.
        wall_seconds: unix time.
        times: what a removal may take.

    Returns:
        Whether it had one, that is not of a removal of ours.
    """
    try:
        raw = client.get(f"/api/v1/nodes/{name}")
        if ANNOTATION_REMOVAL_STEP in (raw["metadata"].get("annotations") or {}):
            return False
        if not any(is_stale(taint, wall_seconds, times) for taint in taints(raw["spec"].get("taints"), "spec.taints")):
            return False
        clear_progress(client, raw)
        return True
    except NotFoundError:
        return False
    except (KubeError, ParseError) as error:
        _LOG.warning("a stale deletion taint stays", extra={"node": name, "reason": str(error)})
        return False
