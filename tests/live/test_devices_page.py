"""The examples of docs/devices.md work."""

import re
from pathlib import Path
from typing import Any

import yaml

from autoscaler.live.config import LiveConfig
from autoscaler.live.view.devices import template_stock
from configs.loader import build_config
from tests.live import dra, raw
from tests.live.view.test_claims import DeviceWorld

PAGE = Path(__file__).resolve().parents[2] / "docs" / "devices.md"


def examples() -> list[Any]:
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)]


def test_the_pool_of_the_page_serves_the_claim_of_the_page() -> None:
    settings, template, _ = examples()
    (pool,) = build_config(settings, LiveConfig, "docs/devices.md").pools
    template["metadata"] = raw.metadata(template["metadata"]["name"], namespace="default")
    world = DeviceWorld(pool, classes=[dra.device_class("gpu.nvidia.com", 'device.driver == "gpu.nvidia.com"')])
    view = world.has(pods=[dra.pod("p", dra.of_template("eight-gpus"))], templates=[template])
    assert [(gang.allowed_pools, gang.pending_gpu_milli) for gang in view.queue] == [(("gpu",), 8000)]


def test_the_parts_of_the_page_are_as_large_as_it_says() -> None:
    settings, _, parts = examples()
    settings["pools"][0]["devices"] = parts["devices"]
    (pool,) = build_config(settings, LiveConfig, "docs/devices.md").pools
    sizes = [device.gpu_milli for device in template_stock(pool.devices).devices]
    assert sizes == [1000, *[142] * 7, *[500] * 2] * 8
