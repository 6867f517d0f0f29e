"""The page in a real browser: what it shows, by mouse and by keyboard, and that it asks nobody else for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from autoscaler.dashboard.build import WEB, npm_command
from autoscaler.dashboard.live import LiveSource
from autoscaler.dashboard.server import Address
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.telemetry.stream import RecordRing
from tests.dashboard.conftest import Start, Visit, write_cluster
from tests.dashboard.test_live import Deployed, play
from tests.live import raw

pytestmark = pytest.mark.browser

TOKEN = "0123456789abcdef"


def test_the_logic_of_the_page_holds(built: Path) -> None:
    npm = npm_command()
    assert npm is not None
    for script in ("check", "test"):
        done = subprocess.run([*npm, "run", "--silent", script], cwd=WEB, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_cluster_is_played_by_keyboard_and_mouse(
    built: Path, start: Start, visit: Callable[..., Visit], cluster_recording: Path
) -> None:
    server = start(built, [cluster_recording])
    seen = visit(server.url)
    page = seen.page
    expect(page.get_by_role("heading", name="learned")).to_be_visible()
    expect(page.get_by_role("heading", name="the rule")).to_be_visible()
    moment = page.locator("time")
    expect(moment).to_have_text("2017-10-02 00:00:00")
    page.keyboard.press(".")
    expect(moment).to_have_text("2017-10-02 00:20:00")
    expect(page.get_by_text("a job waits for 2 GPUs").first).to_be_visible()
    expect(page.get_by_text("−50.0 %").first).to_be_visible()  # of energy, against the reference
    expect(page.get_by_text("job 8").first).to_be_visible()  # it waits
    page.keyboard.press(",")
    expect(moment).to_have_text("2017-10-02 00:00:00")
    page.get_by_role("button", name="next decision").click()
    expect(moment).to_have_text("2017-10-02 00:20:00")
    page.get_by_role("slider", name="moment").fill("300")
    expect(moment).to_have_text("2017-10-02 00:05:00")

    nodes = page.get_by_role("application", name=re.compile("nodes of learned: 1 idle, 1 busy"))
    nodes.press("ArrowRight")
    expect(page.get_by_role("heading", name="gpu-0: busy")).to_be_visible()
    expect(page.get_by_text("It stays because it is busy: job 7")).to_be_visible()
    nodes.click(position={"x": 30, "y": 30})
    expect(page.get_by_role("heading", name="gpu-1: idle")).to_be_visible()
    expect(page.get_by_text("kept: the pool keeps at least 1 node")).to_be_visible()
    page.get_by_text("History").click()
    expect(page.get_by_text("00:00:00 idle")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("heading", name="gpu-1: idle")).not_to_be_visible()

    bars = page.get_by_role("application", name=re.compile("^jobs as bars")).first
    before = bars.screenshot()
    for key in ("-", "-", "+", "ArrowLeft", "PageUp"):
        bars.press(key)
    page.wait_for_timeout(200)
    assert bars.screenshot() != before

    page.get_by_label("beside it").select_option("none")
    expect(page.get_by_role("heading", name="the rule")).not_to_be_visible()
    page.get_by_label("speed").select_option("real time")
    page.get_by_role("button", name="Play").click()
    expect(moment).not_to_have_text("2017-10-02 00:05:00")
    page.get_by_role("button", name="Pause").click()
    page.locator("h1").click()
    page.keyboard.press("End")
    expect(moment).to_have_text("2017-10-02 01:00:00")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Home")
    assert seen.complaints == []
    assert {url.split("/")[2] for url in seen.asked if not url.startswith("data:")} == {f"127.0.0.1:{server.port}"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_city_is_shown(
    built: Path, start: Start, visit: Callable[..., Visit], city_recording: Path, scheme: str
) -> None:
    seen = visit(start(built, [city_recording]).url, color_scheme=scheme)
    page = seen.page
    expect(page.get_by_text("© OpenStreetMap contributors").first).to_be_visible()
    city = page.get_by_role("application", name=re.compile("map of 3 sites and 3 users"))
    page.get_by_role("combobox", name=re.compile("^site")).select_option("Mitte")
    expect(page.get_by_role("heading", name="Mitte: on")).to_be_visible()
    expect(page.get_by_text("1 × detector busy")).to_be_visible()
    before = city.screenshot()
    page.get_by_role("slider", name="moment").fill("150")
    page.wait_for_timeout(200)
    assert city.screenshot() != before  # a user moved
    expect(page.get_by_text("two users come")).to_be_visible()
    for key in ("n", "+", "ArrowLeft", "-", "0"):
        city.press(key)
    expect(page.get_by_role("heading", name="Nord: on")).to_be_visible()
    assert seen.violations() == []
    assert fits_a_phone(page)
    assert seen.complaints == []


def fits_a_phone(page: Page) -> bool:
    """Whether nothing is wider than a narrow window, and no total lies over another one."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    over = "[...document.querySelectorAll('.totals > div')].filter((each) => each.scrollWidth > each.clientWidth + 1)"
    return bool(page.evaluate(f"document.documentElement.scrollWidth === 390 && {over}.length === 0"))


