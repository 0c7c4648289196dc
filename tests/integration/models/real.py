"""Real models of several families, in the folder that HOTSPARE_REAL_MODELS names.

They are 850 MB, and for whoever runs these tests to fetch, from Hugging Face's hub or wherever else they are.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "HOTSPARE_REAL_MODELS"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file; with another one of that name the answers would be other ones."""

    name: str
    sha256: str


GEMMA: Final = ModelFile("gemma-3-270m-q4_k_m.gguf", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818")
"""The base model: a sliding window, SentencePiece, no chat template. Gemma's terms of use."""

QWEN: Final = ModelFile(
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
)
"""A chat model that was trained on tools. Apache-2.0."""

MINILM: Final = "all-MiniLM-L6-v2"
"""A model for embeddings: the folder as its authors publish it. Apache-2.0."""


def folder() -> Path | None:
    """Where the models are; None if there are none."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def checked(models: Path, file: ModelFile) -> Path:
    """The path of a file that is the one that these tests were written for."""
    path = models / file.name
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    assert found == file.sha256, f"{path} is not the file that these tests were written for"
    return path
