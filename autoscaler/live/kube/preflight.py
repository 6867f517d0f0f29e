"""What must be in place before anything is changed; each failure is one line that says how to mend it."""

from __future__ import annotations

import logging

from autoscaler.live.config import LiveConfig, LivePool, ProviderKind
from autoscaler.live.kube.client import ClusterAccessError, ForbiddenError, Json, KubeClient, KubeError, NotFoundError
from autoscaler.live.kube.rights import Right, needed

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
KARPENTER = "/apis/karpenter.sh/v1"
PROVISIONING_REQUESTS = "/apis/autoscaling.x-k8s.io/v1"

_LOG = logging.getLogger(__name__)


def check_cluster(client: KubeClient, config: LiveConfig) -> str:
    """Check that the cluster answers, lets us do what we need, and has what the config names.

    Returns:
        The version of the API server.

    Raises:
        ClusterAccessError: it does not.
    """
    version = _version(client)
    _check_rights(client, config)
    if config.uses_karpenter:
        _check_karpenter(client, config)
    if config.leader_election.enabled and not config.dry_run:
        _check_namespace(client, config.leader_election.namespace)
    if _kinds(client, PROVISIONING_REQUESTS):
        _LOG.warning("ProvisioningRequests are not served: pods that consume one are left alone")
    return version


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
        missing = [right for right in needed(config) if not _allowed(client, right, namespace)]
    except ForbiddenError as error:
        raise ClusterAccessError(f"{client.server} refuses these credentials: {error.message}") from error
    except KubeError as error:
        raise ClusterAccessError(f"{client.server}: the rights cannot be asked for: {error.message}") from error
    if missing:
        what = ", ".join(str(right) for right in missing)
        raise ClusterAccessError(f"missing rights: {what}; apply deploy/rbac.yaml and use its ServiceAccount")


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


def _check_karpenter(client: KubeClient, config: LiveConfig) -> None:
    pools = [pool for pool in config.pools if pool.provider is ProviderKind.KARPENTER]
    _check_resource(client, KARPENTER, "NodeClaim", "NodeClaims of karpenter.sh/v1", pools[0])
    for pool in pools:
        settings = pool.karpenter
        kind, group = settings.node_class_kind, settings.node_class_group
        _check_group(client, group, kind, pool)


def _check_group(client: KubeClient, group: str, kind: str, pool: LivePool) -> None:
    """Whether a group serves a kind in any of its versions."""
    try:
        versions = client.get(f"/apis/{group}").get("versions") or []
    except NotFoundError:
        versions = []
    except KubeError as error:
        raise ClusterAccessError(f"{client.server}: /apis/{group} cannot be read: {error.message}") from error
    for version in versions:
        if kind in _kinds(client, f"/apis/{version.get('groupVersion')}"):
            return
    raise ClusterAccessError(
        f"pool {pool.name}: the cluster has no CRD for {kind}.{group}; install it, or set karpenter.node_class_kind"
    )


def _check_resource(client: KubeClient, path: str, kind: str, what: str, pool: LivePool) -> None:
    if kind not in _kinds(client, path):
        raise ClusterAccessError(
            f"pool {pool.name}: the cluster has no CRD for {what}; install Karpenter, or choose another provider"
        )


def _kinds(client: KubeClient, path: str) -> set[str]:
    try:
        resources = client.get(path).get("resources") or []
    except NotFoundError:
        return set()
    except KubeError as error:
        raise ClusterAccessError(f"{client.server}: {path} cannot be read: {error.message}") from error
    return {str(resource.get("kind")) for resource in resources if isinstance(resource, dict)}


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
