"""The harvest, on a small real source: an embedding table and an MLP over the bytes of documents."""

import contextlib
import dataclasses
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from msae.activations.arrays import ArraySource
from msae.activations.harvest import harvest, harvest_hooks
from msae.activations.plan import HarvestRequest, format_bytes, format_seconds, plan
from msae.activations.source import ActivationSource, ContextBatch
from msae.activations.store import ActivationStore
from msae.core.errors import BusyError, ConfigError, CorpusError, DiskError, SourceError, StoreError
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.data.documents import Document

D_IN, CONTEXT, BOS = 12, 9, 256


class ByteSource:
    """Documents packed into contexts that open with BOS; the last is padded. Hooks: the embedding and an MLP on it."""

    def __init__(self, hooks=("mlp",), batch_size=4, context_size=CONTEXT, gain=1.0, seconds_a_batch=0.0):
        draw = lambda name, *shape: torch.randn(*shape, generator=torch_stream(0, name))
        self.embedding, self.W = gain * draw("embedding", 257, D_IN), draw("W", D_IN, D_IN) / D_IN**0.5
        self.hooks, self.batch_size, self.context_size, self.gain = hooks, batch_size, context_size, gain
        self.seconds_a_batch = seconds_a_batch
        self.batches_run = 0

    @property
    def specs(self):
        common = dict(kind="module", model="bytes", revision=f"gain {self.gain}", prepend_bos=True)
        return {
            hook: SourceSpec(hook_name=hook, d_in=D_IN, context_size=self.context_size, **common) for hook in self.hooks
        }

    def contexts(self, documents):
        pending, row = [], []
        for number, document in enumerate(documents):
            for offset, byte in enumerate(document.text.encode()):
                row.append((byte, number, offset))
                if len(row) == self.context_size - 1:
                    pending, row = [*pending, row], []
                if len(pending) == self.batch_size:
                    yield self._batch(pending)
                    pending = []
        if pending or row:
            yield self._batch(pending + ([row] if row else []))

    def activations(self, batch):
        self.batches_run += 1
        time.sleep(self.seconds_a_batch)
        embedded = self.embedding[batch.token_ids]
        hidden = embedded + torch.relu(embedded @ self.W).cumsum(dim=1)
        return {name: {"embedding": embedded, "mlp": hidden}[name] for name in self.hooks}

    def _batch(self, rows):
        special, padding = (BOS, -1, -1), (0, -1, -1)
        cells = [[special, *row] + [padding] * (self.context_size - 1 - len(row)) for row in rows]
        token_ids, document, offset = torch.tensor(cells).unbind(dim=2)
        length = torch.tensor([1 + len(row) for row in rows])
        attention = torch.arange(self.context_size) < length[:, None]
        return ContextBatch(token_ids=token_ids, document=document, offset=offset, attention=attention)


def corpus(n_documents=40, seed=0):
    rng = random.Random(seed)
    words = ["tree", "root", "leaf", "branch", "a", "of", "the", "grows", "näher"]
    return [
        Document(f"doc-{index:03d}", " ".join(rng.choices(words, k=rng.randint(3, 30)))) for index in range(n_documents)
    ]


def all_rows(source, documents, hook="mlp"):
    """Every row with its origin and its context's number, straight from the source: the truth to compare with."""
    rows, origins, number = [], [], 0
    for batch in source.contexts(documents):
        keep = batch.keep
        contexts = torch.arange(number, number + len(batch))[:, None].expand(keep.shape)
        rows.append(source.activations(batch)[hook][keep])
        position = torch.arange(keep.shape[1]).expand(keep.shape)
        fields = (batch.token_ids, batch.document, batch.offset, position, contexts)
        origins.append(torch.stack([field[keep] for field in fields]))
        number += len(batch)
    return torch.cat(rows), torch.cat(origins, dim=1)


def contents(path):
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


ARGUMENTS = dict(n_tokens=1000, holdout_tokens=200, shard_rows=600, dtype="float32", progress=False)


def small(path, source=None, documents=None, **changes):
    return harvest(source or ByteSource(), documents or corpus(), path=path, **(ARGUMENTS | changes))


