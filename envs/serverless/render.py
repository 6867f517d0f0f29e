"""What a pool of functions looks like: a line of text, or a picture of its nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from envs.containers import state as st
from envs.recording import pictures
from envs.serverless.simulator import ServerlessSimulator

RENDER_MODES = ("ansi", "rgb_array")

WIDTH, MOST_HEIGHT, LINE = 420, 400, 16


def render_pool(simulator: ServerlessSimulator, mode: str | None, index: int = 0) -> str | NDArray[np.uint8] | None:
    """A pool in one of `RENDER_MODES`; None in no mode."""
    if mode == "ansi":
        return describe_pool(simulator, index)
    return draw_pool(simulator, index) if mode == "rgb_array" else None


def describe_pool(simulator: ServerlessSimulator, index: int = 0) -> str:
    """The moment and what happened so far in one line."""
    results = simulator.results(index)
    text = ", ".join(f"{results.total(name):,} {name}" for name in ("requests", "cold", "starts", "boots"))
    return f"{simulator.time_seconds[index] / 3600.0:.2f} h: {text}"


def draw_pool(simulator: ServerlessSimulator, index: int = 0) -> NDArray[np.uint8]:
    """Nodes as cells, as the dashboard draws them, filled by the memory that containers hold; and containers by state.

    Returns:
        [height, 420, 3] uint8, of one shape for a pool.
    """
    problem, world = simulator.problem.containers, simulator.world
    node, memory = world.node[index], problem.node[:, st.NODE_MEMORY]
    held = (memory - node[:, st.FREE_MEMORY]) / memory
    states = np.full(len(node), pictures.OFF, np.uint8)
    states[node[:, st.NODE_STATE] == st.BOOTING] = pictures.BOOTING
    states[node[:, st.NODE_STATE] == st.ON] = pictures.IDLE
    states[(node[:, st.NODE_STATE] == st.ON) & (held > 0.0)] = pictures.BUSY
    cells = pictures.Cells(f"{len(node)} nodes, filled by the memory that containers hold", states, held)
    cell = pictures.cell_size([len(node)], WIDTH, MOST_HEIGHT)
    height = pictures.LABEL + -(-len(node) // (WIDTH // cell)) * cell + 4
    image = Image.new("RGB", (WIDTH, height + 2 * LINE + 4), pictures.PAPER)
    pictures.draw_cells(image, [cells], (0, 2, WIDTH, MOST_HEIGHT))
    draw = ImageDraw.Draw(image)
    left = 0
    for name, count in count_containers(simulator, index).items():
        draw.rectangle((left, height + 3, left + 8, height + 11), fill=pictures.CONTAINERS[name])
        text = f"{count:,} {name}"
        draw.text((left + 13, height), text, pictures.INK, pictures.font(12))
        left += 13 + round(draw.textlength(text, pictures.font(12))) + 14
    waiting = int(world.key[index, :, st.QUEUED].sum())
    text = f"{describe_pool(simulator, index)}; {waiting:,} wait"
    draw.text((0, height + LINE), text, pictures.FAINT, pictures.font(12))
    return np.asarray(image)


def count_containers(simulator: ServerlessSimulator, index: int = 0) -> dict[str, int]:
    """How many containers are in each state of `pictures.CONTAINERS`."""
    container = simulator.world.container[index]
    state = container[:, st.STATE]
    now_ms = round(1000.0 * float(simulator.time_seconds[index]))
    pulls = (state == st.STARTED) & (container[:, st.PULLED_MS] > now_ms)
    found = {"busy": state == st.BUSY, "warm": state == st.WARM, "starting": (state == st.STARTED) & ~pulls}
    return {name: int(found.get(name, pulls).sum()) for name in pictures.CONTAINERS}
