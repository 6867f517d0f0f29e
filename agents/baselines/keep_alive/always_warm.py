"""Never drop a container that was started; only memory pressure does."""

from agents.baselines.keep_alive.rule import KeepAlive
from envs.containers.state import FOREVER
from envs.serverless.simulator import rule
from envs.serverless.state import FIXED

RULE = KeepAlive((rule(FIXED, float(FOREVER)),))
