"""A provider is one folder and one line: the toy beside this file works through the command line."""

import json
import logging
import threading
import time

import pytest
import yaml

from autoscaler.cli import main
from autoscaler.live import providers, registry
from autoscaler.live.config import LivePool
from autoscaler.live.constraints import Taint
from autoscaler.live.guardrails import Rule
from autoscaler.live.guardrails.protection import pod_hold
from autoscaler.live.kube import client as kube_client
from autoscaler.live.objects import NodeView, PodView
from autoscaler.live.view.nodes import is_usable
from tests.live import raw
from tests.live.fake_api import FakeApi
from tests.live.providers.toy import TOYS

TOY = {"name": "toys", "max_nodes": 3, "provider": "toy", "provider_settings": {"colour": "red", "shelf": "top"}}


class Cluster(FakeApi):
    """What `autoscaler deploy` asks for besides objects."""

    server = "fake"

    def __init__(self):
        super().__init__()
        self.collections |= {"toys"}
        self.objects |= {
            "/version": {"gitVersion": "v1.36.3"},
            "/apis/toys.example": {"versions": [{"groupVersion": "toys.example/v1"}]},
            "/apis/toys.example/v1": {"resources": [{"kind": "Toy"}]},
        }
        self.asked = []
        self.ended = threading.Event()

    def fenced(self, before_write, write_timeout_seconds):
        return self

    def request(self, method, path, *, body=None, **options):
        if path.endswith("/selfsubjectaccessreviews"):
            self.asked.append(body["spec"]["resourceAttributes"])
            return {"status": {"allowed": True}}
        return super().request(method, path, body=body, **options)

    def watch(self, path, params, read_timeout_seconds, on_open=lambda _: None):
        on_open(self.ended.set)
        self.ended.wait(30.0)
        yield from ()


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setitem(registry.PROVIDERS, "toy", "tests.live.providers.toy")
    made = Cluster()
    monkeypatch.setattr(kube_client, "connect", lambda *_: made)
    # The command line logs to the stderr of this test, which is closed after it.
    logger = logging.getLogger("autoscaler")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield made
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


def deploy(tmp_path, *arguments, pool=TOY):
    config = tmp_path / "live.yaml"
    lead = {"enabled": False}
    config.write_text(yaml.safe_dump({"pools": [pool], "leader_election": lead, "http": {"port": None}}))
    return main(["deploy", "--config", str(config), "--policy", "reactive", "--once", *arguments])


def toys(cluster):
    return [item for path, item in cluster.objects.items() if path.startswith(TOYS)]


def test_the_toy_is_ordered_for_a_waiting_pod(cluster, tmp_path):
    cluster.put("/api/v1/namespaces/default/pods/p", raw.pod("p"))
    assert deploy(tmp_path, "--no-dry-run") == 0
    (toy,) = toys(cluster)
    assert toy["spec"] == {"colour": "red"}
    assert {"group": "toys.example", "resource": "toys", "subresource": "", "verb": "create"} in cluster.asked


def test_what_it_watches_counts_as_ordered(cluster, tmp_path):
    cluster.put("/api/v1/namespaces/default/pods/p", raw.pod("p"))
    metadata = raw.metadata("mine", time.time(), labels={"autoscaler.green/pool": "toys"})
    cluster.put(f"{TOYS}/mine", {"metadata": metadata})
    assert deploy(tmp_path, "--no-dry-run") == 0
    assert [toy["metadata"]["name"] for toy in toys(cluster)] == ["mine"]


def test_its_label_says_that_a_node_is_of_its_pool(cluster, tmp_path):
    node = raw.node("n", pool=None)
    node["metadata"]["labels"] = {"toys.example/shelf": "top"}
    cluster.put("/api/v1/nodes/n", node)
    audit = tmp_path / "audit.jsonl"
    assert deploy(tmp_path, "--audit", str(audit)) == 0
    (verdicts,) = [line for line in map(json.loads, audit.read_text().splitlines()) if line["kind"] == "verdicts"]
    ((_, row),) = verdicts["judged_by"]["pools"][0]["nodes"]["rows"]
    assert row["name"] == "n"
    assert main(["replay", str(audit)]) == 0


def test_its_check_ends_the_start_in_one_line(cluster, tmp_path, capsys):
    del cluster.objects["/apis/toys.example"]
    assert deploy(tmp_path) == 2
    assert capsys.readouterr().err == "error: pool toys: the cluster has no CRD for Toys; install toys\n"


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ({**TOY, "provider": "toi"}, "provider is 'toi'; did you mean 'toy'?"),
        ({**TOY, "provider_settings": {"color": "red"}}, "unknown key 'color'; did you mean 'colour'?"),
        ({**TOY, "provider_settings": {}}, "the key 'colour' is required"),
    ],
)
def test_a_mistake_in_its_section_is_one_line_with_the_file(cluster, tmp_path, capsys, pool, message):
    assert deploy(tmp_path, pool=pool) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.startswith(f"error: {tmp_path / 'live.yaml'}:")
    assert line.count("\n") == 1


def test_its_taints_and_annotations_are_known(cluster):
    wrapped = Taint("toys.example/wrapped")
    node = NodeView(name="n", uid="n", ready=True, allocatable_gpu_milli=8000)
    assert is_usable(node)
    assert not is_usable(NodeView(name="n", uid="n", ready=True, allocatable_gpu_milli=8000, taints=(wrapped,)))
    assert "toys.example/broken" in providers.removal_taints()
    pod = PodView(name="p", uid="p", annotations={"toys.example/hands-off": "true"})
    hold = pod_hold(pod, (), raw.config(LivePool("a", 1)).guardrails.protection)
    assert hold is not None
    assert hold.rule is Rule.DO_NOT_DISRUPT
