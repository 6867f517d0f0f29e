"""BurstGPT and Azure's LLM traces: requests whose run times follow from tokens."""

from pathlib import Path

import pytest

import traces

BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
RATES = "tokens_per_second=10&prompt_tokens_per_second=1000"


def burst(tmp_path: Path, rows: str, header: str = BURST, options: str = RATES) -> traces.Invocations:
    (tmp_path / "burst.csv").write_text(header + rows)
    return traces.load_invocations(f"burstgpt:{tmp_path}/burst.csv?{options}")


def azure(tmp_path: Path, rows: str, options: str = RATES) -> traces.Invocations:
    (tmp_path / "conv.csv").write_text(AZURE + rows)
    return traces.load_invocations(f"azure-llm:{tmp_path}/conv.csv?{options}")


def test_a_function_is_a_model_with_its_kind_of_access(tmp_path: Path) -> None:
    rows = "5,ChatGPT,500,20,520,Conversation log\n65,GPT-4,1000,0,1000,API log\n70,ChatGPT,0,5,5,Conversation log\n"
    found = burst(tmp_path, rows)
    assert found.function_id == ("ChatGPT/Conversation log", "GPT-4/API log")
    assert found.function.tolist() == [0, 1, 0]
    assert found.time_ms.tolist() == [5000, 65_000, 70_000]
    assert found.duration_ms.tolist() == [2500, 1000, 500]
    assert (found.gpu_milli.tolist(), found.memory_mib.tolist()) == ([1000, 1000], [8192.0, 8192.0])


def test_days_of_burstgpt_begin_at_midnight(tmp_path: Path) -> None:
    found = burst(tmp_path, "90000,ChatGPT,0,10,10,API log\n")
    assert (found.time_ms.tolist(), found.day_offset_ms) == ([3_600_000], 0)


def test_a_measured_time_counts_before_that_of_the_tokens(tmp_path: Path) -> None:
    header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    found = burst(tmp_path, "1,7,4.5,ChatGPT,500,20,520,API log\n2,7,,ChatGPT,500,20,520,API log\n", header)
    assert found.duration_ms.tolist() == [4500, 2500]


def test_rows_without_meaning_are_left_out_and_counted_and_refused_with_strict(tmp_path: Path) -> None:
    rows = "1,ChatGPT,500,20,520,API log\n-3,ChatGPT,1,1,2,API log\n4,ChatGPT,-5,1,1,API log\n"
    found = burst(tmp_path, rows)
    assert found.num_invocations == 1
    assert dict(found.bad_rows) == {"their time or tokens have no meaning": 2}
    with pytest.raises(traces.TraceValueError, match="row 2: time nan"):
        burst(tmp_path, rows, options=f"{RATES}&strict=true")


def test_times_of_azure_have_seven_digits_or_a_zone(tmp_path: Path) -> None:
    found = azure(tmp_path, "2023-11-16 18:17:03.9799600,4000,10\n2023-11-16 18:17:04.4799600,1000,20\n")
    assert found.function_id == ("conv",)
    assert found.time_ms.tolist() == [0, 500]
    assert found.duration_ms.tolist() == [5000, 3000]
    assert found.day_offset_ms == ((18 * 60 + 17) * 60 + 3) * 1000 + 980
    zoned = azure(tmp_path, "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01.009930+00:00,2399,6\n")
    assert zoned.time_ms.tolist() == [0, 1000]
    whole = azure(tmp_path, "2024-05-10 00:00:00+00:00,0,5\n2024-05-10 00:00:02,0,6\n")
    assert whole.time_ms.tolist() == [0, 2000]


def test_a_file_without_a_request_that_can_be_used_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(traces.TraceValueError, match="holds no request that can be used") as caught:
        azure(tmp_path, "yesterday,1,2\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "option", ["tokens_per_second=0", "prompt_tokens_per_second=-1", "memory_mib=0", "gpu_milli=-1"]
)
def test_a_rate_without_meaning_is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(traces.TraceURIError, match=option.partition("=")[0]):
        azure(tmp_path, "2024-05-10 00:00:00,1,2\n", options=option)
