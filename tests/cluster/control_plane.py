"""A real Kubernetes control plane on this machine: plain processes on loopback, TLS, RBAC, fake kubelets."""

import contextlib
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import yaml

from tests.cluster import constants
from tests.cluster.binaries import Binaries, find_binaries
from tests.cluster.certificates import CertificateAuthority, KeyPair
from tests.cluster.cluster import Cluster, condition_status
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.processes import Component, Workspace, free_port
from tests.cluster.waiting import wait_until

STAGES = Path(__file__).parent / "stages"
INSTANCE_TYPES = Path(__file__).parent / "karpenter_instance_types.json"


class ControlPlane(Cluster):
    """etcd, API server, scheduler, controller manager and KWOK, and on demand Karpenter.

    The constructor starts them and returns when they serve; use it as a context manager, or call `stop`.
    When this process dies, whatever of, everything goes with it.

    Args:
        binaries: Where the programs are; found or built when None.
        node_monitor_grace_seconds: How long after its last heartbeat a node is no longer Ready.
        node_lease_seconds: Duration of a node's Lease; KWOK renews it four times as often.
        flags: Further flags of a component, by its name.

    Attributes:
        directory: Folder of the cluster, removed by `stop`; the components' logs lie in its logs/.
        server: URL of the API server.
        ca: File of the CA's certificate.
        components: The running programs by name.
    """

    def __init__(
        self,
        binaries: Binaries | None = None,
        *,
        node_monitor_grace_seconds: float = 8.0,
        node_lease_seconds: int = 8,
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._binaries = binaries or find_binaries()
        self._node_monitor_grace_seconds = node_monitor_grace_seconds
        self._node_lease_seconds = node_lease_seconds
        self._flags = dict(flags or {})
        self.components: dict[str, Component] = {}
        self._workspace = Workspace()
        self.directory = self._workspace.path
        try:
            self._authority = CertificateAuthority(self.directory / "pki")
            self.ca = self._authority.certificate
            self.server = f"https://127.0.0.1:{free_port()}"
            self._serving = self._authority.server("serving")
            super().__init__(self._client_kubeconfig("admin", ("system:masters",)))
            self._start()
        except BaseException:
            self._workspace.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all programs and remove the cluster's folder."""
        self.close()
        with contextlib.suppress(Exception):  # clean_up below kills what does not end.
            for name in ("karpenter", "kwok", "kube-scheduler", "kube-controller-manager"):
                if name in self.components:
                    self.components[name].stop(polite=False)
            self.components["kube-apiserver"].stop(polite=False)
            self.components["etcd"].stop(polite=False)
        self._workspace.close()

    # The API server as a thing that fails.

    @property
    def api_server(self) -> Component:
        """The API server's process."""
        return self.components["kube-apiserver"]

    def freeze_api_server(self) -> None:
        """Let the API server accept connections and answer nothing."""
        self.api_server.freeze()

    def thaw_api_server(self) -> None:
        """Let a frozen API server go on and wait until it serves."""
        self.api_server.thaw()
        self.api_server.wait_ready()

    @contextlib.contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        """Freeze the API server inside a with block."""
        self.freeze_api_server()
        try:
            yield
        finally:
            self.thaw_api_server()

    def restart_api_server(self, *, polite: bool = True) -> None:
        """End the API server, start it on the same port and wait until it serves."""
        self.api_server.restart(polite=polite)

    def repair(self) -> None:
        """Let go on what is frozen and start what ended, so that one test's accident stays its own."""
        for component in self.components.values():
            if component.pid is None:
                component.start()
            else:
                component.thaw()
        for component in self.components.values():
            component.wait_ready()

    # Identities, CRDs, Karpenter.

    def service_account_kubeconfig(self, name: str, namespace: str = "default", expiration_seconds: int = 3600) -> Path:
        """Return a kubeconfig with a token of this ServiceAccount, which is created when it is missing."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        if not self._exists(f"{path}/{name}"):
            self.request("POST", path, {"metadata": {"name": name}})
        body = {"spec": {"expirationSeconds": expiration_seconds}}
        token = self.request("POST", f"{path}/{name}/token", body)["status"]["token"]
        target = self.directory / "kubeconfigs" / f"{namespace}-{name}"
        return write_kubeconfig(target, server=self.server, ca=self.ca, credentials=token, namespace=namespace)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write the administrator's kubeconfig to a place of the caller's choice."""
        path.parent.mkdir(parents=True, exist_ok=True)
        admin = KeyPair(self.ca.parent / "admin.crt", self.ca.parent / "admin.key")
        return write_kubeconfig(path, server=self.server, ca=self.ca, credentials=admin)

    def install_crds(self, manifests: Iterable[Path], *, timeout_seconds: float = 30.0) -> None:
        """Install CustomResourceDefinitions that are not there yet and wait until they are served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        names = []
        for manifest in manifests:
            for crd in yaml.safe_load_all(manifest.read_text()):
                if crd:
                    names.append(crd["metadata"]["name"])
                    if not self._exists(f"{path}/{names[-1]}"):
                        self.request("POST", path, crd)
        for name in names:
            self.wait_until(
                partial(self._is_established, f"{path}/{name}"),
                f"{name} is established",
                timeout_seconds=timeout_seconds,
            )

    def _is_established(self, path: str) -> bool:
        return condition_status(self.request("GET", path), "Established") == "True"

    def install_karpenter_crds(self) -> None:
        """Install what Karpenter and its KWOK provider define, without running Karpenter."""
        self.install_crds(self._with_karpenter().karpenter_crds)

    def start_karpenter(self, environment: Mapping[str, str] | None = None) -> Component:
        """Run the real Karpenter with its KWOK provider; `environment` adds to its settings."""
        command = self._with_karpenter().karpenter
        assert command is not None
        self.install_karpenter_crds()
        if "karpenter" not in self.components:
            self.components["karpenter"] = self._karpenter(command, environment or {})
        self.components["karpenter"].start()
        self.components["karpenter"].wait_ready()
        return self.components["karpenter"]

    def stop_karpenter(self) -> None:
        """End Karpenter. Its CRDs stay; what it made goes with the next reset."""
        karpenter = self.components.pop("karpenter", None)
        if karpenter is not None:
            karpenter.stop(polite=False)
            (self.directory / "bin" / "karpenter").unlink()

    def _with_karpenter(self) -> Binaries:
        if self._binaries.karpenter is None:
            self._binaries = find_binaries(karpenter=True)
        return self._binaries

    # How it starts.

    def _start(self) -> None:
        etcd_url = f"https://127.0.0.1:{free_port()}"
        self._add("etcd", self._etcd_flags(etcd_url), _listens(etcd_url))
        self.components["etcd"].start()
        self.components["etcd"].wait_ready()
        self._add("kube-apiserver", self._api_server_flags(etcd_url), self._serves(self.server + "/readyz"))
        self.api_server.start()
        self.api_server.wait_ready()
        self._add_controllers()
        self._add_kwok()
        rest = [name for name in self.components if name not in ("etcd", "kube-apiserver")]
        for name in rest:
            self.components[name].start()
        for name in rest:
            self.components[name].wait_ready()
        wait_until(
            lambda: (
                self._exists("/api/v1/namespaces/default/serviceaccounts/default")
                and self._exists(f"/api/v1/namespaces/{constants.NODE_LEASE_NAMESPACE}")
            ),
            "the controller manager has made the default ServiceAccount",
        )

    def _add(self, name: str, flags: Sequence[str], is_ready: Callable[[], bool]) -> None:
        command = self._binaries.components[name]
        all_flags = [*flags, *self._flags.get(name, ())]
        self.components[name] = Component(self.directory, name, command, all_flags, is_ready=is_ready)

    def _etcd_flags(self, url: str) -> list[str]:
        return [
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--client-cert-auth=true",
            f"--trusted-ca-file={self.ca}",
            f"--cert-file={self._serving.certificate}",
            f"--key-file={self._serving.key}",
            "--unsafe-no-fsync=true",
        ]

    def _api_server_flags(self, etcd_url: str) -> list[str]:
        public, private = self._authority.key_pair_for_tokens()
        return [
            f"--etcd-servers={etcd_url}",
            f"--etcd-cafile={self.ca}",
            f"--etcd-certfile={self._serving.certificate}",
            f"--etcd-keyfile={self._serving.key}",
            *self._serving_flags(self.server),
            "--advertise-address=127.0.0.1",
            f"--client-ca-file={self.ca}",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",
        ]

    def _serving_flags(self, url: str) -> list[str]:
        return [
            "--bind-address=127.0.0.1",
            f"--secure-port={url.rpartition(':')[2]}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
        ]

    def _add_controllers(self) -> None:
        for name in ("kube-scheduler", "kube-controller-manager"):
            url = f"https://127.0.0.1:{free_port()}"
            kubeconfig = self._client_kubeconfig(f"system:{name}")
            flags = [
                *self._serving_flags(url),
                f"--kubeconfig={kubeconfig}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
                "--leader-elect=false",
                # The defaults are made for clusters that share their API server: they would slow down the start.
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ]
            if name == "kube-controller-manager":
                flags += [
                    f"--root-ca-file={self.ca}",
                    f"--service-account-private-key-file={self.ca.parent / 'service-account.key'}",
                    # Without it the controllers share one identity, which lacks rights, and stay healthy.
                    "--use-service-account-credentials=true",
                    "--node-monitor-period=1s",
                    f"--node-monitor-grace-period={self._node_monitor_grace_seconds}s",
                ]
            self._add(name, flags, self._serves(url + "/healthz"))

    def _add_kwok(self) -> None:
        port = free_port()
        managed = f"{constants.KWOK_ANNOTATION}={constants.KWOK_ANNOTATION_VALUE}"
        kubeconfig = self._client_kubeconfig("kwok", ("system:masters",))
        self.components["kwok"] = Component(
            self.directory,
            "kwok",
            self._binaries.kwok,
            [
                f"--kubeconfig={kubeconfig}",
                *(f"--config={stage}" for stage in sorted(STAGES.glob("*.yaml"))),
                f"--manage-nodes-with-annotation-selector={managed}",
                f"--node-lease-duration-seconds={self._node_lease_seconds}",
                "--node-ip=127.0.0.1",
                f"--node-port={port}",
                f"--server-address=127.0.0.1:{port}",
                *self._flags.get("kwok", ()),
            ],
            # The stages read KWOK's time stamps with CEL, which wants them in UTC.
            environment={"TZ": "UTC"},
            is_ready=self._serves(f"http://127.0.0.1:{port}/healthz"),
        )

    def _karpenter(self, command: Sequence[str], environment: Mapping[str, str]) -> Component:
        port = free_port()
        settings = {
            "KUBECONFIG": str(self._client_kubeconfig("karpenter", ("system:masters",))),
            "INSTANCE_TYPES_FILE_PATH": str(INSTANCE_TYPES),
            "SYSTEM_NAMESPACE": "kube-system",
            "METRICS_PORT": str(free_port()),
            "HEALTH_PROBE_PORT": str(port),
            "DISABLE_LEADER_ELECTION": "true",
            **environment,
        }
        return Component(
            self.directory,
            "karpenter",
            command,
            (),
            environment=settings,
            is_ready=self._serves(f"http://127.0.0.1:{port}/readyz"),
        )

    def _client_kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        path = self.directory / "kubeconfigs" / user.replace(":", "-")
        pair = self._authority.client(user, groups)
        return write_kubeconfig(path, server=self.server, ca=self.ca, credentials=pair)

    def _serves(self, url: str) -> Callable[[], bool]:
        context = ssl.create_default_context(cafile=str(self.ca))
        # Never through a proxy that the environment names: all of it is on loopback.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

        def serves() -> bool:
            try:
                with opener.open(url, timeout=5) as reply:
                    return bool(reply.status == http.client.OK)
            except urllib.error.HTTPError as error:
                error.close()
                return False

        return serves


def _listens(url: str) -> Callable[[], bool]:
    host, _, port = url.removeprefix("https://").partition(":")

    def listens() -> bool:
        with socket.create_connection((host, int(port)), timeout=1):
            return True

    return listens
