"""From a URI to a table: `preset:NAME`, or a format of the original files such as `gavel:throughputs.json.gz`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from configs.errors import did_you_mean
from traces.curves.elasticflow import load_elasticflow_scaling
from traces.curves.gavel import load_gavel_speeds
from traces.curves.pollux import load_pollux_scaling, load_pollux_spread
from traces.curves.presets import preset_power_caps, preset_scaling, preset_speeds, preset_spread
from traces.curves.tables import PowerCapTable, ScalingTable, SpeedTable, SpreadTable
from traces.curves.zeus import load_zeus_power_caps
from traces.errors import TraceURIError
from traces.options import NoOptions, parse
from traces.uri import TraceURI


@dataclass(frozen=True, slots=True)
class ElasticFlowOptions:
    """Options of elasticflow."""

    batch: Literal["smallest", "largest"] = field(
        default="largest", metadata={"help": "global batch size to take of each network"}
    )


@dataclass(frozen=True, slots=True)
class ZeusOptions:
    """Options of zeus."""

    gpu_model: str = field(default="unknown", metadata={"help": "GPU model, which the file does not name"})


def load_speeds(uri: str) -> SpeedTable:
    """Speeds by workload and GPU model from `preset:gavel` or `gavel:PATH`.

    Raises:
        TraceError: the URI, the file or a value is wrong.
    """
    table: SpeedTable = _load(uri, {"preset": (NoOptions, preset_speeds), "gavel": (NoOptions, load_gavel_speeds)})
    return table


def load_scaling(uri: str) -> ScalingTable:
    """Speed-ups by workload and width from `preset:elasticflow`, `elasticflow:FOLDER` or `pollux:FOLDER`.

    Raises:
        TraceError: the URI, the file or a value is wrong.
    """
    table: ScalingTable = _load(
        uri,
        {
            "preset": (NoOptions, preset_scaling),
            "elasticflow": (ElasticFlowOptions, load_elasticflow_scaling),
            "pollux": (NoOptions, load_pollux_scaling),
        },
    )
    return table


def load_spread(uri: str) -> SpreadTable:
    """Speeds by workload and number of nodes from `preset:pollux` or `pollux:FOLDER`.

    Raises:
        TraceError: the URI, the file or a value is wrong.
    """
    table: SpreadTable = _load(uri, {"preset": (NoOptions, preset_spread), "pollux": (NoOptions, load_pollux_spread)})
    return table


def load_power_caps(uri: str) -> PowerCapTable:
    """Speed and power by workload and power limit from `preset:V100` or `zeus:PATH?gpu_model=V100`.

    Raises:
        TraceError: the URI, the file or a value is wrong.
    """
    table: PowerCapTable = _load(
        uri, {"preset": (NoOptions, preset_power_caps), "zeus": (ZeusOptions, load_zeus_power_caps)}
    )
    return table


def _load(uri: str, formats: Mapping[str, tuple[type[Any], Callable[..., Any]]]) -> Any:
    parsed = TraceURI.parse(uri)
    if parsed.scheme not in formats:
        raise TraceURIError(f"{uri}: there is no such format of curves{did_you_mean(parsed.scheme, formats)}")
    schema, load = formats[parsed.scheme]
    known = [item.name for item in fields(schema)]
    for name in parsed.options:
        if name not in known:
            raise TraceURIError(f"{uri}: {parsed.scheme} has no option {name!r}{did_you_mean(name, known)}")
    options = parse(schema, parsed.options, uri)
    return load(parsed.path, **{name: getattr(options, name) for name in known})
