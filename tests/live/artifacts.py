"""Small policy artifacts, as `autoscaler train` writes them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from envs.gpu_cluster.codec import CodecLayout, fingerprint, observation_size

INVALID = -1e8


def write_model(path: Path, layout: CodecLayout, weights: np.ndarray, inputs: int | None = None) -> None:
    """logits = observation @ weights, -1e8 where the mask is False."""
    size = inputs or observation_size(layout)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["observation", "weights"], ["raw"]),
            helper.make_node("Where", ["action_mask", "raw", "invalid"], ["logits"]),
        ],
        "policy",
        [
            helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", size]),
            helper.make_tensor_value_info("action_mask", TensorProto.BOOL, ["batch", layout.mask_size]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", layout.mask_size])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(np.array(INVALID, np.float32), "invalid"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))


def write_artifact(folder: Path, layout: CodecLayout, weights: np.ndarray | None = None, **manifest: Any) -> Path:
    """An artifact with a linear policy; None: random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (observation_size(layout), layout.mask_size)
    values = np.random.default_rng(0).normal(size=shape) if weights is None else weights
    write_model(folder / "policy.onnx", layout, values)
    (folder / "config.yaml").write_text("agent: test\n")
    document = {
        "schema": 3,
        "environment": None,
        "codec_fingerprint": fingerprint(layout),
        "codec": layout.to_dict(),
        "agent": "linear",
        "settings": {},
        "masked": True,
        "packer": "best-fit",
        "seed": 0,
        "kept_step": 0,
        "total_steps": 0,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in MANIFEST_FILES},
        **manifest,
    }
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


MANIFEST_FILES = ("policy.onnx", "config.yaml")
