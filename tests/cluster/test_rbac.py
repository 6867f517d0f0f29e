"""The rights of `deploy/rbac.yaml` suffice, none is too much, and a missing one is named before anything is done."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.live.actuate.orders import ScaleUp
from autoscaler.live.actuate.placement import place
from autoscaler.live.actuate.removal import RemovalMachine
from autoscaler.live.actuate.taints import write_soft_taints
from autoscaler.live.clock import ScaledClock
from autoscaler.live.config import LeaderElection, LivePool, NodeGroup
from autoscaler.live.gangs import kueue, registry
from autoscaler.live.guardrails import Allowed, GuardrailState, Removal
from autoscaler.live.kube.client import ClusterAccessError, KubeClient, KubeError, NotFoundError, connect
from autoscaler.live.kube.lease import KubeLeaseStore, LeaseLock
from autoscaler.live.kube.rights import Right
from autoscaler.live.model import ClusterView
from autoscaler.live.names import CONFIG_MAP, METRIC_ERRORS, ORDERS_CONFIG_MAP, STATUS_CONFIG_MAP
from autoscaler.live.objects import NodeView, ObjectRef
from autoscaler.live.preflight import check_cluster, needed_rights
from autoscaler.live.providers import ProviderError, Reboots, Reserves, make_providers
from autoscaler.live.providers.cluster_api.names import ANNOTATION_GROUP_MAX
from autoscaler.live.providers.cluster_api.node_group import with_node_groups
from autoscaler.live.telemetry.events import EventRecorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.status_map import StatusWriter
from autoscaler.live.view.watch import DEVICE_PATHS, Listing
from tests.cluster import foreign
from tests.cluster import karpenter as manifests
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_support import gated_gang, live_config, release_of

RBAC = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
NAMESPACE = "kube-system"
ACCOUNT = "green-autoscaler"
BASE = live_config(taint_wait_seconds=0.0)
CONFIG = replace(
    BASE,
    pools=(
        replace(BASE.pools[0], node_group=NodeGroup("gpus")),
        LivePool("k", 10, provider="karpenter"),
        LivePool("r", 10, provider="capacity-buffer"),
    ),
    leader_election=LeaderElection(),
)
RIGHTS = needed_rights(CONFIG)
GROUP_RIGHTS = {*registry.needed_rights(), *kueue.ACT}
"""Rights on objects that need not be there: each is tried by itself."""
WATCHED = (
    "/api/v1/nodes",
    "/api/v1/pods",
    "/apis/batch/v1/jobs",
    "/apis/policy/v1/poddisruptionbudgets",
    *DEVICE_PATHS.values(),
    "/apis/apps/v1/daemonsets",
    "/api/v1/resourcequotas",
    manifests.NODE_CLAIMS,
)
NUMBERS = itertools.count()


def documents() -> list[dict[str, Any]]:
    """What rbac.yaml and the files of all providers hold."""
    files = (RBAC, *sorted((RBAC.parent / "providers").glob("*.yaml")))
    found = [document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    return [document for document in found if document]


def rights_of(rules: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    return {
        (group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def without(right: Right) -> list[dict[str, Any]]:
    """The manifests with one verb on one resource taken away."""
    result = deepcopy(documents())
    taken = 0
    for rule in (rule for document in result for rule in document.get("rules", ())):
        same = [right.group] == rule["apiGroups"] and [right.resource] == rule["resources"]
        if same and rule.get("resourceNames", [""]) == [right.name] and right.verb in rule["verbs"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != right.verb]
            taken += 1
    for document in result:
        if "rules" in document:
            document["rules"] = [rule for rule in document["rules"] if rule["verbs"]]
    assert taken == 1, f"{right} is granted {taken} times"
    return result


def apply(cluster: ControlPlane, manifests_to_apply: list[dict[str, Any]]) -> None:
    for item in manifests_to_apply:
        name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
        prefix = "/api/v1" if item["apiVersion"] == "v1" else f"/apis/{item['apiVersion']}"
        where = f"/namespaces/{namespace}" if namespace else ""
        collection = f"{prefix}{where}/{item['kind'].lower()}s"
        if cluster._exists(f"{collection}/{name}"):
            if item["kind"].endswith("Role"):
                cluster.request("PUT", f"{collection}/{name}", item)
        else:
            cluster.request("POST", collection, item)


class Trial:
    """Does with real code all that the autoscaler ever does, and notes what was forbidden."""

    def __init__(self, cluster: ControlPlane, client: KubeClient) -> None:
        self.cluster, self.client = cluster, client
        self.clock, self.number = ScaledClock(), next(NUMBERS)
        self.providers = make_providers(client, CONFIG, self.clock)
        self.failures: list[str] = []

    def run(self) -> list[str]:
        for step in (
            self.read_groups,
            self.observe,
            self.look_at_groups,
            self.lead,
            self.order,
            self.order,
            self.reboot,
            self.claim,
            self.reserve,
            self.place,
            self.remove,
            self.mark,
            self.say,
            self.obey,
            self.tell,
        ):
            try:
                step()
            except (ClusterAccessError, KubeError, ProviderError) as error:
                self.failures.append(f"{step.__name__}: {error}")
        return self.failures

    def read_groups(self) -> None:
        assert with_node_groups(CONFIG, self.client).pool("a").max_nodes == 7

    def observe(self) -> None:
        with ThreadPoolExecutor(len(WATCHED)) as pool:
            list(pool.map(self._watch, WATCHED))

    def look_at_groups(self) -> None:
        """Kinds that the cluster does not have are not found, which is no matter of rights."""
        for right in sorted(GROUP_RIGHTS, key=str):
            resource, _, part = right.resource.partition("/")
            path = f"/apis/{right.group}/v1/{resource}"
            try:
                if right.verb == "patch":
                    self.client.patch(f"{path}/x/{part}", {})
                else:
                    self.client.get(path, {"watch": "true", "timeoutSeconds": "1"} if right.verb == "watch" else None)
            except NotFoundError:
                continue
            except KubeError as error:
                self.failures.append(f"{right}: {error}")

    def obey(self) -> None:
        for name in (STATUS_CONFIG_MAP, CONFIG_MAP):
            self._watch(f"/api/v1/namespaces/{NAMESPACE}/configmaps", f"metadata.name={name}")

    def _watch(self, path: str, only: str = "") -> None:
        listing = Listing(self.client, path, only)
        list(listing)
        query = {"resourceVersion": listing.version, "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
        query |= {"fieldSelector": only} if only else {}
        for _ in self.client.watch(path, query, 5.0):
            break

    def lead(self) -> None:
        for identity in ("first", "second"):
            lock = LeaseLock(Noting(self.client, self.failures), CONFIG.leader_election, f"{identity}-{self.number}")
            assert lock.attempt() or self.failures
            assert lock.attempt() or self.failures
            lock.release()

    def order(self) -> None:
        scale_up = ScaleUp(self.client, CONFIG, self.clock, self.providers)
        known = [each.name for each in self.providers["a"].instances()]
        ordered = scale_up.order(CONFIG.pool("a"), 1, known)
        if ordered.error is not None:
            self.failures.append(f"order: {ordered.error}")

    def reboot(self) -> None:
        provider = self.providers["a"]
        assert isinstance(provider, Reboots)
        provider.reboot(provider.create(CONFIG.pool("a"), f"reboots-{self.number}"))

    def claim(self) -> None:
        provider, pool = self.providers["k"], CONFIG.pool("k")
        made = provider.create(pool, f"claim-{self.number}")
        assert provider.create(pool, made.name).uid == made.uid
        assert made.uid in [each.uid for each in provider.instances()]
        provider.delete(made)

    def reserve(self) -> None:
        provider = self.providers["r"]
        assert isinstance(provider, Reserves)
        provider.reserve(CONFIG.pool("r"), 1)
        provider.keep_only([])

    def place(self) -> None:
        gang = gated_gang(self.cluster, f"gang-{self.number}", pods=1, gpus_per_pod=1)
        self.failures.extend(refused.reason for refused in place(self.client, release_of(gang), 0.0).refused)

    def remove(self) -> None:
        name = f"old-{self.number}"
        # Without GPUs: the pod that was just placed must not come here and hold the node.
        self.cluster.create_gpu_node(name, gpus=0, labels={"autoscaler.green/pool": "a"})
        safe = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
        self.cluster.create_pod(f"web-{self.number}", gpus=0, annotations=safe, spec={"nodeName": name})
        view = NodeView(name=name, uid=self.cluster.node(name)["metadata"]["uid"], pool="a")
        notes: list[str] = []
        machine = RemovalMachine(
            self.client, CONFIG, self.clock, self.providers, lambda report: notes.append(report.reason)
        )
        machine.start([Removal("a", name, view, ("web",), "old")])
        self.cluster.wait_until(lambda: self._advanced(machine), "the removal ends")
        self.failures.extend(note for note in notes if "forbidden" in note)
        machine.recover()

    def _advanced(self, machine: RemovalMachine) -> bool:
        for name, pool in list(machine._under_way.items()):
            machine._advance(name, pool)  # `advance` would only log what is forbidden and try again
        return not machine.under_way

    def mark(self) -> None:
        name = f"old-{self.number}"
        if not self.cluster._exists(f"/api/v1/nodes/{name}"):
            self.cluster.create_gpu_node(name, gpus=0, labels={"autoscaler.green/pool": "a"})
        view = NodeView(name=name, uid=self.cluster.node(name)["metadata"]["uid"], pool="a")
        self.failures.extend(str(error) for error in write_soft_taints(self.client, [(view, True)], 1.0))

    def say(self) -> None:
        writer = StatusWriter(self.client, CONFIG, self.clock)
        view = ClusterView(now_seconds=0.0, pools=())
        writer.update(view, Allowed({}, (), (), (), GuardrailState()), GuardrailState())
        writer.flush()
        writer.restore()

    def tell(self) -> None:
        metrics = Metrics()
        lease = ObjectRef("Lease", ACCOUNT, NAMESPACE, "", "coordination.k8s.io/v1")
        for _ in range(2):  # the second process counts on
            recorder = EventRecorder(self.client, metrics, "trial", lease)
            recorder.event(ObjectRef("Node", f"old-{self.number}"), "Normal", "ScaleDown", "removed")
            recorder.close()
        if metrics.value(METRIC_ERRORS, "forbidden"):
            self.failures.append("tell: events is forbidden")


class Noting(KubeLeaseStore):
    """The Lease, with a note of what was forbidden: the lock itself only logs it and tries again."""

    def __init__(self, client: KubeClient, failures: list[str]) -> None:
        super().__init__(client, CONFIG.leader_election)
        self._failures = failures

    def _noted(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            self._failures.append(f"lead: {error}")
            raise

    def read(self, timeout_seconds: float) -> Any:
        return self._noted(super().read, timeout_seconds)

    def create(self, lease: Any, timeout_seconds: float) -> Any:
        return self._noted(super().create, lease, timeout_seconds)

    def replace(self, lease: Any, timeout_seconds: float) -> Any:
        return self._noted(super().replace, lease, timeout_seconds)


@pytest.fixture
def client(cluster: ControlPlane) -> Iterator[KubeClient]:
    """A client with the ServiceAccount's token; it has no rights yet, and nothing of its objects exists."""
    cluster.install_karpenter_crds()
    foreign.machine_deployment(cluster, "gpus", {ANNOTATION_GROUP_MAX: "7"})
    for name in (ORDERS_CONFIG_MAP, STATUS_CONFIG_MAP):
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"
        if cluster._exists(path):
            cluster.request("DELETE", path)
    # A trial that may not delete leaves them, and then the next one need not create them.
    cluster.request("DELETE", f"/apis/autoscaling.x-k8s.io/v1beta1/namespaces/{NAMESPACE}/capacitybuffers")
    cluster.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/podtemplates")
    made = connect(str(cluster.service_account_kubeconfig(ACCOUNT, NAMESPACE)))
    yield made
    made.close()


