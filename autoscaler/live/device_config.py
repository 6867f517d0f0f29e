"""Settings that describe the devices of a pool's nodes, so that it can grow from zero for device claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from configs.checks import check_number
from configs.errors import UserError


class DeviceConfigError(UserError, ValueError):
    """Devices of a pool that have no meaning."""


_check = partial(check_number, error=DeviceConfigError)


@dataclass(frozen=True, slots=True)
class DevicePart:
    """A part of a device that can be claimed by itself, such as a MIG slice.

    Attributes:
        count: how many such parts the driver publishes of one device.
        consumes: what one takes of the device's counters.
        attributes: as in a ResourceSlice, or plain values; a name without a domain is of the driver's.
        capacity: quantities by name.
    """

    count: int = 1
    consumes: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            DeviceConfigError: as above.
        """
        _check("devices.parts.count", self.count, low=1)


@dataclass(frozen=True, slots=True)
class DeviceTemplate:
    """Devices of one kind that each node of a pool has, as their driver will publish them.

    Attributes:
        driver: name of the driver.
        count: how many a node has.
        gpu_milli: thousandths of a GPU that one is; 0: it is no GPU, such as a network card.
        attributes: as in a ResourceSlice, or plain values; a name without a domain is of the driver's.
        capacity: quantities by name.
        classes: DeviceClasses that it belongs to besides those whose selectors match what is described here.
        counters: shared counters of one device, where it can be divided; the whole device consumes all of them.
        parts: what it can be divided into.
    """

    driver: str
    count: int = 8
    gpu_milli: int = 1000
    attributes: Mapping[str, Any] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    counters: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[DevicePart, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            DeviceConfigError: no driver, a number out of range, or a part of a counter that there is not.
        """
        if not self.driver:
            raise DeviceConfigError("devices.driver is empty; give the name of the driver, such as gpu.nvidia.com")
        _check("devices.count", self.count, low=1)
        _check("devices.gpu_milli", self.gpu_milli, low=0, high=1000)
        for part in self.parts:
            unknown = sorted(set(part.consumes) - set(self.counters))
            if unknown or not part.consumes:
                known = ", ".join(self.counters) or "none"
                what = f"the counter {unknown[0]!r}" if unknown else "no counter"
                raise DeviceConfigError(f"devices of {self.driver}: a part consumes {what}; its counters are {known}")
