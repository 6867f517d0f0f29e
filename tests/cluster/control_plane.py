"""A real Kubernetes control plane on this machine: plain processes on loopback, TLS, RBAC, fake kubelets."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import yaml

from tests.cluster import flags
from tests.cluster.binaries import Binaries, find_binaries
from tests.cluster.certificates import CertificateAuthority, KeyPair
from tests.cluster.cluster import Cluster
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.processes import Component, Workspace, free_port
from tests.cluster.progress import say
from tests.cluster.readiness import listens, serves
from tests.cluster.waiting import PATIENCE_SECONDS, wait_until


class ControlPlane(Cluster):
    """etcd, API server, scheduler, controller manager and KWOK, and on demand Karpenter.

    The constructor starts them and returns when they serve; use it as a context manager, or call `stop`.
    When this process dies, whatever of, everything goes with it.

    Args:
        binaries: Where the programs are; found or built when None.
        node_monitor_grace_seconds: How long after its last heartbeat a node is no longer Ready.
        node_lease_seconds: Duration of a node's Lease; KWOK renews it four times as often.
        spread: Let the scheduler spread pods over nodes, as is its default, instead of filling them.
        extra_flags: Further flags of a component, by its name.

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
        node_monitor_grace_seconds: float = 12.0,
        node_lease_seconds: int = 8,
        spread: bool = False,
        extra_flags: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._binaries = binaries or find_binaries()
        self._node_monitor_grace_seconds = node_monitor_grace_seconds
        self._node_lease_seconds = node_lease_seconds
        self._spread = spread
        self._flags = dict(extra_flags or {})
        self.components: dict[str, Component] = {}
        self._workspace = Workspace()
        self.directory = self._workspace.path
        try:
            self._authority = CertificateAuthority(self.directory / "pki")
            self.ca = self._authority.certificate
            self.server = _url()
            self._credentials = flags.Credentials(
                self.ca, self._authority.server("serving"), *self._authority.key_pair_for_tokens()
            )
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

    def begin_anew(self) -> None:
        """End all programs, forget every object, and start again at the same addresses with the same credentials."""
        say("a new control plane for the second try of a test")
        self.stop_karpenter()
        for component in reversed(self.components.values()):
            component.stop(polite=False)
        shutil.rmtree(self._etcd_data)
        self._start_components()

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

    def install_crds(self, manifests: Iterable[Path], *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Install CustomResourceDefinitions that are not there yet and wait until they are served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        # In Python alone, half a megabyte of YAML takes seconds.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        crds = [crd for manifest in manifests for crd in yaml.load_all(manifest.read_text(), loader) if crd]
        for crd in crds:
            if not self._exists(f"{path}/{crd['metadata']['name']}"):
                self.request("POST", path, crd)
        for crd in crds:
            name = crd["metadata"]["name"]
            self.wait_until(partial(self._can_list, crd), f"{name} is served", timeout_seconds=timeout_seconds)

    def remove_crds(self, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Remove every CustomResourceDefinition; `reset` keeps them, so an earlier test may have installed some."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for crd in self.request("GET", path)["items"]:
            self.request("DELETE", f"{path}/{crd['metadata']['name']}")
        self.wait_until(
            lambda: not self.request("GET", path)["items"], "no CRD is left", timeout_seconds=timeout_seconds
        )

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

    @property
    def _etcd_data(self) -> Path:
        return self.directory / "etcd"

    def _start(self) -> None:
        etcd_url, kwok_port = _url(), free_port()
        scheduler_url, manager_url = _url(), _url()
        keys = self._credentials
        self._add("etcd", flags.etcd(etcd_url, self._etcd_data, keys), listens(etcd_url))
        self._add("kube-apiserver", flags.api_server(self.server, etcd_url, keys), self._serves(self.server, "readyz"))
        self._add(
            "kube-scheduler",
            self._scheduler_flags(scheduler_url),
            self._serves(scheduler_url, "healthz"),
        )
        self._add(
            "kube-controller-manager",
            flags.controller_manager(
                manager_url,
                self._client_kubeconfig("system:kube-controller-manager"),
                keys,
                node_monitor_grace_seconds=self._node_monitor_grace_seconds,
            ),
            self._serves(manager_url, "healthz"),
        )
        kubeconfig = self._client_kubeconfig("kwok", ("system:masters",))
        self._add(
            "kwok",
            flags.kwok(kwok_port, kubeconfig, node_lease_seconds=self._node_lease_seconds),
            self._serves(f"http://127.0.0.1:{kwok_port}", "healthz"),
            # The stages read KWOK's time stamps with CEL, which wants them in UTC.
            environment={"TZ": "UTC"},
        )
        self._start_components()

    def _start_components(self) -> None:
        began = time.monotonic()
        say("starting etcd, kube-apiserver, kube-scheduler, kube-controller-manager and KWOK")
        for group in (["etcd"], ["kube-apiserver"], ["kube-scheduler", "kube-controller-manager", "kwok"]):
            for name in group:
                self.components[name].start()
            for name in group:
                self.components[name].wait_ready()
        wait_until(
            lambda: self._exists("/api/v1/namespaces/default/serviceaccounts/default"),
            "the controller manager has made the default ServiceAccount",
            describe=self.components["kube-controller-manager"].log_tail,
        )
        say(f"the control plane serves after {time.monotonic() - began:.0f} s")

    def _scheduler_flags(self, url: str) -> list[str]:
        kubeconfig = self._client_kubeconfig("system:kube-scheduler")
        config = self.directory / "kube-scheduler.yaml"
        config.write_text(yaml.safe_dump(flags.scheduler_config(kubeconfig, spread=self._spread)))
        return flags.scheduler(url, kubeconfig, config, self._credentials)

    def _add(
        self, name: str, own_flags: Sequence[str], is_ready: Callable[[], bool], **options: Mapping[str, str]
    ) -> None:
        command = self._binaries.kwok if name == "kwok" else self._binaries.components[name]
        all_flags = [*own_flags, *self._flags.get(name, ())]
        self.components[name] = Component(self.directory, name, command, all_flags, is_ready=is_ready, **options)

    def _karpenter(self, command: Sequence[str], environment: Mapping[str, str]) -> Component:
        port = free_port()
        kubeconfig = self._client_kubeconfig("karpenter", ("system:masters",))
        settings = {**flags.karpenter_environment(port, free_port(), kubeconfig), **environment}
        is_ready = self._serves(f"http://127.0.0.1:{port}", "readyz")
        return Component(self.directory, "karpenter", command, (), environment=settings, is_ready=is_ready)

    def _client_kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        path = self.directory / "kubeconfigs" / user.replace(":", "-")
        pair = self._authority.client(user, groups)
        return write_kubeconfig(path, server=self.server, ca=self.ca, credentials=pair)

    def _serves(self, url: str, path: str) -> Callable[[], bool]:
        return serves(f"{url}/{path}", self.ca)


def _url() -> str:
    return f"https://127.0.0.1:{free_port()}"
