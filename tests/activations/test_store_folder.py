"""A store's folder: one writer, readers that are not disturbed, nothing lost by replacing it, nothing left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.core.errors import BusyError, CorpusError, SourceError, StoreError
from msae.core.replacing import beside
from msae.studies.info import describe, verify

FOREST = SyntheticForest(d_in=8, n_roots=3, branching=(2,))
ROWS = 400


def documents(n: int = 200) -> list[msae.Document]:
    return [msae.Document(str(number), "") for number in range(n)]


def source(hooks: tuple[str, ...] = ("rows",), seed: int = 0) -> SyntheticSource:
    return SyntheticSource(forest=FOREST, context_size=10, batch_size=4, seed=seed)


def harvested(path: Path, **changes) -> msae.ActivationStore:
    settings = {"n_tokens": ROWS, "holdout_tokens": 80, "shard_rows": 150, "progress": False}
    given = changes.pop("source", source())
    return msae.harvest(given, changes.pop("documents", documents()), path=path, **(settings | changes))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Failing(SyntheticSource):
    """Gives NaN after a number of batches."""

    def activations(self, batch):
        self.__dict__["done"] = self.__dict__.get("done", 0) + 1
        found = super().activations(batch)
        return {hook: rows * float("nan") for hook, rows in found.items()} if self.__dict__["done"] > 8 else found


def failing() -> Failing:
    return Failing(forest=FOREST, context_size=10, batch_size=4)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"source": failing()}, SourceError),
        ({"documents": []}, CorpusError),
        ({"n_tokens": 10**13, "holdout_tokens": 0}, StoreError),
        ({"n_tokens": 0}, msae.MsaeError),
        ({"dtype": "float8"}, msae.MsaeError),
    ],
    ids=["NaN in the middle", "no text", "no room", "no tokens", "no such dtype"],
)
def test_what_fails_leaves_the_store_it_was_to_replace(tmp_path, changes, refused):
    harvested(tmp_path / "store")
    before = contents(tmp_path / "store")
    with pytest.raises(refused):
        harvested(tmp_path / "store", replace=True, **changes)
    assert contents(tmp_path / "store") == before
    assert msae.ActivationStore.open(tmp_path / "store").rows(0, ROWS).shape == (ROWS, 8)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [({"source": failing(), "shard_rows": 10**6}, SourceError), ({"documents": []}, CorpusError)],
)
def test_a_harvest_that_never_wrote_a_row_stands_in_nobodys_way(tmp_path, changes, refused):
    with pytest.raises(refused):
        harvested(tmp_path / "store", **changes)
    assert list(tmp_path.iterdir()) == []
    assert harvested(tmp_path / "store").n_rows == ROWS


def test_one_killed_before_its_first_shard_was_whole_stands_in_nobodys_way(tmp_path, killed_after):
    step = 0
    while killed_after(step, lambda: harvested(tmp_path / str(step) / "store")):  # noqa: B023 (called at once)
        path = tmp_path / str(step) / "store"
        whole = any("acts" in file.name and not file.name.startswith(".") for file in path.rglob("*"))
        other = harvested(path, dtype="float16" if whole else "float32")
        other.verify()
        assert other.n_rows == ROWS
        assert not [file for file in path.rglob(".*")]
        if whole:
            break
        step += 1
    assert step > 2


def test_a_replacement_that_was_stopped_is_gone_on_with(tmp_path):
    whole = harvested(tmp_path / "whole", source=source(seed=1))
    harvested(tmp_path / "store")
    before = contents(tmp_path / "store")

    class Stopping(SyntheticSource):
        def activations(self, batch):
            self.__dict__["done"] = self.__dict__.get("done", 0) + 1
            if self.__dict__["done"] > 8:
                raise KeyboardInterrupt
            return super().activations(batch)

    with pytest.raises(KeyboardInterrupt):
        stopping = Stopping(forest=FOREST, context_size=10, batch_size=4, seed=1)
        harvested(tmp_path / "store", source=stopping, replace=True)
    assert contents(tmp_path / "store") == before
    assert "left by a kill  ../.store.new" in describe(tmp_path / "store")
    store = harvested(tmp_path / "store", source=source(seed=1), replace=True)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole") and store.fingerprint == whole.fingerprint
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["store", "whole"]


def test_a_replacement_of_other_settings_begins_anew(tmp_path):
    harvested(tmp_path / "store")
    with pytest.raises(SourceError):
        harvested(tmp_path / "store", source=failing(), replace=True)
    assert beside(tmp_path / "store").exists()
    store = harvested(tmp_path / "store", dtype="float32", replace=True)
    assert store.dtype == "float32" and [entry.name for entry in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("held_below", ["", "holdout"])
def test_a_store_that_is_read_is_not_replaced(tmp_path, held_below):
    store = harvested(tmp_path / "store")
    reader = msae.ActivationStore.open(store.path / held_below)
    before = contents(tmp_path)
    with reader.held(), pytest.raises(BusyError, match="reading from .*store.*: wait for it"):
        harvested(tmp_path / "store", replace=True)
    assert contents(tmp_path) == before
    harvested(tmp_path / "store", replace=True)


def test_a_store_that_is_being_replaced_is_not_read(tmp_path):
    store = harvested(tmp_path / "store")

    class Nosy(SyntheticSource):
        def activations(self, batch):
            with pytest.raises(BusyError, match="harvesting into or replacing"), store.held():
                pass
            return super().activations(batch)

    harvested(tmp_path / "store", source=Nosy(forest=FOREST, context_size=10), replace=True)


def test_stores_of_other_hooks_are_not_replaced_with_one(tmp_path):
    for hook in ("a", "b"):
        harvested(tmp_path / "acts" / hook)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="also holds a, b, which the new store would not have"):
        harvested(tmp_path / "acts", replace=True)
    assert contents(tmp_path) == before
    assert describe(tmp_path / "acts").count("activation store") == 2


@pytest.mark.parametrize("name", ["notes.txt", "holdout/mine.csv", "sub/x"])
def test_files_of_its_owner_are_not_removed_with_a_store(tmp_path, name):
    store = harvested(tmp_path / "store")
    (store.path / name).parent.mkdir(exist_ok=True)
    (store.path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="move it away. Nothing was changed"):
        harvested(tmp_path / "store", replace=True)
    assert contents(tmp_path) == before


ALTERED = {
    "acts-00001.safetensors": lambda store: store.rows(0, ROWS),
    "tokens-00001.safetensors": lambda store: store.tokens(0, ROWS),
    "mean.safetensors": lambda store: store.mean,
    "documents.json": lambda store: store.document_names(),
    "holdout/acts-00000.safetensors": lambda store: store.holdout.rows(0, 10),
    "holdout/contexts-00000.safetensors": lambda store: list(store.holdout.contexts()),
    "holdout/manifest.json": lambda store: store.holdout,
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_file_is_found_when_it_is_first_read(tmp_path, name):
    store = harvested(tmp_path / "store")
    ALTERED[name](store)  # what was right once is read again when it has changed
    path = store.path / name
    changed = bytearray(path.read_bytes())
    changed[-3] ^= 1
    path.write_bytes(changed)
    with pytest.raises(StoreError, match=f"{Path(name).name} has another SHA-256.*restore it from a copy"):
        ALTERED[name](msae.ActivationStore.open(store.path))
    with pytest.raises(StoreError, match="another SHA-256"):
        verify(store.path)


def test_rows_that_were_altered_are_not_trained_on(tmp_path):
    store = harvested(tmp_path / "store")
    path = store.path / "acts-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + b"\0\x3c" * 4)
    sae = msae.SparseAutoencoder(8, 16, msae.TopK(k=2))
    with pytest.raises(StoreError, match="acts-00002.safetensors has another SHA-256"):
        msae.train(
            sae, msae.ActivationStore.open(store.path), msae.TrainConfig(n_tokens=600, batch_size=100), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_a_file_is_summed_once(tmp_path, monkeypatch):
    from msae.activations import manifest

    store, summed, real = harvested(tmp_path / "store"), [], manifest.sha256
    monkeypatch.setattr(manifest, "sha256", lambda path: summed.append(path.name) or real(path))
    for _ in range(2):
        again = msae.ActivationStore.open(store.path)
        for start in range(0, ROWS, 50):
            again.rows(start, start + 50)
    assert sorted(summed) == sorted({name for name in summed if name.startswith("acts")})


def test_a_shard_that_is_cut_while_it_is_open_is_an_error_and_not_a_bus_error(tmp_path):
    store = harvested(tmp_path / "store")
    store.rows(0, ROWS)
    path = store.path / "acts-00000.safetensors"
    os.truncate(path, 100)
    with pytest.raises(StoreError, match="acts-00000.safetensors has 100 bytes, was written with"):
        store.rows(0, 10)


def test_info_verifies(tmp_path):
    store = harvested(tmp_path / "store")
    assert verify(store.path) == f"verified: every file of {store.path} is as it was written"
    run = msae.train(
        msae.SparseAutoencoder(8, 16, msae.TopK(k=2)), store, msae.TrainConfig(n_tokens=600, batch_size=100),
        tmp_path / "run",
    )  # fmt: skip
    assert verify(run.path).startswith("verified")
    harvested(tmp_path / "store", dtype="float32", replace=True)
    with pytest.raises(msae.MsaeError, match="it was replaced since"):
        verify(run.path)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_have_the_rights_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        store = harvested(tmp_path / "store")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in store.path.rglob("*") if path.is_file()} == {0o666 & ~umask}


def test_a_file_system_without_maps_is_read_with_a_warning(tmp_path, monkeypatch):
    store = harvested(tmp_path / "store")
    expected = store.rows(0, ROWS)

    def refuse(*arguments, **settings):
        raise RuntimeError("unable to mmap 1200 bytes from file <acts>: No such device (19)")

    monkeypatch.setattr(torch, "from_file", refuse)
    with pytest.warns(UserWarning, match="cannot be mapped .*No such device"):
        assert torch.equal(msae.ActivationStore.open(store.path).rows(0, ROWS), expected)


def test_a_copy_is_as_good(tmp_path):
    store = harvested(tmp_path / "store")
    copy = msae.ActivationStore.open(shutil.copytree(store.path, tmp_path / "copy"))
    assert torch.equal(copy.rows(0, ROWS), store.rows(0, ROWS))
