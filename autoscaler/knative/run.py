"""One pass or many: look at Services and their history, play the policy, and write what changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autoscaler.knative.plan import plans
from autoscaler.knative.services import Change, KnativeService, change_of, list_services, write
from autoscaler.live.kube.client import KubeClient, KubeError
from envs.serverless.config import ServerlessConfig
from envs.serverless.problem import serverless_problem
from traces.invocations import Invocations

_LOG = logging.getLogger(__name__)

History = Callable[[Sequence[KnativeService]], Invocations]


@dataclass(frozen=True, slots=True)
class KnativeSettings:
    """How Services are looked after.

    Attributes:
        policy: a keep-alive rule, or the folder of a run on Serverless-v0.
        config: prices and images, which say what a cold start and a warm container cost.
        namespace: of the Services; None: all.
        dry_run: only say what would be written.
        least_seconds: between two writes on one Revision.
    """

    policy: str
    config: ServerlessConfig
    namespace: str | None = None
    dry_run: bool = True
    least_seconds: float = 60.0


def one_pass(client: KubeClient, settings: KnativeSettings, history: History) -> list[Change]:
    """Look, decide, and write unless it is a dry run; what could not be written is logged and tried again.

    Raises:
        UserError: the history cannot be read, or there is no such policy.
        KubeError: the Services cannot be read.
    """
    services = list_services(client, settings.namespace)
    if not services:
        _LOG.info("no Service has a ready Revision")
        return []
    config = replace(settings.config, part="all", most_per_hour=None, warm_up_seconds=0.0)
    past = history(services)
    limits = {each.key: {"concurrency": float(each.concurrency)} for each in services if each.key in past.function_id}
    config = replace(config, overrides={**limits, **config.overrides})
    wanted = plans(settings.policy, serverless_problem(past, config))
    now, changes = time.time(), []
    for service in services:
        if service.key not in wanted:
            continue  # it was never called: nothing is known of it
        change = change_of(client, service, wanted[service.key], now, settings.least_seconds)
        if change is not None and (settings.dry_run or _written(client, change)):
            changes.append(change)
    return changes


def _written(client: KubeClient, change: Change) -> bool:
    try:
        write(client, change)
    except KubeError as error:
        _LOG.warning("a Revision was not written", extra={"revision": change.service.revision, "error": error.message})
        return False
    return True
