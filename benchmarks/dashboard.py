"""How long the page of the dashboard takes to open a recording and for a frame, and its memory, in headless Chromium.

Cities and clusters of some sizes are made, and a week under two rules is recorded of each trace that is named; other
recordings can be given too. Each has a browser of its own.
Opening ends with the first frame that shows it. Work of a frame is all that the page draws in it, measured by the page
itself while it plays, and once more with texts, layout and painting: from the beginning of a frame until it is done.
Memory is that of the page (its heap and typed arrays, after a collection of garbage) and of the
whole process that shows it (what the system counts for it: PSS).
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from _common import parse, parser
from playwright.sync_api import Browser, Page, sync_playwright

import traces
from agents.registry import make_baseline
from autoscaler.dashboard.catalog import Catalog
from autoscaler.dashboard.page import find_page
from autoscaler.dashboard.server import Address, DashboardServer
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import whole_trace
from autoscaler.progress import Terminal
from autoscaler.recordings.simulated import Recorded, record_policies
from autoscaler.recordings.stretch import Stretch
from envs.gpu_cluster.cluster import load_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from envs.recording import Head, RecordingWriter, Track

HOUR, DAY = 3600.0, 86_400.0
FIRST_DAY = 30
"""Of the week that is recorded: by then a trace is at its usual load."""
RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl");
  const info = gl && gl.getExtension("WEBGL_debug_renderer_info");
  return info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "none (canvases are drawn by the processor)";
}"""
FRAMES = "() => [...window.autoscalerAnimation.workMs]"
WHOLE_FRAMES = "() => window.wholeFramesMs.splice(0)"
TIME_WHOLE_FRAMES = """(() => {
  const [own, channel] = [window.requestAnimationFrame.bind(window), new MessageChannel()];
  let start = 0;
  window.wholeFramesMs = [];
  // A message that is sent as a frame begins is heard once texts, styles, layout and painting are done too.
  channel.port1.onmessage = () => {
    window.wholeFramesMs.push(performance.now() - start);
    start = 0;
  };
  window.requestAnimationFrame = (draw) => own((now) => {
    if (start === 0) {
      start = performance.now();
      channel.port2.postMessage(0);
    }
    draw(now);
  });
})()"""
SHOWN = "() => (window.autoscalerAnimation?.workMs.length ?? 0) > 0"


def write_city(folder: Path, users: int, sites: int) -> None:
    """A grid of streets for an hour; each user moves to another place and changes its site every minute."""
    generator = np.random.default_rng(0)
    head = Head("city", f"{users} users", (Track("made"),), end_seconds=HOUR, zones=("a", "b", "c"))
    with RecordingWriter(folder, head) as writer:
        lines = np.arange(0.0, 10_001.0, 200.0)
        ends = np.full(len(lines), 10_000.0)
        writer.add("roads", {"x1": np.append(lines, 0 * ends), "y1": np.append(0 * ends, lines),
                             "x2": np.append(lines, ends), "y2": np.append(ends, lines),
                             "kind": np.arange(2 * len(lines)) % 5})  # fmt: skip
        where = generator.uniform(0.0, 10_000.0, (sites, 2))
        writer.add("sites", {"site": range(sites), "name": [f"site {site}" for site in range(sites)], "x": where[:, 0],
                             "y": where[:, 1], "zone": np.arange(sites) % 3, "cpu_cores": [16] * sites,
                             "memory_gb": [64] * sites, "gpus": [1] * sites})  # fmt: skip
        writer.add("signals", {"time_seconds": [0.0] * 3, "zone": range(3), "grams_per_kwh": [50, 300, 600],
                               "usd_per_kwh": [0.1] * 3})  # fmt: skip
        for minute in range(61):
            moment = np.full(users, 60.0 * minute)
            places = generator.uniform(0.0, 10_000.0, (users, 2))
            writer.add("users", {"time_seconds": moment, "user": range(users), "x": places[:, 0], "y": places[:, 1]})
            writer.add("links", {"time_seconds": moment, "user": range(users),
                                 "site": generator.integers(0, sites, users),
                                 "latency_ms": generator.uniform(1.0, 90.0, users)}, "made")  # fmt: skip
            counts = generator.integers(0, 4, (5, sites))
            writer.add("site_states", {
                "time_seconds": moment[:1].repeat(sites), "site": range(sites), "on": np.ones(sites),
                "cpu_cores": generator.uniform(0, 16, sites), "memory_gb": generator.uniform(0, 64, sites),
                "gpus": generator.uniform(0, 1, sites), "watts": np.full(sites, 200.0), "pulling": counts[0],
                "starting": counts[1], "warm": counts[2], "busy": counts[3], "queue": counts[4],
            }, "made")  # fmt: skip


