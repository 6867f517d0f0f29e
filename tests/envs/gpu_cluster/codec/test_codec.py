"""The observation: its names, its range, what each feature answers to, and its exact bits."""

from __future__ import annotations

import hashlib
import importlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.gpu_cluster.codec import (
    ClusterSnapshot,
    CodecLayout,
    Decision,
    Pool,
    PoolSignal,
    Signal,
    Slot,
    decode,
    default_action,
    description,
    empty_decision,
    empty_plan,
    empty_snapshot,
    encode,
    fingerprint,
    layout,
    observation_names,
    observation_size,
    write_mask,
)
from envs.gpu_cluster.codec.features import (
    ArrivalFeature,
    ClusterFeature,
    Feature,
    HintFeature,
    PoolFeature,
    describe_features,
    feature_table,
)
from envs.gpu_cluster.codec.layout import CODEC_VERSION, LEVERS
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.kernels import steps as kernels
from tests.envs.gpu_cluster.codec.snapshots import FULL, LAYOUT, WITH_DATA, copy_of, plain_snapshot, random_snapshot
from tests.envs.gpu_cluster.worlds import kernel_property, problems

LAYOUTS = [
    CodecLayout(),
    CodecLayout(max_pools=1, window_slots=0),
    CodecLayout(max_pools=1, window_slots=4),
    CodecLayout(max_pools=3, window_slots=5, max_hold_seconds=600.0),
    CodecLayout(max_pools=2, window_slots=3, consolidation=True),
    CodecLayout(max_pools=2, window_slots=3, power_caps=True),
    CodecLayout(max_pools=2, window_slots=3, elastic_width=True),
    CodecLayout(max_pools=2, window_slots=3, suspension=True),
    CodecLayout(max_pools=2, window_slots=3, reserve_nodes=True),
    CodecLayout(max_pools=2, window_slots=3, grid_events=True),
    CodecLayout(max_pools=3, window_slots=3, job_hints=True),
    CodecLayout(max_pools=3, window_slots=0, consolidation=True, elastic_width=True),
    CodecLayout(max_pools=3, window_slots=3, consolidation=True, power_caps=True, elastic_width=True, job_hints=True),
    CodecLayout(max_pools=3, window_slots=4, job_hints=True, signals=True),
    replace(FULL, max_pools=3, window_slots=3),
]


def observe(snapshot: ClusterSnapshot, codec: CodecLayout = LAYOUT) -> np.ndarray:
    """Also shows that every entry is written: the memory is not clean."""
    result = np.full(observation_size(codec), np.nan, np.float32)
    encode(snapshot, codec.tables(), empty_plan(codec), result)
    return result


def features(snapshot: ClusterSnapshot, codec: CodecLayout = LAYOUT) -> dict[str, float]:
    return dict(zip(observation_names(codec), observe(snapshot, codec).tolist(), strict=True))


@pytest.mark.parametrize("codec", LAYOUTS)
def test_every_entry_has_a_name_of_its_own(codec: CodecLayout) -> None:
    names = observation_names(codec)
    assert len(names) == len(set(names)) == observation_size(codec)


@pytest.mark.parametrize("codec", LAYOUTS)
def test_every_entry_is_between_0_and_1(codec: CodecLayout) -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        values = observe(random_snapshot(codec, generator), codec)
        assert values.dtype == np.float32
        assert ((values >= 0.0) & (values <= 1.0)).all()


@pytest.mark.slow
@kernel_property(examples=40)
@given(problem=problems(), seed=st.integers(0, 1000))
def test_every_entry_is_between_0_and_1_in_any_world(problem, seed: int) -> None:
    generator = np.random.default_rng(seed)
    simulator = Simulator.from_problem(problem)
    simulator.reset_all()
    for _ in range(50):
        values = simulator.observations[0]
        assert ((values >= 0.0) & (values <= 1.0)).all()
        simulator.step(generator.integers(problem.config.codec.action_sizes)[None])


def test_nothing_is_nan_in_an_empty_cluster() -> None:
    assert np.isfinite(observe(empty_snapshot(LAYOUT))).all()


