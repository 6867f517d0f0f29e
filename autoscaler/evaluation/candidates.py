"""Candidates: the policies that a user names, fixed rules and trained runs, with the settings that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import traces
from agents.baselines.baseline import GROUPS, TunedRule
from agents.baselines.training_window import TrainingWindow
from agents.errors import UnknownPolicyError
from agents.names import check_policy, is_rule
from agents.policy import Policy
from agents.registry import BASELINES, check_levers, make_baseline
from autoscaler.evaluation.comparison import Contender
from autoscaler.evaluation.errors import PolicyFitError
from autoscaler.experiment import ExperimentConfig
from configs.errors import did_you_mean
from configs.loader import build_config, to_dict
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from traces.trace import Trace

TUNED = "reactive-tuned"
ALL = "all"
NONE = "none"

Tune = Callable[[str], TunedRule]
"""Tunes a rule by its name when it is needed, because that takes seconds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy and where it acts.

    Attributes:
        policy: who decides.
        environment: settings of the environment.
    """

    policy: Policy
    environment: EnvironmentConfig


def load_candidate(
    name: str,
    trace: Trace,
    *,
    environment: EnvironmentConfig | None = None,
    seed: int = 0,
    packer: str | None = None,
    overrides: Sequence[str] = (),
) -> Candidate:
    """The policy that a user names, for one replay.

    Args:
        name: a fixed rule (`module:NAME` of a custom one), the folder of a run or artifact, or `pretrained:NAME`; what
            a rule needs of the codec is switched on.
        trace: the jobs; `reactive-tuned` is tuned on the first part of them, as a default experiment splits it.
        environment: settings; None: those that a run was trained with, else the defaults.
        seed: for stochastic rules.
        packer: in-pool packer that takes the place of the policy's own.
        overrides: changes of the environment's settings, `key.of.field=value`.

    Raises:
        UnknownPolicyError: there is neither such a rule nor such a folder.
        ArtifactError: the artifact is damaged or made for another codec.
        ConfigError: an override does not fit.
        PolicyNeedsLeverError: an override takes away the lever that a rule uses.
        PolicyFitError: an override changes the codec of a trained policy.
    """
    check_policy(name)
    if packer is not None:
        overrides = (*overrides, f"packer={packer}")
    if is_rule(name):
        settings = environment or EnvironmentConfig()
        switches = dict.fromkeys(BASELINES[name].needs, True)
        settings = replace(settings, codec=replace(settings.codec, **switches))
        changed = environment_config(settings, overrides)
        experiment = ExperimentConfig(trace=trace.uri, environment=changed)
        policy = make_rule(name, changed, seed, lambda tuned: tuned_for(tuned, experiment, trace)).policies[0]
    else:
        from autoscaler.evaluation.runs import load_run

        run = load_run(name)
        changed, policy = environment_config(environment or run.experiment.environment, overrides), run.policy
        check_codec_overrides(policy, changed.codec)
    if packer is not None:
        policy.packer = None
    return Candidate(policy, changed)


def check_codec_overrides(policy: Policy, layout: CodecLayout) -> None:
    """Refuse an override of the codec of a trained policy: it reads and writes the one that it was trained with.

    Args:
        policy: the trained policy.
        layout: the codec layout with the overrides.

    Raises:
        PolicyFitError: the layouts differ; names the first field.
    """
    for name, (trained, wanted) in codec_differences(policy.layout, layout).items():
        raise PolicyFitError(
            f"policy {policy.name} was trained with {name}={trained}, not {wanted}; leave {name} out of --set, "
            f"or train a policy with it"
        )


def codec_differences(ours: CodecLayout, theirs: CodecLayout) -> dict[str, tuple[object, object]]:
    """The fields in which two codec layouts differ: `codec.<field>` -> (ours, theirs)."""
    left, right = ours.to_dict(), theirs.to_dict()
    return {f"codec.{name}": (left[name], right[name]) for name in left if left[name] != right[name]}


def environment_config(settings: EnvironmentConfig, overrides: Sequence[str] = ()) -> EnvironmentConfig:
    """Settings of an environment with changes.

    Args:
        settings: the settings without them.
        overrides: `key.of.field=value` each.

    Raises:
        ConfigError: an unknown key, or a value that has no meaning.
    """
    return build_config(to_dict(settings), EnvironmentConfig, "environment", overrides)


def rule_names(given: str | Sequence[str], layout: CodecLayout) -> list[str]:
    """The rules that a user lists.

    Args:
        given: `all`, `none`, or names, as a list or with commas between them; a name may be a group of `GROUPS`.
        layout: the codec layout; `all` and groups leave out the rules whose lever it has not.

    Raises:
        UnknownPolicyError: there is no such rule.
    """
    if given == NONE:
        return []
    listed = given.split(",") if isinstance(given, str) else given
    names: list[str] = []
    for name in (name.strip() for name in listed):
        if name == ALL or name in GROUPS:
            names += [rule for rule in BASELINES.names() if _is_in(rule, name, layout)]
        elif is_rule(name):
            names.append(name)
        else:
            raise UnknownPolicyError(f"unknown rule {name!r}{did_you_mean(name, [*BASELINES, *GROUPS, ALL, NONE])}")
    return list(dict.fromkeys(names))


def _is_in(rule: str, group: str, layout: CodecLayout) -> bool:
    """Whether a group has a rule, and the layout its levers."""
    baseline = BASELINES[rule]
    return group in (ALL, baseline.group) and all(getattr(layout, switch) for switch in baseline.needs)


def make_rule(name: str, environment: EnvironmentConfig, seed: int, tune: Tune) -> Contender:
    """A fixed rule by name.

    Args:
        name: of `rule_names`.
        environment: settings of the environment that it acts in.
        seed: for stochastic rules.
        tune: tunes it by name, where it must be tuned.
    """
    check_levers(name, environment.codec)
    if BASELINES[name].tune is not None:
        tuned = tune(name)
        return Contender(name, (tuned.policy(environment),), "rule", settings=tuned.to_dict())
    policy = make_baseline(name, environment.codec, seed)
    return Contender(name, (policy,), "rule", seeds=(seed if BASELINES[name].is_stochastic else None,))


def tuned_for(name: str, experiment: ExperimentConfig, trace: Trace | None = None) -> TunedRule:
    """A rule tuned on the training window of an experiment, which trained policies saw too.

    Args:
        name: of a baseline that is tuned.
        experiment: trace, cluster, split and settings.
        trace: the experiment's trace, where it is loaded already.

    Raises:
        TraceError: the trace cannot be loaded.
        ClusterError: trace, cluster and codec do not fit together.
    """
    tune = BASELINES[name].tune
    assert tune is not None
    if trace is None or trace.uri != experiment.trace:
        trace = traces.load(experiment.trace)
    start, end = experiment.training_window(trace)
    cluster, parts = experiment.described_cluster(trace), experiment.train.validation_windows
    return tune(TrainingWindow(trace, cluster, experiment.environment, start, end, parts))