def changes(page: Page, canvas: Locator, action: Callable[[], object]) -> bool:
    """Whether what a canvas shows is another picture after an action."""
    before = canvas.screenshot()
    action()
    page.wait_for_timeout(200)
    return canvas.screenshot() != before


def test_every_button_and_the_mouse_do_what_they_say(
    built: Path, start: Start, visit: Callable[..., Visit], cluster_recording: Path, city_recording: Path
) -> None:
    seen = visit(start(built, [cluster_recording, city_recording]).url)
    page = seen.page
    page.get_by_label("beside it").select_option("none")
    page.get_by_label("policy").select_option("the rule")
    expect(page.get_by_role("heading", name="the rule")).to_be_visible()
    page.get_by_role("slider", name="moment").fill("1500")
    page.get_by_role("button", name="2017-10-02 00:20:00").click()  # of the decision
    expect(page.locator("time")).to_have_text("2017-10-02 00:20:00")
    bars = page.get_by_role("application", name=re.compile("^jobs as bars"))
    for name in ("Zoom in", "Zoom in", "Earlier", "Later", "Zoom out"):
        assert changes(page, bars, page.get_by_role("button", name=name).click), name
    bars.hover()
    page.keyboard.down("Control")
    assert changes(page, bars, lambda: page.mouse.wheel(0, -100))
    page.keyboard.up("Control")
    page.get_by_label("show").select_option("city")
    city = page.get_by_role("application", name=re.compile("map of 3 sites"))
    for name in ("Zoom in", "Whole city", "Zoom out", "Whole city"):
        assert changes(page, city, page.get_by_role("button", name=name).click), name
    box = city.bounding_box()
    assert box is not None
    city.click(position={"x": box["width"] / 2 - 12, "y": 36})  # Nord is in the north, 36 pixels below the edge
    expect(page.get_by_role("heading", name="Nord: on")).to_be_visible()
    page.get_by_role("slider", name="moment").fill("150")
    expect(page.locator(".panel").get_by_text("two users come")).to_be_visible()  # its decision

    def drag() -> None:
        page.mouse.move(box["x"] + 300, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 150)
        page.mouse.up()

    assert changes(page, city, drag)
    city.press("p")
    expect(page.get_by_role("heading", name="Mitte: on")).to_be_visible()
    assert seen.complaints == []


def test_functions_are_shown_by_state(
    built: Path, start: Start, visit: Callable[..., Visit], functions_recording: Path
) -> None:
    seen = visit(start(built, [functions_recording]).url, color_scheme="dark")
    page = seen.page
    strips = page.get_by_role("application", name=re.compile("2 of 2 functions in time"))
    before = strips.screenshot()
    page.get_by_role("slider", name="moment").fill("120")
    expect(page.get_by_text("1 warm")).to_be_visible()
    page.wait_for_timeout(200)
    assert strips.screenshot() != before
    for key in ("+", "-", "ArrowDown", "ArrowUp"):
        strips.press(key)
    page.get_by_role("application", name=re.compile("nodes of hazard")).press("ArrowRight")
    expect(page.get_by_text("It is on for its containers: 1 × detector busy")).to_be_visible()
    assert seen.violations() == []
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it_on_a_phone_too(
    built: Path, start: Start, visit: Callable[..., Visit], cluster_recording: Path, scheme: str
) -> None:
    seen = visit(start(built, [cluster_recording]).url, color_scheme=scheme, viewport={"width": 390, "height": 800})
    expect(seen.page.get_by_role("heading", name="learned")).to_be_visible()
    seen.page.get_by_role("application", name=re.compile("nodes of learned")).press("ArrowRight")
    assert seen.violations() == []
    assert fits_a_phone(seen.page)
    assert seen.complaints == []


