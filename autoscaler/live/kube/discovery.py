"""Which kinds of objects an API server serves."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from autoscaler.live.kube.client import ClusterAccessError, KubeClient, KubeError, NotFoundError


def kinds(client: KubeClient, path: str) -> set[str]:
    """The kinds of one version of an API group; none where there is no such version.

    Args:
        client: calls the API server.
        path: such as `/apis/batch/v1`.

    Raises:
        ClusterAccessError: the API server cannot be reached.
    """
    try:
        resources = client.get(path).get("resources") or []
    except NotFoundError:
        return set()
    except KubeError as error:
        raise ClusterAccessError(f"{client.server}: {path} cannot be read: {error.message}") from error
    return {str(resource.get("kind")) for resource in resources if isinstance(resource, dict)}


def group_serves(client: KubeClient, group: str, kind: str) -> bool:
    """Whether an API group serves a kind in any of its versions.

    Raises:
        ClusterAccessError: the API server cannot be reached.
    """
    try:
        versions = client.get(f"/apis/{group}").get("versions") or []
    except NotFoundError:
        return False
    except KubeError as error:
        raise ClusterAccessError(f"{client.server}: /apis/{group} cannot be read: {error.message}") from error
    return any(kind in kinds(client, f"/apis/{version.get('groupVersion')}") for version in versions)


def served_version(client: KubeClient, group: str, versions: Iterable[str], kind: str) -> str | None:
    """The first of some versions of an API group in which a kind is served; None: there is none.

    Raises:
        KubeError: the API server cannot say.
    """
    for version in versions:
        with suppress(NotFoundError):
            resources = client.get(f"/apis/{group}/{version}").get("resources") or []
            if any(resource.get("kind") == kind for resource in resources if isinstance(resource, dict)):
                return version
    return None
