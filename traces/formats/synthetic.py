"""Generated traces, by the name of a preset."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from configs.errors import did_you_mean
from traces.errors import TraceError, TraceURIError
from traces.format import Format
from traces.generators import LICENCE, generate
from traces.inputs import check_readable
from traces.model import Model
from traces.model_generator import generate_model
from traces.models import MODELS
from traces.presets import PRESETS, Preset
from traces.trace import Trace
from traces.uri import TraceURI


@dataclass(frozen=True, slots=True)
class Options:
    """Options of synthetic."""

    days: float | None = field(default=None, metadata={"help": "length, days; else the preset's"})
    seed: int | None = field(default=None, metadata={"help": "the same seed gives the same trace; none: one is drawn"})
    jobs_per_day: float | None = field(default=None, metadata={"help": "expected jobs per day; else the preset's"})


def load(path: str, options: Options) -> Trace:
    """The trace of a preset, or of a model that `autoscaler traces fit` wrote (a path that ends in .json).

    Its URI carries the seed and the length, also those that nobody gave.

    Raises:
        TraceURIError: the preset is unknown or an option is out of range.
        TraceError: the model cannot be read.
    """
    preset = _preset(path)
    days = preset.days if options.days is None else options.days
    seed = int(np.random.default_rng().integers(2**32)) if options.seed is None else options.seed
    given = {"days": _text(days), "seed": str(seed)}
    if options.jobs_per_day is not None:
        given["jobs_per_day"] = _text(options.jobs_per_day)
    uri = str(TraceURI("synthetic", path, given))
    if seed < 0:
        raise TraceURIError(f"{uri}: option seed takes a whole number from 0 on")
    try:
        rng = np.random.default_rng(seed)
        if isinstance(preset, Model):
            trace = generate_model(preset, days=days, rng=rng, jobs_per_day=options.jobs_per_day, name=path)
        else:
            trace = generate(preset, days=days, rng=rng, jobs_per_day=options.jobs_per_day, name=path)
    except TraceError as error:
        raise TraceURIError(f"{uri}: {error}") from error
    return replace(trace, uri=uri)


def _preset(path: str) -> Preset | Model:
    if path.endswith(".json"):
        check_readable(path)
        return Model.from_json(Path(path).read_text(encoding="utf-8"), path)
    known: dict[str, Preset | Model] = {**PRESETS, **MODELS}
    if path not in known:
        raise TraceURIError(f"there is no preset {path!r}{did_you_mean(path, known)}")
    return known[path]


def _text(number: float) -> str:
    # All digits: the URI must give the same trace again.
    return repr(number).removesuffix(".0")


FORMAT = Format(
    name="synthetic",
    kind="jobs",
    description=f"generated jobs, by preset: {', '.join([*PRESETS, *MODELS])}; or FILE.json of `fit`",
    options=Options,
    load=load,
    licence=LICENCE,
    citation="",
    example="synthetic:quickstart?days=30&seed=0",
    tables=True,
)