# Which features answer to a change of one field of `plain_snapshot`, and to nothing else. The plan: the first job takes
# two GPUs of a busy node of pool 0, the second an idle node and four GPUs, the backlog of 3 GPUs one node of each pool.
POOL_CHANGES: dict[str, tuple[float, set[str]]] = {
    "MIN_NODES": (3.0, set()),
    "MAX_NODES": (40.0, {"nodes_share", "max_nodes"}),
    "BOOT_SECONDS": (30.0, {"boot_seconds"}),
    "IDLE_NODE_WATTS": (900.0, {"idle_cost_against_wait_cost"}),
    "USD_PER_KWH": (0.5, {"idle_cost_against_wait_cost"}),
    "USD_PER_NODE_HOUR": (20.0, set()),
    "IDLE_NODES": (4.0, {"idle_nodes", "idle_share", "used_share", "nodes_share"}),
    "BUSY_NODES": (5.0, {"busy_nodes", "idle_share", "used_share", "nodes_share", "fragmented_gpus"}),
    "BOOTING_NODES": (3.0, {"booting_nodes", "idle_share", "nodes_share"}),
    "USED_GPUS": (21.0, {"used_share", "fragmented_gpus", "used_gpus"}),
    "SHARED_FREE_GPUS": (0.7, {"shared_free_gpus"}),
    "BACKLOG_GPUS": (60.0, {"backlog_gpus", "planned_idle_nodes", "planned_new_nodes"}),
    "EMPTIABLE_NODES": (2.0, {"emptiable_nodes"}),
    "CONSOLIDATABLE": (1.0, {"consolidatable"}),
    "SINCE_CONSOLIDATION_SECONDS": (60.0, {"since_consolidation"}),
    "POWER_CAP": (2.0, {"power_cap"}),
    "BUSY_GPU_WATTS": (200.0, {"busy_gpu_watts"}),
    "SHRINKABLE_GPUS": (4.0, {"shrinkable_gpus"}),
    "GROWABLE_GPUS": (4.0, {"growable_gpus"}),
    "UNAVAILABLE_NODES": (1.0, set()),
    "SETPOINT": (12.0, {"setpoint_timeout", "setpoint_reserve"}),
    "SINCE_SETPOINT_SECONDS": (5.0, {"since_setpoint"}),
    "SETPOINT_HELD": (1.0, {"setpoint_held"}),
    "RESERVE_NODES": (3.0, {"reserve_nodes"}),
    "SUSPENDABLE_GPUS": (4.0, {"suspendable_gpus"}),
    "SUSPENDED_GPUS": (4.0, {"suspended_gpus"}),
    "NEXT_RESUME_SECONDS": (60.0, {"next_resume"}),
    "TRANSFER_SECONDS_PER_GB": (2.0, set()),  # seen for each job that has data elsewhere
    "TRANSFER_KWH_PER_GB": (0.1, set()),  # a part of the price of a place
    "TRANSFER_USD_PER_GB": (0.1, set()),
}
SLOT_CHANGES: dict[str, tuple[float, set[str]]] = {
    "WAITED_SECONDS": (500.0, {"waited"}),
    "PREDICTED_SECONDS": (60.0, {"is_predicted", "predicted"}),
    "SLACK_SECONDS": (60.0, {"slack"}),
    "PRIORITY": (2.0, {"priority"}),
    "MIN_GPUS": (1.0, {"narrower_gpus"}),
    "MAX_GPUS": (4.0, {"wider_gpus"}),
    "FLEXIBILITY": (2.0, {"flexibility"}),
}
SIGNAL_CHANGES: dict[str, tuple[float, set[str]]] = {
    "POWER_WATTS": (500.0, set()),  # it is seen against the budget, and there is none
    "BUDGET_KNOWN": (1.0, {"budget_known"}),
    "BUDGET_WATTS": (500.0, {"budget_against_power"}),
    "BUDGET_STARTS_SECONDS": (60.0, {"budget_starts"}),
    "BUDGET_ENDS_SECONDS": (60.0, {"budget_ends"}),
    "SUBMITTED_GPUS_10MIN": (5.0, {"submitted_gpus_600s", "submitted_10min_against_1h"}),
    "SUBMITTED_GPUS_1H": (40.0, {"submitted_gpus_3600s", "submitted_10min_against_1h", "submitted_1h_against_24h"}),
    "SUBMITTED_GPUS_6H": (110.0, {"submitted_gpus_21600s"}),
    "SUBMITTED_GPUS_24H": (400.0, {"submitted_gpus_86400s", "submitted_1h_against_24h"}),
    "SUBMITTED_JOBS_1H": (20.0, {"submitted_jobs_1h"}),
    "SINCE_SUBMIT_SECONDS": (90.0, {"since_submit"}),
    "QUEUE_JOBS": (5.0, {"queue_jobs"}),
    "QUEUE_GPUS": (25.0, {"queue_gpus"}),
    "RUNNING_JOBS": (10.0, {"running_jobs"}),
    "USD_PER_GPU_HOUR": (0.4, {"pool0.idle_cost_against_wait_cost", "pool1.idle_cost_against_wait_cost"}),
    **{feature.name: (0.5, {feature.name.lower()}) for feature in ArrivalFeature},
}


