"""Every name that the live autoscaler gives to Kubernetes or reads from it, with one line on what it means.

The names of a provider are in its own `names.py`. `docs/live-reference.md` and `docs/operate.md`
list all of them, and a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DOMAIN: Final = "autoscaler.green"
"""Prefix of our labels, annotations and gates."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name and its meaning, as the documentation shows it.

    Attributes:
        kind: `label`, `annotation`, `gate`, `taint`, `resource`, `admission check`, `object`, `event` or `metric`.
        value: the name itself.
        meaning: one line.
        labels: label names of a metric.
        metric_type: `counter`, `gauge` or `histogram` for a metric, else empty.
    """

    kind: str
    value: str
    meaning: str
    labels: tuple[str, ...] = ()
    metric_type: str = ""


class NameTable:
    """Collects names in the order of their definition; a provider has one of its own."""

    def __init__(self) -> None:
        self._names: list[Name] = []

    def add(self, kind: str, value: str, meaning: str, labels: tuple[str, ...] = (), metric_type: str = "") -> str:
        """Add a name, see `Name`, and return its value."""
        self._names.append(Name(kind, value, meaning, labels, metric_type))
        return value

    def all(self) -> tuple[Name, ...]:
        """All names so far."""
        return tuple(self._names)


_table = NameTable()
_name = _table.add


def _metric(metric_type: str, stem: str, meaning: str, *labels: str) -> str:
    return _name("metric", f"green_autoscaler_{stem}", meaning, labels, metric_type)


# Labels.
LABEL_POOL: Final = _name("label", f"{DOMAIN}/pool", "Node, machine: the pool of the config that it belongs to.")
LABEL_GPU_PRODUCT: Final = _name("label", "nvidia.com/gpu.product", "Node: GPU model; a pool's `gpu_type`.")
LABEL_HOSTNAME: Final = _name("label", "kubernetes.io/hostname", "Node: its host name.")
LABEL_JOB_UID: Final = _name("label", "batch.kubernetes.io/controller-uid", "Pod: uid of the Job that made it.")

# Gates.
GATE_PLACEMENT: Final = _name(
    "gate",
    f"{DOMAIN}/placement",
    "Pod: waits for us to choose its pool; the same patch selects it and removes the gate.",
)

# Taints.
TAINT_TO_BE_DELETED: Final = _name(
    "taint", "ToBeDeletedByClusterAutoscaler", "Node, NoSchedule: is being removed; the value is unix seconds."
)
TAINT_CANDIDATE: Final = _name(
    "taint",
    "DeletionCandidateOfClusterAutoscaler",
    "Node, PreferNoSchedule: is idle and may be removed soon; the value is unix seconds.",
)
TAINT_REPAIR: Final = _name(
    "taint", f"{DOMAIN}/repair", "Node, NoSchedule: is being repaired; goes once it has been well for long enough."
)
TAINT_NOT_READY: Final = _name("taint", "node.kubernetes.io/not-ready", "Node: Kubernetes' own, while it is not ready.")
TAINT_UNREACHABLE: Final = _name("taint", "node.kubernetes.io/unreachable", "Node: Kubernetes' own, heartbeat lost.")
TAINT_UNINITIALIZED: Final = _name(
    "taint", "node.cloudprovider.kubernetes.io/uninitialized", "Node: its cloud has not finished starting it."
)

# Annotations that we write.
ANNOTATION_IDLE_SINCE: Final = _name(
    "annotation",
    f"{DOMAIN}/idle-since",
    "Node, written by us: unix seconds at which its last GPU pod left, so that a restart keeps idle ages.",
)
ANNOTATION_ORDERED_AT: Final = _name(
    "annotation",
    f"{DOMAIN}/ordered-at",
    "Node, machine, written by us: unix seconds of the order.",
)
ANNOTATION_LEASE: Final = _name(
    "annotation",
    f"{DOMAIN}/lease",
    "CapacityBuffer, PodTemplate, written by us: name of the Lease of the autoscaler that it belongs to.",
)
ANNOTATION_REMOVAL_STEP: Final = _name(
    "annotation", f"{DOMAIN}/removal-step", "Node, written by us: how far its removal got, for a restart."
)
ANNOTATION_UNWELL_SINCE: Final = _name(
    "annotation",
    f"{DOMAIN}/unwell-since",
    "Node, written by us: unix seconds since which a node under repair is unwell.",
)
ANNOTATION_REBOOTED_AT: Final = _name(
    "annotation", f"{DOMAIN}/rebooted-at", "Node, written by us: unix seconds at which it was rebooted to repair it."
)
ANNOTATION_PLACED_AT: Final = _name(
    "annotation", f"{DOMAIN}/placed-at", "Pod, written by us: unix seconds at which its gate was removed."
)

ANNOTATION_SUSPENDED_AT: Final = _name(
    "annotation",
    f"{DOMAIN}/suspended-at",
    "Job, JobSet or Kubeflow job, written by us: unix seconds at which we suspended it. Without it we never resume it.",
)
ANNOTATION_SUSPENDED_BY: Final = _name(
    "annotation", f"{DOMAIN}/suspended-by", "The same: `policy` or `grid-event`, who suspended it."
)
ANNOTATION_SUSPENDED_IN: Final = _name(
    "annotation", f"{DOMAIN}/suspended-in", "The same: the pool in which it ran, whose lever lets it go on."
)
ANNOTATION_RESUME_BY: Final = _name(
    "annotation",
    f"{DOMAIN}/resume-by",
    "The same, where the policy suspended it: unix seconds at which it goes on, whatever policy decides by then.",
)
ANNOTATION_SUSPENDED_SECONDS: Final = _name(
    "annotation",
    f"{DOMAIN}/suspended-seconds",
    "Job, JobSet or Kubeflow job, written by us: for how long it was suspended before, in all.",
)
ANNOTATION_RAN_SECONDS: Final = _name(
    "annotation", f"{DOMAIN}/ran-seconds", "The same: for how long it had run when it was last suspended."
)

# Annotations that users set and we obey.
ANNOTATION_PAUSED: Final = _name(
    "annotation",
    f"{DOMAIN}/paused",
    'Status ConfigMap: "true" pauses everything, names of pools (`a,b`) pause those.',
)
ANNOTATION_PREDICTED_SECONDS: Final = _name(
    "annotation", f"{DOMAIN}/predicted-seconds", "Pod: seconds that its job is expected to run; the policy sees it."
)
ANNOTATION_LATEST_START: Final = _name(
    "annotation",
    f"{DOMAIN}/latest-start",
    "Pod: unix seconds until which the policy may hold its job back, and no longer; more than its submission.",
)
ANNOTATION_DEADLINE: Final = _name(
    "annotation",
    f"{DOMAIN}/deadline",
    "Pod: unix seconds by which its job is to end; the policy suspends it only as far as it still does.",
)
ANNOTATION_DATA_GB: Final = _name(
    "annotation", f"{DOMAIN}/data-gb", "Pod: GB of data that its job reads; a pool in another region has to get them."
)
ANNOTATION_DATA_REGION: Final = _name(
    "annotation", f"{DOMAIN}/data-region", "Pod: the region of `signals.regions` where these data are."
)
ANNOTATION_SAFE_TO_EVICT: Final = _name(
    "annotation", "cluster-autoscaler.kubernetes.io/safe-to-evict", 'Pod: "false" protects it from eviction.'
)
ANNOTATION_SAFE_LOCAL_VOLUMES: Final = _name(
    "annotation",
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
    "Pod: comma-separated local volumes that do not protect it.",
)
ANNOTATION_SCALE_DOWN_DISABLED: Final = _name(
    "annotation", "cluster-autoscaler.kubernetes.io/scale-down-disabled", 'Node: "true" keeps it.'
)
ANNOTATION_CHECKPOINTABLE: Final = _name(
    "annotation",
    f"{DOMAIN}/checkpointable",
    'Pod of a Job: "true" lets consolidation evict it: the Job goes on from its checkpoint.',
)
ANNOTATION_FLEXIBILITY: Final = _name(
    "annotation",
    f"{DOMAIN}/flexibility",
    'Pod of a Job: "3" lets a grid event or the policy suspend it, with `checkpointable`; "0" to "2" say that it may '
    "not.",
)
ANNOTATION_MIRROR_POD: Final = _name(
    "annotation", "kubernetes.io/config.mirror", "Pod: a mirror of a static pod; it neither counts nor holds a node."
)

ANNOTATION_CONSUME_REQUEST: Final = _name(
    "annotation",
    "autoscaling.x-k8s.io/consume-provisioning-request",
    "Pod: it waits for a ProvisioningRequest, which is not served; the pod is left alone.",
)
ANNOTATION_CONSUME_REQUEST_OLD: Final = _name(
    "annotation", "cluster-autoscaler.kubernetes.io/consume-provisioning-request", "Pod: the older name of the same."
)

# Resources.
RESOURCE_NVIDIA_GPU: Final = _name("resource", "nvidia.com/gpu", "Default `gpu_resource` of a pool.")

RESOURCE_GPUS: Final = _name(
    "resource",
    f"{DOMAIN}/all-gpus",
    "In views only: GPUs of all resources and devices of a node, or of a pod, together.",
)

RESOURCE_CLAIMS: Final = _name(
    "resource",
    f"{DOMAIN}/claims",
    "In views only, with a suffix for each different set of device claims: pods with such claims that a node holds.",
)

# Admission checks of Kueue.
CHECK_CONTROLLER: Final = _name(
    "admission check",
    f"{DOMAIN}/nodes",
    "AdmissionCheck of Kueue, `spec.controllerName`: is Ready for a Workload once all of its nodes are there.",
)

# Objects.
FIELD_MANAGER: Final = _name("object", "green-autoscaler", "Field manager of our writes, and reporter of our Events.")
LEASE_NAME: Final = _name("object", "green-autoscaler", "Lease by which one replica leads.")
ORDERS_CONFIG_MAP: Final = _name(
    "object", "green-autoscaler-orders", "ConfigMap beside the Lease: number of the next order of each pool."
)
STATUS_CONFIG_MAP: Final = _name(
    "object",
    "green-autoscaler-status",
    "ConfigMap beside the Lease: health, pools and activity, in the shape of `cluster-autoscaler-status`.",
)

SIGNALS_CONFIG_MAP: Final = _name(
    "object",
    "green-autoscaler-signals",
    "ConfigMap beside the Lease, written by others: carbon intensity and prices for the source `configmap`.",
)
CONFIG_MAP: Final = _name(
    "object", "green-autoscaler-config", "ConfigMap beside the Lease: its key `paused` is the kill switch; see below."
)
KEY_PAUSED: Final = "paused"
"""Key of that ConfigMap; its value is that of the annotation `paused`."""

# Events: reasons that users of Cluster Autoscaler know.
EVENT_TRIGGERED_SCALE_UP: Final = _name(
    "event", "TriggeredScaleUp", "Job or pod: nodes were ordered while it waited; says where."
)
EVENT_NOT_TRIGGER_SCALE_UP: Final = _name(
    "event", "NotTriggerScaleUp", "Job or pod: no pool can or may grow for it; says why."
)
EVENT_WAITING_FOR_NODES: Final = _name(
    "event", "WaitingForNodes", "Job or pod: nodes that it waits for are booting; says how many, and until when."
)
EVENT_PLACED: Final = _name("event", "Placed", "Job or pod: its gates were removed; says for which pool.")
EVENT_SCALED_UP: Final = _name("event", "ScaledUpGroup", "Node: it was ordered; says for which pool.")
EVENT_FAILED_TO_SCALE_UP: Final = _name(
    "event", "FailedToScaleUpGroup", "Lease: an order failed; says of which pool, and why."
)
EVENT_SCALE_DOWN: Final = _name("event", "ScaleDown", "Node: its removal began, or it was removed.")
EVENT_SCALE_DOWN_FAILED: Final = _name("event", "ScaleDownFailed", "Node: a removal was undone; says why.")
EVENT_CONSOLIDATED: Final = _name(
    "event", "Consolidated", "Node: its jobs are being moved off it, or were; Job: a pod of it was evicted for that."
)
EVENT_CONSOLIDATION_FAILED: Final = _name("event", "ConsolidationFailed", "Node: its jobs stay; says why.")
EVENT_REPAIR: Final = _name("event", "NodeRepair", "Node: it is rebooted, or is well again; says why.")
EVENT_REPAIR_FAILED: Final = _name("event", "NodeRepairFailed", "Node: it could not be rebooted; says why.")
EVENT_RESERVED: Final = _name("event", "Reserved", "Lease: another autoscaler is to keep so many nodes of a pool free.")
EVENT_FAILED_TO_RESERVE: Final = _name(
    "event", "FailedToReserve", "Lease: what is to be kept free could not be written; says of which pool, and why."
)
EVENT_POOL_UNAVAILABLE: Final = _name(
    "event", "PoolUnavailable", "Job or pod: its pool cannot run it any more; says whether its pods are made again."
)
EVENT_PAUSED: Final = _name("event", "Paused", "Lease: nothing, or nothing of some pools, is changed; says why.")
EVENT_RESUMED: Final = _name("event", "Resumed", "Lease: changes are made again.")
EVENT_CONFIG_APPLIED: Final = _name("event", "ConfigReloaded", "Lease: a new config counts.")
EVENT_CONFIG_REFUSED: Final = _name("event", "ConfigRefused", "Lease: a new config cannot be used; says why.")
EVENT_SUSPENDED: Final = _name("event", "SuspendedForGridEvent", "Job: it is suspended until a grid event is over.")
EVENT_RESUMED_JOB: Final = _name("event", "ResumedAfterGridEvent", "Job: it goes on.")
EVENT_SUSPENDED_BY_POLICY: Final = _name(
    "event", "SuspendedByPolicy", "Job: the policy suspended it; says why, and when it goes on at the latest."
)
EVENT_RESUMED_FOR_POLICY: Final = _name(
    "event", "ResumedAfterSuspension", "Job: it goes on after the policy suspended it; says why."
)
EVENT_SUSPENSION_FAILED: Final = _name(
    "event", "SuspensionFailed", "Job: it could not be suspended or resumed; says why. It is tried again."
)
EVENT_SIGNAL_UNKNOWN: Final = _name(
    "event", "SignalUnknown", "Lease: a signal has no value, or its newest is too old; says why."
)
EVENT_SIGNAL_KNOWN: Final = _name("event", "SignalKnown", "Lease: a signal that was unknown has a value again.")
EVENT_FALLBACK: Final = _name("event", "PolicyFallback", "Lease: the policy's output was unusable, `reactive` decided.")

# Metrics of the loop.
METRIC_NODES: Final = _metric("gauge", "nodes_count", "Nodes by pool and state.", "pool", "state")
METRIC_UNSCHEDULABLE_PODS: Final = _metric("gauge", "unschedulable_pods_count", "GPU pods that wait for a node.")
METRIC_UNSERVED_PODS: Final = _metric(
    "gauge", "unserved_pods_count", "Pods that wait and are left alone, by what they wait for.", "reason"
)
METRIC_QUEUE_JOBS: Final = _metric("gauge", "queue_jobs", "Jobs that wait.")
METRIC_QUEUE_GPUS: Final = _metric("gauge", "queue_gpus", "GPUs that waiting jobs request.")
METRIC_RUNNING_JOBS: Final = _metric("gauge", "running_jobs", "Jobs whose pods all have a node.")
METRIC_USED_GPUS: Final = _metric("gauge", "used_gpus", "GPUs in use by pool.", "pool")
METRIC_MIN: Final = _metric("gauge", "node_group_min_count", "Least nodes of a pool.", "pool")
METRIC_MAX: Final = _metric("gauge", "node_group_max_count", "Most nodes of a pool.", "pool")
METRIC_TARGET: Final = _metric("gauge", "node_group_target_count", "Nodes that the last decision wants on.", "pool")
METRIC_RESERVE: Final = _metric(
    "gauge", "node_group_reserve_count", "Nodes that another autoscaler is to keep free.", "pool"
)
METRIC_SCALED_UP: Final = _metric("counter", "scaled_up_nodes_total", "Nodes ordered.", "pool")
METRIC_SCALED_DOWN: Final = _metric("counter", "scaled_down_nodes_total", "Nodes removed.", "pool")
METRIC_FAILED_SCALE_UPS: Final = _metric("counter", "failed_scale_ups_total", "Orders that failed.", "pool", "reason")
METRIC_FAILED_SCALE_DOWNS: Final = _metric("counter", "failed_scale_downs_total", "Removals undone.", "pool", "reason")
METRIC_CONSOLIDATED: Final = _metric("counter", "consolidated_nodes_total", "Nodes emptied of their jobs.", "pool")
METRIC_FAILED_CONSOLIDATIONS: Final = _metric(
    "counter", "failed_consolidations_total", "Nodes whose jobs were to be moved and stay.", "pool", "reason"
)
METRIC_UNWELL: Final = _metric("gauge", "unwell_nodes_count", "Nodes that are broken, or were so recently.", "pool")
METRIC_REPAIRS: Final = _metric(
    "counter", "repairs_total", "Nodes that were rebooted, or became well again.", "pool", "action"
)
METRIC_EVICTED_PODS: Final = _metric("counter", "evicted_pods_total", "Pods evicted.")
METRIC_PLACED_PODS: Final = _metric("counter", "placed_pods_total", "Pods whose gate was removed.", "pool")
METRIC_UNNEEDED: Final = _metric("gauge", "unneeded_nodes_count", "Ready nodes without GPU pods.", "pool")
METRIC_DURATION: Final = _metric("histogram", "function_duration_seconds", "Wall time of a step.", "function")
METRIC_LAST_ACTIVITY: Final = _metric("gauge", "last_activity", "Clock seconds of the last reconcile.", "activity")
METRIC_DECISIONS: Final = _metric("counter", "decisions_total", "Reconciles that decided.")
METRIC_HELD_DECISIONS: Final = _metric("counter", "held_decisions_total", "Reconciles that held: data were stale.")
METRIC_FALLBACKS: Final = _metric("counter", "policy_fallbacks_total", "Decisions of `reactive` instead.", "reason")
METRIC_SKIPPED: Final = _metric(
    "counter", "skipped_objects_total", "Objects and annotations that cannot be read.", "resource"
)
METRIC_STALE_SECONDS: Final = _metric("gauge", "data_age_seconds", "Wall seconds since news of a resource.", "resource")
METRIC_RELISTS: Final = _metric("counter", "relists_total", "Full lists of a resource.", "resource", "reason")
METRIC_LEADER: Final = _metric("gauge", "leader", "1 while this process holds the Lease.")
METRIC_GUARDRAIL: Final = _metric("counter", "guardrail_bites_total", "How often a rule changed a decision.", "rule")
METRIC_PAUSED: Final = _metric("gauge", "paused", "1 while nothing is changed by order of the kill switch.")
METRIC_POOL_PAUSED: Final = _metric("gauge", "node_group_paused", "1 while nothing of a pool is changed.", "pool")
METRIC_CONFIG_RELOADS: Final = _metric(
    "counter", "config_reloads_total", "Configs that were read again, by `applied` or `refused`.", "result"
)
METRIC_AUDIT_LOST: Final = _metric("counter", "audit_lost_lines_total", "Lines of the audit that were not written.")
METRIC_SIGNAL_VALUE: Final = _metric(
    "gauge", "signal_value", "Newest value, gCO2e/kWh, USD/kWh or degC; NaN while it is unknown.", "region", "quantity"
)
METRIC_SIGNAL_AGE: Final = _metric(
    "gauge", "signal_age_seconds", "Clock seconds since the time that it was given for.", "region", "quantity"
)
METRIC_SIGNAL_STATE: Final = _metric(
    "gauge", "signal_state", "1 for the state that it is in: known, held or unknown.", "region", "quantity", "state"
)
METRIC_SIGNAL_READS: Final = _metric(
    "counter", "signal_reads_total", "Reads of a source: `ok`, or why one failed.", "region", "quantity", "result"
)
METRIC_ENERGY: Final = _metric(
    "counter", "energy_kwh_total", "Energy that it believes was used, by what for.", "pool", "state"
)
METRIC_CARBON: Final = _metric(
    "counter", "carbon_grams_total", "gCO2e of that energy, where the carbon intensity was known.", "pool", "state"
)
METRIC_COST: Final = _metric(
    "gauge", "cost_usd", "USD since the account began: energy, nodes, carbon and delay.", "part"
)
METRIC_CARBON_UNKNOWN: Final = _metric(
    "gauge", "carbon_unknown_kwh", "Energy whose carbon intensity was not known, since the account began."
)
METRIC_GPU_ENERGY: Final = _metric(
    "gauge", "gpu_energy_kwh", "GPUs alone while they were measured: `measured`, and what was `believed`.", "kind"
)
METRIC_POWER_RATIO: Final = _metric("gauge", "gpu_energy_ratio", "Measured over believed energy of GPUs.")
METRIC_POWER_DROPPED: Final = _metric(
    "counter", "power_samples_dropped_total", "Values of GPU power that were not used, by reason.", "reason"
)
METRIC_POWER_READS: Final = _metric(
    "counter", "power_reads_total", "Reads of GPU power: `ok`, or why one failed.", "result"
)
METRIC_POWER_BUDGET: Final = _metric(
    "gauge", "power_budget_watts", "Budget of the grid event that is known; NaN without one."
)
METRIC_POWER_DRAWN: Final = _metric(
    "gauge", "power_drawn_watts", "What counts against it: modelled, or measured where that is more; NaN without one."
)
METRIC_SUSPENDED: Final = _metric(
    "gauge", "suspended_jobs", "Jobs that the `policy` or a `grid-event` suspended, until they go on.", "by"
)
METRIC_SUSPENDED_GPUS: Final = _metric("gauge", "suspended_gpus", "GPUs that these jobs request.", "by")
METRIC_SUSPENSIONS: Final = _metric(
    "counter",
    "suspensions_total",
    "Jobs that were `suspended` and `resumed`, and calls that `failed`; by `policy` or `grid-event`.",
    "action",
    "by",
)
METRIC_ERRORS: Final = _metric("counter", "errors_total", "Calls that failed, by kind of error.", "kind")

NAMES: Final = _table.all()
"""All of the above, in order."""


def metric(value: str) -> Name:
    """The entry of a metric.

    Raises:
        KeyError: no such metric.
    """
    for name in NAMES:
        if name.kind == "metric" and name.value == value:
            return name
    raise KeyError(value)
