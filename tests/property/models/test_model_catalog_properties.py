from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.catalog.entry import HubSource
from models.catalog.own import parse_own
from models.engine.sizing import Wishes
from models.errors import CatalogInvalid
from models.fit.need import Facts, need_of

FOLDER = Path("/models")

parts = st.text(st.sampled_from("ab1._-/\\~ \n\0%"), max_size=12) | st.sampled_from(["..", "/", "a/../b", "~root"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["models", "hub", "wheel", "path", "repo", "file", "sha256", "shape", "top_p"]), inner
        )
    ),
    max_leaves=20,
)


@given(parts, parts)
def test_no_entry_leads_out_of_its_folder_or_its_repository(name: str, file: str) -> None:
    text = yaml.safe_dump({"models": {name: {"hub": {"repo": "a/b", "file": f"{file}.gguf"}}}})
    try:
        (entry,) = parse_own(text, FOLDER / "catalog.yaml")
    except CatalogInvalid:
        return
    assert (FOLDER / entry.file).resolve().parent == FOLDER
    assert isinstance(entry.source, HubSource)
    assert (FOLDER / entry.source.file).resolve().is_relative_to(FOLDER)


@given(documents)
def test_any_yaml_is_a_catalogue_or_a_clear_refusal(document: object) -> None:
    assert refusal(yaml.safe_dump(document)).startswith("/models/catalog.yaml")


def refusal(text: str) -> str:
    """Where a catalogue's faults are told to be; its own path if it has none."""
    try:
        parse_own(text, FOLDER / "catalog.yaml")
    except CatalogInvalid as invalid:
        return str(invalid)
    return "/models/catalog.yaml"


@given(
    st.integers(0, 10**11),
    st.integers(0, 10**6),
    st.integers(0, 200),
    st.integers(0, 3 * 10**5),
    st.none() | st.integers(1, 10**6),
    st.integers(0, 10**11),
)
def test_more_memory_never_makes_the_need_smaller(
    weights: int, cache: int, heads: int, vocabulary: int, trained: int | None, free: int
) -> None:
    facts = Facts(weights, cache, heads, vocabulary, trained)
    needs = [
        need_of(facts, Wishes(8192), available_bytes=available, has_gpu=False).cache_bytes
        for available in (free, free + 10**9)
    ]
    assert needs == sorted(needs)
