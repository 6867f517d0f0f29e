"""Scenarios: what is simulated, on which data, on which part of it policies are judged, and against which bound.

A scenario is a YAML file of `configs/bench`, or one of your own. Its name, version and fingerprint say what a number
was measured on; the fingerprint knows the content of data files, not where they lie.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import traces
from autoscaler.bench.errors import BenchError, MissingDataError
from autoscaler.evaluation.environments import EnvironmentEvaluation, make_evaluation, overlaid
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import Window, equal_windows
from autoscaler.experiment import ExperimentConfig, SplitConfig
from configs.checks import check_number
from configs.errors import did_you_mean
from configs.loader import build_config, load_config, to_dict
from configs.presets import list_presets, preset_name
from envs.gpu_cluster.cluster import AUTO, ClusterConfig, load_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from traces.trace import Trace

FOLDER = "bench"
DATA_VARIABLE = "AUTOSCALER_DATA"
MARK = re.compile(r"\{data\}/([^?\s\"]+)")
"""A file of the scenario inside a URI."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that a scenario reads.

    Attributes:
        path: below the folder of data; the file may also lie in that folder itself, by its last name.
        sha256: of its content, without gzip: what the version of the scenario was made with.
        source: where to get it.
    """

    path: str
    sha256: str
    source: str


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """A scenario as its YAML file describes it: jobs on a GPU cluster, or another environment.

    Attributes:
        version: raised with each change that changes results.
        description: what it is about, one or two lines.
        trace: URI of the jobs; `{data}/PATH` stands for a file of `data`. None: there is an `env`.
        cluster: auto, pools, or the URI of a list of nodes.
        data: files that it reads.
        split: how the trace is split: the first part is tuned and trained on, the rest is judged.
        windows: equal windows of the judged part.
        environment: levers, prices, regions and their signals.
        env: another environment than GPU clusters, an entry of `autoscaler.evaluation.environments.EVALUATIONS`; then
            `trace`, `cluster`, `split` and `environment` have no meaning.
        env_kwargs: its arguments.
        train_kwargs: what is different, for tuning and training; nested mappings are joined.
        test_kwargs: the same for what policies are judged on.
        bound: `cost`: costs are compared with those of `autoscaler.evaluation.cost_bounds`; `none`: no bound is known
            for its levers.
    """

    version: int
    description: str
    trace: str | None = None
    cluster: ClusterConfig | str = AUTO
    data: tuple[DataFile, ...] = ()
    split: SplitConfig = field(default_factory=SplitConfig)
    windows: int = 5
    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    env: str | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    train_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    test_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    bound: Literal["cost", "none"] = "cost"

    def __post_init__(self) -> None:
        """Refuse numbers that have no meaning, and files that are named but not described.

        Raises:
            BenchError: as above.
        """
        self._check_environment()
        check_number("version", self.version, BenchError, low=1)
        check_number("windows", self.windows, BenchError, low=1)
        paths = [file.path for file in self.data]
        paths += [str(Path(path).parent) for path in paths]  # formats of several files name their folder
        for path in sorted(set(MARK.findall(json.dumps(to_dict(self))))):
            if path not in paths:
                raise BenchError(f"{{data}}/{path} is named, but is not listed in data{did_you_mean(path, paths)}")
        codec = self.environment.codec
        if self.bound == "cost" and (codec.power_caps or codec.elastic_width):
            raise BenchError("bound is cost, and none is known with power caps or elastic width; write bound: none")

    def _check_environment(self) -> None:
        if (self.trace is None) == (self.env is None):
            raise BenchError("a scenario has either trace, for jobs on a GPU cluster, or env; give one of them")
        given = [name for name in ("env_kwargs", "train_kwargs", "test_kwargs") if getattr(self, name)]
        if self.env is None and given:
            raise BenchError(f"{given[0]} has arguments of env, which is not set; GPU clusters have environment")
        defaults = {"cluster": AUTO, "split": SplitConfig(), "environment": EnvironmentConfig()}
        given = [name for name, value in defaults.items() if getattr(self, name) != value]
        if self.env is not None and given:
            raise BenchError(f"{given[0]}: only GPU clusters have this, and env is {self.env!r}; see env_kwargs")

    @property
    def fingerprint(self) -> str:
        """A digest of what the scenario says beyond defaults, so that a new setting that is off changes nothing."""
        values = {name: value for name, value in _given(self).items() if name != "description"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def levers(self) -> list[str]:
        """What a policy can decide besides setpoints and placement."""
        codec, queue = self.environment.codec, self.environment.physics.queue
        switches = {
            "deferral": queue.deferral,
            "consolidation": codec.consolidation,
            "power caps": codec.power_caps,
            "elastic width": codec.elastic_width,
            "suspension": codec.suspension,
            "reserves in nodes": codec.reserve_nodes,
        }
        return [name for name, is_on in switches.items() if is_on]


@dataclass(frozen=True, slots=True)
class NamedScenario:
    """A scenario, and what a user calls it.

    Attributes:
        name: of the preset, or the path of a file.
        config: what it says.
        data: the folder of its files; None: there is none.
    """

    name: str
    config: BenchConfig
    data: str | None = None

    def check_data(self) -> None:
        """Refuse a scenario whose files are not all there, with the content that its version was made with.

        Raises:
            MissingDataError: as above; one line.
        """
        for file in self.config.data:
            path = _find(self, file)
            if _digest(path) != file.sha256:
                raise MissingDataError(
                    f"{self.name}: {path} has another content than version {self.config.version} of this scenario was "
                    f"made with; get it from {file.source}"
                )

    def load(self) -> World:
        """Read trace, cluster and signals; the last two scenarios of a process are kept.

        Raises:
            MissingDataError: a file is missing.
            TraceError: a file cannot be read.
            ClusterError: trace and cluster do not fit together.
        """
        return _load(self)

    def load_environment(self) -> EnvironmentWorld:
        """The same of a scenario with an `env`.

        Raises:
            MissingDataError: a file is missing.
            EvaluationError: the environment cannot be evaluated.
            UserError: its arguments have no meaning.
        """
        return _load_environment(self)


@dataclass(frozen=True, slots=True, eq=False)
class EnvironmentWorld:
    """A scenario with an `env` in memory.

    Attributes:
        experiment: what trainings get.
        evaluation: where policies are judged.
    """

    experiment: ExperimentConfig
    evaluation: EnvironmentEvaluation


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A scenario in memory.

    Attributes:
        experiment: what trainings and tunings get.
        trace: the jobs.
        scenario: where policies run.
        windows: what they are judged on.
    """

    experiment: ExperimentConfig
    trace: Trace
    scenario: Scenario
    windows: tuple[Window, ...]


