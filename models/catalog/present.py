"""What a model's own file says where its catalogue entry says nothing."""

from dataclasses import replace
from pathlib import Path

from models.catalog.entry import CatalogEntry
from models.catalog.gguf import Header, header_of
from models.catalog.locate import ModelFile
from models.errors import HeaderInvalid


def filled(entry: CatalogEntry, model: ModelFile) -> CatalogEntry:
    """The entry with its size, format and context, as far as its file is here and says so.

    The file is looked into only for what the entry leaves open: it takes a while to pass over a large vocabulary.
    """
    is_complete = entry.likely_bytes is not None and entry.context_tokens is not None and entry.quantization
    if is_complete or not model.is_present:
        return entry
    entry = replace(entry, about_bytes=entry.likely_bytes or model.path.stat().st_size)
    header = _header(model.path)
    if header is None:
        return entry
    format_name = next((name for name, _ in header.format_bytes.most_common(1)), "")
    context_tokens = header.numbers.get(f"{header.architecture}.context_length")
    return replace(
        entry,
        quantization=entry.quantization or format_name,
        context_tokens=entry.context_tokens or context_tokens or None,
    )


def _header(path: Path) -> Header | None:
    try:
        return header_of(path)
    except (HeaderInvalid, OSError):
        return None
