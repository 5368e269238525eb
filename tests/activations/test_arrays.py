from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from msae.activations.arrays import ArraySource
from msae.activations.source import ActivationSource, rows_kept
from msae.core.errors import ConfigError, SourceError
from msae.core.rng import numpy_stream

ROWS = numpy_stream(0, "array tests").standard_normal((50, 6)).astype(np.float32)
SEQUENCES = ROWS.reshape(10, 5, 6)


def everything(source: ArraySource) -> torch.Tensor:
    (hook,) = source.specs
    return torch.cat([rows_kept(batch, source.activations(batch)[hook]) for batch in source.contexts()])


def write(folder, kind: str, array: np.ndarray):
    if kind == "npy":
        np.save(folder / "rows.npy", array)
        return folder / "rows.npy"
    if kind == "safetensors":
        save_file({"rows": torch.from_numpy(array)}, folder / "rows.safetensors")
        return folder / "rows.safetensors"
    return torch.from_numpy(array) if kind == "tensor" else array


@pytest.mark.parametrize("array", [ROWS, SEQUENCES], ids=["rows", "sequences"])
@pytest.mark.parametrize("kind", ["npy", "safetensors", "tensor", "numpy"])
def test_every_row_comes_once_in_order_from_every_kind_of_array(tmp_path, kind, array):
    source = ArraySource(write(tmp_path, kind, array), batch_rows=12)
    assert torch.equal(everything(source), torch.from_numpy(ROWS))
    (spec,) = source.specs.values()
    assert (spec.kind, spec.d_in, spec.context_size) == ("array", 6, 5 if array.ndim == 3 else 0)
    assert isinstance(source, ActivationSource)


def test_rows_are_traced_to_their_sequence_and_position():
    batches = list(ArraySource(SEQUENCES, batch_rows=12).contexts())
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 2]
    assert batches[1].document.tolist() == [[2] * 5, [3] * 5]
    assert batches[1].offset.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert batches[1].keep.all() and batches[1].attention.all()


def test_a_selection_of_contexts_gives_their_rows():
    source = ArraySource(SEQUENCES)
    (batch,) = source.contexts()
    chosen = source.activations(batch.select(torch.tensor([7, 2])))["rows"]
    assert torch.equal(chosen, torch.from_numpy(SEQUENCES[[7, 2]]))


def test_the_fingerprint_follows_the_numbers_not_the_file(tmp_path):
    def revision(array) -> str:
        return next(iter(ArraySource(array).specs.values())).revision

    changed = ROWS.copy()
    changed[17, 3] += 1e-3
    assert revision(write(tmp_path, "npy", ROWS)) == revision(write(tmp_path, "safetensors", ROWS)) == revision(ROWS)
    assert len({revision(ROWS), revision(changed), revision(SEQUENCES), revision(ROWS.astype(np.float16))}) == 4


def test_a_large_array_is_fingerprinted_by_a_sample_spread_over_all_of_it(monkeypatch):
    from msae.activations import fingerprint

    whole = fingerprint.tensor_fingerprint(torch.from_numpy(ROWS))
    monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 100)
    monkeypatch.setattr(fingerprint, "SAMPLED_BLOCKS", 1)
    monkeypatch.setattr(fingerprint, "BLOCK_BYTES", 10 * 6 * 4)
    sampled = fingerprint.tensor_fingerprint(torch.from_numpy(ROWS))
    assert sampled != whole
    assert sampled != fingerprint.tensor_fingerprint(torch.from_numpy(ROWS) + 1)
    last = torch.from_numpy(ROWS.copy())
    last[-1] += 1
    assert sampled != fingerprint.tensor_fingerprint(last)


def test_a_key_names_one_tensor_of_several(tmp_path):
    save_file({"a": torch.zeros(3, 2), "b": torch.ones(3, 2)}, tmp_path / "two.safetensors")
    source = ArraySource(tmp_path / "two.safetensors", key="b", name="mine")
    assert everything(source).sum() == 6 and list(source.specs) == ["b"]
    assert source.specs["b"].model == "mine"
    with pytest.raises(SourceError, match=r"holds the tensors \['a', 'b'\]: name one with key"):
        ArraySource(tmp_path / "two.safetensors")
    with pytest.raises(SourceError, match="there is no 'c'"):
        ArraySource(tmp_path / "two.safetensors", key="c")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.float16, torch.float16),
        (torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.float32),
        (torch.float64, torch.float32),
    ],
)
def test_dtypes(tmp_path, given, kept):
    save_file({"rows": torch.from_numpy(ROWS).to(given)}, tmp_path / "rows.safetensors")
    source = ArraySource(tmp_path / "rows.safetensors")
    assert everything(source).dtype == kept
    assert source.specs["rows"].dtype == str(kept).removeprefix("torch.")


@pytest.mark.parametrize(
    "array",
    [np.arange(12).reshape(3, 4), np.zeros(5, np.float32), np.zeros((2, 2, 2, 2)), np.zeros((0, 4))],
    ids=["integers", "one dimension", "four dimensions", "empty"],
)
def test_what_is_no_array_of_activations_is_refused(array):
    with pytest.raises(SourceError, match="activations are floating-point numbers"):
        ArraySource(array)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "rows.txt").write_text("1 2 3")
    (tmp_path / "rows.npy").write_text("1 2 3")
    (tmp_path / "rows.safetensors").write_text("1 2 3")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("rows.txt", "rows.npy", "rows.safetensors", "objects.npy", "absent.npy"):
        with pytest.raises(SourceError, match=name):
            ArraySource(tmp_path / name)
    with pytest.raises(ConfigError, match="batch_rows"):
        ArraySource(ROWS, batch_rows=0)


def test_a_batch_of_another_array_is_refused():
    (batch,) = ArraySource(SEQUENCES).contexts()
    with pytest.raises(SourceError, match="not of this array"):
        ArraySource(SEQUENCES[:4]).activations(batch)
    with pytest.raises(SourceError, match="not of this array"):
        ArraySource(ROWS).activations(batch)
