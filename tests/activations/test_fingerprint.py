from __future__ import annotations

import pytest
import torch

from msae.activations import fingerprint
from msae.activations.fingerprint import folder_fingerprint, parameter_fingerprint
from msae.core.errors import SourceError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-1.safetensors").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "model-2.safetensors").write_bytes(b"x" * 100)
    return tmp_path


def test_every_file_of_the_model_counts_and_nothing_else(folder):
    seen = {folder_fingerprint(folder)}
    (folder / "notes.txt").write_text("not part of the model")
    assert folder_fingerprint(folder) in seen
    (folder / "config.json").write_text('{"a": 1}')
    seen.add(folder_fingerprint(folder))
    (folder / "model-2.safetensors").write_bytes(b"x" * 99 + b"y")
    seen.add(folder_fingerprint(folder))
    (folder / "model-2.safetensors").rename(folder / "model-3.safetensors")
    seen.add(folder_fingerprint(folder))
    assert len(seen) == 4


def test_a_large_file_is_sampled_from_its_first_byte_to_its_last(folder, monkeypatch):
    monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(fingerprint, "SAMPLED_BLOCKS", 4)
    monkeypatch.setattr(fingerprint, "BLOCK_BYTES", 16)
    before = folder_fingerprint(folder)
    content = bytearray((folder / "model-1.safetensors").read_bytes())
    for position in (0, len(content) - 1):
        changed = content.copy()
        changed[position] ^= 1
        (folder / "model-1.safetensors").write_bytes(changed)
        assert folder_fingerprint(folder) != before
    (folder / "model-1.safetensors").write_bytes(content)
    assert folder_fingerprint(folder) == before


def test_a_folder_without_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SourceError, match="holds no weights"):
        folder_fingerprint(tmp_path)


def test_parameters_and_buffers_count():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    seen = {parameter_fingerprint(module)}
    assert parameter_fingerprint(module) in seen
    module[0].weight.data[1, 2] += 1e-3
    seen.add(parameter_fingerprint(module))
    module[1].running_var[0] = 2
    seen.add(parameter_fingerprint(module))
    assert len(seen) == 3