def origins_of(store):
    tokens = store.tokens(0, store.n_rows)
    return torch.stack([tokens.token_id, tokens.document, tokens.offset, tokens.position])


def test_the_test_source_is_a_source():
    assert isinstance(ByteSource(), ActivationSource)


def test_rows_are_the_source_s_own_without_special_tokens_and_holdout(tmp_path):
    store = small(tmp_path / "store")
    rows, origins = all_rows(ByteSource(), corpus())
    held = origins[4] % 6 == 0  # 1 + 1000 // 200 = 6: contexts 0, 6, 12, …
    assert store.n_rows == 1000
    assert torch.equal(store.rows(0, 1000), rows[~held][:1000])
    assert torch.equal(origins_of(store), origins[:4, ~held][:, :1000])
    holdout = store.holdout
    assert torch.equal(holdout.rows(0, holdout.n_rows), rows[held][: holdout.n_rows])
    assert torch.equal(origins_of(holdout), origins[:4, held][:, : holdout.n_rows])
    assert 200 <= holdout.n_rows <= 200 + 2 * (CONTEXT - 1)
    assert (store.tokens(0, 1000).token_id != BOS).all()


def test_rows_can_be_traced_to_their_documents(tmp_path):
    store = small(tmp_path / "store")
    names, texts = store.document_names(), {document.name: document.text for document in corpus()}
    tokens = store.tokens(0, store.n_rows)
    fields = (tokens.token_id, tokens.document, tokens.offset)
    for token_id, document, offset in zip(*(field.tolist() for field in fields), strict=True):
        assert texts[names[document]].encode()[offset] == token_id


def test_a_row_that_opens_its_context_is_the_first_that_the_model_read_there(tmp_path):
    store = small(tmp_path / "store")
    origins = all_rows(ByteSource(), corpus())[1]
    contexts = origins[4, origins[4] % 6 != 0][:1000]
    opens = torch.cat([torch.tensor([True]), contexts[1:] != contexts[:-1]])
    assert torch.equal(store.tokens(0, 1000).opens_context, opens)
    assert (store.tokens(0, 1000).position[opens] == 1).all()  # behind BOS


def test_the_holdout_keeps_whole_contexts(tmp_path):
    holdout = small(tmp_path / "store").holdout
    whole = [batch.select(torch.arange(len(batch))) for batch in ByteSource(batch_size=1).contexts(corpus())]
    kept = list(holdout.contexts(batch_size=1))
    assert len(kept) == sum(holdout.manifest.context_rows)
    for batch, original in zip(kept, whole[::6], strict=False):
        for field in ("token_ids", "document", "offset", "attention"):
            assert torch.equal(getattr(batch, field), getattr(original, field))
    activations = torch.cat([ByteSource().activations(batch)["mlp"][batch.keep] for batch in holdout.contexts()])
    assert torch.equal(activations, holdout.rows(0, holdout.n_rows))


def test_no_holdout_when_none_is_asked_for(tmp_path):
    store = small(tmp_path / "store", holdout_tokens=0)
    assert store.holdout is None
    assert torch.equal(store.rows(0, 1000), all_rows(ByteSource(), corpus())[0][:1000])
    with pytest.raises(StoreError, match="only a holdout does"):
        store.contexts()


def test_shards_close_at_the_end_of_a_batch(tmp_path):
    store = small(tmp_path / "store", holdout_tokens=0, shard_rows=130)
    batch_rows = 4 * (CONTEXT - 1)
    assert store.manifest.shard_rows == (5 * batch_rows,) * 6 + (1000 - 30 * batch_rows,)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 2**-10), ("bfloat16", 2**-7)])
def test_moments_are_those_of_the_rows_on_disk(tmp_path, dtype, tolerance):
    store = small(tmp_path / "store", dtype=dtype)
    rows = store.rows(0, 1000)
    torch.testing.assert_close(store.mean, rows.double().mean(dim=0).float(), rtol=1e-6, atol=1e-7)
    assert store.mean_squared_norm == pytest.approx(rows.double().square().sum(dim=1).mean().item(), rel=1e-12)
    assert store.variance == pytest.approx(
        (rows.double() - rows.double().mean(dim=0)).square().sum(dim=1).mean().item()
    )
    assert (store.scale * rows).double().square().sum(dim=1).mean().item() == pytest.approx(D_IN)
    exact = small(tmp_path / "exact", dtype="float32").rows(0, 1000)
    assert ((rows - exact).abs() <= tolerance * exact.abs() + 1e-7).all()


