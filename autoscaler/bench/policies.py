"""The policies of a grid: fixed rules, agents that are trained within it, and folders of trained runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from agents.artifact import CONFIG, find_artifact
from agents.errors import UnknownPolicyError
from agents.names import is_rule, is_run
from agents.pretrained import is_pretrained
from agents.registry import AGENTS, BASELINES, agents_for
from autoscaler.bench.errors import BenchError
from autoscaler.bench.fingerprints import folder_digest, module_digest
from autoscaler.bench.scenario import BenchConfig
from autoscaler.evaluation.candidates import ALL, NONE
from autoscaler.evaluation.environment_comparison import seeds_of
from autoscaler.evaluation.environments import environment_of, rule_environments
from autoscaler.evaluation.runs import contenders_of, load_run
from autoscaler.experiment import ExperimentConfig, load_experiment
from configs.errors import did_you_mean
from configs.loader import load_config
from envs.gpu_cluster.codec import CodecLayout

ACTION_SPACE = "MultiDiscrete"
"""Of all scenarios: agents that cannot play it cannot take part."""

TRAINABLE = ("agent.", "train.")
"""What the options of an agent may change; all else is the scenario's."""


@dataclass(frozen=True, slots=True)
class BenchPolicy:
    """A policy of the grid, by what it takes to make it; a worker gets this, not the policy.

    Attributes:
        name: what tables call it.
        kind: a fixed rule, an agent, or the folder of a run.
        target: name of the rule or the agent, or the folder.
        overrides: of an agent, `agent.KEY=VALUE` and `train.KEY=VALUE`.
        digest: of what `target` alone does not say: the artifact of a run, or the module of a custom rule.
        seeds: the seeds that it runs with; a rule that draws nothing has one.
        needs: switches of the codec without which it cannot run in a scenario.
        max_pools: most pools that it can serve; None: any number.
        env: the environment that a rule or a run plays; None: GPU clusters. Agents play any that they can.
        is_named: the user named it; else it is one of `all`, which means those of the scenario's environment.
    """

    name: str
    kind: Literal["rule", "agent", "run"]
    target: str
    overrides: tuple[str, ...] = ()
    digest: str = ""
    seeds: tuple[int, ...] = (0,)
    needs: tuple[str, ...] = ()
    max_pools: int | None = None
    env: str | None = None
    is_named: bool = True

    def reason_against(self, scenario: BenchConfig) -> str | None:
        """Why it cannot run in a scenario; None: it can."""
        if self.kind == "agent":
            only_env = AGENTS[self.target].only_env
            if only_env is not None:
                return None if scenario.env == only_env else f"which is no scenario of {only_env}"
            clusters = scenario.env is None
            able = self.target in agents_for(ACTION_SPACE, clusters=clusters)
            return None if able else f"which {'is' if clusters else 'is not'} a GPU cluster"
        if self.env != scenario.env:
            return f"which is no scenario of {self.env or 'GPU clusters'}"
        if scenario.env is not None:
            return None
        pools = len(scenario.cluster.pools) if not isinstance(scenario.cluster, str) else 1
        return self._misfit(scenario.environment.codec, pools)

    def _misfit(self, layout: CodecLayout, pools: int) -> str | None:
        """Why it cannot run on a GPU cluster with this codec and so many pools."""
        missing = [f"codec.{switch}" for switch in self.needs if not getattr(layout, switch)]
        if missing:
            return f"which lacks {', '.join(missing)}"
        if self.max_pools is not None and self.max_pools < pools:
            return f"made for at most {self.max_pools} pools, there are {pools}"
        return None


