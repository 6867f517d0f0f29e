"""The few calls of the API server that acting makes, with its answers as observed on a real one.

Only for tests that kill a process after each single write; whether the real server answers like this is what
`tests/cluster` shows.
"""

import copy
import itertools

from autoscaler.live.kube.client import (
    ConflictError,
    InvalidError,
    KubeClient,
    NotFoundError,
    TooManyRequestsError,
    UnreachableError,
)


class KilledError(BaseException):
    """The process died here."""


def killed():
    raise KilledError


class FakeApi(KubeClient):
    """Objects by path.

    Attributes:
        objects: every object by its path.
        writes: method and path of every write that took effect.
        before: called with method and path before each write.
        after: called with method and path after each write took effect, before its answer.
        collections: plural names of what can be listed.
        terminates: evicted pods go at once; else they stay with a deletionTimestamp.
    """

    def __init__(self):
        super().__init__(None)
        self.objects = {}
        self.writes = []
        self.before = lambda method, path: None
        self.after = lambda method, path: None
        self.terminates = True
        self.collections = {
            "nodes",
            "pods",
            "jobs",
            "poddisruptionbudgets",
            "daemonsets",
            "resourcequotas",
            "nodeclaims",
            "configmaps",
        }
        self._versions = itertools.count(1)

    def put(self, path, body):
        """Store an object as the server would."""
        item = copy.deepcopy(body)
        metadata = item.setdefault("metadata", {})
        metadata.setdefault("name", path.rsplit("/", 1)[1])
        metadata.setdefault("uid", f"uid-{metadata['name']}-{next(self._versions)}")
        metadata.setdefault("creationTimestamp", "1970-01-02T00:00:00Z")
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[path] = item
        return copy.deepcopy(item)

    def request(self, method, path, *, params=None, body=None, content_type="", timeout_seconds=None):
        if method == "GET":
            return self._get(path, params or {})
        self.before(method, path)
        answer = self._write(method, path, copy.deepcopy(body), content_type)
        self.writes.append((method, path))
        self.after(method, path)
        return answer

    def _get(self, path, params):
        if path in self.objects:
            return copy.deepcopy(self.objects[path])
        if path.rsplit("/", 1)[1] not in self.collections:
            raise NotFoundError(404, "NotFound", f"404 {path}")
        plural = path.rsplit("/", 1)[1]
        items = [item for key, item in self.objects.items() if key.rsplit("/", 2)[1] == plural]
        label = params.get("labelSelector")
        if label is not None:
            key, _, value = label.partition("=")
            found = [(item, (item["metadata"].get("labels") or {}).get(key)) for item in items]
            items = [item for item, has in found if (has == value if value else has is not None)]
        field = params.get("fieldSelector")
        if field is not None and field.startswith("metadata.name="):
            items = [item for item in items if item["metadata"]["name"] == field.removeprefix("metadata.name=")]
        elif field is not None:
            node = field.removeprefix("spec.nodeName=")
            items = [item for item in items if item["spec"].get("nodeName") == node]
        return {"items": copy.deepcopy(items)}

    def _write(self, method, path, body, content_type):
        if method == "POST":
            return self._evict(path, body) if path.endswith("/eviction") else self._create(path, body)
        if path not in self.objects:
            raise NotFoundError(404, "NotFound", f"404 {path}")
        if method == "DELETE":
            self._check_uid(path, ((body or {}).get("preconditions") or {}).get("uid"))
            del self.objects[path]
            return {}
        return self._patch(path, body, content_type)

    def _create(self, collection, body):
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.objects:
            raise ConflictError(409, "AlreadyExists", f"409 {path} exists")
        return self.put(path, body)

    def _check_uid(self, path, uid):
        if uid is not None and uid != self.objects[path]["metadata"]["uid"]:
            raise ConflictError(409, "Conflict", "409 the uid does not match")

    def _patch(self, path, body, content_type):
        item = self.objects[path]
        metadata = body.get("metadata", {})
        self._check_uid(path, metadata.get("uid"))
        if metadata.get("resourceVersion") not in (None, item["metadata"]["resourceVersion"]):
            raise ConflictError(409, "Conflict", "409 changed in between")
        metadata.pop("resourceVersion", None)
        if "strategic" in content_type:
            self._check_placement(item, body)
            removed = [gate["name"] for gate in body["spec"].pop("schedulingGates")]
            gates = item["spec"].get("schedulingGates", [])
            item["spec"]["schedulingGates"] = [gate for gate in gates if gate["name"] not in removed]
        _merge(item, body)
        return self.put(path, item)

    def _check_placement(self, pod, body):
        before = pod["spec"].get("nodeSelector", {})
        changes = any(before.get(key) != value for key, value in body["spec"]["nodeSelector"].items())
        overwrites = any(key in before and before[key] != value for key, value in body["spec"]["nodeSelector"].items())
        if changes and (overwrites or not pod["spec"].get("schedulingGates")):
            raise InvalidError(422, "Invalid", "422 nodeSelector: field is immutable")

    def _evict(self, path, body):
        path = path.removesuffix("/eviction")
        if path not in self.objects:
            raise NotFoundError(404, "NotFound", f"404 {path}")
        self._check_uid(path, body["deleteOptions"]["preconditions"]["uid"])
        pod = self.objects[path]
        budgets = [
            item
            for key, item in self.objects.items()
            if "/poddisruptionbudgets/" in key
            and item["spec"]["selector"]["matchLabels"].items() <= pod["metadata"].get("labels", {}).items()
        ]
        if len(budgets) > 1:
            raise UnreachableError(500, "", "500 This pod has more than one PodDisruptionBudget")
        if budgets and budgets[0]["status"]["disruptionsAllowed"] < 1:
            raise TooManyRequestsError(429, "TooManyRequests", "429 Cannot evict pod as it would violate the budget")
        if self.terminates:
            del self.objects[path]
        else:
            pod["metadata"]["deletionTimestamp"] = "1970-01-02T00:00:00Z"
        return {}


def _merge(item, patch):
    for key, value in patch.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict):
            _merge(item.setdefault(key, {}), value)
        else:
            item[key] = value


POOL = "autoscaler.green/pool"
TAINT = "ToBeDeletedByClusterAutoscaler"
STEP = "autoscaler.green/removal-step"


def raw_node(name, pool="a", **spec):
    return {
        "metadata": {"name": name, "labels": {POOL: pool}, "annotations": {}},
        "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"nvidia.com/gpu": "8", "cpu": "96", "pods": "110"},
        },
    }


def raw_pod(name, node=None, *, owner="ReplicaSet", labels=None, annotations=None, gpus=0, gates=(), **metadata):
    owners = [{"kind": owner, "name": "o", "uid": "o", "apiVersion": "apps/v1", "controller": True}] if owner else []
    requests = {"cpu": "1", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    spec = {"containers": [{"name": "c", "resources": {"requests": requests}}]}
    if node:
        spec["nodeName"] = node
    if gates:
        spec["schedulingGates"] = [{"name": gate} for gate in gates]
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": labels or {},
            "annotations": annotations or {},
            "ownerReferences": owners,
            **metadata,
        },
        "spec": spec,
        "status": {"phase": "Running" if node else "Pending"},
    }


def raw_pdb(name, allowed, **labels):
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


NODE = "/api/v1/nodes/{}".format
POD = "/api/v1/namespaces/default/pods/{}".format
PDB = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/{}".format