def rows_source(rows):
    return ArraySource(rows, batch_rows=100)


def test_rows_of_huge_norm_are_reported(tmp_path, capsys):
    rows = torch.randn(2000, D_IN, generator=torch_stream(0, "test/sinks"))
    rows = rows / rows.norm(dim=1, keepdim=True)
    rows[::500] *= 100.0
    with pytest.warns(UserWarning, match=r"3 rows \(0\.20%\) above 10 x the median hold 95\.2% of E"):
        store = harvest(
            rows_source(rows), (), n_tokens=1500, holdout_tokens=0, dtype="float32", path=tmp_path / "store"
        )
    norms = store.norm_summary
    assert (norms.n_sinks, norms.median) == (3, pytest.approx(1.0)) and norms.largest == pytest.approx(100.0)
    assert norms.sink_share == pytest.approx(3e4 / (3e4 + 1497))
    assert "norms    rows: median 1, largest 100" in capsys.readouterr().err
    assert int((store.norms(0, 1500) > norms.sink_norm).sum()) == 3


def test_ordinary_rows_give_no_warning(tmp_path):
    rows = torch.randn(500, D_IN, generator=torch_stream(0, "test/sinks"))
    store = harvest(rows_source(rows), (), n_tokens=400, path=tmp_path / "store", progress=False)
    assert store.norm_summary.n_sinks == 0 and not store.norm_summary.sinks_rule


@pytest.mark.parametrize(
    ("size", "dtype", "lost"),
    [(1e-7, "float16", 0.03), (1e-9, "float16", 1.0), (1e-7, "bfloat16", 0.0), (1e-3, "float16", 0.0)],
)
def test_what_rounding_loses_is_measured_and_reported(tmp_path, size, dtype, lost):
    rows = size * torch.randn(400, D_IN, generator=torch_stream(0, "test/rounding"))
    with pytest.warns(UserWarning, match="too coarse") if lost else contextlib.nullcontext():
        store = harvest(
            rows_source(rows), (), n_tokens=300, holdout_tokens=0, dtype=dtype, path=tmp_path / "s", progress=False
        )
    kept = rows[:300].to(getattr(torch, dtype)).double()
    squares = kept.square().sum().item()
    expected = (rows[:300].double() - kept).square().sum().item() / squares if squares else 1.0
    assert store.manifest.rounding == pytest.approx(expected, rel=1e-9)
    assert store.manifest.rounding == pytest.approx(lost, abs=0.02)


def test_several_hooks_from_one_pass(tmp_path):
    source = ByteSource(hooks=("embedding", "mlp"))
    stores = harvest_hooks(source, corpus(), path=tmp_path, **ARGUMENTS)
    passes = source.batches_run
    assert list(stores) == ["embedding", "mlp"]
    for hook, store in stores.items():
        alone_source = ByteSource(hooks=(hook,))
        alone = small(tmp_path / "alone" / hook, source=alone_source)
        assert alone_source.batches_run == passes
        assert contents(store.path) == contents(alone.path)
        assert store.spec.hook_name == hook
    with pytest.raises(StoreError, match=r"one a hook: open one of .'embedding', 'mlp'."):
        ActivationStore.open(tmp_path)
    with pytest.raises(ConfigError, match="harvest_hooks"):
        small(tmp_path / "one", source=source)


