import dataclasses
import io
import json
import logging
from pathlib import Path

import pytest

from models.catalog.catalog import CATALOG, DEFAULT_MODEL
from models.catalog.entry import CatalogEntry
from models.catalog.gguf import read_header
from models.engine.device import Device, DeviceKind, free_gpu_bytes
from models.engine.sizing import Wishes
from models.errors import LoadFailed
from models.fit.advice import Candidate, Verdict, advise, judge
from models.fit.look import candidate, look_before_loading
from models.fit.machine import Machine
from models.fit.need import Facts, Need, facts_of_entry, facts_of_header, need_of
from models.fit.report import render, render_json
from tests.unit.models.gguf_file import TYPES, Value, gguf_file

GIGABYTE = 10**9
WISHES = Wishes(8192)
MANY_ROWS = 10 * GIGABYTE // 34
LOG = logging.getLogger("fit")

# What SmolLM2-135M's file says.
VALUES: dict[str, Value] = {
    "general.architecture": "llama",
    "llama.block_count": 30,
    "llama.embedding_length": 576,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.context_length": 8192,
    "tokenizer.ggml.tokens": ["a"] * 100,
}


def facts(values: dict[str, Value]) -> Facts:
    return facts_of_header(read_header(io.BytesIO(gguf_file(values, [("Q8_0", (32, 10))]))))


def machine(gigabytes: float, threads: int = 2, *, has_gpu: bool = False, on_gpu: float | None = None) -> Machine:
    gpu_bytes = None if on_gpu is None else int(on_gpu * GIGABYTE)
    return Machine(int(gigabytes * GIGABYTE), threads, has_gpu or on_gpu is not None, gpu_bytes)


def judged(where: Machine) -> list[Verdict]:
    return [judge(Candidate(each, facts_of_entry(each), is_present=False), where, WISHES) for each in CATALOG.values()]


def best(where: Machine) -> str | None:
    return advise(judged(where)).name


def test_header_says_what_a_token_takes() -> None:
    known = facts_of_entry(CATALOG[DEFAULT_MODEL])
    assert known is not None
    found = facts(VALUES)
    assert found == Facts(340, known.kv_bytes_per_token, known.heads, 100, 8192)


def test_heads_that_differ_by_layer_are_added_up() -> None:
    values = VALUES | {"llama.block_count": 3, "llama.attention.head_count_kv": [0, 2, 4]}
    assert facts(values).kv_bytes_per_token == (0 + 2 + 4) * 128 * 2


def test_widths_of_their_own_count() -> None:
    values = VALUES | {"llama.attention.key_length": 256, "llama.attention.value_length": 128}
    assert facts(values).kv_bytes_per_token == 30 * 3 * (256 + 128) * 2


def test_model_for_embeddings_has_no_cache() -> None:
    assert facts(VALUES | {"llama.pooling_type": 1}).kv_bytes_per_token == 0


@pytest.mark.parametrize("number", [0, 2**32 - 1])
def test_absurd_numbers_end_in_a_number(number: int) -> None:
    values: dict[str, Value] = {key: number for key, value in VALUES.items() if isinstance(value, int)}
    found = facts({"general.architecture": "llama", **values})
    assert need_of(found, WISHES, available_bytes=GIGABYTE, has_gpu=False).total_bytes > 0


def test_need_is_the_sum_of_its_parts_as_it_is_told() -> None:
    need = Need(145 * 10**6, 377 * 10**6, 278 * 10**6)
    assert str(need) == "weights 145 MB + cache 377 MB + computing 278 MB + process 100 MB = 900 MB"


def test_cache_is_what_the_server_would_take() -> None:
    need = need_of(Facts(0, 1000, 9, 100, None), Wishes(1024, parallel=4), available_bytes=GIGABYTE, has_gpu=False)
    assert need.cache_bytes == 4 * 1024 * 1000


def test_context_that_it_was_not_trained_for_takes_nothing() -> None:
    need = need_of(Facts(0, 1000, 9, 100, 256), Wishes(1024, parallel=4), available_bytes=GIGABYTE, has_gpu=False)
    assert need.cache_bytes == 4 * 256 * 1000


