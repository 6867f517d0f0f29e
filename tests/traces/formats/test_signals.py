"""Signals of the EIA, of Electricity Maps, of any CSV file, and generated ones."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import traces
from traces.errors import TraceError, TraceURIError, TraceValueError

EM_2021 = """Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO₂eq/kWh (direct),\
Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage,Renewable Percentage,Data Source,Data Estimated,\
Data Estimation Method
2023-01-01 00:00:00,Germany,Germany,DE,300.5,350.0,60.1,55.0,entsoe.eu,False,
2023-01-01 01:00:00,Germany,Germany,DE,310.5,360.0,59.0,54.0,entsoe.eu,True,TIME_SLICER_AVERAGE
2023-01-01 03:00:00,Germany,Germany,DE,290.0,330.0,61.0,56.0,entsoe.eu,False,
"""
EM_2024 = """Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),\
Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),Renewable energy percentage (RE%),\
Data source,Data estimated,Data estimation method
2024-01-01 00:00:00,USA,CAISO,US-CAL-CISO,100,150,60,55,eia.gov,false,
2024-01-01 00:00:00,USA,ERCOT,US-TEX-ERCO,400,450,40,35,eia.gov,false,
2024-01-01 01:00:00,USA,CAISO,US-CAL-CISO,110,160,60,55,eia.gov,false,
"""


def written(tmp_path: Path, text: str, name: str = "f.csv") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


def test_electricity_maps_of_both_releases_give_direct_and_life_cycle_values(tmp_path: Path) -> None:
    old = traces.load_signal(f"electricity-maps:{written(tmp_path, EM_2021)}")
    assert (old.zone, old.values.tolist(), old.basis) == ("DE", [300.5, 310.5, 310.5, 290.0], "average")
    assert old.estimated.tolist() == [False, True, True, False]
    assert (old.quality.gaps_filled, old.quality.estimated) == (1, 2)
    whole = traces.load_signal(f"electricity-maps:{written(tmp_path, EM_2021)}?scope=life-cycle")
    assert whole.values[0] == 350.0
    new = f"electricity-maps:{written(tmp_path, EM_2024, 'new.csv')}"
    assert traces.load_signal(f"{new}?zone=US-CAL-CISO&scope=life-cycle").values.tolist() == [150.0, 160.0]
    with pytest.raises(TraceURIError, match=r"has the zones US-CAL-CISO, US-TEX-ERCO; choose one"):
        traces.load_signal(new)
    with pytest.raises(TraceURIError, match="did you mean 'US-TEX-ERCO'"):
        traces.load_signal(f"{new}?zone=US-TEX-ERCOT")


def test_a_file_without_the_columns_of_electricity_maps_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(TraceValueError, match=r"has no column Datetime \(UTC\)"):
        traces.load_signal(f"electricity-maps:{written(tmp_path, 'a,b' + chr(10) + '1,2' + chr(10))}")


def test_eia_finds_the_zone_by_folder_file_or_option(tmp_path: Path) -> None:
    rows = [("00", "200"), ("01", ""), ("02", "220"), ("03", "230")]
    text = "timestamp,avg_CI\n" + "".join(f"2022-01-01 {hour}:00:00+00:00,{value}\n" for hour, value in rows)
    for zone in ("CISO", "PJM"):
        (tmp_path / f"eia2022_{zone}.csv.gz").write_bytes(gzip.compress(text.encode()))
    folder = traces.load_signal(f"eia:{tmp_path}?zone=PJM")
    file = traces.load_signal(f"eia:{tmp_path}/eia2022_PJM.csv.gz")
    assert np.array_equal(folder.values, file.values)
    assert (file.zone, file.values.tolist(), file.quality.gaps_filled) == ("PJM", [200.0, 200.0, 220.0, 230.0], 1)
    with pytest.raises(TraceURIError, match="did you mean 'PJM'"):
        traces.load_signal(f"eia:{tmp_path}?zone=PJN")
    with pytest.raises(TraceURIError, match="has the zones CISO, PJM"):
        traces.load_signal(f"eia:{tmp_path}")
    with pytest.raises(TraceURIError, match="is the file of zone PJM, not of CISO"):
        traces.load_signal(f"eia:{tmp_path}/eia2022_PJM.csv.gz?zone=CISO")


@pytest.mark.parametrize(("zone", "gaps", "mean"), [("CISO", 3, 256.2), ("ERCO", 0, 347.2), ("PJM", 23, 362.6)])
def test_a_real_year_is_whole_and_its_gaps_are_counted(data_dir: Path, zone: str, gaps: int, mean: float) -> None:
    signal = traces.load_signal(f"eia:{data_dir}/carbon?zone={zone}")
    assert len(signal.values) == 8760
    assert signal.end_seconds - signal.first_seconds == 365 * 86400
    assert signal.quality.gaps_filled == gaps
    assert signal.values.mean() == pytest.approx(mean, abs=0.5)


def test_any_csv_file_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    text = "hour,area,lmp,guess\n1640995200,N,30,0\n1640998800,N,-20,1\n1640995200,S,50,0\n"
    path = written(tmp_path, text)
    options = "quantity=price&unit=USD/MWh&time=hour&value=lmp&zone_column=area&zone=N&estimated=guess"
    price = traces.load_signal(f"csv:{path}?{options}")
    assert price.values.tolist() == [0.03, -0.02]
    assert price.estimated.tolist() == [False, True]
    assert price.uri.startswith("csv-signal:")
    with pytest.raises(TraceURIError, match=r"has the zones N, S; choose one"):
        traces.load_signal(f"csv:{path}?{options.replace('&zone=N', '')}")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("value=v", "average or marginal"),
        ("value=v&basis=average&unit=USD/MWh", "no unit of carbon"),
        ("value=v&basis=avg", "option basis takes"),
        ("value=w&basis=average", "has no column w"),
        ("value=v&basis=average&tmezone=UTC", "did you mean 'timezone'"),
        ("value=neg&basis=marginal", "is negative"),
        ("value=v&basis=average&time=mixed", "seconds and milliseconds"),
    ],
)
def test_bad_options_and_values_are_one_clear_line(tmp_path: Path, options: str, problem: str) -> None:
    path = written(tmp_path, "time,v,neg,mixed\n2022-01-01T00:00,1,-1,1640995200\n2022-01-01T01:00,2,2,1640998800000\n")
    with pytest.raises(TraceError, match=problem) as caught:
        traces.load_signal(f"csv:{path}?{options}")
    assert "\n" not in str(caught.value)


def test_generated_signals_have_a_uri_that_makes_them_again() -> None:
    first = traces.load_signal("synthetic:wind?seed=2&days=30&start=2022-05-01T00:00")
    again = traces.load_signal(first.uri)
    assert first.uri.startswith("synthetic-signal:wind?")
    assert np.array_equal(first.values, again.values)
    with pytest.raises(TraceURIError, match="did you mean 'solar'"):
        traces.load_signal("synthetic:soler")
    with pytest.raises(TraceURIError, match="days is"):
        traces.load_signal("synthetic:solar?days=0")


def test_a_format_of_jobs_is_no_signal_and_the_other_way_round() -> None:
    with pytest.raises(TraceURIError, match=r"format of jobs, not of signal; use traces\.load"):
        traces.load_signal("itp:x.csv")
    with pytest.raises(TraceURIError, match=r"format of signal, not of jobs; use traces\.load_signal"):
        traces.load("eia:x_CISO.csv")


DE_2021_10_31 = [f"{hour:02d}:{minute:02d}" for hour in (1, 2, 2, 3) for minute in (0, 15, 30, 45)]


def entsoe(times: list[str], prices: list[str], day: str = "31/10/2021", area: str = "BZN|DE-LU") -> str:
    head = '"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)","Intraday Price (EUR/MWh)"\n'
    cells = zip(times, prices, strict=True)
    return head + "".join(
        f'"{day} {time}:00 - {day} {time}:00","{area}","Sequence 1","{price}",""\n' for time, price in cells
    )


def test_entsoe_quarters_of_the_day_of_25_hours_follow_each_other_with_negative_prices_and_gaps(tmp_path: Path) -> None:
    prices = [str(10 * index - 40) for index in range(16)]
    prices[4:8] = ["n/e"] * 4  # the first of the two hours from 2 to 3
    path = written(tmp_path, entsoe(DE_2021_10_31, prices))
    signal = traces.load_signal(f"entsoe:{path}?usd_per_unit=1.2")
    assert (signal.zone, signal.unit, signal.quality.gaps_filled) == ("BZN|DE-LU", "USD/kWh", 4)
    assert np.diff(signal.start_seconds).tolist() == [900.0] * 15
    assert signal.first_seconds == 1635634800.0  # 2021-10-30 23:00 UTC
    assert signal.values[:4] == pytest.approx([-0.048, -0.036, -0.024, -0.012])
    assert signal.at(1635642000.0) == pytest.approx(0.048)  # 01:00 UTC is the second hour from 2 to 3


def test_entsoe_reads_marked_times_the_older_layout_and_one_of_several_auctions(tmp_path: Path) -> None:
    marked = '"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)"\n' + "".join(
        f'"31/10/2021 02:00:00 ({mark}) - 31/10/2021 03:00:00 ({mark})","BZN|FR","Sequence {sequence}","{price}"\n'
        for mark, sequence, price in [("CET", 1, 7), ("CEST", 1, 5), ("CET", 2, 8)]
    )
    path = written(tmp_path, marked)
    signal = traces.load_signal(f"entsoe:{path}?usd_per_unit=1&sequence=Sequence 1")
    assert signal.values.tolist() == [0.005, 0.007]
    with pytest.raises(TraceURIError, match=r"has the sequences Sequence 1, Sequence 2; choose one"):
        traces.load_signal(f"entsoe:{path}?usd_per_unit=1")
    old = '"MTU (UTC)","Day-ahead Price [EUR/MWh]","Currency","BZN|AT"\n'
    old += '"01.01.2021 00:00 - 01.01.2021 01:00","50","EUR",""\n'
    assert traces.load_signal(f"entsoe:{written(tmp_path, old)}?usd_per_unit=1").zone == "BZN|AT"


def test_prices_in_another_currency_need_a_rate_and_others_take_none(tmp_path: Path) -> None:
    path = written(tmp_path, "time,value\n2021-01-01T00:00,50\n")
    price = "quantity=price&unit=EUR/MWh"
    assert traces.load_signal(f"csv:{path}?{price}&usd_per_unit=1.1").values.tolist() == pytest.approx([0.055])
    for options, problem in (
        (price, r"prices are in EUR/MWh; add \?usd_per_unit=RATE"),
        (f"{price}&usd_per_unit=0", "must be above 0"),
        ("quantity=price&unit=USD/MWh&usd_per_unit=1.1", "drop it"),
        ("quantity=price&unit=EUR/GWh&usd_per_unit=1.1", "is no unit of price"),
    ):
        with pytest.raises(TraceError, match=problem):
            traces.load_signal(f"csv:{path}?{options}")


def test_a_german_table_is_read_by_separator_decimals_and_the_format_of_its_times(tmp_path: Path) -> None:
    text = "\ufeffDatum von;Datum bis;DE/LU [€/MWh]\n28.03.2021 01:45;x;1.050,87\n"
    text += "28.03.2021 03:00;x;-\n28.03.2021 03:15;x;-0,5\n"
    path = written(tmp_path, text)
    options = "quantity=price&unit=EUR/MWh&usd_per_unit=1&time=Datum von&value=DE/LU [€/MWh]&timezone=Europe/Berlin"
    signal = traces.load_signal(f"csv:{path}?{options}&decimal=comma&time_format=%d.%m.%Y %H:%M")
    assert np.diff(signal.start_seconds).tolist() == [1800.0]  # 01:45 to 03:15 on the day of 23 hours
    assert signal.values.tolist() == pytest.approx([1.05087, -0.0005])
    with pytest.raises(TraceValueError, match=r"row 1, column DE/LU .*'1\.050,87' is not a number; .* option decimal"):
        traces.load_signal(f"csv:{path}?{options}&time_format=%d.%m.%Y %H:%M")
    with pytest.raises(TraceValueError, match=r"row 1, column Datum von: '28\.03\.2021 01:45' is not a time"):
        traces.load_signal(f"csv:{path}?{options}&decimal=comma&time_format=%Y/%m/%d")
    with pytest.raises(TraceURIError, match="option time_format"):
        traces.load_signal(f"csv:{path}?{options}&decimal=comma&time_format=%d.%m.%Q")


@pytest.mark.parametrize("time", ["01/01/2021 06:00", "1/1/2021 6:00", "2021-01-01 06:00:00", "01Jan2021 6:00:00"])
def test_the_workbook_of_the_eia_tells_the_end_of_an_hour_in_pounds(tmp_path: Path, time: str) -> None:
    text = (
        "Region,UTC time,D,CO2 Emissions Intensity for Generated Electricity,"
        f'CO2 Emissions Intensity for Consumed Electricity\nNE,{time},"12,500",0.6,0.5\n'
    )
    signal = traces.load_signal(f"eia:{written(tmp_path, text, 'Region_NE.csv')}")
    assert (signal.zone, signal.values.tolist()) == ("NE", [0.5 * 453.59237])
    assert signal.first_seconds == 1609477200.0  # 05:00 UTC


def test_a_row_without_a_time_or_with_a_bad_one_is_named_by_its_row(tmp_path: Path) -> None:
    for stamp in ("", "soon"):
        path = written(tmp_path, f"time,value,area\n2021-01-01,1,N\n2021-01-01,1,S\n{stamp},2,S\n")
        with pytest.raises(TraceValueError, match="row 3"):
            traces.load_signal(f"csv:{path}?basis=average&zone_column=area&zone=S")


def test_an_option_of_the_format_of_signals_is_told_where_its_twin_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceURIError, match="the format of signals that has it is csv-signal"):
        traces.load(f"csv:{tmp_path}/x.csv?quantity=price")


def test_the_file_of_a_value_that_cannot_be_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,value\n2022-01-01T00:00Z,5\n2022-01-01T01:00Z,-5\n")
    with pytest.raises(traces.TraceValueError, match=r"x\.csv: -5 lb/MWh at 2022-01-01 01:00 UTC is negative"):
        traces.load_signal(f"csv-signal:{path}?basis=average&unit=lb/MWh")
    path.write_text("time,value\n2022-01-01T00:00Z,5\n2022-01-01T01:00Z,inf\n2022-01-01T02:00Z,NaN\n")
    with pytest.raises(traces.TraceValueError, match=r"x\.csv: row 2, column value: 'inf' is not a number"):
        traces.load_signal(f"csv-signal:{path}?basis=average")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("eia", "timestamp,avg_CI"),
        ("electricity-maps", "Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO2eq/kWh (direct)"),
        ("entsoe", '"MTU (UTC)","Area","Sequence","Day-ahead Price (EUR/MWh)"'),
    ],
)
def test_a_published_signal_is_found_by_its_columns(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / "x_CISO.csv").write_text(f"\ufeff{header}\r\n")
    assert traces.find_uri(f"{tmp_path}/x_CISO.csv")[0] == f"{name}:{tmp_path}/x_CISO.csv"
