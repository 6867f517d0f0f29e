"""Write the network of a policy as ONNX, with the fingerprint of its codec inside."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from agents.artifact import ONNX_FINGERPRINT
from envs.gpu_cluster.codec import CodecLayout, fingerprint

OPSET = 17


def write_network(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    batch_axes: Mapping[str, int],
    layout: CodecLayout,
    path: Path,
) -> None:
    """Write a network, for any batch size.

    Args:
        network: of a policy of GPU clusters.
        inputs: an example of each, by name, in the order of its arguments.
        outputs: names, in the order of its results.
        batch_axes: by name of an input or output, which of its axes is the batch, where that is not the first.
        layout: the codec layout; the metadata hold its fingerprint, so that the file by itself says what its numbers
            mean.
        path: of the file.

    Raises:
        OSError: the file cannot be written.
    """
    with warnings.catch_warnings():
        # The exporter that needs no further package says that it is the old one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {batch_axes.get(name, 0): "batch"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    exported = onnx.load(path)
    onnx.helper.set_model_props(exported, {ONNX_FINGERPRINT: fingerprint(layout)})
    onnx.save(exported, path)