def problem(client: KubeClient) -> str:
    try:
        check_cluster(client, CONFIG)
    except ClusterAccessError as error:
        return str(error)
    return ""


def test_the_manifest_grants_exactly_the_rights_that_are_asked_for() -> None:
    granted: set[tuple[str, str, str, str, bool]] = set()
    for document in documents():
        if document["kind"] in ("Role", "ClusterRole"):
            namespaced = document["kind"] == "Role"
            granted |= {(*right, namespaced) for right in rights_of(document["rules"])}
    asked = {(right.group, right.resource, right.verb, right.name, right.namespaced) for right in RIGHTS}
    assert granted == asked


def test_every_role_is_bound_to_the_service_account_and_to_nobody_else() -> None:
    roles = {(each["kind"], each["metadata"]["name"]) for each in documents() if each["kind"].endswith("Role")}
    bound = set()
    for document in documents():
        if document["kind"].endswith("Binding"):
            bound.add((document["roleRef"]["kind"], document["roleRef"]["name"]))
            subjects = [(each["kind"], each["name"], each["namespace"]) for each in document["subjects"]]
            assert subjects == [("ServiceAccount", ACCOUNT, NAMESPACE)]
    assert bound == roles


def test_with_its_role_everything_works(cluster: ControlPlane, client: KubeClient) -> None:
    apply(cluster, documents())
    cluster.wait_until(lambda: problem(client) == "", "the roles are in force")
    assert Trial(cluster, client).run() == []


