"""One name for a network in every table, so that one `workload` of a trace finds it in all of them."""

from collections.abc import Mapping
from typing import Final

NAMES: Final[Mapping[str, str]] = {
    "A3C": "a3c",
    "CycleGAN": "cyclegan",
    "LM": "lm",
    "Recommendation": "recommendation",
    "ResNet-18": "resnet18",
    "ResNet-50": "resnet50",
    "Transformer": "transformer",
    "bert_base_uncased": "bert",
    "cifar10": "resnet18",
    "imagenet": "resnet50",
}
"""Name in a data set -> our name; other names stay.
Source: Narayanan et al. (Gavel, OSDI 2020), table 2; Qiao et al. (Pollux, OSDI 2021), table 1: CIFAR-10 is trained with
ResNet-18, ImageNet with ResNet-50; You et al. (Zeus, NSDI 2023), table 1."""


def workload_name(original: str) -> str:
    """Our name of a network."""
    return NAMES.get(original, original)