def shipped_names() -> list[str]:
    """Names of the scenarios of the package."""
    return [name.removeprefix(f"{FOLDER}/") for name in list_presets() if name.startswith(f"{FOLDER}/")]


def data_folder(given: str | None) -> str | None:
    """The folder of data: what was given, else the environment variable AUTOSCALER_DATA.

    Raises:
        BenchError: it is no folder.
    """
    folder = given or os.environ.get(DATA_VARIABLE) or None
    if folder is not None and not Path(folder).is_dir():
        origin = "--data" if given else DATA_VARIABLE
        raise BenchError(f"{origin} is {folder!r}, which is no folder; give the folder that holds the data files")
    return folder


def find_scenario(name: str, data: str | None) -> NamedScenario:
    """A scenario by its name, or from a YAML file.

    Args:
        name: of `shipped_names`, or a path.
        data: folder of data files.

    Raises:
        BenchError: there is none of that name.
        ConfigError: the file cannot be read or does not fit.
    """
    short = preset_name(name).removeprefix(f"{FOLDER}/")
    if short in shipped_names():
        return NamedScenario(short, load_config(f"{FOLDER}/{short}", BenchConfig), data)
    if not name.endswith((".yaml", ".yml")):
        raise BenchError(f"there is no scenario {name!r}{did_you_mean(name, shipped_names())}")
    return NamedScenario(Path(name).stem, load_config(name, BenchConfig), data)