def changed(change: Callable[[ClusterSnapshot], None]) -> set[str]:
    snapshot, layout = plain_snapshot(), replace(FULL, cost_aware_placement=False)  # prices move no job
    before = features(snapshot, layout)
    change(snapshot)
    return {name for name, value in features(snapshot, layout).items() if value != before[name]}


@pytest.mark.parametrize("column", [column for column in Pool if column not in {Pool.PRESENT, Pool.GPUS_PER_NODE}])
def test_each_column_of_a_pool_moves_its_features(column: Pool) -> None:
    value, expected = POOL_CHANGES[column.name]

    def change(snapshot: ClusterSnapshot) -> None:
        snapshot.pools[0, column] = value

    names = {name if name == "used_gpus" else f"pool0.{name}" for name in expected}
    assert changed(change) == names


@pytest.mark.parametrize("column", list(Slot)[2:])
def test_each_column_of_a_slot_moves_its_features(column: Slot) -> None:
    value, expected = SLOT_CHANGES[column.name]
    names = changed(lambda snapshot: snapshot.queue.__setitem__((0, column), value))
    assert names == {f"slot0.{name}" for name in expected}


def test_the_speed_of_a_job_in_a_pool_is_a_feature() -> None:
    assert changed(lambda snapshot: snapshot.allowed.__setitem__((0, 1), 0.5)) == {"slot0.pool1.speed"}


def test_the_wait_of_a_job_for_its_data_is_a_feature_of_each_pool() -> None:
    layout, snapshot = replace(WITH_DATA, cost_aware_placement=False), plain_snapshot()
    snapshot.pools[:2, Pool.TRANSFER_SECONDS_PER_GB] = 3.0, 6.0
    before = features(snapshot, layout)
    snapshot.transfer_gb[0, 1] = 50.0
    values = features(snapshot, layout)
    assert {name for name in values if values[name] != before[name]} == {"slot0.pool1.transfer"}
    assert values["slot0.pool1.transfer"] == 0.5  # 300 s


def test_levers_and_hints_add_features_and_change_no_other() -> None:
    """What a lever needs is seen only where the lever is on; the rest keeps its value."""
    generator = np.random.default_rng(3)
    for _ in range(50):
        snapshot = random_snapshot(LAYOUT, generator)
        without, full = features(snapshot), features(snapshot, FULL)
        assert without.items() <= full.items()
        assert {name.rpartition(".")[2] for name in full.keys() - without.keys()} == LEVER_FEATURES


LEVER_FEATURES = {
    "emptiable_nodes", "consolidatable", "since_consolidation", "power_cap", "busy_gpu_watts", "shrinkable_gpus",
    "growable_gpus", "is_predicted", "predicted", "slack", "priority", "narrower_gpus", "wider_gpus", "speed",
    "suspendable_gpus", "suspended_gpus", "next_resume", "flexibility", "reserve_nodes",
    "budget_known", "budget_against_power", "budget_starts", "budget_ends",
    *(feature.name.lower() for feature in ArrivalFeature),
}  # fmt: skip


