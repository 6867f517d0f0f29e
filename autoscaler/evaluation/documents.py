"""The JSON document of a comparison, see docs/json.md."""

from __future__ import annotations

from typing import Any

from autoscaler.evaluation.comparison import Comparison, result_document
from autoscaler.evaluation.provenance import provenance, trace_digest
from autoscaler.evaluation.statistics import CONFIDENCE, DRAWS, METHOD
from autoscaler.evaluation.windows import MS_PER_SECOND
from configs.loader import to_dict
from envs.gpu_cluster.codec import fingerprint

SCHEMA = "autoscaler.evaluate/1"


def _references(comparison: Comparison) -> dict[str, Any]:
    """What `gap_closed` counts against, where that is not the bound."""
    usd = comparison.clairvoyant_usd
    return {"clairvoyant": None if usd is None else {"objective_usd": usd[0], "decidable_usd": usd[1]}}


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """What `evaluate --json` writes."""
    trace, config = comparison.scenario.trace, comparison.scenario.config
    windows = [
        {
            "start_seconds": window.start_ms / MS_PER_SECOND,
            "end_seconds": window.end_ms / MS_PER_SECOND,
            "jobs": window.num_jobs,
        }
        for window in comparison.windows
    ]
    return {
        "schema": SCHEMA,
        "trace": {"uri": trace.uri, "jobs": trace.num_jobs, "span_seconds": trace.span_seconds},
        "cluster": {"source": comparison.cluster_source, **to_dict(comparison.scenario.cluster)},
        "reference": comparison.reference,
        "references": _references(comparison),
        "policies": {name: result_document(result) for name, result in comparison.results.items()},
        "provenance": {
            **provenance(),
            "seed": comparison.seed,
            "trace_sha256": trace_digest(trace),
            "windows": windows,
            "intervals": {"confidence": CONFIDENCE, "draws": DRAWS, "method": METHOD},
            "codec_fingerprint": fingerprint(config.codec),
            "environment": to_dict(config),
        },
    }
