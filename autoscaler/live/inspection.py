"""One dry look at a live cluster, by the code of the loop, to answer why: see `autoscaler explain`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from autoscaler.live.clock import Clock, ScaledClock
from autoscaler.live.config import LiveConfig
from autoscaler.live.explain.answers import Answer, Seen, answer
from autoscaler.live.explain.target import Target
from autoscaler.live.guardrails import GuardrailState, evaluate, with_backlog
from autoscaler.live.kube.client import ClusterAccessError, ForbiddenError, KubeClient, KubeError, NotFoundError
from autoscaler.live.names import CONFIG_MAP, STATUS_CONFIG_MAP
from autoscaler.live.observer import Observer
from autoscaler.live.policy.decide import FALLBACK, Decider, make_decider
from autoscaler.live.preflight import check_cluster
from autoscaler.live.switch import Switch, SwitchStore
from autoscaler.live.telemetry.memory import from_text
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.status_map import CONFIG_KEY, MEMORY_KEY, POLICY_KEY, STATUS_KEY
from autoscaler.live.telemetry.tell import times_of
from autoscaler.live.wake import Wake
from configs.errors import ConfigError, UserError
from configs.loader import build_config

LIST_SECONDS = 60.0
NAMESPACE = "kube-system"
"""Where a status is looked for when no config says where."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the running autoscaler says of itself in its status ConfigMap.

    Attributes:
        data: its data.
        item: the ConfigMap.
        problem: why nothing is known; empty: it is.
    """

    data: Mapping[str, str]
    item: Mapping[str, Any]
    problem: str = ""

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.problem:
            return self.problem
        status = _mapping(self.data.get(STATUS_KEY, ""))
        policy = self.data.get(POLICY_KEY) or "an unknown policy"
        return f"The autoscaler with {policy} is {status.get('autoscalerStatus')}, seen last at {status.get('time')}."


def read_published(client: KubeClient, namespace: str) -> Published:
    """The status of the running autoscaler.

    Raises:
        ClusterAccessError: the cluster cannot be reached.
    """
    path = f"/api/v1/namespaces/{namespace}/configmaps/{STATUS_CONFIG_MAP}"
    try:
        item = client.get(path)
    except NotFoundError:
        return Published({}, {}, f"No autoscaler has written {STATUS_CONFIG_MAP} in {namespace}.")
    except ForbiddenError:
        return Published({}, {}, f"The ConfigMap {STATUS_CONFIG_MAP} in {namespace} may not be read.")
    except KubeError as error:
        raise ClusterAccessError(f"no cluster answers: {error.message}") from error
    data = item.get("data")
    return Published(data if isinstance(data, dict) else {}, item)


def published_config(published: Published) -> LiveConfig:
    """The config that the running autoscaler uses.

    Raises:
        ClusterAccessError: it says none, or this version cannot read it.
    """
    text = published.data.get(CONFIG_KEY)
    if not text:
        raise ClusterAccessError(f"{published.problem or 'The status holds no config.'} Give --config")
    try:
        return build_config(_mapping(text), LiveConfig, f"key {CONFIG_KEY} of {STATUS_CONFIG_MAP}")
    except ConfigError as error:
        raise ClusterAccessError(f"{error}; give --config") from error


def choose_decider(policy: str | None, published: Published, config: LiveConfig) -> tuple[Decider, str]:
    """What decides, and a sentence where that is not what the running autoscaler uses.

    Raises:
        UserError: the policy that was asked for cannot be used.
    """
    if policy is not None:
        return make_decider(policy, config.codec), ""
    source = published.data.get(POLICY_KEY) or FALLBACK
    try:
        return make_decider(source, config.codec), ""
    except (UserError, OSError):
        note = f"The policy {source} cannot be read here, so reactive decided; say where it is by --policy."
        return make_decider(FALLBACK, config.codec), note


def inspect(client: KubeClient, config: LiveConfig, target: Target, decider: Decider, published: Published) -> Answer:
    """Look, decide and judge once, change nothing, and answer.

    Args:
        client: calls the API server.
        config: that of the running autoscaler.
        target: the object.
        decider: the policy.
        published: what the running autoscaler says.

    Raises:
        ClusterAccessError: the cluster cannot be read.
        UnknownObjectError: there is no such object.
    """
    # A dry run: only what it needs is checked and watched.
    config = replace(config, dry_run=True)
    check_cluster(client, config)
    clock = ScaledClock(config.clock.time_scale, config.clock.epoch_seconds)
    memory = published.data.get(MEMORY_KEY)
    state = GuardrailState() if memory is None else from_text(memory, clock, config)
    return answer(target, _look(client, config, clock, decider, state, _switch(client, config, published)))


def _switch(client: KubeClient, config: LiveConfig, published: Published) -> Switch:
    """The kill switch as it stands in the cluster."""
    switch = Switch(pool.name for pool in config.pools)
    store = SwitchStore(switch)
    store.replace(STATUS_CONFIG_MAP, [published.item])
    path = f"/api/v1/namespaces/{config.leader_election.namespace}/configmaps/{CONFIG_MAP}"
    try:
        store.replace(CONFIG_MAP, [client.get(path)])
    except KubeError:
        store.replace(CONFIG_MAP, [])
    return switch


def _look(
    client: KubeClient, config: LiveConfig, clock: Clock, decider: Decider, state: GuardrailState, switch: Switch
) -> Seen:
    switch.pause_pools(pool.name for pool in config.pools if pool.paused)
    observer = Observer(config, clock, Metrics(), Wake(), switch)
    observer.start(client)
    try:
        if not observer.wait_listed(threading.Event(), LIST_SECONDS):
            raise ClusterAccessError(f"{client.server}: the cluster could not be listed in {LIST_SECONDS:.0f} s")
        seen = observer.observe(state)
        contents = observer.store.contents()
    finally:
        observer.stop()
    decided = decider.decide(seen.snapshot)
    decision = with_backlog(decided.decision, seen.view)
    allowed = evaluate(seen.view, decision, state, config)
    return Seen(seen.view, contents, decided, decision, allowed, config, times_of(clock))


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