def choose_scenarios(
    names: Sequence[str], data: str | None, on_skip: Callable[[str], None]
) -> tuple[NamedScenario, ...]:
    """The scenarios that a user names; without names all that have their data, and `on_skip` is told of the others.

    Raises:
        BenchError: there is none of a name, two have one name, or none is left.
        MissingDataError: a scenario that is named lacks its data.
    """
    chosen = []
    for name in dict.fromkeys(names or shipped_names()):
        scenario = find_scenario(name, data)
        try:
            scenario.check_data()
        except MissingDataError as error:
            if names:
                raise
            on_skip(f"skipped {error}")
            continue
        chosen.append(scenario)
    found = [scenario.name for scenario in chosen]
    for name in found:
        if found.count(name) > 1:
            raise BenchError(f"two scenarios are called {name!r}; give one of the files another name")
    return tuple(chosen)


def _given(value: Any) -> Any:
    """Plain values of settings, without those that are the default."""
    if isinstance(value, tuple):
        return [_given(item) for item in value]
    if not is_dataclass(value):
        return value
    own = {item.name: (item, getattr(value, item.name)) for item in fields(value)}
    return {name: _given(found) for name, (item, found) in own.items() if found != _default(item)}


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _find(scenario: NamedScenario, file: DataFile) -> Path:
    if scenario.data is None:
        raise MissingDataError(
            f"{scenario.name}: needs {file.path} ({file.source}); give its folder with --data or {DATA_VARIABLE}"
        )
    for path in (Path(scenario.data) / file.path, Path(scenario.data) / Path(file.path).name):
        if path.is_file():
            return path
    raise MissingDataError(f"{scenario.name}: there is no {file.path} in {scenario.data}; get it from {file.source}")


def _digest(path: Path) -> str:
    """SHA-256 of the content; a file that was packed again is the same."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except (OSError, EOFError) as error:
        raise MissingDataError(f"{path}: cannot be read ({error}); get it again") from error
    return digest.hexdigest()


def _with_files(scenario: NamedScenario) -> BenchConfig:
    """What a scenario says, with files instead of `{data}/PATH`."""
    files = {file.path: _find(scenario, file).absolute() for file in scenario.config.data}
    places = {str(Path(path).parent): str(found.parent) for path, found in files.items()}
    places |= {path: str(found) for path, found in files.items()}
    return build_config(_placed(to_dict(scenario.config), places), BenchConfig, scenario.name)


@lru_cache(maxsize=2)
def _load_environment(scenario: NamedScenario) -> EnvironmentWorld:
    config = _with_files(scenario)
    train, test = (overlaid(config.env_kwargs, changes) for changes in (config.train_kwargs, config.test_kwargs))
    evaluation = make_evaluation(str(config.env), train, test, config.windows)
    return EnvironmentWorld(ExperimentConfig(env=config.env, env_kwargs=train), evaluation)


@lru_cache(maxsize=2)
def _load(scenario: NamedScenario) -> World:
    config = _with_files(scenario)
    assert config.trace is not None
    trace = traces.load(config.trace)
    environment, cluster = config.environment, config.cluster
    if isinstance(cluster, str):
        cluster = load_cluster(cluster, trace, second_resources=environment.physics.second_resources)
    experiment = ExperimentConfig(trace=trace.uri, cluster=cluster, split=config.split, environment=environment)
    windows = equal_windows(trace, config.split.train, 1.0, config.windows)
    return World(experiment, trace, Scenario(trace, cluster, environment), windows)


def _placed(value: Any, places: dict[str, str]) -> Any:
    """The same plain values with files instead of `{data}/PATH`."""
    if isinstance(value, dict):
        # The list of files itself stays, so that the values still describe a whole scenario.
        return {key: item if key == "data" else _placed(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_placed(item, places) for item in value]
    return MARK.sub(lambda found: places[found[1]], value) if isinstance(value, str) else value
