import re
from pathlib import Path

import pytest

from models.catalog.catalog import CATALOG, DEFAULT_MODEL
from models.catalog.entry import HubSource, PathSource, Shape, WheelSource
from models.catalog.locate import catalogue, locate, resolve
from models.catalog.own import FILE, parse_own
from models.catalog.receipt import Receipt, receipt_path
from models.cli import render_table
from models.errors import CatalogInvalid, ModelAbsent
from tests.unit.models.gguf_file import gguf_file

HERE = Path("/models/catalog.yaml")
SHA256 = "0123456789abcdef" * 4

WHOLE = f"""
models:
  from-hub:
    hub: {{repo: Qwen/Qwen3-8B-GGUF, file: sub/Qwen3-8B-Q4_K_M.gguf, revision: "abc123"}}
    sha256: "{SHA256}"
    size_bytes: 5027783488
    quantization: Q4_K_M
    context_tokens: 40960
    licence: Apache-2.0
    temperature: 0.6
    top_p: 0.95
    shape: {{parameters: 8000000000, kv_bytes_per_token: 147456, heads: 32, vocabulary: 151936}}
  from-wheel:
    wheel: {{requirement: some-package==1.2, member: some_package/model.gguf}}
  from-root: {{path: /elsewhere/mine.gguf}}
  from-here: {{path: mine.gguf}}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(CatalogInvalid) as invalid:
        parse_own(text, HERE)
    return str(invalid.value).splitlines()


def entry(fields: str) -> str:
    return f"models: {{mine: {{{fields}}}}}"


def test_entries_of_every_kind_are_read() -> None:
    entries = {each.name: each for each in parse_own(WHOLE, HERE)}
    assert [each.source for each in entries.values()] == [
        HubSource("Qwen/Qwen3-8B-GGUF", "sub/Qwen3-8B-Q4_K_M.gguf", "abc123"),
        WheelSource("some-package==1.2", "some_package/model.gguf"),
        PathSource(Path("/elsewhere/mine.gguf")),
        PathSource(Path("/models/mine.gguf")),
    ]
    hub = entries["from-hub"]
    assert (hub.sha256, hub.size_bytes, hub.context_tokens, hub.temperature) == (SHA256, 5027783488, 40960, 0.6)
    assert hub.shape == Shape(8_000_000_000, 8_000_000_000, 147_456, 32, 151_936)


def test_files_are_named_after_their_entries_so_that_none_takes_anothers_place() -> None:
    assert [each.file for each in parse_own(WHOLE, HERE)][:2] == ["from-hub.gguf", "from-wheel.gguf"]


@pytest.mark.parametrize("text", ["", "models:", "{}"])
def test_empty_catalogue_has_no_entries(text: str) -> None:
    assert parse_own(text, HERE) == ()


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("", "models.mine: must have exactly one of hub, wheel, path"),
        ("path: a.gguf, wheel: {}", "models.mine: must have exactly one of hub, wheel, path"),
        ("hub: {repo: a/b}", "models.mine.hub.file: is missing"),
        ("hub: a/b", "models.mine.hub: must have the keys repo, file, revision"),
        ("hub: {repo: ab, file: c.gguf}", "models.mine.hub.repo: must be OWNER/NAME"),
        ("hub: {repo: ../b, file: c.gguf}", "models.mine.hub.repo: must be OWNER/NAME"),
        ("hub: {repo: a/b, file: c.bin}", "models.mine.hub.file: must be the path of a .gguf file"),
        ("hub: {repo: a/b, file: ../../etc/c.gguf}", "models.mine.hub.file: must be a path of plain names"),
        ("hub: {repo: a/b, file: /etc/c.gguf}", "models.mine.hub.file: must be a path of plain names"),
        ("hub: {repo: a/b, file: 'c\\d.gguf'}", "models.mine.hub.file: must be a path of plain names"),
        ("hub: {repo: a/b, file: c.gguf, revision: ../d}", "models.mine.hub.revision: must be a branch"),
        ("wheel: {requirement: '--index-url=x', member: c.gguf}", "models.mine.wheel.requirement: must be PACKAGE=="),
        ("path: a.gguf, sha256: abc", "models.mine.sha256: must be the 64 hexadecimal digits"),
        ("path: a.gguf, size_bytes: -1", "models.mine.size_bytes: must be a whole number above 0, not -1"),
        ("path: a.gguf, size_bytes: true", "models.mine.size_bytes: must be a whole number above 0, not True"),
        ("path: a.gguf, temperature: 3", "models.mine.temperature: must be a number from 0 to 2, not 3"),
        ("path: a.gguf, top_p: .nan", "models.mine.top_p: must be a number from 0 to 1, not nan"),
        ("path: a.gguf, licence: ''", "models.mine.licence: must be a text in one line, not ''"),
        ("path: a.gguf, contxt_tokens: 1", "models.mine.contxt_tokens: is not known: did you mean context_tokens?"),
        ("path: a.gguf, shape: {parameters: 1}", "models.mine.shape.kv_bytes_per_token: is missing"),
    ],
)
def test_fault_is_told_with_its_key_and_remedy(fields: str, fault: str) -> None:
    head, *lines = faults(entry(fields))
    assert head.startswith("/models/catalog.yaml has ")
    assert any(line.strip().startswith(fault) for line in lines)


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "a.gguf", "1: 2"])
def test_name_that_would_lead_elsewhere_is_refused(name: str) -> None:
    assert any("must be called by letters" in line for line in faults(f"models: {{'{name}': {{path: a.gguf}}}}"))


def test_all_faults_are_told_at_once() -> None:
    text = "models: {a: {hub: {repo: x, file: y}}, b: {path: z.gguf, top_p: 2}, c: 5}"
    assert len(faults(text)) == 6


@pytest.mark.parametrize(
    ("text", "fault"), [("models: [", "is not YAML"), ("[]", "(file)"), ("models: 5", "a key for")]
)
def test_text_that_is_no_catalogue_is_refused(text: str, fault: str) -> None:
    assert fault in "\n".join(faults(text))


def test_own_entry_replaces_ours_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(f"models: {{{DEFAULT_MODEL}: {{path: other.gguf}}}}")
    names = catalogue(tmp_path)
    assert names.keys() == CATALOG.keys()
    assert names[DEFAULT_MODEL].source == PathSource(tmp_path / "other.gguf")


def test_broken_catalogue_does_not_matter_to_a_path(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("models: 5")
    assert resolve("/some/file.gguf", tmp_path).name == "file"


def test_catalogue_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(CatalogInvalid, match="repair or remove it"):
        catalogue(tmp_path)


def test_entry_with_a_path_is_where_it_says(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(entry("path: mine.gguf, size_bytes: 4"))
    with pytest.raises(ModelAbsent, match=r"check .*catalog\.yaml"):
        locate("mine", tmp_path)
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    assert locate("mine", tmp_path).path == tmp_path / "mine.gguf"


def put(folder: Path, receipt: Receipt) -> None:
    file = folder / "mine.gguf"
    file.write_bytes(b"GGUF")
    receipt_path(file).write_text(
        f'{{"repo": "{receipt.repo}", "file": "{receipt.file}", "revision": "main", "commit": "c", '
        f'"size_bytes": {receipt.size_bytes}, "sha256": "{SHA256}", "is_vouched_for": true}}'
    )


@pytest.mark.parametrize(
    ("repo", "size_bytes", "is_present"),
    [("a/b", 4, True), ("a/b", 5, False), ("another/one", 4, False)],
)
def test_file_counts_as_present_if_its_receipt_is_about_it(
    tmp_path: Path, repo: str, size_bytes: int, is_present: bool
) -> None:
    (tmp_path / "catalog.yaml").write_text(entry("hub: {repo: a/b, file: c.gguf}"))
    put(
        tmp_path,
        Receipt(
            repo=repo,
            file="c.gguf",
            revision="main",
            commit="c",
            size_bytes=size_bytes,
            sha256=SHA256,
            is_vouched_for=True,
        ),
    )
    assert resolve("mine", tmp_path).is_present is is_present


def own(folder: Path, fields: str = "") -> list[str]:
    """What the table says of a file of one's own: its size, format and context."""
    (folder / FILE).write_text(entry(f"path: mine.gguf{fields}"))
    [row] = [line for line in render_table(folder).splitlines() if line.startswith("mine ")]
    return re.split("  +", row)[1:4]