def test_logits_of_a_whole_step_are_counted() -> None:
    small, large = (
        need_of(Facts(0, 1, 1, vocabulary, None), WISHES, available_bytes=GIGABYTE, has_gpu=True).compute_bytes
        for vocabulary in (0, 150_000)
    )
    assert large - small == 150_000 * 512 * 4


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (machine(0.5), None),
        (machine(0.7), DEFAULT_MODEL),
        (machine(24), "qwen2.5-1.5b-instruct"),
        (machine(64, threads=8), "qwen3-30b-a3b-instruct-2507"),
        (machine(16, threads=8), "llama-3.1-8b-instruct"),
        (machine(64, has_gpu=True), "qwen2.5-32b-instruct"),
        (machine(4, on_gpu=64), "qwen2.5-32b-instruct"),
        (machine(64, on_gpu=8), "llama-3.1-8b-instruct"),
        (machine(64, on_gpu=0.1), None),
        (machine(0.05, on_gpu=64), None),
    ],
)
def test_best_is_the_largest_that_fits_and_is_quick(where: Machine, name: str | None) -> None:
    assert best(where) == name


def test_more_memory_never_makes_the_best_smaller() -> None:
    names = [best(machine(gigabytes, threads=8)) for gigabytes in range(1, 40)]
    sizes = [CATALOG[name].shape.parameters for name in names if name and CATALOG[name].shape]  # type: ignore[union-attr]
    assert sizes == sorted(sizes)


def test_where_all_that_fits_is_slow_the_fastest_is_recommended() -> None:
    verdicts = [each for each in judged(machine(24)) if each.name.startswith("mistral")]
    assert advise(verdicts).name == "mistral-nemo-instruct-2407"


def test_advice_says_why_and_what_else() -> None:
    reason = advise(judged(machine(24))).reason
    assert "1.5 billion parameters in Q4_K_M" in reason
    assert "larger ones would fit too, and be slow here" in reason


def test_model_of_which_too_little_is_known_is_never_recommended(tmp_path: Path) -> None:
    bare = CatalogEntry(name="x", file="x.gguf", source=CATALOG[DEFAULT_MODEL].source, temperature=1, top_p=1)
    verdict = judge(candidate(bare, tmp_path), machine(24), WISHES)
    assert (verdict.fits, verdict.need, verdict.speed) == (False, None, "?")
    assert "catalog.yaml" in verdict.reason


def test_file_that_is_here_is_believed_more_than_the_catalogue(tmp_path: Path) -> None:
    entry = dataclasses.replace(CATALOG[DEFAULT_MODEL], sha256=None, size_bytes=None)
    (tmp_path / entry.file).write_bytes(gguf_file(VALUES, [("Q8_0", (32, 10))]))
    found = candidate(entry, tmp_path)
    assert found.is_present
    assert found.facts == facts(VALUES)


def test_report_has_a_row_for_each_model_and_the_command_to_fetch_the_best() -> None:
    verdicts = judged(machine(24))
    text = render(verdicts, advise(verdicts), machine(24))
    assert all(f"\n{name} " in text for name in CATALOG)
    assert text.endswith("hotspare model pull qwen2.5-1.5b-instruct\n")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (machine(24), "2 threads\n"),
        (machine(24, has_gpu=True), "a GPU was found that has no memory of its own, or does not say how much\n"),
        (machine(24, on_gpu=8), "8000 MB are free on the GPU, where weights and cache go\n"),
    ],
)
def test_report_says_what_the_gpu_has(where: Machine, told: str) -> None:
    verdicts = judged(where)
    assert told in render(verdicts, advise(verdicts), where)
    document = json.loads(render_json(verdicts, advise(verdicts), where))
    assert (document["has_gpu"], document["gpu_available_bytes"]) == (where.has_gpu, where.gpu_bytes)


def test_verdict_says_which_memory_is_meant() -> None:
    assert all(each.reason.endswith("8000 MB are free on the GPU") for each in judged(machine(24, on_gpu=8)))


