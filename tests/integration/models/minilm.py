"""all-MiniLM-L6-v2 as its authors publish it: made into a model file for llama.cpp, and reckoned by hand in numpy.

What is done by hand follows the paper on BERT: what the model server says of a text has to be the same.
"""

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.integration.models.tiny import Tensor, Value, gguf

_HEADS: Final = 12
_EPSILON: Final = 1e-12
_MEAN: Final = 1

_NAMES: Final = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
"""Of tensors: the authors' beside llama.cpp's."""

_OUTER: Final = re.compile(r"^(?:encoder\.layer\.(?P<block>\d+)\.)?(?P<name>.+)\.(?P<kind>weight|bias)$")
_WORD: Final = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class MiniLm:
    """The published model.

    Args:
        folder: with its `model.safetensors`, `tokenizer.json` and `config.json`.

    """

    folder: Path

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """By llama.cpp's names, in numpy's order of dimensions."""
        data = (self.folder / "model.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        table: dict[str, Any] = json.loads(data[8 : 8 + size])
        numbers = memoryview(data)[8 + size :]
        return {
            renamed: np.frombuffer(numbers[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
            for name, entry in table.items()
            if (renamed := _renamed(name)) is not None
        }

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Pieces of words; `##` begins those that go on a word."""
        known: dict[str, int] = json.loads((self.folder / "tokenizer.json").read_text())["model"]["vocab"]
        return known

    def write_gguf(self, path: Path) -> Path:
        """Make the file that llama.cpp reads, with all 32 bits of each number."""
        config = json.loads((self.folder / "config.json").read_text())
        values: dict[str, Value] = {
            "general.architecture": "bert",
            "general.name": "all-MiniLM-L6-v2",
            "bert.context_length": config["max_position_embeddings"],
            "bert.embedding_length": config["hidden_size"],
            "bert.block_count": config["num_hidden_layers"],
            "bert.feed_forward_length": config["intermediate_size"],
            "bert.attention.head_count": config["num_attention_heads"],
            "bert.attention.layer_norm_epsilon": config["layer_norm_eps"],
            "bert.attention.causal": False,
            "bert.pooling_type": _MEAN,
        }
        path.write_bytes(gguf(values | self._tokenizer(), self.tensors))
        return path

    def _tokenizer(self) -> dict[str, Value]:
        pieces = sorted(self.vocabulary, key=lambda piece: self.vocabulary[piece])
        special = {"bos": "[CLS]", "seperator": "[SEP]", "unknown": "[UNK]", "padding": "[PAD]", "mask": "[MASK]"}
        ids: dict[str, Value] = {f"tokenizer.ggml.{key}_token_id": self.vocabulary[p] for key, p in special.items()}
        return ids | {
            "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.tokens": [p if p in special.values() else _marked(p) for p in pieces],
            "tokenizer.ggml.token_type": [3 if p in special.values() else 1 for p in pieces],
        }

    def tokens(self, text: str) -> list[int]:
        """Token ids of an English text without accents."""
        words = [piece for word in _WORD.findall(text.lower()) for piece in self._pieces(word)]
        return [self.vocabulary[piece] for piece in ("[CLS]", *words, "[SEP]")]

    def _pieces(self, word: str) -> list[str]:
        """The longest that fits, again and again."""
        pieces: list[str] = []
        while word:
            mark = "##" if pieces else ""
            fitting = (size for size in range(len(word), 0, -1) if mark + word[:size] in self.vocabulary)
            size = next(fitting)
            pieces.append(mark + word[:size])
            word = word[size:]
        return pieces

    def embed(self, tokens: list[int]) -> NDArray[np.float64]:
        """The vector of a text, of length 1, reckoned with 64 bits."""
        rows = (
            self._table("token_embd")[tokens]
            + self._table("position_embd")[: len(tokens)]
            + self._table("token_types")[0]
        )
        rows = self._normal(rows, "token_embd_norm")
        for block in range(6):
            rows = self._block(rows, f"blk.{block}")
        mean: NDArray[np.float64] = rows.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _block(self, rows: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        seen = self._linear(self._attended(rows, at), f"{at}.attn_output")
        rows = self._normal(rows + seen, f"{at}.attn_output_norm")
        inner = self._linear(rows, f"{at}.ffn_up")
        inner *= 0.5 * (1.0 + _erf(inner / math.sqrt(2.0)))
        return self._normal(rows + self._linear(inner, f"{at}.ffn_down"), f"{at}.layer_output_norm")

    def _attended(self, rows: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        asked, keys, values = (
            self._linear(rows, f"{at}.attn_{one}").reshape(len(rows), _HEADS, -1).swapaxes(0, 1) for one in "qkv"
        )
        scores = np.exp(asked @ keys.swapaxes(1, 2) / math.sqrt(keys.shape[2]))
        shares = scores / scores.sum(axis=2, keepdims=True)
        mixed: NDArray[np.float64] = (shares @ values).swapaxes(0, 1).reshape(len(rows), -1)
        return mixed

    def _linear(self, rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        product: NDArray[np.float64] = rows @ self._table(name).T + self.tensors[f"{name}.bias"]
        return product

    def _normal(self, rows: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = rows - rows.mean(axis=1, keepdims=True)
        centred /= np.sqrt(centred.var(axis=1, keepdims=True) + _EPSILON)
        scaled: NDArray[np.float64] = centred * self._table(name) + self.tensors[f"{name}.bias"]
        return scaled

    def _table(self, name: str) -> NDArray[np.float64]:
        return self.tensors[f"{name}.weight"].astype(np.float64)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _renamed(name: str) -> str | None:
    """None for what llama.cpp has no use for."""
    found = _OUTER.match(name)
    if found is None or found["name"] not in _NAMES:
        return None
    known = f"{_NAMES[found['name']]}.{found['kind']}"
    return known if found["block"] is None else f"blk.{found['block']}.{known}"


def _marked(piece: str) -> str:
    """llama.cpp marks what begins a word, not what goes on."""
    return piece.removeprefix("##") if piece.startswith("##") else f"▁{piece}"
