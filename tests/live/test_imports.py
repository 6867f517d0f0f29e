"""What `autoscaler deploy` loads, and what it must not."""

import subprocess
import sys

FORBIDDEN = ("torch", "numba", "pyarrow", "stable_baselines3", "gymnasium", "envs.gpu_cluster.simulator", "traces")

PROGRAM = f"""
import sys
import autoscaler.cli, autoscaler.cli.deploy, autoscaler.cli.replay
import autoscaler.live.process, autoscaler.live.preflight
import autoscaler.live.policy.artifact, autoscaler.live.telemetry.audit
from autoscaler.live.kube.client import connect
from autoscaler.live.config import LiveConfig
from autoscaler.live.policy.decide import make_decider
from configs.loader import load_config
config = load_config("live/kwok", LiveConfig)
make_decider("reactive", config.codec)
import kubernetes.client, onnxruntime
loaded = [name for name in {FORBIDDEN!r} if name in sys.modules]
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""


def test_the_live_process_loads_neither_torch_nor_numba_nor_the_simulator_nor_traces() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120.0)
    assert done.returncode == 0, done.stderr


def test_the_command_line_loads_no_kubernetes_client_until_it_is_needed() -> None:
    program = "import sys, autoscaler.cli.deploy; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60.0).returncode == 0
