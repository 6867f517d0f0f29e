"""Positions of users: formats, trips along roads, and changes of zone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traces
from autoscaler.cli import main
from traces.mobility import Mobility, zone_changes

GPX = """<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><name>ride</name><trkseg>
<trkpt lat="1.0" lon="2.0"><time>2024-01-01T08:00:00Z</time></trkpt>
<trkpt lat="1.0" lon="2.1"><time>{time}</time></trkpt></trkseg></trk></gpx>"""
FCD = """<fcd-export><timestep time="0.00"><vehicle id="v" x="2.0" y="1.0"/></timestep>
<timestep time="{time}"><vehicle id="v" x="{x}" y="1.0"/><person id="p" x="2.0" y="1.0"/></timestep></fcd-export>"""


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "x").write_text(text)
    return f"{tmp_path}/x"


def test_three_formats_tell_the_same_positions(tmp_path: Path) -> None:
    rows = "time,user,lat,lon\n2024-01-01T08:00:00Z,v,1,2\n2024-01-01T08:00:10Z,v,1,2.1\n"
    uris = [
        f"csv-mobility:{write(tmp_path, rows)}",
        f"gpx:{(tmp_path / 'g').write_text(GPX.format(time='2024-01-01T08:00:10Z')) and tmp_path / 'g'}",
        f"sumo-fcd:{(tmp_path / 's').write_text(FCD.format(time=10, x=2.1)) and tmp_path / 's'}",
    ]
    for uri in uris:
        moved = traces.load_mobility(uri)
        user = moved.user_id.index("v") if "v" in moved.user_id else 0
        latitude, longitude = moved.at(5.0)
        assert (latitude[user], longitude[user]) == pytest.approx((1.0, 2.05))
        assert moved.at(99.0)[1][user] == 2.1
    assert str(traces.load_mobility(uris[0]).start_time) == "2024-01-01 08:00:00"


@pytest.mark.parametrize(
    ("scheme", "text", "message"),
    [
        ("csv-mobility", "time,user,lat,lon\n5,a,0,0\n1,b,0,0\n4,a,0,0\n", "row 3: user a is there at 4 s, after 5 s"),
        ("csv-mobility", "time,user,lat,lon\n5,a,0,0\n2024-01-01,a,0,0\n", "row 2: '2024-01-01' is a time of another"),
        ("csv-mobility", "time,user,lat,lon\nnoon,a,0,0\n", "row 1: the time 'noon' is not seconds"),
        ("csv-mobility", "time,user,lat,lon\n1,a,0,200\n", "row 1: user a is at .*, which is no place"),
        ("gpx", GPX.format(time="2024-01-01T07:00:00Z"), "track point 2: user ride-0 .*must not go backwards"),
        ("gpx", GPX.format(time=""), "track point 2 has no time"),
        ("gpx", "<gpx/>", "holds no point"),
        ("sumo-fcd", FCD.format(time=-1, x=2), "timestep 2 is at -1 s, after one at 0 s"),
        ("sumo-fcd", FCD.format(time=1, x=2000), "run sumo with --fcd-output.geo"),
        ("sumo-fcd", FCD.format(time="x", x=2), "timestep 2: time, x and y must be numbers"),
        ("sumo-fcd", "<a>", "damaged or not XML"),
    ],
)
def test_what_is_no_track_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scheme: str, text: str, message: str
) -> None:
    uri = f"{scheme}:{write(tmp_path, text)}"
    with pytest.raises(traces.TraceError, match=message):
        traces.load_mobility(uri)
    assert main(["traces", "info", uri]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_metres_of_sumo_become_degrees_around_an_origin(tmp_path: Path) -> None:
    uri = f"sumo-fcd:{write(tmp_path, FCD.format(time=1, x=111_195))}?latitude=0&longitude=10"
    assert traces.load_mobility(uri).longitude.max() == pytest.approx(11.0, abs=1e-3)


def test_trips_follow_the_roads_at_their_speed() -> None:
    uri = "trips:grid-roads:village?users=30&days=2&seed=3"
    moved = traces.load_mobility(uri)
    roads = traces.load_roads("grid-roads:village")
    assert moved.num_users == 30
    _, distance = roads.nearest_nodes(moved.latitude, moved.longitude)
    assert distance.max() < 1e-3  # the grid has no courses, so every point is a crossing
    meters = moved.projection.to_meters(moved.latitude, moved.longitude)
    inside = np.diff(np.repeat(np.arange(30), np.diff(moved.first))) == 0
    lengths, spans = np.hypot(*np.diff(meters, axis=0).T)[inside], np.diff(moved.time_seconds)[inside]
    speeds = lengths[lengths > 1] / spans[lengths > 1]
    assert 30 / 3.6 / 2 < speeds.min() < speeds.max() < 50 / 3.6 * 2
    again = traces.load_mobility(uri)
    assert np.array_equal(again.time_seconds, moved.time_seconds)
    assert not np.array_equal(traces.load_mobility(f"{uri[:-1]}4").first, moved.first)


def test_commuters_are_at_work_at_noon_and_at_home_at_night() -> None:
    uri = "trips:grid-roads:village?users=100&days=1&workers=1&errands_per_day=0&seed=0"
    moved = traces.load_mobility(uri)
    night, noon, late = (np.stack(moved.at(hour * 3600.0), axis=1) for hour in (3, 12.5, 23.9))
    assert (night == late).all(axis=1).mean() > 0.95
    assert (night == noon).all(axis=1).mean() < 0.05


def test_users_live_where_the_homes_are(tmp_path: Path) -> None:
    homes = write(tmp_path, "Latitude,Longitude\n0.0013,0.0013\n-0.0027,0\n")
    moved = traces.load_mobility(f"trips:grid-roads:village?homes=eua-users:{homes}&users=3")
    places = np.stack(moved.at(0.0), axis=1)
    assert (places[0] == places[2]).all()
    assert np.abs(places[1] - [-0.0027, 0]).max() < 2e-4
    write(tmp_path, "Latitude,Longitude\n1,1\n")
    with pytest.raises(traces.TraceURIError, match=r"user-0 lives .* m from the nearest road"):
        traces.load_mobility(f"trips:grid-roads:village?homes=eua-users:{homes}")


def straight(*points: tuple[float, float, float]) -> Mobility:
    time, latitude, longitude = (np.array(each, np.float64) for each in zip(*points, strict=True))
    return Mobility.from_points(["u"] * len(points), time, latitude, longitude, source="test")


def test_a_change_of_zone_is_at_the_middle_between_two_sites() -> None:
    moved = straight((0, 0, 0), (10, 0, 0.01), (20, 0, 0.01), (30, 0, 0))
    changes = zone_changes(moved, np.zeros(3), np.array([0.0, 0.004, 0.01]))
    assert changes.initial.tolist() == [0]
    assert changes.time_seconds.tolist() == pytest.approx([2, 7, 23, 28])
    assert changes.zone.tolist() == [1, 2, 1, 0]
    assert changes.at(6.9).tolist() == [1]


@given(seed=st.integers(0, 10_000))
def test_zones_between_changes_are_those_of_the_nearest_site(seed: int) -> None:
    generator = np.random.default_rng(seed)
    points = [(10.0 * step, *generator.uniform(-0.02, 0.02, 2)) for step in range(4)]
    moved, sites = straight(*points), generator.uniform(-0.02, 0.02, (2, 6))
    changes = zone_changes(moved, *sites)
    plane = moved.projection
    centres = plane.to_meters(*sites)
    for moment in generator.uniform(0, 30, 40):
        place = plane.to_meters(*moved.at(moment))[0]
        distances = np.hypot(*(centres - place).T)
        assert distances[changes.at(moment)[0]] <= distances.min() + 1e-6


def test_the_users_of_melbourne_walk_its_grid(data_dir: Path) -> None:
    folder = data_dir / "edge" / "eua"
    moved = traces.load_mobility(f"trips:grid-roads:melbourne-cbd?homes=eua-users:{folder}/users-melbcbd-generated.csv")
    sites = traces.load_sites(f"csv-sites:{folder}/site-optus-melbCBD.csv")
    changes = zone_changes(moved, sites.latitude, sites.longitude)
    assert moved.num_users == 816
    assert len(changes.zone) > 816
    assert (np.diff(changes.time_seconds) >= 0).all()
