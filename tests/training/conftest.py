from __future__ import annotations

import pytest

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """20,000 rows of a small forest, with a holdout."""
    source = SyntheticSource(forest=SyntheticForest(d_in=24, n_roots=8))
    documents = [msae.Document(str(number), "") for number in range(1000)]
    path = tmp_path_factory.mktemp("acts") / "store"
    return msae.harvest(source, documents, n_tokens=20_000, path=path, holdout_tokens=2_000, progress=False)
