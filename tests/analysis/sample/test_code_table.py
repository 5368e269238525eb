from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.sample import code_table as codes_module
from msae.analysis.sample.code_table import CodeTable, CodeWriter, ranges
from msae.analysis.sample.pairs import count_together
from msae.core.errors import DiskError, EvaluationError, MismatchError
from msae.sae import SparseCodes


def random_dense(seed: int, n_rows: int, d_sae: int, density: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(n_rows, d_sae, generator=generator)
    return dense * (torch.rand(n_rows, d_sae, generator=generator) < density)


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_codes_by_row_and_by_latent_are_the_codes(seed, n_rows, d_sae, density):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes_module, "CHUNK_CODES", 17)  # several chunks even here
        dense = random_dense(seed, n_rows, d_sae, density)
        table = CodeTable.of(SparseCodes.from_dense(dense))
    assert torch.equal(table.sparse(0, n_rows).dense(), dense)
    for latent in range(d_sae):
        column = np.zeros(n_rows, np.float32)
        column[table.rows_of(latent)] = table.values_of(latent)
        assert np.array_equal(column, dense[:, latent].numpy())
        assert np.all(np.diff(table.rows_of(latent)) > 0)
    fires = (dense > 0).long()
    counted = torch.cat([torch.from_numpy(counts.toarray()) for _, counts in count_together(table, block=5)])
    assert torch.equal(counted.long(), fires.T @ fires)


def test_codes_of_two_saes_are_counted_against_each_other():
    one, other = random_dense(0, 50, 6, 0.4), random_dense(1, 50, 9, 0.3)
    tables = [CodeTable.of(SparseCodes.from_dense(dense)) for dense in (one, other)]
    counted = np.concatenate([counts.toarray() for _, counts in count_together(*tables)])
    assert np.array_equal(counted, ((one > 0).float().T @ (other > 0).float()).numpy())
    with pytest.raises(MismatchError, match="50 rows"):
        next(count_together(tables[0], CodeTable.of(SparseCodes.from_dense(other[:9]))))


def test_files_go_with_the_table(tmp_path: Path):
    table = CodeTable.of(SparseCodes.from_dense(torch.ones(3, 2)), tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) == 16 * 6
    del table
    assert not list(tmp_path.iterdir())


def test_no_rows_is_refused():
    with pytest.raises(EvaluationError, match="no rows"):
        CodeWriter(4).finish()


def test_ranges():
    assert ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ranges(np.array([], int), np.array([], int)).tolist() == []


def test_where_files_cannot_be_mapped_codes_are_held_and_said_so(tmp_path, monkeypatch):
    dense = random_dense(3, 30, 8, 0.3)

    def refuse(*arguments, **settings):
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(np, "memmap", refuse)
    with pytest.warns(UserWarning, match="cannot be mapped.*codes are held in memory"):
        table = CodeTable.of(SparseCodes.from_dense(dense), tmp_path)
    assert torch.equal(table.sparse(0, 30).dense(), dense)
    for latent in range(8):
        assert np.array_equal(table.rows_of(latent), np.flatnonzero(dense[:, latent].numpy()))


def test_a_full_disk_is_an_error_and_no_crash(tmp_path):
    """In a process of its own, whose files cannot grow beyond what the codes by row take."""
    dense = random_dense(3, 400, 64, 0.3)
    n_codes = int((dense > 0).sum())
    child = os.fork()
    if child == 0:
        codes = SparseCodes.from_dense(dense)
        writer = CodeWriter(64, tmp_path)
        writer.append(codes)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * n_codes, 2 * n_codes))
        try:
            writer.finish()
        except DiskError as error:
            os._exit(7 if "free some space" in str(error) else 8)
        os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
