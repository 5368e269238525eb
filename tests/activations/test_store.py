import hashlib
import json
import os
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import msae
from msae.activations.harvest import harvest
from msae.activations.store import ActivationStore
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.core.errors import ConfigError, StoreError
from msae.core.files import sha256
from msae.data.documents import Document
from tests.damage import record_again

FOREST = SyntheticForest(d_in=10, n_roots=3, branching=(2,), noise_std=0.1)
N_ROWS = 700


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One store, made once: 700 rows of 10 numbers in 3 shards, 100 documents of 10 rows, every 8th held out."""
    path = tmp_path_factory.mktemp("made") / "store"
    source = SyntheticSource(forest=FOREST, context_size=10, batch_size=3)
    documents = [Document(f"draw {index} “ü”", "") for index in range(100)]
    arguments = dict(n_tokens=N_ROWS, holdout_tokens=100, shard_rows=250, dtype="float32", progress=False)
    return harvest(source, documents, path=path, **arguments)


@pytest.fixture
def store(made, tmp_path):
    """A copy that a test may damage."""
    return ActivationStore.open(shutil.copytree(made.path, tmp_path / "store"))


def test_what_a_store_says_of_itself(made):
    assert (len(made), made.n_rows, made.d_in, made.dtype) == (N_ROWS, N_ROWS, 10, "float32")
    assert made.spec.hook_name == "rows"
    assert "700 rows of 10 float32" in repr(made)
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest.pop("msae_version") == msae.__version__, "the version is no part of the fingerprint"
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    assert made.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert made.mean.dtype == torch.float32
    assert len(made.manifest.shard_rows) == 3


def test_any_range_of_rows_is_the_part_of_the_whole(made):
    whole, tokens = made.rows(0, N_ROWS), made.tokens(0, N_ROWS)
    ends = [0, 1, 249, 250, 251, 263, 264, 265, 500, 699, 700]
    for start in ends:
        for stop in (end for end in ends if end >= start):
            assert torch.equal(made.rows(start, stop), whole[start:stop])
            part = made.tokens(start, stop)
            assert torch.equal(part.offset, tokens.offset[start:stop])
            assert torch.equal(part.document, tokens.document[start:stop])
            assert torch.equal(part.token_id, tokens.token_id[start:stop])
            assert torch.equal(part.position, tokens.position[start:stop])
            torch.testing.assert_close(made.norms(start, stop), whole[start:stop].norm(dim=1))
    assert made.rows(5, 5).shape == (0, 10)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, N_ROWS + 1), (N_ROWS + 1, N_ROWS + 1)])
def test_rows_that_do_not_exist_are_refused(made, start, stop):
    for read in (made.rows, made.tokens):
        with pytest.raises(StoreError, match=rf"\[{start}, {stop}\).*700"):
            read(start, stop)


def test_gather_reads_spans_in_the_order_given(made):
    whole = made.rows(0, N_ROWS)
    assert torch.equal(
        made.gather([(600, 603), (0, 2), (248, 270)]), torch.cat([whole[600:603], whole[:2], whole[248:270]])
    )


def test_documents_are_named_in_the_order_read(made):
    names = made.document_names()
    assert names[:2] == ["draw 0 “ü”", "draw 1 “ü”"]
    assert len(names) == int(made.tokens(0, N_ROWS).document.max()) + 1


def test_the_holdout_shares_no_document_with_the_rows(made):
    mine = set(made.tokens(0, N_ROWS).document.tolist())
    held = set(made.holdout.tokens(0, made.holdout.n_rows).document.tolist())
    assert not mine & held
    assert sorted(mine | held) == list(range(len(mine | held)))
    assert held == {number for number in range(len(mine | held)) if number % 8 == 0}
    assert made.holdout.holdout is None


def test_the_files_are_plain_safetensors_and_json(made):
    with safe_open(made.path / "acts-00001.safetensors", "pt") as file:
        start, stop = made.manifest.shard_rows[0], sum(made.manifest.shard_rows[:2])
        assert torch.equal(file.get_tensor("acts"), made.rows(start, stop))
    with safe_open(made.path / "tokens-00001.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("document").long(), made.tokens(start, stop).document)
        assert file.get_tensor("document").dtype == torch.int32
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["format_version"] == 2
    assert manifest["spec"]["kind"] == "synthetic"
    on_disk = {str(file.relative_to(made.path)) for file in made.path.rglob("*") if file.is_file()}
    of_holdout = {name for name in on_disk if name.startswith("holdout/") and name != "holdout/manifest.json"}
    assert set(manifest["files"]) | of_holdout | {"manifest.json"} == on_disk


def test_contexts_come_in_batches_of_any_size(made):
    tokens = torch.cat([batch.token_ids for batch in made.holdout.contexts(batch_size=4)])
    for batch_size in (1, 3, 100):
        batches = list(made.holdout.contexts(batch_size=batch_size))
        assert torch.equal(torch.cat([batch.token_ids for batch in batches]), tokens)
        assert all(len(batch) <= batch_size for batch in batches)
    with pytest.raises(ConfigError, match="batch_size"):
        made.holdout.contexts(batch_size=0)


def as_version_1(path):
    """The store as it was written before positions and norms were kept."""
    for folder in (path / "holdout", path):
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in manifest["files"]:
            if name.startswith("tokens-"):
                tensors = load_file(folder / name)
                save_file({key: tensors[key] for key in ("token_id", "document", "offset")}, folder / name)
            file = folder / name
            manifest["files"][name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
        manifest = {key: value for key, value in manifest.items() if key not in ("norms", "rounding")}
        (folder / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}))


def test_a_store_of_version_1_opens_without_positions(made, store):
    as_version_1(store.path)
    old = ActivationStore.open(store.path)
    old.verify()
    tokens = old.tokens(10, 600)
    assert torch.equal(tokens.document, made.tokens(10, 600).document)
    assert tokens.position is None and tokens.opens_context is None
    assert torch.equal(old.norms(10, 600), made.norms(10, 600))
    assert old.norm_summary == made.norm_summary
    assert old.manifest.rounding is None


def test_reading_does_not_write(store):
    before = sha256(store.path / "acts-00000.safetensors")
    rows = store.rows(0, 10)
    rows.zero_()
    store.gather([(0, 10)]).zero_()
    assert store.rows(0, 10).abs().sum() > 0
    assert sha256(store.path / "acts-00000.safetensors") == before


def test_an_untouched_store_verifies(store):
    store.verify()


FILES = ["acts-00001.safetensors", "tokens-00002.safetensors", "mean.safetensors", "documents.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named_when_the_store_is_opened(store, name):
    os.truncate(store.path / name, (store.path / name).stat().st_size - 1)
    with pytest.raises(
        StoreError, match=rf"damaged: {name} has \d+ bytes, was written with \d+.*restore it from a copy"
    ):
        ActivationStore.open(store.path)


@pytest.mark.parametrize("name", [*FILES, "holdout/manifest.json"])
def test_a_missing_file_is_named_when_the_store_is_opened(store, name):
    (store.path / name).unlink()
    with pytest.raises(StoreError, match=f"{name} is missing"):
        ActivationStore.open(store.path)


@pytest.mark.parametrize("name", [*FILES, "holdout/acts-00000.safetensors"])
def test_one_altered_bit_is_found_by_verify(store, name):
    content = bytearray((store.path / name).read_bytes())
    content[-3] ^= 1
    (store.path / name).write_bytes(content)
    opened = ActivationStore.open(store.path)
    with pytest.raises(StoreError, match=rf"{name.split('/')[-1]} has another SHA-256"):
        opened.verify()


def test_a_shard_replaced_by_one_of_another_shape_is_named(store):
    path = store.path / "acts-00000.safetensors"
    content = path.read_bytes()
    rows = store.manifest.shard_rows[0]
    path.write_bytes(content.replace(f"[{rows},10]".encode(), f"[10,{rows}]".encode()))
    with pytest.raises(StoreError, match=r"acts-00000.* has another SHA-256"):
        ActivationStore.open(store.path).rows(0, 1)
    record_again(store.path)
    with pytest.raises(StoreError, match=r"acts-00000.* does not hold"):
        ActivationStore.open(store.path).rows(0, 1)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 8, b"not a safetensors file"])
def test_a_header_that_is_none_is_named(store, damage):
    path = store.path / "acts-00000.safetensors"
    content = path.read_bytes()
    path.write_bytes(damage + content[len(damage) :] if damage else bytes(len(content)))
    record_again(store.path)
    with pytest.raises(StoreError, match=r"acts-00000.*cannot be read as a safetensors file"):
        ActivationStore.open(store.path).rows(0, 1)


def test_no_store_at_all(tmp_path):
    with pytest.raises(StoreError, match=r"there is no activation store.*harvest"):
        ActivationStore.open(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"no manifest\.json"):
        ActivationStore.open(tmp_path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("", "is not readable JSON"),
        ("[]", "holds list where an object belongs"),
        ('{"format": "something else"}', "does not say"),
        ('{"format": "msae activation store"}', "needs a value for 'spec'"),
    ],
)
def test_a_manifest_that_is_none(store, damage, said):
    (store.path / "manifest.json").write_text(damage)
    with pytest.raises(StoreError, match=said):
        ActivationStore.open(store.path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format_version", 3, "a newer store needs a newer msae"),
        ("dtype", "float64", "dtype = 'float64'"),
        ("n_rows", 701, "shard_rows"),
        ("colour", "red", "no field 'colour'"),
        ("files", [1], "is not the manifest"),
    ],
)
def test_a_manifest_of_another_kind(store, key, value, said):
    manifest = json.loads((store.path / "manifest.json").read_text())
    (store.path / "manifest.json").write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(StoreError, match=said):
        ActivationStore.open(store.path)


def test_a_store_can_be_moved(store, tmp_path):
    moved = ActivationStore.open(shutil.move(store.path, tmp_path / "elsewhere"))
    moved.verify()
    assert moved.fingerprint == store.fingerprint
    assert moved.holdout.n_rows > 0
