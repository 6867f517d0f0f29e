"""What the tests of removals share: a fake API server, machines, and a process that can be restarted."""

from autoscaler.live.actuate.removal import RemovalMachine
from autoscaler.live.clock import ManualClock
from autoscaler.live.guardrails import Removal
from autoscaler.live.providers.recording import RecordingProvider
from tests.live.fake_api import NODE, POD, STEP, TAINT, FakeApi, raw_node, raw_pod
from tests.live.views import config, node

NOW = 1_000_000.0
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"


class World:
    """A fake API server, a recording provider whose machines are its nodes, and a machine that can be restarted."""

    def __init__(self):
        self.api = FakeApi()
        self.clock = ManualClock(NOW)
        self.reports = []
        self.provider = RecordingProvider(self.clock.now, on_delete=self._node_goes)
        self.restart()

    def _node_goes(self, instance):
        self.api.objects.pop(NODE(instance.name), None)

    def restart(self):
        providers = {"a": self.provider, "b": self.provider}
        self.machine = RemovalMachine(self.api, config(), self.clock, providers, self.reports.append)

    def add_node(self, name, **spec):
        self.api.put(NODE(name), raw_node(name, **spec))
        # The provider knows the machine already; its node is what the API has.
        self.provider.create(config().pool("a"), name)
        self.provider.calls.clear()

    def add_pod(self, name, on, **fields):
        return self.api.put(POD(name), raw_pod(name, on, **fields))

    def removal(self, name, *, drain=False):
        uid = self.api.objects[NODE(name)]["metadata"]["uid"]
        view = node(name)
        view = type(view)(**{field: getattr(view, field) for field in view.__dataclass_fields__} | {"uid": uid})
        return Removal("a", name, view, ("uid",) if drain else (), "not needed")

    def start(self, *names, drain=False):
        if drain:
            self.api.put(NODE("spare"), raw_node("spare"))  # where the evicted pods can go
        self.machine.start([self.removal(name, drain=drain) for name in names])

    def later(self, seconds=5.0):
        self.clock.seconds += seconds
        self.machine.advance()

    def taint(self, name):
        taints = self.api.objects[NODE(name)]["spec"].get("taints", [])
        return next((taint for taint in taints if taint["key"] == TAINT), None)

    def step(self, name):
        return self.api.objects[NODE(name)]["metadata"]["annotations"].get(STEP)

    def outcomes(self):
        return [(report.outcome, report.about.name) for report in self.reports]

    def has(self, path):
        return path in self.api.objects

    def is_untouched(self, name):
        return self.has(NODE(name)) and self.taint(name) is None and self.step(name) is None
