"""What pods with device claims request, and what nodes have for them, as resources that all else can count.

The claims of a pod become one resource per different set of claims, of which the pod requests one unit. A node can
allocate as many units as pods with such claims fit on its free devices, and those that are on it already. So whatever
places pods and orders nodes needs to know of resources only. GPUs of all resources and devices together are another
one, `RESOURCE_GPUS`. An extended resource that a DeviceClass serves stays what it is, and the nodes get it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from autoscaler.live.config import GPU_MILLI, LiveConfig, LiveConfigError, LivePool
from autoscaler.live.constraints import Requirement
from autoscaler.live.device_model import ClaimSpec, DeviceId, DeviceKind, DeviceRequest, Option, PodClaim
from autoscaler.live.fit.rules import FIELD_NAME
from autoscaler.live.kube.accelerators import DEVICE_CLASS_PREFIX
from autoscaler.live.kube.devices import ClaimTemplateView, ClaimView, DeviceClassView, SliceView, device_kind
from autoscaler.live.kube.fields import ParseError
from autoscaler.live.kube.quantities import QuantityError
from autoscaler.live.names import LABEL_POOL, RESOURCE_CLAIMS, RESOURCE_GPUS
from autoscaler.live.objects import NodeView, PodsToCome, PodView
from autoscaler.live.view.device_memory import Memory
from autoscaler.live.view.devices import (
    Need,
    Stock,
    allocate,
    counter_totals,
    node_stocks,
    sized,
    template_stock,
    total_gpu_milli,
    units,
)

MAX_NAMES = 4096
"""So many names of resources are remembered."""

Terms = tuple[tuple[Requirement, ...], ...]


@dataclass(frozen=True, slots=True)
class DeviceObjects:
    """Views of `resource.k8s.io`, by uid.

    Attributes:
        slices: ResourceSlices.
        claims: ResourceClaims.
        templates: ResourceClaimTemplates.
        classes: DeviceClasses.
    """

    slices: Mapping[str, SliceView] = field(default_factory=dict)
    claims: Mapping[str, ClaimView] = field(default_factory=dict)
    templates: Mapping[str, ClaimTemplateView] = field(default_factory=dict)
    classes: Mapping[str, DeviceClassView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Pods and nodes whose claims and devices are counted.

    Attributes:
        pods: by uid.
        nodes: by uid.
        template_units: what a node of each pool will have besides its template, in thousandths.
        roles: pods to come of groups, by the uid of what describes them; only those with claims.
    """

    pods: Mapping[str, PodView]
    nodes: Mapping[str, NodeView]
    template_units: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    roles: Mapping[str, tuple[PodsToCome, ...]] = field(default_factory=dict)


class ClaimResolver:
    """Resolves claims and devices, reconcile after reconcile.

    Args:
        config: pools and their devices.

    Raises:
        LiveConfigError: the devices of a pool cannot be read.
    """

    def __init__(self, config: LiveConfig) -> None:
        self._config = config
        self._memory = Memory()
        self._templates = {pool.name: _template(pool) for pool in config.pools}
        self._lost: dict[str, float] = {}
        self._was_ready: set[str] = set()

    def resolve(
        self,
        pods: Mapping[str, PodView],
        nodes: Mapping[str, NodeView],
        objects: DeviceObjects,
        now_seconds: float,
        roles: Mapping[str, tuple[PodsToCome, ...]] | None = None,
        together: Mapping[str, int] | None = None,
    ) -> Resolved:
        """Count the claims of pods and the devices of nodes.

        Args:
            pods: by uid, as they were parsed.
            nodes: by uid, likewise.
            objects: what the API server has of devices.
            now_seconds: clock time.
            roles: pods to come of groups, by the uid of what describes them.
            together: how many pods a Job runs side by side, those to come included, by the uid of the Job.
        """
        if not self._config.counts_parts and not (objects.slices or objects.claims or objects.classes):
            return Resolved(pods, nodes)
        look = _Look(self._config, self._memory, self._templates, pods, nodes, objects, now_seconds)
        look.see_users(pods.values(), roles or {}, together or {})
        self._was_ready.intersection_update(nodes)
        self._lost = {uid: since for uid, since in self._lost.items() if uid in nodes}
        filled_pods = {uid: look.pod(pod) for uid, pod in pods.items()}
        claiming = {
            uid: tuple(replace(each, pod=look.pod(each.pod)) for each in group)
            for uid, group in (roles or {}).items()
            if any(each.pod.claims or each.pod.accelerators for each in group)
        }
        filled_nodes = {uid: self._since(look.node(node), now_seconds) for uid, node in nodes.items()}
        return Resolved(filled_pods, filled_nodes, look.template_units(), claiming)

    def _since(self, node: NodeView, now_seconds: float) -> NodeView:
        """The node with the time since which it has lost its devices."""
        if node.allocatable_gpu_milli > 0:
            self._was_ready.add(node.uid)
            self._lost.pop(node.uid, None)
            return node
        if node.uid in self._was_ready and node.lost_since_seconds is None:
            return replace(node, lost_since_seconds=self._lost.setdefault(node.uid, now_seconds))
        return node


