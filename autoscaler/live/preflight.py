"""What must be in place before anything is changed; each failure is one line that says how to fix it."""

from __future__ import annotations

import logging
import time

from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.gangs import kueue, registry, suspension
from autoscaler.live.kube import rights
from autoscaler.live.kube.client import ClusterAccessError, ForbiddenError, Json, KubeClient, KubeError, NotFoundError
from autoscaler.live.kube.discovery import kinds
from autoscaler.live.kube.rights import Right
from autoscaler.live.providers import used_kinds
from autoscaler.live.providers.cluster_api import node_group
from autoscaler.live.registry import load_source
from autoscaler.live.repair_config import RebootRequest

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PROVISIONING_REQUESTS = "/apis/autoscaling.x-k8s.io/v1"

_LOG = logging.getLogger(__name__)


def check_cluster(client: KubeClient, config: LiveConfig) -> str:
    """Check that the cluster answers, lets us do what we need, and has what the config names.

    Returns:
        The version of the API server.

    Raises:
        ClusterAccessError: it does not.
        MissingCredentialError: a source of signals needs a credential that is not there.
        SourceError: a source of signals refuses what the config says, such as its credential or its zone.
    """
    if config.signals.regions:
        _check_credentials(config)
    version = _version(client)
    _check_rights(client, config)
    for name, kind in used_kinds(config).items():
        kind.check(client, [pool for pool in config.pools if pool.provider == name])
    for pool in config.pools:
        _check_reboot_request(client, pool)
    if config.leader_election.enabled and not config.dry_run:
        _check_namespace(client, config.leader_election.namespace)
    if config.signals.regions:
        _check_sources(client, config)
    if kinds(client, PROVISIONING_REQUESTS):
        _LOG.warning("ProvisioningRequests are not served: pods that consume one are left alone")
    return version


def needed_rights(config: LiveConfig) -> tuple[Right, ...]:
    """The rights that a config needs; a dry run only observes."""
    used = used_kinds(config).values()
    groups = (*registry.needed_rights(), *node_group.needed_rights(config), *_signal_rights(config))
    observe = [*rights.OBSERVE, *(right for kind in used for right in kind.observe), *groups]
    if config.dry_run:
        return tuple(observe)
    act = [
        *rights.ACT,
        *kueue.ACT,
        *rights.orders(),
        *rights.status(),
        *rights.switch(),
        *(right for kind in used for right in kind.act),
        *_reboot_rights(config),
        *_suspension_rights(config),
    ]
    lead = rights.lead(config.leader_election.name) if config.leader_election.enabled else ()
    return (*observe, *act, *lead)


def _suspension_rights(config: LiveConfig) -> tuple[Right, ...]:
    """What suspends jobs, for a grid event or by the policy's lever."""
    suspends = config.guardrails.curb_for_grid_events or config.codec.suspension
    return suspension.needed_rights() if suspends else ()


def _reboot_request(pool: LivePool) -> RebootRequest | None:
    """What has the nodes of a pool rebooted, if they ever are."""
    return pool.repair.reboot_request if pool.repair.enabled and pool.repair.reboot else None


def _reboot_rights(config: LiveConfig) -> tuple[Right, ...]:
    """What asks others to reboot nodes."""
    asked = (request for pool in config.pools if (request := _reboot_request(pool)) is not None)
    purpose = "ask for the reboot of broken nodes"
    return tuple(dict.fromkeys(Right(each.group, each.plural, "create", purpose) for each in asked))


def _check_reboot_request(client: KubeClient, pool: LivePool) -> None:
    request = _reboot_request(pool)
    if request is not None and request.kind not in kinds(client, f"/apis/{request.api_version}"):
        raise ClusterAccessError(
            f"pool {pool.name}: the cluster has no CRD for {request.kind} of {request.api_version}; install what "
            "serves it, or leave out repair.reboot_request"
        )


def _signal_rights(config: LiveConfig) -> tuple[Right, ...]:
    """What sources of signals read in the cluster."""
    used = [source for region in config.signals.regions for source in region.sources().values()]
    kinds_of = [(load_source(source.source), source) for source in used]
    return tuple(dict.fromkeys(right for kind, source in kinds_of for right in kind.rights(kind.parse(source))))


def _check_credentials(config: LiveConfig) -> None:
    from autoscaler.live.signals.live import check_credentials

    check_credentials(config)


def _check_sources(client: KubeClient, config: LiveConfig) -> None:
    """Whether each source of signals answers; one that is only away for now does not keep the loop from its work."""
    from autoscaler.live.signals.base import Around
    from autoscaler.live.signals.live import check_sources

    around = Around(time.time, client, config.leader_election.namespace)
    for error in check_sources(config, around):
        _LOG.warning("a signal cannot be read yet", extra={"problem": str(error)})


def _version(client: KubeClient) -> str:
    try:
        answer = client.get("/version")
    except ForbiddenError as error:
        raise ClusterAccessError(f"{client.server} refuses these credentials: {error.message}") from error
    except KubeError as error:
        raise ClusterAccessError(f"no cluster answers: {error.message}") from error
    version = answer.get("gitVersion")
    if not isinstance(version, str):
        raise ClusterAccessError(f"{client.server} answers, but it is no Kubernetes API server")
    return version


def _check_rights(client: KubeClient, config: LiveConfig) -> None:
    namespace = config.leader_election.namespace
    try:
        missing = [right for right in needed_rights(config) if not _allowed(client, right, namespace)]
    except ForbiddenError as error:
        raise ClusterAccessError(f"{client.server} refuses these credentials: {error.message}") from error
    except KubeError as error:
        raise ClusterAccessError(f"{client.server}: the rights cannot be checked: {error.message}") from error
    if missing:
        what = ", ".join(str(right) for right in missing)
        raise ClusterAccessError(
            f"missing rights: {what}; apply deploy/rbac.yaml and the file of the provider in deploy/providers, and use "
            "their ServiceAccount"
        )


def _allowed(client: KubeClient, right: Right, namespace: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"group": right.group, "resource": resource, "subresource": subresource, "verb": right.verb}
    if right.namespaced:
        attributes["namespace"] = namespace
    if right.name:
        attributes["name"] = right.name
    review: Json = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status = client.create(REVIEWS, review).get("status")
    return isinstance(status, dict) and status.get("allowed") is True


def _check_namespace(client: KubeClient, namespace: str) -> None:
    """Whether the Lease's namespace exists; only a list of its Leases is read, which needs no further right."""
    try:
        client.get(f"/api/v1/namespaces/{namespace}")
    except NotFoundError:
        raise ClusterAccessError(
            f"the namespace {namespace!r} of the Lease does not exist; create it or set leader_election.namespace"
        ) from None
    except KubeError:
        # Reading namespaces is no right that we need; a missing one shows when the Lease is created.
        return