def test_the_same_harvest_writes_the_same_bytes(tmp_path):
    small(tmp_path / "a"), small(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert "progress.json" not in contents(tmp_path / "a")


class StoppedError(Exception):
    """Raised by a source in the middle of a harvest."""


class StoppingSource(ByteSource):
    def __init__(self, after, **kwargs):
        super().__init__(**kwargs)
        self.after = after

    def activations(self, batch):
        if self.batches_run >= self.after:
            raise StoppedError
        return super().activations(batch)


@pytest.mark.parametrize("after", [0, 12, 24])
def test_a_stopped_harvest_goes_on_at_its_last_shard(tmp_path, after):
    """With a sixth of the contexts held out, batches of 4 × 8 rows fill a shard of 150 rows in 6 batches."""
    whole = ByteSource()
    small(tmp_path / "whole", source=whole, shard_rows=150)
    with pytest.raises(StoppedError):
        small(tmp_path / "store", source=StoppingSource(after), shard_rows=150)
    if after < 6:
        assert not (tmp_path / "store").exists(), "nothing was kept, so nothing stands in the way of other settings"
        (tmp_path / "store").mkdir()
    else:
        with pytest.raises(StoreError, match="unfinished"):
            ActivationStore.open(tmp_path / "store")
    for debris in (".acts-00001.safetensors.123.tmp", ".tmpmwjQTB"):  # ours, and safetensors' own
        (tmp_path / "store" / debris).write_bytes(b"half a shard")
    again = ByteSource()
    small(tmp_path / "store", source=again, shard_rows=150)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    assert again.batches_run == whole.batches_run - after


def test_a_store_of_several_hooks_goes_on_as_well(tmp_path):
    hooks = ("embedding", "mlp")
    harvest_hooks(ByteSource(hooks), corpus(), path=tmp_path / "whole", **ARGUMENTS)
    with pytest.raises(StoppedError):
        harvest_hooks(StoppingSource(30, hooks=hooks), corpus(), path=tmp_path / "store", **ARGUMENTS)
    with pytest.raises(StoreError, match="unfinished"):
        ActivationStore.open(tmp_path / "store" / "mlp")
    harvest_hooks(ByteSource(hooks), corpus(), path=tmp_path / "store", **ARGUMENTS)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_harvest_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    """A process that forks a harvest and kills it with SIGKILL, again and again, until one is quicker than the kill."""
    subprocess.run(
        [sys.executable, __file__, str(tmp_path / "killed")], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    kills = int((tmp_path / "kills").read_text())
    assert kills >= 3
    _slow_harvest(tmp_path / "whole", seconds_a_batch=0.0)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    ActivationStore.open(tmp_path / "killed").verify()


def _slow_harvest(path, seconds_a_batch):
    small(path, source=ByteSource(seconds_a_batch=seconds_a_batch), shard_rows=200)


def _harvest_under_fire(path, seconds_a_batch=0.02):
    rng, kills = random.Random(), 0
    while not (path / "manifest.json").exists() or (path / "progress.json").exists():
        child = os.fork()
        if child == 0:
            _slow_harvest(path, seconds_a_batch)
            os._exit(0)
        deadline = time.monotonic() + rng.uniform(0.005, 0.3) * max(1, kills / 5)
        finished = 0
        while not finished and time.monotonic() < deadline:
            time.sleep(0.001)
            finished, status = os.waitpid(child, os.WNOHANG)
        if finished and status:
            sys.exit("the harvest failed by itself")
        if not finished:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills += 1
    (path.parent / "kills").write_text(str(kills))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"n_tokens": 999}, "n_tokens: 1000, now 999"),
        ({"dtype": "float16"}, "dtype: 'float32', now 'float16'"),
        ({"holdout_tokens": 100}, "holdout_tokens: 200, now 100"),
        ({"source": ByteSource(gain=2.0)}, "revision: 'gain 1.0' != 'gain 2.0'"),
        ({"source": ByteSource(("embedding",))}, "hooks: .'mlp'., now .'embedding'."),
        ({"documents": corpus(seed=1)}, "other text"),
        ({"documents": corpus(2)}, "other text"),
        ({"source": ByteSource(batch_size=3)}, "other text"),
    ],
)
def test_going_on_with_something_else_is_refused(tmp_path, changes, named):
    with pytest.raises(StoppedError):
        small(tmp_path, source=StoppingSource(30))
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=named):
        small(tmp_path, **changes)
    assert contents(tmp_path) == before


