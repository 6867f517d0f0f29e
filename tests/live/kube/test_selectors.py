"""CEL selectors of devices mean what Kubernetes means."""

import pytest

from autoscaler.live.kube.devices import device_kind
from autoscaler.live.kube.selectors import SelectorError, selects

DRIVER = "gpu.example.com"
KIND = device_kind(
    DRIVER,
    {
        "model": {"string": "A100"},
        "version": {"version": "1.10.0"},
        "other.example.com/lanes": {"int": 16},
        "ecc": True,
    },
    {"memory": "80Gi"},
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f'device.driver == "{DRIVER}"', True),
        (f'device.attributes["{DRIVER}"].model == "H100"', False),
        (f'device.attributes["{DRIVER}"].ecc', True),
        ('device.attributes["other.example.com"].lanes >= 8', True),
        (f'device.attributes["{DRIVER}"].version.compareTo(semver("1.9.0")) > 0', True),
        (f'device.attributes["{DRIVER}"].version.isLessThan(semver("1.10.0-rc.2"))', False),
        ('semver("1.10.0-rc.2").isLessThan(semver("1.10.0-rc.10"))', True),
        ('semver("1.2.3").minor() == 2', True),
        (f'device.capacity["{DRIVER}"].memory.compareTo(quantity("80Gi")) == 0', True),
        (f'device.capacity["{DRIVER}"].memory.isGreaterThan(quantity("80G"))', True),
        (f'device.capacity["{DRIVER}"].memory == quantity("81920Mi")', True),
        ('has(device.attributes["unknown.example.com"].model)', False),
        ('device.attributes["unknown.example.com"].?model.orValue("") == ""', True),
        (f'cel.bind(gpu, device.attributes["{DRIVER}"], gpu.model.startsWith("A") && gpu.ecc)', True),
        (f'device.attributes["{DRIVER}"].model.lowerAscii() in ["a100", "h100"]', True),
    ],
)
def test_an_expression_selects(expression: str, expected: bool) -> None:
    assert selects(expression, KIND) is expected


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        (f'device.attributes["{DRIVER}"].colour == "red"', "colour"),
        ("device.driver", "no boolean"),
        ("device.driver ==", "Syntax error"),
        ("unknown(device)", "unknown"),
        ('quantity("much") == quantity("1")', "no quantity"),
        ('semver("new") == semver("1.0.0")', "no semantic version"),
    ],
)
def test_what_cannot_be_evaluated_says_why(expression: str, problem: str) -> None:
    with pytest.raises(SelectorError, match=problem):
        selects(expression, KIND)