def choose_policies(names: str | Sequence[str], seeds: int) -> tuple[BenchPolicy, ...]:
    """The policies that a user lists.

    Args:
        names: with commas between them, or a list: `all` (fixed rules), a rule (`module:NAME` of a custom one), an
            agent, also with settings (`cma-es?train.total_steps=100_000&agent.sigma=0.1`), or the folder of a run.
        seeds: trainings of each agent, and runs of each stochastic rule.

    Raises:
        UnknownPolicyError: there is no such policy.
        BenchError: a name has options that have no meaning, or two policies have one name.
        ArtifactError: a run is damaged.
        ConfigError: an option does not fit.
    """
    listed = names.split(",") if isinstance(names, str) else names
    folders: list[str] = []
    other_rules = rule_environments()
    found: list[BenchPolicy] = []
    for name in dict.fromkeys(entry.strip() for entry in listed):
        base, _, options = name.partition("?")
        if base == ALL:
            everything = [_rule(rule, seeds) for rule in BASELINES.names()]
            everything += [BenchPolicy(rule, "rule", rule, env=env) for rule, env in other_rules.items()]
            named = [policy.name for policy in found]
            found += [replace(policy, is_named=False) for policy in everything if policy.name not in named]
        elif base in AGENTS:
            found.append(_agent(name, base, options, seeds))
        elif base in other_rules and not options:
            found.append(BenchPolicy(base, "rule", base, env=other_rules[base]))
        elif options and not Path(name).exists():
            raise BenchError(f"{name}: only agents take options after '?'")
        elif is_rule(base):
            found.append(_rule(base, seeds))
        elif is_run(base):
            folders.append(base)
        else:
            known = [*BASELINES, *other_rules, *AGENTS, ALL]
            raise UnknownPolicyError(f"unknown policy {name!r}{did_you_mean(name, known)}")
    elsewhere = [folder for folder in folders if environment_of([folder]) is not None]
    clusters = [folder for folder in folders if folder not in elsewhere]
    runs = [*_runs(clusters), *_environment_runs(elsewhere)]
    policies = {(policy.name, policy.target): policy for policy in [*found, *runs]}
    if not policies:
        raise BenchError(f"--policies is {NONE}; name at least one policy")
    return tuple(policies.values())


def _rule(name: str, seeds: int) -> BenchPolicy:
    baseline = BASELINES[name]
    return BenchPolicy(
        name=name,
        kind="rule",
        target=name,
        digest=module_digest(name.partition(":")[0]) if ":" in name else "",
        seeds=tuple(range(seeds if baseline.is_stochastic else 1)),
        needs=baseline.needs,
    )


def _agent(name: str, agent: str, options: str, seeds: int) -> BenchPolicy:
    able = list(dict.fromkeys([*agents_for(ACTION_SPACE, clusters=True), *agents_for(ACTION_SPACE)]))
    if agent not in able and AGENTS[agent].only_env is None:
        raise BenchError(f"agent {agent} cannot play {ACTION_SPACE}; choose one of {', '.join(able)}")
    overrides = tuple(option for option in options.split("&") if option)
    for option in overrides:
        if not option.startswith(TRAINABLE):
            raise BenchError(f"{name}: {option!r} is no setting of an agent; write agent.KEY=VALUE or train.KEY=VALUE")
    load_experiment({"agent": {"name": agent}}, overrides)  # refuses what has no meaning before anything runs
    return BenchPolicy(name=name, kind="agent", target=agent, overrides=overrides, seeds=tuple(range(seeds)))


def _runs(folders: Sequence[str]) -> Iterator[BenchPolicy]:
    """A policy for each folder; runs that are seeds of one policy share its name."""
    runs = {folder: load_run(folder) for folder in folders}
    for contender in contenders_of(list(runs.values())):
        first = Path(contender.sources[0]).name
        for source in contender.sources:
            run = runs[source]
            yield BenchPolicy(
                name=f"{run.experiment.agent.name} ({first})",
                kind="run",
                target=source if is_pretrained(source) else str(Path(source).absolute()),
                digest=folder_digest(find_artifact(source)),
                seeds=(run.experiment.seed,),
                max_pools=run.policy.layout.max_pools,
            )


def _environment_runs(folders: Sequence[str]) -> Iterator[BenchPolicy]:
    """The same for runs of other environments."""
    experiments = {folder: load_config(find_artifact(folder) / CONFIG, ExperimentConfig) for folder in folders}
    for sources in seeds_of(experiments).values():
        for source in sources:
            yield BenchPolicy(
                name=f"{experiments[source].agent.name} ({Path(sources[0]).name})",
                kind="run",
                target=str(Path(source).absolute()),
                digest=folder_digest(find_artifact(source)),
                seeds=(experiments[source].seed,),
                env=experiments[source].env,
            )