def test_without_any_role_nothing_works(cluster: ControlPlane, client: KubeClient) -> None:
    apply(cluster, [each for each in documents() if each["kind"] == "ServiceAccount"])
    empty = [{**each, "rules": []} for each in documents() if each["kind"].endswith("Role")]
    apply(cluster, empty)
    cluster.wait_until(lambda: problem(client).startswith("missing rights: list nodes"), "the roles are gone")


@pytest.mark.parametrize("part", ["list", "watch", "patch"])
def test_without_rights_on_groups_each_of_them_is_forbidden_and_the_check_names_it(
    cluster: ControlPlane, client: KubeClient, part: str
) -> None:
    missing = {str(right) for right in GROUP_RIGHTS if right.verb == part}
    less = deepcopy(documents())
    for rule in (rule for document in less for rule in document.get("rules", ())):
        if any(
            right.group == rule["apiGroups"][0] and right.resource == rule["resources"][0] for right in GROUP_RIGHTS
        ):
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != part]
    for document in less:
        if "rules" in document:
            document["rules"] = [rule for rule in document["rules"] if rule["verbs"]]
    apply(cluster, less)

    def named() -> set[str]:
        said = problem(client).removeprefix("missing rights: ").partition(";")[0]
        return set(said.split(", "))

    cluster.wait_until(lambda: named() == missing, f"the rights to {part} are gone")
    trial = Trial(cluster, client)
    trial.look_at_groups()
    assert {failure.partition(":")[0] for failure in trial.failures} == missing
    assert all("forbidden" in failure.lower() for failure in trial.failures)


@pytest.mark.parametrize(
    "right",
    [right for right in RIGHTS if right not in GROUP_RIGHTS],
    ids=lambda right: f"{right} {right.name}".strip(),
)
def test_without_any_one_right_something_fails_and_the_check_names_it(
    cluster: ControlPlane, client: KubeClient, right: Right
) -> None:
    apply(cluster, without(right))
    cluster.wait_until(lambda: problem(client).startswith(f"missing rights: {right};"), f"the right to {right} is gone")
    failures = Trial(cluster, client).run()
    assert any("forbidden" in failure.lower() for failure in failures), failures


def test_the_api_server_takes_the_example_deployment(cluster: ControlPlane) -> None:
    """With the strictest validation: an unknown field is an error. Nothing is created."""
    for item in yaml.safe_load_all((RBAC.parent / "deployment.yaml").read_text(encoding="utf-8")):
        group = "/api/v1" if item["apiVersion"] == "v1" else f"/apis/{item['apiVersion']}"
        path = f"{group}/namespaces/{NAMESPACE}/{item['kind'].lower()}s"
        cluster.request("POST", path, item, query={"dryRun": "All", "fieldValidation": "Strict"})