def test_a_run_that_is_trained_is_followed(
    built: Path, start: Start, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").touch()
    seen = visit(start(built, [run]).url)
    expect(seen.page.get_by_text("no entry yet")).to_be_visible()
    numbers = ", ".join(f'"validation/{"long" * 8}{number}": 1' for number in range(10))
    (run / "metrics.jsonl").write_text(
        f'{{"step": 1000, "validation/usd": 5.5, "train/learning_rate": 1, {numbers}}}\n'
    )
    expect(seen.page.get_by_role("definition").filter(has_text="5.50")).to_be_visible()
    expect(seen.page.get_by_role("status")).to_have_text("following")
    expect(seen.page.get_by_role("figure")).to_have_count(8)
    seen.page.get_by_role("button", name="Show all 12").click()
    expect(seen.page.get_by_role("figure")).to_have_count(12)
    assert fits_a_phone(seen.page)
    assert seen.violations() == []


def test_what_appears_in_a_folder_is_listed_and_what_is_shown_stays(
    built: Path, start: Start, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    seen = visit(start(built, [runs]).url)
    page = seen.page
    expect(page.get_by_text("Nothing is here yet")).to_be_visible()
    (runs / "b").mkdir()
    (runs / "b" / "config.yaml").touch()
    expect(page.get_by_text("no entry yet")).to_be_visible()
    write_cluster(runs / "b" / "recording")
    choice = page.get_by_label("show")
    expect(choice.locator("option")).to_have_text(["b: what it does", "b: training"])
    expect(choice).to_have_value("b")  # what was shown
    choice.select_option("b: what it does")
    expect(page.get_by_role("heading", name="learned")).to_be_visible()
    page.get_by_role("slider", name="moment").fill("300")
    write_cluster(runs / "a")
    expect(choice.locator("option")).to_have_text(["a", "b: what it does", "b: training"])
    shutil.rmtree(runs / "b")
    expect(choice.locator("option")).to_have_text(["a", "b: what it does"])  # it stays as long as it is shown
    expect(page.locator("time")).to_have_text("2017-10-02 00:05:00")
    assert seen.violations() == []
    assert seen.complaints == []


def test_a_recording_that_grows_is_followed_and_a_restart_of_the_server_survived(
    built: Path, start: Start, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    writer = write_cluster(tmp_path / "growing", finished=False)
    server = start(built, [tmp_path / "growing"])
    seen = visit(server.url)
    moment = seen.page.locator("time")
    expect(moment).to_have_text("2017-10-02 01:00:00")
    writer.add("decisions", {"time_seconds": [7200.0], "pool": [0], "before": [3], "target": [4], "reason": ["more"]},
               "learned")  # fmt: skip
    writer.flush()
    expect(moment).to_have_text("2017-10-02 02:00:00")
    seen.page.get_by_role("slider", name="moment").fill("0")
    follow = seen.page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "false")
    follow.click()
    expect(moment).to_have_text("2017-10-02 02:00:00")
    server.stop()
    expect(seen.page.get_by_role("status")).to_have_text(re.compile("lost|connecting"))
    expect(moment).to_have_text("2017-10-02 02:00:00")  # what was shown stays
    start(built, [tmp_path / "growing"], Address(port=server.port))
    expect(seen.page.get_by_role("status")).to_have_text("following", timeout=20_000)
    writer.close(end_seconds=9000.0)
    expect(seen.page.get_by_role("button", name="Follow")).not_to_be_visible()


def test_an_autoscaler_that_runs_is_followed_through_its_restart(
    built: Path, start: Start, visit: Callable[..., Visit], served: tuple[RecordRing, HealthServer]
) -> None:
    ring, server = served
    deployed = Deployed(None, ring)
    play(deployed)
    source = LiveSource(f"http://127.0.0.1:{server.port}")
    seen = visit(start(built, more=[source]).url, color_scheme="dark")
    page, status = seen.page, seen.page.get_by_role("status")
    expect(status).to_have_text("following")
    page.get_by_role("application", name=re.compile("nodes of reactive: 1 busy")).press("ArrowRight")
    expect(page.get_by_role("heading", name="n: busy")).to_be_visible()
    expect(page.get_by_text("It stays because it is busy: default/busy")).to_be_visible()
    deployed.reconcile([raw.node("n")], [raw.pod("busy", node_name="n"), raw.pod("late")])
    expect(page.get_by_text("default/late")).to_be_visible()  # it waits
    assert seen.violations() == []
    assert fits_a_phone(page)
    server.close()
    expect(page.get_by_text("cannot be read")).to_be_visible()
    health = Health(600.0)
    health.ring = RecordRing()
    again = HealthServer("127.0.0.1", server.port, health, Metrics())
    Deployed(None, health.ring).reconcile([raw.node("n"), raw.node("o")], [])
    expect(page.get_by_text("cannot be read")).not_to_be_visible()
    expect(page.get_by_role("application", name=re.compile("nodes of reactive: 2 idle"))).to_be_visible()
    again.close()
    assert seen.complaints == []


def test_what_is_wrong_is_said_on_the_page(
    built: Path, start: Start, visit: Callable[..., Visit], cluster_recording: Path
) -> None:
    path = cluster_recording / "learned" / "jobs.arrows"
    path.write_bytes(path.read_bytes()[:-40])
    seen = visit(start(built, [cluster_recording]).url)
    expect(seen.page.get_by_role("alert")).to_contain_text("jobs.arrows: is damaged")
    server = start(built, [cluster_recording], Address(token=TOKEN))
    refused = visit(f"http://127.0.0.1:{server.port}/?token=fedcba9876543210")
    expect(refused.page.get_by_text("the token is missing or wrong")).to_be_visible()
    allowed = visit(server.url)
    expect(allowed.page.get_by_role("heading", name="autoscaler")).to_be_visible()
    assert TOKEN not in allowed.page.url