def test_a_finished_store_is_left_alone(tmp_path):
    small(tmp_path / "store")
    before = contents(tmp_path / "store")
    with pytest.raises(StoreError, match=r"already exists.*1,000 rows.*replace"):
        small(tmp_path / "store")
    assert contents(tmp_path / "store") == before
    small(tmp_path / "store", replace=True)
    assert contents(tmp_path / "store") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["store"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="not empty"):
        small(tmp_path)
    with pytest.raises(StoreError, match="not an activation store"):
        small(tmp_path, replace=True)
    small(tmp_path / "store")
    (tmp_path / "store" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        small(tmp_path / "store", replace=True)
    (tmp_path / "store" / "notes.txt").unlink()
    assert (tmp_path / "thesis.txt").exists()
    ActivationStore.open(tmp_path / "store").verify()
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "progress.json").write_text("[1, 2]")
    with pytest.raises(StoreError, match=r"progress.json holds list where an object belongs"):
        small(tmp_path / "progress")


def test_a_path_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot make the folder"):
        small(tmp_path / "file" / "store")


def test_two_harvests_into_one_folder_do_not_mix(tmp_path):
    class Nested(ByteSource):
        def activations(self, batch):
            with pytest.raises(BusyError, match="another process is harvesting into"):
                small(tmp_path / "store")
            return super().activations(batch)

    small(tmp_path / "store", source=Nested())


def test_a_corpus_that_runs_out_is_finished_with_a_warning(tmp_path):
    rows, origins = all_rows(ByteSource(), corpus(10))
    held = origins[4] % 6 == 0
    with pytest.warns(UserWarning, match="ran out"):
        store = small(tmp_path / "store", documents=corpus(10), n_tokens=5000, holdout_tokens=1000)
    assert store.n_rows == (~held).sum() < 5000
    assert torch.equal(store.rows(0, store.n_rows), rows[~held])
    assert store.manifest.harvest.n_tokens == 5000
    assert store.document_names() == [document.name for document in corpus(10)]


@pytest.mark.parametrize("documents", [[], [Document("empty", "")], [Document("one context", "abc")]])
def test_no_row_at_all_is_an_error_that_leaves_nothing(tmp_path, documents):
    with pytest.raises(CorpusError, match="no row"):
        harvest(ByteSource(), documents, path=tmp_path / "store", **ARGUMENTS)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_activations_that_are_not_finite_name_hook_document_and_token(tmp_path, value):
    source = ByteSource()
    source.embedding[ord("#")] = value
    documents = corpus()
    documents[20] = Document("the bad one", "abc#def")
    with pytest.raises(SourceError, match=r"NaN or infinite.*mlp, document 'the bad one', token 3"):
        small(tmp_path / "store", source=source, documents=documents, n_tokens=2000)
    with pytest.raises(StoreError, match="unfinished"):
        ActivationStore.open(tmp_path / "store")


def test_what_float16_cannot_hold_is_an_error_with_the_way_out(tmp_path):
    big = dict(source=ByteSource(gain=30_000.0))
    with pytest.raises(StoreError, match=r"beyond the range of float16 .*bfloat16"):
        small(tmp_path / "half", dtype="float16", **big)
    for dtype in ("bfloat16", "float32"):
        assert small(tmp_path / dtype, dtype=dtype, **big).n_rows == 1000


def test_activations_of_another_shape_are_refused(tmp_path):
    class Wrong(ByteSource):
        def activations(self, batch):
            return {"mlp": super().activations(batch)["mlp"][..., :-1]}

    class Silent(ByteSource):
        def activations(self, batch):
            return {}

    with pytest.raises(SourceError, match=r"gave \(4, 9, 11\) at mlp.*\(4, 9, 12\)"):
        small(tmp_path / "wrong", source=Wrong())
    with pytest.raises(SourceError, match="gave nothing at mlp"):
        small(tmp_path / "silent", source=Silent())


@pytest.mark.parametrize(
    ("field", "value"), [("n_tokens", 0), ("dtype", "float8"), ("holdout_tokens", 1001), ("shard_rows", 0)]
)
def test_settings_out_of_range_are_named_and_leave_nothing(tmp_path, field, value):
    with pytest.raises(ConfigError, match=field):
        small(tmp_path / "store", **{field: value})
    assert not (tmp_path / "store").exists()