def _template(pool: LivePool) -> Stock:
    try:
        return template_stock(pool.devices)
    except (ParseError, QuantityError) as error:
        raise LiveConfigError(f"pool {pool.name}: devices: {error}") from error


class _Look:
    """One look at everything."""

    def __init__(
        self,
        config: LiveConfig,
        memory: Memory,
        templates: Mapping[str, Stock],
        pods: Mapping[str, PodView],
        nodes: Mapping[str, NodeView],
        objects: DeviceObjects,
        now_seconds: float,
    ) -> None:
        self._config, self._memory, self._selectors, self._now = config, memory, memory.selectors, now_seconds
        memory.see_classes(objects.classes.values())
        self._pools = {pool.name: pool for pool in config.pools}
        self._classes = {each.name: each for each in objects.classes.values()}
        self._extended = {f"{DEVICE_CLASS_PREFIX}{name}": name for name in self._classes}
        self._extended |= {
            each.extended_resource: each.name for each in self._classes.values() if each.extended_resource
        }
        self._claims = {(each.namespace, each.name): each for each in objects.claims.values()}
        self._claim_templates = {(each.namespace, each.name): each for each in objects.templates.values()}
        self._node_pool = {node.name: node.pool for node in nodes.values()}
        self._totals = counter_totals(objects.slices.values())
        self._stocks, self._sizes = self._read_slices(objects)
        self._templates = {pool: self._as_it_is(pool, stock, nodes.values()) for pool, stock in templates.items()}
        self._slices_since = self._read_times(objects.slices.values())
        self._users: dict[tuple[str, str], int] = {}
        self._holders: dict[tuple[str, str], list[str]] = {}
        self._needs: dict[str, Need] = {}
        self._on_node: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._template_sizes: dict[Need, int | None] = {}

    def _read_slices(self, objects: DeviceObjects) -> tuple[dict[str, Stock], dict[DeviceId, int]]:
        """The devices of each node, and the size of each of them."""
        taken = frozenset(device for claim in objects.claims.values() for device in claim.devices or ())
        kinds = {
            pool.name: [(each, device_kind(each.driver, each.attributes, each.capacity)) for each in pool.devices]
            for pool in self._config.pools
        }
        stocks: dict[str, Stock] = {}
        for node, stock in node_stocks(objects.slices.values(), taken, self._memory.pools).items():
            pool = self._node_pool.get(node) or ""
            make = partial(sized, stock, kinds.get(pool, ()), self._totals)
            stocks[node] = self._memory.sized(node, stock, pool, make)
        self._memory.forget_others(stocks)
        sizes = {device.id: device.gpu_milli for stock in stocks.values() for device in stock.devices}
        return stocks, sizes

    def see_users(
        self,
        pods: Iterable[PodView],
        roles: Mapping[str, tuple[PodsToCome, ...]],
        together: Mapping[str, int],
    ) -> None:
        """Count the pods that name a claim, those to come included: each counts for its part. Comes before `pod`."""
        by_gang: Counter[tuple[str, str, str]] = Counter()
        holders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for pod in sorted((each for each in pods if each.claims), key=lambda each: (each.created_seconds, each.name)):
            for claim in pod.claims:
                if not pod.finished and not claim.template:
                    by_gang[pod.namespace, claim.claim, pod.gang] += 1
                    holders[pod.namespace, claim.claim].append(pod.uid)
        self._holders = dict(holders)
        found: Counter[tuple[str, str]] = Counter()
        for (namespace, name, gang), count in by_gang.items():
            found[namespace, name] += max(count, together.get(gang, 0))
        described: Counter[tuple[str, str]] = Counter()
        for role in (each for group in roles.values() for each in group):
            for claim_of_role in role.pod.claims:
                if not claim_of_role.template:
                    described[role.pod.namespace, claim_of_role.claim] += role.count
        self._users = {key: max(found[key], described[key]) for key in found.keys() | described.keys()}

    def _as_it_is(self, pool: str, template: Stock, nodes: Iterable[NodeView]) -> Stock:
        """The devices of an empty node of a pool: as the newest node has them that is not broken, else as described.

        A description that is wrong must not order node after node, so a node is remembered for a while when it is gone.
        """
        if template.devices:
            ready = [node for node in nodes if node.pool == pool and node.ready and node.name in self._stocks]
            for node in sorted(ready, key=lambda each: (-each.created_seconds, each.name)):
                stock = self._stocks[node.name]
                if total_gpu_milli(stock) >= total_gpu_milli(template):
                    return self._memory.remember(pool, stock.emptied(self._totals), self._now)
        return self._memory.recall(pool, self._now) or template

    def _read_times(self, slices: Iterable[SliceView]) -> dict[str, float]:
        """When the last slice of each node came."""
        since: dict[str, float] = {}
        for each in slices:
            for node in {each.node_name, *(device.node_name for device in each.devices)} - {""}:
                since[node] = max(each.created_seconds, since.get(node, 0.0))
        return since

    # Pods.

    def pod(self, pod: PodView) -> PodView:
        """A pod with its claims counted."""
        extended = {name: pod.requests[name] for name in pod.requests if name in self._extended}
        if not pod.claims and not extended:
            return pod
        draft = _Draft(pod)
        for resource, amount in extended.items():
            self._count_extended(draft, resource, amount)
        exclusive: list[ClaimSpec] = []
        for claim in pod.claims:
            if claim.name:
                spec = self._count_claim(draft, claim)
                exclusive += [] if spec is None else [spec]
        if exclusive and not pod.finished:
            self._request(draft, tuple(exclusive))
        return draft.filled(self._config.counts_parts)

    def _count_extended(self, draft: _Draft, resource: str, amount: int) -> None:
        """An extended resource that a DeviceClass serves."""
        if not draft.pod.finished:
            self._on_node[draft.pod.node_name][resource] += amount
        self._needs[resource] = need = _need_of_class(self._extended[resource])
        if resource not in self._config.gpu_sizes:
            size = self._size_in_templates(need)
            if not size:
                return
            draft.gpu_milli += amount // GPU_MILLI * size
        draft.serve(resource)
        for claim in draft.pod.claims:
            if not claim.name:
                draft.serve(f"resource claim {claim.claim}")

    def _count_claim(self, draft: _Draft, claim: PodClaim) -> ClaimSpec | None:
        """One claim; returned is what the pod must find on a node, None: nothing."""
        pod, label = draft.pod, f"resource claim {claim.name}"
        made = self._claims.get((pod.namespace, claim.claim))
        spec = self._spec_of(draft, label, claim, made)
        if spec is None:
            return None
        users = 1 if claim.template or pod.finished else max(1, self._users.get((pod.namespace, claim.claim), 1))
        if made is not None and made.devices is not None:
            return self._count_allocated(draft, label, claim, made, users)
        size = None if spec.problem else self._size_in_templates((spec,))
        if size is None:
            draft.refuse(label, spec.problem or self._why_unserved(spec))
            return None
        if size > 0:
            # Devices that are no GPUs are requested beside GPUs, and are no demand of their own.
            draft.serve(label)
            draft.gpu_milli += self._share(size, pod, claim, users)
        if users == 1:
            return spec
        self._request(draft, (spec,), users, shared=f"{pod.namespace}/{claim.claim}")
        return None

    def _spec_of(self, draft: _Draft, label: str, claim: PodClaim, made: ClaimView | None) -> ClaimSpec | None:
        """What a claim requests; None: nothing, or nobody knows."""
        template = self._claim_templates.get((draft.pod.namespace, claim.template))
        spec = made.spec if made is not None else None if template is None else template.spec
        if spec is None:
            what = f"ResourceClaimTemplate {claim.template}" if claim.template else f"ResourceClaim {claim.claim}"
            draft.refuse(label, f"there is no {what}")
            return None
        if not spec.requests:
            draft.serve(label)
            return None
        return spec

    def _count_allocated(
        self, draft: _Draft, label: str, claim: PodClaim, made: ClaimView, users: int
    ) -> ClaimSpec | None:
        """A claim that has its devices: the pod goes where they are."""
        milli = sum(self._sizes.get(device, 0) for device in made.devices or ())
        if milli > 0:
            draft.serve(label)
            draft.gpu_milli += self._share(milli, draft.pod, claim, users)
        if draft.pod.node_name:
            return made.spec if users == 1 and milli > 0 else None
        nodes = {each.values[0] for term in made.node_terms for each in term if each.key == FIELD_NAME and each.values}
        pools = {self._node_pool.get(node) for node in nodes}
        draft.tie(made.node_terms, pools.pop() if len(pools) == 1 else None)
        return None

    def _share(self, milli: int, pod: PodView, claim: PodClaim, users: int) -> int:
        """What a pod counts of the thousandths of a claim: whole GPUs where each of its users can have some.

        A policy sees whole GPUs and shares of less than one. Of eight GPUs for three pods it would see 5.33 that wait
        and 5 that are free while one of them runs, and order a node for the rest.
        """
        holders, gpus = self._holders.get((pod.namespace, claim.claim), []), milli // GPU_MILLI
        # While pods are to come, all of them count the same.
        if milli % GPU_MILLI or gpus < users or len(holders) != users or pod.uid not in holders:
            return milli // users
        return GPU_MILLI * (gpus // users + (holders.index(pod.uid) < gpus % users))

    def _request(self, draft: _Draft, need: Need, users: int = 1, shared: str = "") -> None:
        """Request a unit of some claims, or a part of one where several pods share it."""
        resource = _resource_of(need, shared)
        self._needs[resource] = need
        draft.requests[resource] = GPU_MILLI // users
        self._on_node[draft.pod.node_name][resource] += GPU_MILLI // users

    def _size_in_templates(self, need: Need) -> int | None:
        """Thousandths of a GPU of some claims, in the first pool whose nodes have their devices; None: no pool has."""
        if need not in self._template_sizes:
            found = (
                (stock, allocate(need, stock, self._matches)) for stock in self._templates.values() if stock.devices
            )
            sizes = (sum(stock.devices[index].gpu_milli for index in taken) for stock, taken in found if taken)
            self._template_sizes[need] = next(sizes, None)
        return self._template_sizes[need]

    def _why_unserved(self, spec: ClaimSpec) -> str:
        options = [option for request in spec.requests for option in request.options]
        for option in options:
            if option.device_class not in self._classes:
                return f"there is no DeviceClass {option.device_class}"
        for option in options:
            for expression in (*self._classes[option.device_class].selectors, *option.selectors):
                problem = self._selectors.problems.get(expression)
                if problem is not None:
                    return f"its selector cannot be evaluated for the devices of the pools: {problem}"
        return "no pool has such devices, or not so many on a node"

    def _matches(self, option: Option, kind: DeviceKind) -> bool | None:
        known = self._classes.get(option.device_class)
        if known is None:
            return False
        of_class = option.device_class in kind.classes or self._selectors.select(known.selectors, kind)
        return self._selectors.select(option.selectors, kind) if of_class else of_class

    # Nodes.

    def node(self, node: NodeView) -> NodeView:
        """A node with its devices counted; after all pods."""
        pool = self._pools.get(node.pool or "")
        stock = self._stocks.get(node.name, Stock())
        allocatable = dict(node.allocatable)
        for resource in self._wanted(pool):
            if not allocatable.get(resource):
                free = self._free_units(node.name, stock, resource) * GPU_MILLI
                allocatable[resource] = free + self._on_node[node.name][resource]
        gpu_milli = node.allocatable_gpu_milli + self._device_milli(node, pool, stock)
        if self._config.counts_parts and gpu_milli:
            allocatable[RESOURCE_GPUS] = gpu_milli
        if gpu_milli == node.allocatable_gpu_milli:
            return node if allocatable == node.allocatable else replace(node, allocatable=allocatable)
        since = max(self._slices_since.get(node.name, 0.0), node.created_seconds)
        return replace(
            node,
            allocatable=allocatable,
            allocatable_gpu_milli=gpu_milli,
            ready_since_seconds=(node.ready_since_seconds or since) if node.ready else None,
            lost_since_seconds=None if node.ready else node.lost_since_seconds,
        )

    def _free_units(self, node: str, stock: Stock, resource: str) -> int:
        if not stock.devices:
            return 0
        return self._memory.units(node, stock, resource, lambda: units(self._needs[resource], stock, self._matches))

    def _wanted(self, pool: LivePool | None) -> list[str]:
        """Resources of claims, and those that a DeviceClass serves."""
        own = [] if pool is None else [name for name in pool.gpu_sizes if name in self._extended]
        for name in own:
            self._needs.setdefault(name, _need_of_class(self._extended[name]))
        return list(self._needs)

    def _device_milli(self, node: NodeView, pool: LivePool | None, stock: Stock) -> int:
        """Thousandths of a GPU of the devices of a node; 0 until all slices of its drivers are there."""
        if pool is None:
            return 0
        if pool.devices:
            expected = {each.driver for each in pool.devices if each.gpu_milli > 0}
            return total_gpu_milli(stock) if expected <= stock.complete else 0
        served = [name for name in pool.gpu_sizes if name in self._extended and not node.allocatable.get(name)]
        option = {name: _need_of_class(self._extended[name])[0].requests[0].options[0] for name in served}
        return sum(
            pool.gpu_sizes[name]
            for name in served
            for device in stock.devices
            if not device.kind.taints and self._matches(option[name], device.kind)
        )

    def template_units(self) -> dict[str, dict[str, int]]:
        """What a node of each pool that has devices will have for claims; after all nodes."""
        found: dict[str, dict[str, int]] = {}
        for pool, stock in self._templates.items():
            if stock.devices:
                counts = self._pools[pool].gpu_counts
                found[pool] = {
                    resource: units(need, stock, self._matches) * GPU_MILLI
                    for resource, need in self._needs.items()
                    if not counts.get(resource)
                }
        return found


class _Draft:
    """What becomes of a pod."""

    def __init__(self, pod: PodView) -> None:
        self.pod = pod
        self.gpu_milli = pod.gpu_milli
        self.requests = dict(pod.requests)
        self._accelerators = set(pod.accelerators)
        self._refused = False
        self._terms: Terms = pod.affinity_terms
        self._selector = dict(pod.node_selector)

    def serve(self, label: str) -> None:
        """It is counted."""
        self._accelerators.discard(label)

    def refuse(self, label: str, why: str) -> None:
        """It cannot be served: no node is ordered for the pod."""
        self._accelerators.discard(label)
        self._accelerators.add(f"{label} ({why})")
        self._refused = True

    def tie(self, terms: Terms, pool: str | None) -> None:
        """The pod may run only where one of the terms matches."""
        self._terms = tuple(one + other for one in self._terms for other in terms) if self._terms else terms
        self._selector.setdefault(LABEL_POOL, pool or "")

    def filled(self, counts_parts: bool) -> PodView:
        """The pod."""
        if self._refused and not self.pod.node_name:
            self.gpu_milli = 0
            self.requests[RESOURCE_CLAIMS] = GPU_MILLI  # no node has it
        if counts_parts and self.gpu_milli:
            self.requests[RESOURCE_GPUS] = self.gpu_milli
        return replace(
            self.pod,
            gpu_milli=self.gpu_milli,
            accelerators=tuple(sorted(self._accelerators)),
            requests=self.requests,
            affinity_terms=self._terms,
            node_selector=self._selector,
        )


def _need_of_class(device_class: str) -> Need:
    """One device of a class, as the scheduler claims it for an extended resource."""
    return (ClaimSpec((DeviceRequest("request", (Option(device_class),)),)),)


@lru_cache(MAX_NAMES)
def _resource_of(need: Need, shared: str) -> str:
    """The resource of a set of claims: its name depends on nothing but what they request."""
    digest = hashlib.sha256(repr((sorted(map(repr, need)), shared)).encode()).hexdigest()
    return f"{RESOURCE_CLAIMS}-{digest[:16]}"
