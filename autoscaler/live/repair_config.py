"""Settings of the repair of broken nodes. Times are clock seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from configs.checks import check_number
from configs.errors import UserError


class RepairConfigError(UserError, ValueError):
    """Settings of the repair that have no meaning."""


_check = partial(check_number, error=RepairConfigError)

STATUSES = ("True", "False", "Unknown")


@dataclass(frozen=True, slots=True)
class UnhealthyCondition:
    """A condition of a Node that says that it is broken.

    Attributes:
        type: type of the condition; `*` stands for anything: `Gpu*Watch`.
        status: the status that says so: `True`, `False` or `Unknown`.
        toleration_seconds: how long the node may be unwell, by whatever condition, before this one has it repaired.
    """

    type: str
    status: str = "True"
    toleration_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            RepairConfigError: an empty type, an unknown status or a negative time.
        """
        if not self.type:
            raise RepairConfigError(
                "repair.conditions: type is empty; name a condition of a Node such as KernelDeadlock"
            )
        if self.status not in STATUSES:
            raise RepairConfigError(
                f"repair.conditions: status of {self.type} is {self.status!r}; write {', '.join(STATUSES[:-1])} or "
                f"{STATUSES[-1]}"
            )
        _check(f"repair.conditions: toleration_seconds of {self.type}", self.toleration_seconds, low=0.0)


SLOWLY = 1800.0

DEFAULT_CONDITIONS: tuple[UnhealthyCondition, ...] = (
    # Kubernetes; times as in Karpenter's policies for EKS.
    UnhealthyCondition("Ready", "False", SLOWLY),
    UnhealthyCondition("Ready", "Unknown", SLOWLY),
    # node-problem-detector, as it comes and as AKS runs it.
    UnhealthyCondition("KernelDeadlock"),
    UnhealthyCondition("ReadonlyFilesystem"),
    UnhealthyCondition("FilesystemCorruptionProblem"),
    UnhealthyCondition("KubeletProblem", "True", SLOWLY),
    UnhealthyCondition("ContainerRuntimeProblem", "True", SLOWLY),
    UnhealthyCondition("GPUMissing"),
    UnhealthyCondition("XIDErrors"),
    UnhealthyCondition("NVLinkStatusInactive"),
    UnhealthyCondition("UnhealthyNvidiaDevicePlugin", "True", SLOWLY),
    # NVSentinel: what DCGM watches, and what stands in the system log.
    UnhealthyCondition("Gpu*Watch"),
    UnhealthyCondition("SysLogs*Error"),
    UnhealthyCondition("SysLogsGPUFallenOff"),
    # The monitoring agent of EKS.
    UnhealthyCondition("AcceleratedHardwareReady", "False"),
    UnhealthyCondition("ContainerRuntimeReady", "False", SLOWLY),
    UnhealthyCondition("KernelReady", "False", SLOWLY),
    UnhealthyCondition("NetworkingReady", "False", SLOWLY),
    UnhealthyCondition("StorageReady", "False", SLOWLY),
)
"""What the usual detectors say of a broken node.

Sources:
    https://github.com/kubernetes/node-problem-detector
    https://learn.microsoft.com/azure/aks/node-problem-detector
    https://docs.nvidia.com/nvsentinel/getting-started/integrations
    https://docs.aws.amazon.com/eks/latest/userguide/node-repair.html
"""


@dataclass(frozen=True, slots=True)
class RebootRequest:
    """An object that asks another controller to reboot a node; the defaults are those of NVSentinel's Janitor.

    Attributes:
        api_version: its API group and version.
        kind: its kind.
        plural: its plural name, as in its address.
        namespace: where it is created; empty: the kind is cluster-wide.
        node_field: the field of its `spec` that names the node.
        spec: other fields of its `spec`, as text.

    Source:
        https://docs.nvidia.com/nvsentinel (Janitor: RebootNode)
    """

    api_version: str = "janitor.dgxc.nvidia.com/v1alpha1"
    kind: str = "RebootNode"
    plural: str = "rebootnodes"
    namespace: str = ""
    node_field: str = "nodeName"
    spec: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            RepairConfigError: an empty name, or an API version without a group.
        """
        group, slash, version = self.api_version.partition("/")
        if not (group and slash and version) or "/" in version:
            raise RepairConfigError(
                f"repair.reboot_request: api_version is {self.api_version!r}; write GROUP/VERSION, such as "
                "janitor.dgxc.nvidia.com/v1alpha1"
            )
        for name in ("kind", "plural", "node_field"):
            if not getattr(self, name):
                raise RepairConfigError(f"repair.reboot_request: {name} is empty; leave it out for that of NVSentinel")
        if self.node_field in self.spec:
            raise RepairConfigError(
                f"repair.reboot_request: spec sets {self.node_field!r}, which is to name the node; take it out of spec"
            )

    @property
    def group(self) -> str:
        """Its API group."""
        return self.api_version.partition("/")[0]

    @property
    def path(self) -> str:
        """Where such objects are created."""
        where = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"/apis/{self.api_version}{where}/{self.plural}"


@dataclass(frozen=True, slots=True)
class Repair:
    """How broken nodes of a pool are repaired.

    Attributes:
        enabled: whether they are.
        conditions: what says that a node is broken; the default knows node-problem-detector, NVSentinel (DCGM) and the
            monitoring agent of EKS.
        healthy_seconds: a node that was unwell must be without any of them for so long before its clock starts anew.
        reboot: reboot a node before it is replaced, where its provider or a `reboot_request` can.
        reboot_request: an object that is created to have a node rebooted; None: the provider reboots it.
        reboot_seconds: a node that was rebooted gets so long to become well.
        max_share: most nodes of the pool under repair at a time, rounded up. Karpenter: 20 %.
        evict_accelerator_pods: also repair nodes on which pods use GPUs or other accelerators.
    """

    enabled: bool = False
    conditions: tuple[UnhealthyCondition, ...] = DEFAULT_CONDITIONS
    healthy_seconds: float = 300.0
    reboot: bool = True
    reboot_request: RebootRequest | None = None
    reboot_seconds: float = 900.0
    max_share: float = 0.2
    evict_accelerator_pods: bool = False

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            RepairConfigError: a time or a share is out of range.
        """
        _check("repair.healthy_seconds", self.healthy_seconds, low=0.0)
        _check("repair.reboot_seconds", self.reboot_seconds, low=0.0)
        _check("repair.max_share", self.max_share, low=0.0, high=1.0)
