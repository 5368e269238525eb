"""Vectors at a level or at so many dimensions: cut and renormalised, from texts and from stores alike, into files."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import msae.demo
from msae.activations.arrays import ArraySource
from msae.activations.harvest import harvest
from msae.activations.pooled import PooledSource
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.errors import ConfigError, CorpusError, MismatchError
from msae.data.documents import string_documents
from msae.nested import HeadConfig, PcaPrefix, train_independent_heads
from msae.nested.embedding import Embedding, embed_documents, embed_store
from msae.nested.label_column import read_labels_column
from msae.nested.vector_files import write_vectors

WIDTHS = (2, 4, 8)
TEXTS = ["def area(r):", "import os", "class Node:\n    pass", "return x + 1", "for i in range(3):"]


def test_a_vector_is_the_beginning_divided_by_its_norm(rows):
    by_hand = rows[:, :3] / rows[:, :3].square().sum(1, keepdim=True).sqrt()
    assert torch.allclose(Embedding.of(12, dimensions=3)(rows), by_hand, atol=1e-6)
    assert torch.equal(Embedding.of(12, dimensions=3, normalised=False)(rows), rows[:, :3])
    nothing = torch.zeros(2, 12)
    assert torch.equal(Embedding.of(12)(nothing), nothing)


def test_a_level_is_its_width_in_dimensions(code, rows):
    for level, width in enumerate(WIDTHS):
        by_level = Embedding(code=code, level=level)
        assert by_level.width == width
        assert torch.equal(by_level(rows), Embedding(code=code, dimensions=width)(rows))
        norms = by_level(rows).norm(dim=1)
        assert torch.allclose(norms[norms > 0], torch.ones(int((norms > 0).sum())), atol=1e-5)


def test_dimensions_between_levels(rows, labels):
    pca = PcaPrefix.fit(rows, WIDTHS)
    cut = pca.transform(rows)[:, :5]
    assert torch.allclose(Embedding(code=pca, dimensions=5)(rows), cut / cut.norm(dim=1, keepdim=True), atol=1e-6)
    apart = train_independent_heads(rows, HeadConfig(widths=WIDTHS, n_steps=2), labels=labels)
    with pytest.raises(ConfigError, match=r"width = 5: .*\[2, 4, 8\]"):
        Embedding(code=apart, dimensions=5)


def test_what_does_not_fit_is_refused(rows):
    pca = PcaPrefix.fit(rows, WIDTHS)
    for settings, message in (
        ({"dimensions": 9}, "gives 1 to 8"),
        ({"dimensions": 0}, "gives 1 to 8"),
        ({"level": 3}, "levels 0 … 2"),
        ({"level": 0, "dimensions": 2}, "give one"),
    ):
        with pytest.raises(ConfigError, match=message):
            Embedding.of(12, pca, **settings)
    with pytest.raises(ConfigError, match="no levels"):
        Embedding.of(12, level=0)
    with pytest.raises(ConfigError, match="takes rows of 12"):
        Embedding.of(16, pca)


def test_texts_and_the_store_of_them_give_the_same_vectors(tmp_path):
    source = PooledSource(TransformerLensSource(msae.demo.model_path(), layer=2, batch_size=2, device="cpu"))
    options = {"path": tmp_path / "acts", "dtype": "float32", "holdout_tokens": 0, "progress": False}
    store = harvest(source, string_documents(TEXTS), n_tokens=len(TEXTS), **options)
    code = PcaPrefix.fit(store, (2, 4))
    embedding = Embedding(code=code, level=0)
    embedding.require_source(store.spec, what="the code and the store")
    of_texts = list(embed_documents(source, string_documents(TEXTS), embedding))
    (of_store,) = embed_store(store, embedding)
    names = [name for block, _ in of_texts for name in block]
    assert names == of_store[0] == [f"text[{i}]" for i in range(len(TEXTS))]
    torch.testing.assert_close(torch.cat([vectors for _, vectors in of_texts]), of_store[1], rtol=1e-4, atol=1e-5)
    other = harvest(ArraySource(store.rows(0, 5)), [], n_tokens=5, **options | {"path": tmp_path / "other"})
    with pytest.raises(MismatchError, match="kind: 'pooled' != 'array'"):
        embedding.require_source(other.spec, what="the code and the store")


def blocks_of(rows):
    for start in range(0, len(rows), 40):
        block = rows[start : start + 40]
        yield [f"row {start + i}" for i in range(len(block))], block


@pytest.mark.parametrize("ending", [".parquet", ".npy"])
def test_files_hold_the_vectors_in_order(ending, rows, tmp_path):
    path = tmp_path / "folder" / f"x{ending}"
    assert write_vectors(path, 12, blocks_of(rows)) == len(rows)
    if ending == ".npy":
        found = np.load(path, allow_pickle=False)
    else:
        table = pq.read_table(path)
        assert table["document"].to_pylist() == [f"row {i}" for i in range(len(rows))]
        found = np.array(table["vector"].to_pylist(), dtype=np.float32)
    assert found.dtype == np.float32 and np.array_equal(found, rows.numpy())


@pytest.mark.parametrize("ending", [".parquet", ".npy"])
def test_a_failure_leaves_the_file_as_it_was(ending, rows, tmp_path):
    def broken():
        yield from blocks_of(rows)
        raise CorpusError("no more")

    path = tmp_path / f"x{ending}"
    path.write_bytes(b"before")
    with pytest.raises(CorpusError):
        write_vectors(path, 12, broken())
    assert path.read_bytes() == b"before" and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_endings_are_refused(rows, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in .parquet or .npy"):
        write_vectors(tmp_path / "x.txt", 12, blocks_of(rows))


def test_labels_come_from_a_column_of_any_table(tmp_path):
    import pyarrow as pa

    (tmp_path / "a.csv").write_text('text,intent\n"one, two",card\nb,\nc,loan\n')
    (tmp_path / "a.jsonl").write_text('{"intent": "card"}\n{"intent": null}\n\n{"intent": "loan"}\n')
    pq.write_table(pa.table({"intent": ["card", None, "loan"]}), tmp_path / "a.parquet")
    for ending in ("csv", "jsonl", "parquet"):
        assert read_labels_column(tmp_path / f"a.{ending}", "intent") == ["card", None, "loan"]
    with pytest.raises(CorpusError, match=r"no column 'intend'; did you mean 'intent'"):
        read_labels_column(tmp_path / "a.csv", "intend")
    for name in ("a.txt", "none.csv"):
        with pytest.raises(CorpusError):
            read_labels_column(tmp_path / name, "intent")
    (tmp_path / "b.jsonl").write_text("[1]\n")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_labels_column(tmp_path / "b.jsonl", "intent")
