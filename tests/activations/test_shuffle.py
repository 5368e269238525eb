import gc
import itertools
import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msae.activations.harvest import harvest
from msae.activations.shuffle import BLOCK_ROWS, prefetched, shuffled_batches
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.core.errors import ConfigError
from msae.data.documents import Document


class Numbers:
    """Rows that hold their own number, so that an order can be read off; it counts what is read."""

    def __init__(self, n_rows):
        self.n_rows = n_rows
        self.rows_read = 0

    def gather(self, spans):
        self.rows_read += sum(stop - start for start, stop in spans)
        return torch.cat([torch.arange(start, stop) for start, stop in spans]).double()[:, None]


def order(n_rows, batch_size, count, **kwargs):
    kwargs = {"seed": 0, "buffer_rows": 64} | kwargs
    batches = shuffled_batches(Numbers(n_rows), batch_size, **kwargs)
    return [batch[:, 0].int().tolist() for batch in itertools.islice(batches, count)]


sizes = dict(
    n_rows=st.integers(1, 300), batch_size=st.integers(1, 100), buffer_rows=st.integers(1, 400), seed=st.integers(0, 99)
)


@settings(deadline=None)
@given(**sizes)
def test_every_row_comes_exactly_once_an_epoch(n_rows, batch_size, buffer_rows, seed):
    batches = order(n_rows, batch_size, -(-3 * n_rows // batch_size), buffer_rows=buffer_rows, seed=seed)
    assert {len(batch) for batch in batches} == {batch_size}
    rows = list(itertools.chain(*batches))
    for epoch in range(3):
        assert sorted(rows[epoch * n_rows : (epoch + 1) * n_rows]) == list(range(n_rows))


@settings(deadline=None)
@given(start=st.integers(0, 60), **sizes)
def test_starting_at_n_is_skipping_n(n_rows, batch_size, buffer_rows, seed, start):
    whole = order(n_rows, batch_size, start + 5, buffer_rows=buffer_rows, seed=seed)
    assert order(n_rows, batch_size, 5, buffer_rows=buffer_rows, seed=seed, start=start) == whole[start:]


def test_the_seed_is_the_order():
    assert order(500, 20, 60) == order(500, 20, 60)
    assert order(500, 20, 60) != order(500, 20, 60, seed=1)


def test_epochs_have_orders_of_their_own():
    first, second = order(200, 200, 2)
    assert first != second


def test_going_on_reads_one_buffer_and_no_more():
    reader = Numbers(100_000)
    batches = shuffled_batches(reader, 50, seed=0, start=5_990, buffer_rows=1_600)
    next(batches)
    assert reader.rows_read <= 1_600


def test_memory_is_one_buffer_at_a_time():
    reader = Numbers(10_000)
    batches = shuffled_batches(reader, 100, seed=0, buffer_rows=1_600)
    for count in range(1, 101):
        next(batches)
        assert reader.rows_read <= 100 * count + 1_600


def test_batches_are_float32():
    assert next(shuffled_batches(Numbers(10), 3, seed=0, buffer_rows=16)).dtype == torch.float32


def test_places_in_the_epoch_are_uniform():
    """Where a row lands does not depend on where it lay: correlation within 4.5 standard errors, over 20 seeds."""
    n_rows = 4_000
    position = torch.arange(n_rows).double()
    correlations = [
        torch.corrcoef(
            torch.stack([position, torch.tensor(order(n_rows, n_rows, 1, seed=seed, buffer_rows=800)[0]).double()])
        )[0, 1]
        for seed in range(20)
    ]
    # blocks of rows move together: the effective sample is the number of blocks
    standard_error = (n_rows / BLOCK_ROWS) ** -0.5
    assert max(abs(value) for value in correlations) < 4.5 * standard_error
    assert abs(sum(correlations) / 20) < 4.5 * standard_error / 20**0.5


def test_rows_of_one_document_do_not_cluster_in_a_batch():
    """Pairs of rows from one document in a batch, against a perfect shuffle: at most what blocks and buffer explain.

    A perfect shuffle puts two rows of a document in one batch with P = (B − 1)/(n − 1). With a buffer of R rows, rows
    of one block (16) are B/R likely to meet; rows of other blocks only as likely as blocks are to share a buffer.
    """
    n_rows, document_rows, batch_size, buffer_rows = 32_768, 256, 512, 8_192
    batches = order(n_rows, batch_size, n_rows // batch_size, buffer_rows=buffer_rows)
    pairs = 0
    for batch in batches:
        counts = torch.bincount(torch.tensor(batch) // document_rows).double()
        pairs += float((counts * (counts - 1) / 2).sum())
    possible = n_rows * (document_rows - 1) / 2
    perfect = possible * (batch_size - 1) / (n_rows - 1)
    same_block = (BLOCK_ROWS - 1) / (document_rows - 1)
    expected = possible * (same_block * batch_size / buffer_rows + (1 - same_block) * batch_size / n_rows)
    assert pairs == pytest.approx(expected, rel=0.05)
    assert pairs < 1.25 * perfect
    unshuffled = possible  # whole documents fit into one batch
    assert pairs < unshuffled / 40


def test_neighbours_in_a_batch_are_not_neighbours_in_the_text():
    rows = torch.tensor(list(itertools.chain(*order(32_768, 512, 64, buffer_rows=8_192))))
    adjacent = ((rows[1:] - rows[:-1]).abs() == 1).sum().item()
    assert adjacent < 40  # 2 expected in a perfect shuffle, 2·R/B-fold of that at most, 32,767 unshuffled


@pytest.mark.parametrize(("field", "value"), [("batch_size", 0), ("start", -1), ("buffer_rows", 0)])
def test_what_makes_no_sense_is_named_at_once(field, value):
    with pytest.raises(ConfigError, match=field):
        shuffled_batches(Numbers(10), **({"batch_size": 2, "seed": 0, "start": 0, "buffer_rows": 16} | {field: value}))
    with pytest.raises(ConfigError, match="n_rows"):
        shuffled_batches(Numbers(0), 2, seed=0, buffer_rows=16)


def prefetchers():
    return [thread for thread in threading.enumerate() if thread.name == "msae-prefetch"]


def wait_until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def test_prefetching_changes_nothing():
    direct = shuffled_batches(Numbers(1000), 30, seed=0, buffer_rows=160)
    ahead = prefetched(shuffled_batches(Numbers(1000), 30, seed=0, buffer_rows=160))
    for mine, theirs in itertools.islice(zip(direct, ahead, strict=True), 100):
        assert torch.equal(mine, theirs)
    ahead.close()


def test_prefetching_runs_ahead_but_not_far():
    made = []

    def items():
        for index in range(1000):
            made.append(index)
            yield torch.tensor(index)

    ahead = prefetched(items(), depth=3)
    next(ahead)
    wait_until(lambda: len(made) == 1 + 3 + 1)
    time.sleep(0.02)
    assert len(made) == 5
    ahead.close()


def test_an_error_in_the_thread_is_raised_where_it_is_read():
    def items():
        yield torch.tensor(1)
        raise OSError("the disk was pulled out")

    ahead = prefetched(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="pulled out"):
        next(ahead)
    wait_until(lambda: not prefetchers())


@pytest.mark.parametrize("consumed", [1, 2, 10])
def test_the_thread_ends_when_the_iterator_is_closed(consumed):
    ahead = prefetched(shuffled_batches(Numbers(1000), 30, seed=0, buffer_rows=160))
    for _ in range(consumed):
        next(ahead)
    assert len(prefetchers()) == 1
    ahead.close()
    assert not prefetchers()


def test_the_thread_ends_when_the_iterator_is_forgotten():
    ahead = prefetched(shuffled_batches(Numbers(1000), 30, seed=0, buffer_rows=160))
    next(ahead)
    assert prefetchers()
    del ahead
    gc.collect()
    wait_until(lambda: not prefetchers())


def test_a_finite_iterator_ends():
    assert [int(item) for item in prefetched(iter([torch.tensor(1), torch.tensor(2)]))] == [1, 2]
    wait_until(lambda: not prefetchers())


def test_a_store_gives_its_rows_shuffled(tmp_path):
    source = SyntheticSource(forest=SyntheticForest(d_in=6, n_roots=2, noise_std=0.1), context_size=16)
    documents = [Document(str(index), "") for index in range(70)]
    store = harvest(source, documents, n_tokens=1000, path=tmp_path, dtype="float16", shard_rows=300, progress=False)
    rows = store.rows(0, 1000)
    for kwargs in ({}, {"prefetch": False}, {"buffer_rows": 200}):
        batches = list(itertools.islice(store.batches(100, seed=0, **kwargs), 10))
        found = torch.cat(batches)
        assert not torch.equal(found, rows)
        assert torch.equal(found[_lexicographic(found)], rows[_lexicographic(rows)])
    rest = itertools.islice(store.batches(100, seed=0, start=7, buffer_rows=200), 3)
    assert torch.equal(torch.stack(list(rest)), torch.stack(batches[7:]))
    with pytest.raises(ConfigError, match="batch_size"):
        store.batches(0, seed=0)


def _lexicographic(rows):
    return sorted(range(len(rows)), key=lambda index: rows[index].tolist())
