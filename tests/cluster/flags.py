"""The flags of each program of the control plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import constants
from tests.cluster.certificates import KeyPair

STAGES = Path(__file__).parent / "stages"
INSTANCE_TYPES = Path(__file__).parent / "karpenter_instance_types.json"
SCHEDULER_CONFIG = Path(__file__).parents[2] / "deploy" / "kube-scheduler.yaml"

# The defaults are made for clusters that share their API server: they would slow down the start.
API_QPS, API_BURST = 500, 1000


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the programs prove themselves with.

    Attributes:
        ca: The CA's certificate.
        serving: Certificate of every server; the API server also shows it to etcd.
        token_public: Public key of ServiceAccount tokens.
        token_private: Private key of ServiceAccount tokens.
    """

    ca: Path
    serving: KeyPair
    token_public: Path
    token_private: Path


def etcd(url: str, data: Path, credentials: Credentials) -> list[str]:
    """Return the flags of etcd: one member that never waits for the disk, as its data is thrown away."""
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--client-cert-auth=true",
        f"--trusted-ca-file={credentials.ca}",
        f"--cert-file={credentials.serving.certificate}",
        f"--key-file={credentials.serving.key}",
        "--unsafe-no-fsync=true",
    ]


def api_server(url: str, etcd_url: str, credentials: Credentials) -> list[str]:
    """Return the flags of the API server, with RBAC."""
    return [
        *_serving(url, credentials),
        f"--etcd-servers={etcd_url}",
        f"--etcd-cafile={credentials.ca}",
        f"--etcd-certfile={credentials.serving.certificate}",
        f"--etcd-keyfile={credentials.serving.key}",
        "--advertise-address=127.0.0.1",
        f"--client-ca-file={credentials.ca}",
        f"--service-account-key-file={credentials.token_public}",
        f"--service-account-signing-key-file={credentials.token_private}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--allow-privileged=true",
        "--endpoint-reconciler-type=none",
    ]


def scheduler(url: str, kubeconfig: Path, config: Path, credentials: Credentials) -> list[str]:
    """Return the flags of the scheduler."""
    return [
        *_serving(url, credentials),
        f"--config={config}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
    ]


def scheduler_config(kubeconfig: Path, *, spread: bool) -> dict[str, Any]:
    """Return the scheduler's config: the one that we ship, or the default, which spreads pods over nodes."""
    config: dict[str, Any] = yaml.safe_load(SCHEDULER_CONFIG.read_text())
    if spread:
        del config["profiles"]
    # With a config file, the scheduler ignores the flags of the same meaning.
    connection = {"kubeconfig": str(kubeconfig), "qps": API_QPS, "burst": API_BURST}
    return {**config, "leaderElection": {"leaderElect": False}, "clientConnection": connection}


def controller_manager(
    url: str, kubeconfig: Path, credentials: Credentials, *, node_monitor_grace_seconds: float
) -> list[str]:
    """Return the flags of the controller manager."""
    return [
        *_controller(url, kubeconfig, credentials),
        f"--root-ca-file={credentials.ca}",
        f"--service-account-private-key-file={credentials.token_private}",
        # Without it the controllers share one identity, which lacks rights, and report healthy all the same.
        "--use-service-account-credentials=true",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={node_monitor_grace_seconds}s",
    ]


def kwok(port: int, kubeconfig: Path, *, node_lease_seconds: int) -> list[str]:
    """Return the flags of KWOK: our Stages, for the nodes that are annotated as fake and no others."""
    managed = f"{constants.KWOK_ANNOTATION}={constants.KWOK_ANNOTATION_VALUE}"
    return [
        f"--kubeconfig={kubeconfig}",
        *(f"--config={stage}" for stage in sorted(STAGES.glob("*.yaml"))),
        f"--manage-nodes-with-annotation-selector={managed}",
        f"--node-lease-duration-seconds={node_lease_seconds}",
        "--node-ip=127.0.0.1",
        f"--node-port={port}",
        f"--server-address=127.0.0.1:{port}",
    ]


def karpenter_environment(health_port: int, metrics_port: int, kubeconfig: Path) -> Mapping[str, str]:
    """Return the environment of Karpenter, which takes its settings from there."""
    return {
        "KUBECONFIG": str(kubeconfig),
        "INSTANCE_TYPES_FILE_PATH": str(INSTANCE_TYPES),
        "SYSTEM_NAMESPACE": "kube-system",
        "METRICS_PORT": str(metrics_port),
        "HEALTH_PROBE_PORT": str(health_port),
        "DISABLE_LEADER_ELECTION": "true",
    }


def _serving(url: str, credentials: Credentials) -> list[str]:
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={url.rpartition(':')[2]}",
        f"--tls-cert-file={credentials.serving.certificate}",
        f"--tls-private-key-file={credentials.serving.key}",
    ]


def _controller(url: str, kubeconfig: Path, credentials: Credentials) -> list[str]:
    return [
        *_serving(url, credentials),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        f"--kube-api-qps={API_QPS}",
        f"--kube-api-burst={API_BURST}",
    ]