def write_cluster(folder: Path, nodes: int) -> None:
    """Nodes for an hour, of which a hundredth changes every ten seconds, with a job on each that becomes busy."""
    generator = np.random.default_rng(0)
    pool = {"name": "gpu", "gpu_model": "", "gpus_per_node": 8, "min_nodes": 0, "max_nodes": nodes,
            "boot_seconds": 300.0, "zone": 0}  # fmt: skip
    head = Head("cluster", f"{nodes} nodes", (Track("made"),), end_seconds=HOUR, zones=("a",), pools=(pool,))
    with RecordingWriter(folder, head) as writer:
        writer.add("nodes", {"node": range(nodes), "pool": [0] * nodes, "name": [f"n{node}" for node in range(nodes)]})
        states = generator.choice([0, 1, 2, 3], nodes, p=[0.2, 0.05, 0.15, 0.6])
        writer.add("node_states", {"time_seconds": np.zeros(nodes), "node": range(nodes), "state": states,
                                   "used_gpus": np.where(states == 3, 4, 0)}, "made")  # fmt: skip
        jobs = 0
        for moment in np.arange(10.0, HOUR, 10.0).tolist():
            changed = np.sort(generator.choice(nodes, nodes // 100, replace=False))
            own = generator.choice([2, 3], len(changed))
            writer.add("node_states", {"time_seconds": [moment] * len(changed), "node": changed, "state": own,
                                       "used_gpus": np.where(own == 3, 6, 0)}, "made")  # fmt: skip
            busy = changed[own == 3]
            writer.add("jobs", {"time_seconds": [moment] * len(busy), "job": range(jobs, jobs + len(busy)),
                                "event": [1] * len(busy), "node": busy, "gpus": [6] * len(busy)}, "made")  # fmt: skip
            jobs += len(busy)


def write_week(folder: Path, uri: str) -> None:
    """A week of a trace under two rules side by side, from its 31st day on."""
    trace, config = traces.load(uri), EnvironmentConfig()
    scenario = Scenario(trace, load_cluster("auto", trace), config)
    policies = [Recorded(name, make_baseline(name, config.codec, 0)) for name in ("reactive", "random")]
    start = trace.first_submit_seconds + FIRST_DAY * DAY
    record_policies(folder, scenario, whole_trace(trace), policies, uri, Stretch(start, start + 7 * DAY))


def process_megabytes(browser: Browser) -> float | None:
    """PSS of the process that shows the page, MB; None where the system does not tell."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = []
    for process in found:
        lines = Path(f"/proc/{process['id']}/smaps_rollup")
        if process["type"] == "renderer" and lines.is_file():
            rows = dict(line.split(":", 1) for line in lines.read_text(encoding="ascii").splitlines()[1:])
            sizes.append(int(rows["Pss"].split()[0]) * 1024 / 1e6)
    return max(sizes, default=None)


def heap_megabytes(page: Page) -> float:
    """What the page holds: objects, and the memory of typed arrays, MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    names = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
    return float(sum(usage.get(name, 0) for name in names)) / 1e6


def measure(browser: Browser, server: DashboardServer, name: str, seconds: float) -> dict[str, Any]:
    """Open one recording and play it."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.add_init_script(TIME_WHOLE_FRAMES)
    page.goto(f"{server.url}#nothing")  # the browser itself is warm
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto(f"{server.url}#{name}", wait_until="commit")
    page.wait_for_function(SHOWN)
    opened = time.perf_counter() - began
    page.wait_for_timeout(500)
    process = process_megabytes(browser)
    page.get_by_label("speed").select_option("60")
    page.get_by_role("button", name="Play").click()
    page.evaluate(WHOLE_FRAMES)  # forget those before
    page.wait_for_timeout(1000 * seconds)
    work, whole = np.array(page.evaluate(FRAMES)), np.array(page.evaluate(WHOLE_FRAMES))
    found = {
        "open_seconds": round(opened, 2),
        "frames": len(work),
        "p50_ms": round(float(np.percentile(work, 50)), 2),
        "p95_ms": round(float(np.percentile(work, 95)), 2),
        "whole_p50_ms": round(float(np.percentile(whole, 50)), 2),
        "whole_p95_ms": round(float(np.percentile(whole, 95)), 2),
        "heap_mb": round(heap_megabytes(page), 1),
        "process_mb": None if process is None else round(process, 1),
        "renderer": page.evaluate(RENDERER),
    }
    page.close()
    return found


def main() -> None:
    """Measure, and print a line for each recording."""
    described = parser(__doc__)
    described.add_argument("recordings", nargs="*", help="recordings to measure besides those that are made.")
    described.add_argument("--trace", action="append", default=[], help="of which a week is recorded; repeat it")
    described.add_argument("--seconds", type=float, default=10.0, help="how long each is played")
    described.set_defaults(users=2000, nodes=10_000)
    options = parse(described, seconds=1.0, users=100, nodes=500)
    with tempfile.TemporaryDirectory() as text, sync_playwright() as playwright:
        folder = Path(text)
        write_city(folder / f"city-{options.users}-users-125-sites", options.users, 125)
        write_cluster(folder / f"cluster-{options.nodes}-nodes", options.nodes)
        for number, uri in enumerate(options.trace):
            write_week(folder / f"week-{number}-{uri.partition(':')[0]}", uri)
        paths = [*sorted(map(str, folder.iterdir())), *options.recordings]
        catalog = Catalog(paths)
        server = DashboardServer(find_page(Terminal()), catalog, Address())
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        path = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
        results = {}
        for source in catalog.sources():
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            results[source.name] = measure(browser, server, source.name, options.seconds)
            browser.close()
        server.stop()
        thread.join(10)
    for name, found in results.items():
        renderer = found["renderer"]
        print(f"{name}: opens in {found['open_seconds']} s, frames p50 {found['p50_ms']} ms, p95 {found['p95_ms']} ms "
              f"({found['frames']} frames), with texts and painting {found['whole_p50_ms']} and "
              f"{found['whole_p95_ms']} ms, heap {found['heap_mb']} MB, process {found['process_mb']} MB; "
              f"renderer: {renderer}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