@pytest.mark.parametrize("column", list(Signal)[1:])
def test_each_signal_moves_its_features(column: Signal) -> None:
    value, expected = SIGNAL_CHANGES[column.name]

    def change(snapshot: ClusterSnapshot) -> None:
        snapshot.signals[column] = value

    assert changed(change) == expected


def test_the_size_of_nodes_is_a_feature() -> None:
    assert {"pool1.gpus_per_node", "pool1.used_share"} <= changed(
        lambda snapshot: snapshot.pools.__setitem__((1, Pool.GPUS_PER_NODE), 8.0)
    )


def test_the_ages_of_idle_nodes_are_features() -> None:
    for edge, seconds in enumerate(layout.IDLE_AGE_EDGES_SECONDS):
        names = changed(lambda snapshot, edge=edge: snapshot.idle_age_nodes.__setitem__((0, edge), 7.0))
        assert names == {f"pool0.idle_nodes_{int(seconds)}s"}


def test_free_capacity_on_busy_nodes_is_a_feature() -> None:
    assert changed(lambda snapshot: snapshot.free_nodes.__setitem__((0, 1), 1.0)) == {"pool0.nodes_with_1_free"}
    names = changed(lambda snapshot: snapshot.free_nodes.__setitem__((0, 7), 1.0))
    assert names == {"pool0.largest_free", *(f"pool0.nodes_with_{free}_free" for free in (1, 2, 4))}


def test_a_waiting_job_shows_its_size_its_wait_and_where_it_fits() -> None:
    seen = features(plain_snapshot())
    first = {name.removeprefix("slot0."): value for name, value in seen.items() if name.startswith("slot0.")}
    assert first == {
        "present": 1.0, "gpus": np.float32(2 / 10), "gang": 0.0, "waited": 0.25,
        "pool0.allowed": 1.0, "pool0.fits_now": 1.0, "pool0.default": 1.0,
        "pool1.allowed": 1.0, "pool1.fits_now": 1.0, "pool1.default": 0.0,
    }  # fmt: skip
    assert seen["slot1.gang"] == 1.0
    assert (seen["slot1.pool0.fits_now"], seen["slot1.pool1.fits_now"]) == (1.0, 0.0)
    assert changed(lambda snapshot: snapshot.queue.__setitem__((0, Slot.WAITED_SECONDS), 500.0)) == {"slot0.waited"}
    without = changed(lambda snapshot: snapshot.allowed.__setitem__((0, 1), 0.0))
    assert without == {"slot0.pool1.allowed", "slot0.pool1.fits_now", "slot0.pool1.speed"}


def test_an_absent_pool_and_an_absent_slot_are_all_zero() -> None:
    snapshot = plain_snapshot()
    for field in (snapshot.pools, snapshot.idle_age_nodes, snapshot.free_nodes, snapshot.queue):
        field[1] = 0.0
    snapshot.allowed[1] = 0.0
    snapshot.allowed[:, 1] = 0.0
    seen = features(snapshot)
    assert all(value == 0.0 for name, value in seen.items() if "pool1" in name or name.startswith("slot1"))
    assert seen["pool0.present"] == seen["slot0.present"] == 1.0


