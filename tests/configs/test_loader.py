"""The config loader: what it accepts, and one clear line for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from configs.errors import ConfigError, UserError
from configs.loader import build_config, dump_yaml, load_config, to_dict


class Objective(Enum):
    ENERGY = "energy"
    CARBON = "carbon"


@dataclass(frozen=True, slots=True)
class Pool:
    gpu_model: str
    gpus_per_node: int = 8
    price_usd_per_hour: Annotated[float, Field(ge=0)] = 2.5


@dataclass(frozen=True, slots=True)
class Cluster:
    pools: tuple[Pool, ...] = (Pool("v100"),)
    spare: Pool | None = None
    by_name: dict[str, Pool] = field(default_factory=dict)
    boot_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.boot_seconds < 0:
            raise ValueError(f"boot_seconds is {self.boot_seconds}; it must be >= 0")


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    algorithm: Literal["ppo", "dqn"] = "ppo"
    objective: Objective = Objective.ENERGY
    learning_rate: float = 3e-4
    seed: int | None = None
    output: Path = Path("runs")
    cluster: Cluster = field(default_factory=Cluster)


@pytest.fixture
def write(tmp_path):
    def write_config(text: str) -> Path:
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_config


def message_of(path: Path | str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, Settings, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    return message


def test_defaults_are_resolved_and_nested_values_typed(write):
    settings = load_config(
        write("name: demo\nlearning_rate: 1e-3\ncluster:\n  pools:\n    - {gpu_model: a100, gpus_per_node: 4}\n"),
        Settings,
    )
    assert settings == Settings("demo", learning_rate=1e-3, cluster=Cluster(pools=(Pool("a100", 4),)))
    assert isinstance(settings.cluster.pools, tuple)


def test_config_error_is_a_user_error_and_a_value_error():
    assert issubclass(ConfigError, UserError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    ("text", "line", "key", "proposal"),
    [
        ("name: x\nalgoritm: ppo\n", 2, "algoritm", "algorithm"),
        ("name: x\ncluster:\n  boot_second: 1\n", 3, "cluster.boot_second", "boot_seconds"),
        (
            "name: x\ncluster:\n  pools:\n    - gpu_model: a\n      gpu_per_node: 4\n",
            5,
            "cluster.pools.0.gpu_per_node",
            "gpus_per_node",
        ),
        ("name: x\ncluster:\n  spare:\n    gpu_modell: a\n", 4, "cluster.spare.gpu_modell", "gpu_model"),
        (
            "name: x\ncluster:\n  by_name:\n    big: {gpu_model: a, gpus_per_nod: 1}\n",
            4,
            "cluster.by_name.big.gpus_per_nod",
            "gpus_per_node",
        ),
    ],
)
def test_an_unknown_key_names_file_line_key_and_the_nearest_name(write, text, line, key, proposal):
    path = write(text)
    message = message_of(path)
    assert message == f"{path}:{line}: unknown key {key!r}; did you mean {proposal!r}?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\nalgorithm: a2c\n", ":2: algorithm is \"a2c\": input should be 'ppo' or 'dqn'"),
        ("name: x\nobjective: cost\n", ":2: objective is \"cost\": input should be 'energy' or 'carbon'"),
        ("name: x\nlearning_rate: fast\n", ':2: learning_rate is "fast": input should be a valid number'),
        ('name: x\nlearning_rate: "0.1"\n', ':2: learning_rate is "0.1": input should be a valid number'),
        ("name: 3\n", ":1: name is 3: input should be a valid string"),
        ("name: x\nseed: true\n", ":2: seed is true: input should be a valid integer"),
        ("name: x\nseed: 1.5\n", ":2: seed is 1.5: input should be a valid integer"),
        ("name: x\ncluster:\n  boot_seconds: -1\n", ":2: cluster: boot_seconds is -1.0; it must be >= 0"),
        (
            "name: x\ncluster:\n  pools:\n  - gpu_model: a\n    price_usd_per_hour: -2\n",
            ":5: cluster.pools.0.price_usd_per_hour is -2: input should be greater than or equal to 0",
        ),
        ("algorithm: ppo\n", ": the key 'name' is required"),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_allowed(write, text, expected):
    path = write(text)
    message = message_of(path)
    assert message == f"{path}{expected}"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: [x\n", ":2:1: no valid YAML"),
        ("name: x\n\tseed: 1\n", ":2:1: no valid YAML"),
        ("name: x\nname: y\n", ":2:1: the key 'name' stands here twice"),
        ("name: x\ncluster:\n  boot_seconds: 1\n  boot_seconds: 2\n", ":4:3: the key 'boot_seconds' stands here twice"),
        ("- a\n- b\n", ": the top level must be a mapping"),
        ("name: !!python/object/apply:os.system [ls]\n", ":1:7: no valid YAML"),
        ("name: &a x\nalgorithm: *a\n", ":2:12: no valid YAML: aliases"),
        ("[a]: 1\n", ":1:1: a key must be a word"),
        ("name: \x01\n", ": no valid YAML"),
    ],
)
def test_a_broken_file_says_where(write, text, where):
    path = write(text)
    assert message_of(path).startswith(f"{path}{where}")


def test_words_of_yaml_1_1_stay_words_and_dates_too(write):
    assert load_config(write("name: no\n"), Settings).name == "no"
    assert load_config(write("name: 2020-01-01\n"), Settings).name == "2020-01-01"
    assert load_config(write("name: 1:30\n"), Settings).name == "1:30"
    assert load_config(write("name: x\nseed: 010\n"), Settings).seed == 10
    assert load_config(write("name: x\nseed: 30_000\n"), Settings).seed == 30_000


def test_overrides_replace_nested_values_and_list_items(write):
    path = write("name: x\ncluster:\n  pools:\n    - gpu_model: a\n    - gpu_model: b\n")
    settings = load_config(
        path,
        Settings,
        ["seed=3", "cluster.boot_seconds=60", "cluster.pools.1.gpus_per_node=2", "cluster.spare={gpu_model: c}"],
    )
    assert settings.seed == 3
    assert settings.cluster == Cluster(pools=(Pool("a"), Pool("b", 2)), spare=Pool("c"), boot_seconds=60.0)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seeed=3", "override 'seeed=3': unknown key 'seeed'; did you mean 'seed'?"),
        ("seed=x", "override 'seed=x': seed is \"x\": input should be a valid integer"),
        ("seed", "override 'seed': write it as key.of.field=value"),
        ("a..b=1", "override 'a..b=1': write it as key.of.field=value"),
        ("name.first=x", "override 'name.first=x': name: input should be a valid string"),
        (
            "cluster.pools=[1",
            "override 'cluster.pools=[1':1:3: no valid YAML: expected ',' or ']', but got '<stream end>'",
        ),
    ],
)
def test_a_wrong_override_is_named(write, override, expected):
    assert message_of(write("name: x\n"), override) == expected


def test_a_mistake_inside_an_overridden_value_names_the_override(write):
    path = write("name: x\ncluster:\n  pools:\n    - gpu_model: a\n")
    assert message_of(path, "cluster.pools=[{gpu_model: 3}]").startswith("override 'cluster.pools=[{gpu_model: 3}]': ")


def test_an_override_beyond_the_end_of_a_list_is_refused(write):
    path = write("name: x\ncluster:\n  pools:\n    - gpu_model: a\n")
    assert "must be the index of one of the 1 items" in message_of(path, "cluster.pools.4.gpu_model=b")


def test_a_file_that_is_not_text_is_one_line(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"name: \xff\xfe")
    assert message_of(path) == f"{path}: is not UTF-8 text (byte 6)"


def test_an_empty_file_is_an_empty_mapping(write):
    assert "the key 'name' is required" in message_of(write(""))


def test_build_config_checks_plain_values():
    with pytest.raises(ConfigError, match="manifest: unknown key 'nam'; did you mean 'name'"):
        build_config({"nam": "x"}, Settings, "manifest")
    assert build_config(to_dict(Settings("x", seed=1)), Settings) == Settings("x", seed=1)


def test_dump_reads_back_and_replaces_the_old_file(tmp_path):
    path = tmp_path / "resolved.yaml"
    path.write_text("old")
    settings = Settings("yes", objective=Objective.CARBON, cluster=Cluster(spare=Pool("1e3", price_usd_per_hour=1e-9)))
    dump_yaml(settings, path)
    assert load_config(path, Settings) == settings
    assert [entry.name for entry in tmp_path.iterdir()] == ["resolved.yaml"]


def test_a_failed_dump_leaves_the_old_file_and_no_other(tmp_path):
    @dataclass
    class Unwritable:
        value: object

    path = tmp_path / "resolved.yaml"
    path.write_text("old")
    with pytest.raises(TypeError):
        dump_yaml(Unwritable(object()), path)
    assert path.read_text() == "old"
    with pytest.raises(OSError, match="missing"):
        dump_yaml(Settings("x"), tmp_path / "missing" / "resolved.yaml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["resolved.yaml"]


@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
    rate=st.floats(allow_nan=False),
    seed=st.none() | st.integers(),
)
def test_any_config_survives_a_dump(tmp_path_factory, name, rate, seed):
    path = tmp_path_factory.mktemp("dump") / "c.yaml"
    settings = Settings(name, learning_rate=rate, seed=seed, cluster=Cluster(by_name={name: Pool(name)}))
    dump_yaml(settings, path)
    assert load_config(path, Settings) == settings