def test_table_says_of_an_own_file_what_the_file_says(tmp_path: Path) -> None:
    values = {"general.architecture": "llama", "llama.context_length": 4096}
    tensors = [("Q4_K", (256, 8192)), ("F32", (256,))]
    (tmp_path / "mine.gguf").write_bytes(gguf_file(values, tensors))
    assert own(tmp_path) == ["1 MB", "Q4_K", "4096"]
    assert own(tmp_path, ", context_tokens: 512, about_bytes: 7000000") == ["7 MB", "Q4_K", "512"]


@pytest.mark.parametrize("content", [b"", b"GGUF", gguf_file({}, [])])
def test_of_an_own_file_that_says_nothing_the_size_is_known(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(content)
    assert own(tmp_path) == ["0 MB", "?", "?"]


def test_table_knows_nothing_of_an_own_file_that_is_not_here(tmp_path: Path) -> None:
    assert own(tmp_path) == ["?", "?", "?"]


def test_file_that_was_put_there_by_hand_is_taken_for_what_its_name_says(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(entry("hub: {repo: a/b, file: c.gguf}"))
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    assert resolve("mine", tmp_path).is_present


@pytest.mark.parametrize("name", CATALOG)
def test_entry_of_ours_is_whole(name: str) -> None:
    each = CATALOG[name]
    assert each.shape is not None
    assert each.likely_bytes is not None
    assert each.licence
    assert each.context_tokens
    assert 0.3 < each.likely_bytes / each.shape.parameters < 1.4  # bytes for each number, four to ten bits


def test_exact_figures_are_given_together_or_not_at_all() -> None:
    assert all((each.sha256 is None) == (each.size_bytes is None) for each in CATALOG.values())


def test_catalogue_goes_from_small_to_large() -> None:
    sizes = [each.shape.parameters for each in CATALOG.values() if each.shape]
    assert sizes == sorted(sizes)