def test_the_plan_by_hand(tmp_path):
    spec = SourceSpec(kind="array", model="m", hook_name="h", d_in=100)
    request = HarvestRequest(n_tokens=1000, holdout_tokens=100, shard_rows=400)
    the_plan = plan(request, {"h": spec}, path=tmp_path, bytes_free=10**9, tokens_per_second=50.0)
    assert the_plan.rows == 1000
    assert the_plan.holdout_rows == 100
    assert the_plan.bytes_to_write == 1000 * (200 + 20) + 100 * (200 + 20 + 13) + 2**16
    assert the_plan.bytes_memory == 2 * 400 * 220
    assert the_plan.seconds == 1100 / 50
    halfway = plan(request, {"h": spec}, path=tmp_path, bytes_free=10**9, rows_done=500, tokens_per_second=50.0)
    assert halfway.seconds == 11
    assert halfway.bytes_to_write - 2**16 == (the_plan.bytes_to_write - 2**16) / 2
    text = "\n".join(the_plan.lines())
    for shown in ("1,000", "100 held out", "309 kB to write", "1 GB free", "22 s", "50 tokens/s"):
        assert shown in text
    with pytest.raises(StoreError, match=r"299 kB free.*309 kB"):
        dataclasses.replace(the_plan, bytes_free=299_000).require_room()


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (3_070_000_000, "3.07 GB"), (10**16, "1e+04 TB")]
)
def test_bytes_for_people(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (720, "12 min"), (12_000, "3 h 20 min")])
def test_seconds_for_people(seconds, text):
    assert format_seconds(seconds) == text


def test_the_plan_covers_what_is_written(tmp_path):
    small(tmp_path / "store")
    written = sum(file.stat().st_size for file in (tmp_path / "store").rglob("*") if file.is_file())
    request = HarvestRequest(n_tokens=1000, holdout_tokens=200, shard_rows=600, dtype="float32")
    the_plan = plan(request, ByteSource().specs, path=tmp_path, bytes_free=10**9)
    assert written <= the_plan.bytes_to_write <= 2 * written


def test_the_plan_and_the_speed_are_printed(tmp_path, capsys):
    small(tmp_path / "store", progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("rows     1,000 + 200 held out, float32", "free", "measured on the first batches", "tokens/s)"):
        assert part in shown.err
    small(tmp_path / "quiet")
    assert capsys.readouterr().err == ""


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of one megabyte, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tiny_disk):
    source = ByteSource()
    with pytest.raises(StoreError, match=r"1\.05 MB free.*needs 6\.\d+ MB"):
        small(tiny_disk / "store", source=source, n_tokens=100_000)
    assert source.batches_run == 0
    assert list(tiny_disk.iterdir()) == []


def test_a_disk_that_is_too_small_by_its_own_account(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=50_000))
    with pytest.raises(StoreError, match="50 kB free"):
        small(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_disk_that_fills_up_leaves_a_store_that_goes_on(tiny_disk, tmp_path):
    big = dict(documents=corpus(900), n_tokens=8_000, holdout_tokens=0, shard_rows=1500)

    class Filling(ByteSource):
        def activations(self, batch):
            if self.batches_run == 150:
                free = shutil.disk_usage(tiny_disk).free
                (tiny_disk / "ballast").write_bytes(bytes(free - 90_000))
            return super().activations(batch)

    with pytest.raises(StoreError, match=r"stopped at row .* of 8,000.*free some space and run the same harvest again"):
        small(tiny_disk / "store", source=Filling(), **big)
    (tiny_disk / "ballast").unlink()
    again = ByteSource()
    small(tiny_disk / "store", source=again, **big)
    whole = ByteSource()
    small(tmp_path / "whole", source=whole, **big)
    assert again.batches_run < 0.75 * whole.batches_run
    assert contents(tiny_disk / "store") == contents(tmp_path / "whole")


def test_the_number_of_threads_does_not_change_the_sums(tmp_path):
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            small(tmp_path / str(count), source=ByteSource(batch_size=500), documents=corpus(300), n_tokens=20_000)
    finally:
        torch.set_num_threads(threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


if __name__ == "__main__":
    _harvest_under_fire(Path(sys.argv[1]))
