"""How an environment that is no GPU cluster is judged: its fixed rules, the windows, and what a policy costs on each.

What an environment brings is one class, an entry of `EVALUATIONS`. `autoscaler evaluate` and `autoscaler bench` use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from agents.artifact import find_artifact, read_manifest
from autoscaler.evaluation.errors import EvaluationError
from configs.errors import did_you_mean
from configs.registry import Registry

Row = dict[str, float]
"""What a policy did on one window, by column."""

COLUMNS = (
    *("objective_usd", "bound_usd", "decidable_usd", "energy_kwh_total", "carbon_kg_total", "hours", "requests"),
    *("cold_share", "late_share", "response_seconds_p50", "response_seconds_p95"),
)
"""Of every row: all costs; a lower bound of them, NaN where none is known; what lies above it; energy and carbon; the
length of the window; requests, the shares of those that waited for a container and that were answered late, response
times."""


class EnvironmentEvaluation(Protocol):
    """An environment on the windows on which policies are judged; made with the arguments of `make_evaluation`.

    Attributes:
        rules: names of its fixed rules; a name that ends in `-tuned` is tuned on what policies are trained on.
        reference: the rule that costs are compared with.
        windows: begin and end of each window, s.
    """

    rules: ClassVar[tuple[str, ...]]
    reference: ClassVar[str]
    windows: Sequence[tuple[float, float]]

    @staticmethod
    def held_out(kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a training with what it has not seen instead of what it has."""
        ...

    def make_rule(self, name: str) -> tuple[Any, dict[str, Any]]:
        """A rule, as `play` takes it, and what tuning chose."""
        ...

    def play(self, policy: Any) -> list[Row]:
        """The row of each window under a rule or an `agents.policy.EnvironmentPolicy`: `COLUMNS`, and others."""
        ...

    def record(self, folder: str | Path, trained: Mapping[str, Any]) -> None:
        """Record the first window under trained policies and a rule, for `autoscaler dashboard`.

        Raises:
            RecordingError: the folder is not empty.
            OutputFileError: it cannot be written.
        """
        ...


EVALUATIONS: Registry[Callable[..., EnvironmentEvaluation]] = Registry(
    "environment",
    {
        "autoscaler/EdgeCity-v0": "autoscaler.evaluation.edge_city:EdgeCityEvaluation",
        "autoscaler/Serverless-v0": "autoscaler.evaluation.serverless:ServerlessEvaluation",
    },
    EvaluationError,
)
"""Id of an environment -> the class of its evaluation."""


def make_evaluation(
    env: str, train_kwargs: Mapping[str, Any], test_kwargs: Mapping[str, Any], windows: int
) -> EnvironmentEvaluation:
    """The evaluation of an environment.

    Args:
        env: its id.
        train_kwargs: its arguments, for what rules are tuned on.
        test_kwargs: the same for what policies are judged on.
        windows: how many.

    Raises:
        EvaluationError: it cannot be evaluated.
        UserError: the arguments have no meaning.
    """
    check_environment(env)
    return EVALUATIONS[env](env, train_kwargs, test_kwargs, windows)


def check_environment(env: str) -> None:
    """Refuse an environment that brings no evaluation.

    Raises:
        EvaluationError: as above.
    """
    if env not in EVALUATIONS:
        raise EvaluationError(f"environment {env!r} brings no evaluation{did_you_mean(env, EVALUATIONS)}")


def environment_of(runs: Sequence[str]) -> str | None:
    """The environment that all of some runs play; None: they play GPU clusters, or there is none.

    Raises:
        ArtifactError: a run is damaged.
        EvaluationError: they play different ones, or one that brings no evaluation.
    """
    manifests = {source: read_manifest(find_artifact(source)) for source in runs}
    named = {source: (each.environment or {}).get("env") for source, each in manifests.items()}
    if len(set(named.values())) > 1:
        (first, one), (second, other) = list(dict(zip(named.values(), named.items(), strict=True)).values())[:2]
        raise EvaluationError(
            f"{first} plays {one or 'GPU clusters'} and {second} {other or 'GPU clusters'}; evaluate them one by one"
        )
    env = next(iter(named.values()), None)
    if env is not None:
        check_environment(str(env))
    return env


def rule_environments() -> dict[str, str]:
    """The environment of each fixed rule."""
    found: dict[str, str] = {}
    for env in EVALUATIONS:
        kind: Any = EVALUATIONS[env]
        found |= dict.fromkeys(kind.rules, env)
    return found


def reference_rules() -> list[str]:
    """The rule that costs are compared with, of each environment."""
    kinds: list[Any] = [EVALUATIONS[env] for env in EVALUATIONS]
    return [kind.reference for kind in kinds]


def overlaid(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with changes: mappings are joined, anything else is replaced."""
    result = dict(values)
    for name, change in changes.items():
        before = result.get(name)
        joins = isinstance(before, Mapping) and isinstance(change, Mapping)
        result[name] = overlaid(dict(before or {}), change) if joins else change
    return result