def test_cache_is_sized_by_the_memory_that_it_lies_in() -> None:
    small, large = (judged(machine(24, on_gpu=gigabytes))[0].need for gigabytes in (0.5, 24))
    assert small is not None
    assert large is not None
    assert small.cache_bytes < large.cache_bytes


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([Device(DeviceKind.OTHER, 20, 24)], None),
        ([Device(DeviceKind.SHARING_GPU, 20, 24), Device(DeviceKind.OTHER, 20, 24)], None),
        ([Device(DeviceKind.GPU, 6, 8), Device(DeviceKind.OTHER, 20, 24)], 6),
        ([Device(DeviceKind.GPU, 6, 8), Device(DeviceKind.GPU, 7, 8), Device(DeviceKind.SHARING_GPU, 20, 24)], 13),
        ([Device(DeviceKind.GPU, 6, 8), Device(DeviceKind.GPU, 0, 0)], None),
        ([Device(DeviceKind.GPU, 0, 8)], 0),
    ],
)
def test_memory_of_the_gpus_counts_where_it_is_their_own(devices: list[Device], expected: int | None) -> None:
    assert free_gpu_bytes(devices) == expected


def test_report_for_programs_has_the_sum() -> None:
    verdicts = judged(machine(24))
    document = json.loads(render_json(verdicts, advise(verdicts), machine(24)))
    need = document["models"][0]["need"]
    parts = ("weights_bytes", "cache_bytes", "compute_bytes", "process_bytes")
    assert need["total_bytes"] == sum(need[part] for part in parts)
    assert document["best"] == "qwen2.5-1.5b-instruct"


def write(folder: Path, data: bytes) -> Path:
    path = folder / "some.gguf"
    path.write_bytes(data)
    return path


def test_sum_is_told_before_loading(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    look_before_loading(write(tmp_path, gguf_file(VALUES, [("Q8_0", (32, 10))])), WISHES, machine(24), LOG)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "weights 0 MB + cache 543 MB" in caplog.text


def test_too_little_memory_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    look_before_loading(write(tmp_path, gguf_file(VALUES, [("Q8_0", (32, 10))])), WISHES, machine(0.1), LOG)
    assert "too little; take a smaller model" in caplog.text


@pytest.mark.parametrize(("where", "level"), [(machine(24, on_gpu=0.1), "WARNING"), (machine(0.2, on_gpu=8), "INFO")])
def test_memory_of_the_gpu_is_what_a_model_on_it_is_held_against(
    where: Machine, level: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    look_before_loading(write(tmp_path, gguf_file(VALUES, [("Q8_0", (32, 10))])), WISHES, where, LOG)
    assert [record.levelname for record in caplog.records] == [level]
    assert "are free on the GPU" in caplog.text


def test_gpu_whose_memory_nobody_tells_is_no_reason_to_warn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = gguf_file(VALUES, [("Q8_0", (32, 10))])
    look_before_loading(write(tmp_path, data), WISHES, machine(0.1, has_gpu=True), LOG)
    assert not caplog.records


def test_weights_that_are_larger_than_memory_are_refused_with_a_smaller_model(tmp_path: Path) -> None:
    path = write(tmp_path, gguf_file(VALUES, [("Q8_0", (32, 1000))]))
    with pytest.raises(LoadFailed, match="free some memory"):
        look_before_loading(path, WISHES, machine(0.00001), LOG)


def test_refusal_names_the_largest_smaller_model_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    head = gguf_file({"general.architecture": "llama"}, [("Q8_0", (32, 1))])[:-34]
    one, many = (rows.to_bytes(8, "little") + TYPES["Q8_0"].to_bytes(4, "little") for rows in (1, MANY_ROWS))
    path.write_bytes(head.replace(one, many))
    with path.open("r+b") as file:
        file.truncate(len(head) + MANY_ROWS * 34)
    with pytest.raises(LoadFailed, match=r"qwen2\.5-1\.5b-instruct would fit"):
        look_before_loading(path, WISHES, machine(2), LOG)


@pytest.mark.parametrize(
    ("data", "fault"),
    [(b"", "cut off"), (b"MZ" * 50, "not a GGUF"), (gguf_file(VALUES, [("F32", (9,))])[:-4], "cut off")],
)
def test_damaged_file_is_refused_before_llama_cpp_sees_it(tmp_path: Path, data: bytes, fault: str) -> None:
    with pytest.raises(LoadFailed, match=fault):
        look_before_loading(write(tmp_path, data), WISHES, machine(24), LOG)


def test_file_that_is_too_new_to_be_known_is_left_to_llama_cpp(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    look_before_loading(write(tmp_path, b"GGUF" + bytes(100)), WISHES, machine(24), LOG)
    assert "llama.cpp may know better" in caplog.text


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="cannot read"):
        look_before_loading(tmp_path, WISHES, machine(24), LOG)
