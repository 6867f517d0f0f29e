"""The shipped manifests: the loader takes the config of the example, and nothing points at a registry."""

from pathlib import Path

import pytest
import yaml

from autoscaler.live.config import LiveConfig
from configs.loader import build_config

DEPLOY = Path(__file__).parents[2] / "deploy"


def documents(name):
    return [each for each in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")) if each]


@pytest.fixture
def deployment():
    return next(each for each in documents("deployment.yaml") if each["kind"] == "Deployment")


def test_the_config_of_the_example_is_valid():
    config_map = next(each for each in documents("deployment.yaml") if each["kind"] == "ConfigMap")
    config = build_config(yaml.safe_load(config_map["data"]["live.yaml"]), LiveConfig)
    assert config.http.host == "0.0.0.0", "probes come from outside the pod"


def test_the_example_runs_under_the_shipped_service_account(deployment):
    account = next(each for each in documents("rbac.yaml") if each["kind"] == "ServiceAccount")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert deployment["metadata"]["namespace"] == account["metadata"]["namespace"]


def test_the_example_asks_for_no_privilege(deployment):
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_the_image_is_a_placeholder_of_no_registry(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "/" not in container["image"]


def test_the_example_never_sits_on_a_node_that_it_removes(deployment):
    affinity = deployment["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "autoscaler.green/pool", "operator": "DoesNotExist"}]