@pytest.mark.parametrize("hour", [0.0, 3.0, 5.0, 12.0, 23.0])
def test_two_hats_share_the_time_of_day(hour: float) -> None:
    snapshot = plain_snapshot()
    snapshot.signals[Signal.WEEK_SECONDS] = 3 * 86400.0 + hour * 3600.0
    seen = features(snapshot)
    hats = {int(name.removeprefix("hour_")): value for name, value in seen.items() if name.startswith("hour_")}
    assert sum(hats.values()) == pytest.approx(1.0, abs=1e-6)
    assert hats[int(hour // 4) * 4] == pytest.approx(1.0 - hour % 4 / 4)
    assert seen["weekend"] == 0.0


@pytest.mark.parametrize(("day", "weekend"), [(0, 0.0), (4.99, 0.0), (5, 1.0), (6.5, 1.0)])
def test_the_weekend_is_saturday_and_sunday(day: float, weekend: float) -> None:
    snapshot = plain_snapshot()
    snapshot.signals[Signal.WEEK_SECONDS] = day * 86400.0
    assert features(snapshot)["weekend"] == weekend


def test_encoding_changes_nothing_in_the_snapshot() -> None:
    snapshot = plain_snapshot()
    kept = copy_of(snapshot)
    observe(snapshot)
    for ours, theirs in zip(snapshot, kept, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# The fingerprint


OTHER_LAYOUT = {
    "max_pools": 3, "window_slots": 7, "max_hold_seconds": 3601.0, "consolidation": True,
    "consolidation_interval_seconds": 1801.0, "power_caps": True, "elastic_width": True, "job_hints": True,
    "balance_similar_pools": True, "signals": True, "suspension": True, "grid_events": True,
    "cost_aware_placement": False, "expected_run_seconds": 60.0, "data_transfer": True,
    "reserve_nodes": True,
    "arrival_features": True,
}  # fmt: skip


@pytest.mark.parametrize("field", CodecLayout().to_dict())
def test_every_field_of_the_layout_is_in_the_fingerprint(field: str) -> None:
    assert fingerprint(CodecLayout(**{field: OTHER_LAYOUT[field]})) != fingerprint(CodecLayout())


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        ("envs.gpu_cluster.codec.fingerprint", "CODEC_VERSION", CODEC_VERSION + 1),
        ("envs.gpu_cluster.codec.fingerprint", "MAX_GPUS_PER_NODE", 32),
        *(
            ("envs.gpu_cluster.codec.fingerprint", "LEVERS", levers)
            for levers in (
                LEVERS[1:],
                (LEVERS[0]._replace(choices=("none", "all", "one")), *LEVERS[1:]),
                (LEVERS[0]._replace(name="moves"), *LEVERS[1:]),
            )
        ),
        ("envs.gpu_cluster.codec.layout", "IDLE_AGE_EDGES_SECONDS", (0.0, 60.0)),
        ("envs.gpu_cluster.codec.layout", "HEADROOM_FRACTIONS", (0.0, 0.1)),
        (
            "envs.gpu_cluster.codec.fingerprint",
            "observation_names",
            lambda codec: ("renamed", *observation_names(codec)[1:]),
        ),
        ("envs.gpu_cluster.codec.fingerprint", "Pool", list(Pool)[1:]),
        ("envs.gpu_cluster.codec.fingerprint", "PoolSignal", list(PoolSignal)[1:]),
    ],
)
def test_names_scales_and_the_version_are_in_the_fingerprint(
    module: str, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(LAYOUT)
    # By importlib, because the package's attribute `fingerprint` is the function.
    monkeypatch.setattr(importlib.import_module(module), name, value)
    assert fingerprint(LAYOUT) != before


@pytest.mark.parametrize("feature", [ClusterFeature.SUBMITTED_GPUS_86400S, PoolFeature.BUSY_NODES, HintFeature.SLACK])
def test_every_scale_of_a_feature_is_in_the_fingerprint(feature: Feature, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(LAYOUT)
    monkeypatch.setattr(feature, "scale", 511.0)
    assert fingerprint(LAYOUT) != before


@pytest.mark.parametrize("layout", [LAYOUT, FULL, WITH_DATA, *LAYOUTS])
def test_names_and_sizes_of_the_observation_come_from_the_table(layout: CodecLayout) -> None:
    names = observation_names(layout)
    assert len(names) == observation_size(layout) == len(set(names))
    table = {(owner, name): switch for owner, name, _, _, switch in describe_features()}
    for (owner, name), switch in table.items():
        prefix = {"cluster": "", "pool": "pool0.", "slot": "slot0.", "slot and pool": "slot0.pool0."}[owner]
        has_part = layout.window_slots > 0 or not owner.startswith("slot")
        assert (prefix + name in names) == (has_part and (switch is None or getattr(layout, switch)))


def test_what_has_no_bound_has_a_scale() -> None:
    unbounded = {"GPUs", "nodes", "jobs", "seconds", "watts", "priority", "relative speed", "users"}
    unbounded |= {"USD/kWh, signed", "gCO2e/kWh"}
    assert all((scale is not None) == (unit in unbounded) for _, _, unit, scale, _ in describe_features())


def test_the_page_of_the_observation_is_the_table() -> None:
    page = (Path(__file__).parents[4] / "docs" / "observation.md").read_text()
    assert feature_table() in page


def test_a_fingerprint_is_16_hexadecimal_digits_and_always_the_same() -> None:
    assert fingerprint(LAYOUT) == fingerprint(CodecLayout(**LAYOUT.to_dict()))  # type: ignore[arg-type]
    assert len(fingerprint(LAYOUT)) == 16
    assert int(fingerprint(LAYOUT), 16) >= 0
    assert description(LAYOUT)["version"] == CODEC_VERSION


def outcome(snapshot: ClusterSnapshot, codec: CodecLayout, action: np.ndarray, functions) -> dict[str, np.ndarray]:
    """Everything that the codec makes of a snapshot and an action."""
    tables, plan = codec.tables(), empty_plan(codec)
    result = {
        "observation": np.zeros(observation_size(codec), np.float32),
        "mask": np.zeros(codec.mask_size, np.bool_),
        "default": np.zeros(len(codec.action_sizes), np.int64),
        **empty_decision(codec)._asdict(),
    }
    functions.encode(snapshot, tables, plan, result["observation"])
    functions.write_mask(snapshot, tables, result["mask"])
    functions.default_action(snapshot, tables, plan, np.array([4, 2, 1, 2, 1, 3]), result["default"])
    functions.decode(action, snapshot, tables, plan, Decision(*(result[name] for name in Decision._fields)))
    return result


class Plain:
    encode, write_mask, default_action, decode = map(staticmethod, (encode, write_mask, default_action, decode))


def test_the_compiled_copies_give_the_same_bits() -> None:
    generator = np.random.default_rng(7)
    for codec in (*LAYOUTS, WITH_DATA, replace(WITH_DATA, signals=True)):
        for _ in range(100):
            snapshot = random_snapshot(codec, generator)
            action = generator.integers(codec.action_sizes)
            plain, compiled = (outcome(snapshot, codec, action, functions) for functions in (Plain, kernels))
            for name, values in plain.items():
                np.testing.assert_array_equal(values, compiled[name], err_msg=name)


class Frozen:
    """What `random_snapshot` needs of a generator, from Python's `random()`, whose numbers never change."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def random(self, size: int = 1) -> np.ndarray:
        numbers = np.array([self._random() for _ in range(size)])
        return numbers if size > 1 else numbers[0]

    def integers(self, low: int, high: int, size: int | None = None) -> np.ndarray:
        numbers = np.array([low + int(self._random() * (high - low)) for _ in range(1 if size is None else size)], int)
        return numbers[0] if size is None else numbers

    def choice(self, values: list[float]) -> float:
        return values[self.integers(0, len(values))]

    def exponential(self, scale: float, size: int) -> np.ndarray:
        return scale * self.random(size)


PINNED = {7: "6340974e76374b37"}
"""Digest of what the codec makes of fixed snapshots, by `CODEC_VERSION`. Trained policies depend on it: when this test
fails and the change is meant, raise `CODEC_VERSION` and add its digest here."""


def test_the_arithmetic_changes_only_with_the_version() -> None:
    digest = hashlib.sha256()
    for seed, codec in enumerate([LAYOUT, *LAYOUTS]):
        generator = Frozen(seed)
        for _ in range(20):
            snapshot = random_snapshot(codec, generator)
            action = np.array([generator.integers(0, size) for size in codec.action_sizes])
            for values in outcome(snapshot, codec, action, Plain).values():
                digest.update(values.tobytes())
    for codec, levers in ((LAYOUT, []), (FULL, [2, 1, 3, 0, 1, 2, 1, 0, 4, 2])):
        for values in outcome(plain_snapshot(), codec, np.array([4, 9, 1, 0, *levers]), Plain).values():
            digest.update(values.tobytes())
    assert digest.hexdigest()[:16] == PINNED[CODEC_VERSION]
