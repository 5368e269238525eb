"""Texts of a sample, read at every level: which are chosen, and how often a latent fires inside a parent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msae.analysis.hierarchy.threads import NEW, Hole, Threads, threads
from msae.analysis.interventions.prompt import PromptReading
from msae.analysis.levels import nest
from msae.analysis.levels.nest import (
    KEPT,
    MISSES,
    PLAIN,
    SPLITS,
    Kin,
    ReadText,
    chosen,
    gains,
    read_at_every_level,
    right_shares,
    windows,
)
from msae.analysis.sample import token_text
from msae.analysis.sample.origin import Origin
from msae.sae.codes import SparseCodes

LEVELS = np.array([0, 0, 1, 1])


def text_of(dense: torch.Tensor) -> ReadText:
    codes, n = SparseCodes.from_dense(dense), len(dense)
    reading = PromptReading(
        token_ids=torch.zeros(n, dtype=torch.long),
        texts=["a"] * n,
        codes=codes,
        squared_errors=torch.zeros(2, n),
        squared_deviations=torch.zeros(n),
    )
    return ReadText(reading=reading, size=codes.value.numpy())


def inside(dense: torch.Tensor, parents: dict[int, list[int]]) -> dict[str, float]:
    read, kin = text_of(dense), Kin(parents=parents, absorbed={})
    (row,) = nest._inside([read], [threads(read.fired, parents, {})], kin, LEVELS, 0)
    return row


def test_a_child_that_never_leaves_its_parent_is_always_inside_and_by_chance_as_often_as_the_parent_fires() -> None:
    generator = torch.Generator().manual_seed(0)
    dense = torch.zeros(4_000, 4)
    dense[:, 0] = (torch.rand(4_000, generator=generator) < 0.3).float()
    dense[:, 2] = dense[:, 0] * (torch.rand(4_000, generator=generator) < 0.5).float()
    row = inside(dense, {2: [0]})
    assert row["level"] == 1 and row["firings"] == int(dense[:, 2].sum())
    assert row["inside"] == 1.0 and row["null_inside"] == pytest.approx(0.3, abs=0.04)


def test_independent_latents_are_inside_as_often_as_by_chance() -> None:
    generator = torch.Generator().manual_seed(1)
    dense = (torch.rand(20_000, 4, generator=generator) < torch.tensor([0.4, 0.1, 0.2, 0.2])).float()
    row = inside(dense, {2: [0], 3: [0, 1]})
    assert row["inside"] == pytest.approx(row["null_inside"], abs=0.02)


def test_latents_of_one_subject_that_fire_independently_within_it_are_inside_as_often_as_by_chance() -> None:
    """Each text has a parent and a child of its own: dealt out among all texts they would never meet."""
    generator, texts, parents = torch.Generator().manual_seed(2), [], {}
    for text in range(40):
        dense = torch.zeros(60, 80)
        dense[:, [text, 40 + text]] = (torch.rand(60, 2, generator=generator) < 0.5).float()
        texts.append(text_of(dense))
        parents[40 + text] = [text]
    kin, drawn = Kin(parents=parents, absorbed={}), [threads(read.fired, parents, {}) for read in texts]
    (row,) = nest._inside(texts, drawn, kin, np.repeat([0, 1], 40), 0)
    assert row["inside"] == pytest.approx(0.5, abs=0.05) == row["null_inside"]


def test_a_level_that_never_fires_has_no_share() -> None:
    dense = torch.zeros(10, 4)
    dense[:, 0] = 1.0
    assert inside(dense, {2: [0]}) == {"level": 1, "firings": 0, "inside": None, "null_inside": None}


def test_texts_are_chosen_for_what_they_show_and_none_twice() -> None:
    drawn = [
        Threads(
            parent={(token, 9): 1 if token < place else NEW for token in range(20)},
            holes=tuple(Hole(token, 1, 9) for token in range(3 if place in (2, 19) else 0)),
        )
        for place in range(20)
    ]
    found = chosen(drawn)
    assert [place for place, why in found if why == SPLITS] == [19, 18, 17, 16]
    assert [place for place, why in found if why == MISSES] == [2]  # 19 is there already
    assert len(found) == KEPT == len({place for place, _ in found})
    assert sum(why == PLAIN for _, why in found) == 7


def test_windows_begin_with_a_line_and_do_not_overlap(gpt2) -> None:
    text = token_text(gpt2().tokenizer)
    written = ("x = 1\n" * 400).encode()
    ids = np.array([text.texts.index(chr(byte)) for byte in written])
    n = len(ids)
    origin = Origin(token_id=ids, document=np.zeros(n, np.int64), offset=np.arange(n), names=["a.py"])
    found = list(windows(origin, text))
    assert all(name == "a.py" and passage.startswith("x = 1\n") for name, passage in found)
    assert 20 <= len(found) <= nest.LOOKED_AT and {len(passage) for _, passage in found} == {nest.WINDOW}


def test_a_short_sample_has_no_windows(gpt2) -> None:
    text = token_text(gpt2().tokenizer)
    origin = Origin(
        token_id=np.zeros(5, np.int64), document=np.arange(5), offset=np.zeros(5, np.int64), names=["a"] * 5
    )
    assert list(windows(origin, text)) == []


def test_rows_have_the_codes_in_order_of_contribution_and_what_the_lens_says(gpt2, toys) -> None:
    source, sae = gpt2(), toys.random_sae(24, (4, 12, 40))
    with torch.no_grad():
        sae.W_dec *= torch.rand(40, 1) + 0.5  # so that a code is no contribution
    read = read_at_every_level(source, sae, "a cat sat")
    rows = read.rows(token_text(source.tokenizer))
    assert "".join(row["token"] for row in rows) == "a cat sat"
    dense = read.reading.codes.dense()
    for token, row in enumerate(rows):
        sizes = dense[token].abs() * sae.W_dec.detach().norm(dim=1)
        assert row["latents"] == sorted(sizes.nonzero()[:, 0].tolist(), key=lambda latent: -float(sizes[latent]))
        assert row["contributions"] == pytest.approx([float(sizes[latent]) for latent in row["latents"]], rel=1e-5)
    assert all(len(row["losses"]) == len(row["choices"]) == len(row["right"]) == 5 for row in rows[:-1])
    assert rows[-1]["losses"] is None and rows[-1]["right"] is None and len(rows[-1]["choices"]) == 5


def test_gains_and_shares_of_right_choices_are_those_of_the_lens(gpt2, toys) -> None:
    source, sae = gpt2(), toys.random_sae(24, (4, 12, 40))
    read = read_at_every_level(source, sae, "a cat sat on a mat")
    rows, lens = read.rows(token_text(source.tokenizer)), read.lens
    there = lens.following >= 0
    assert right_shares(rows) == pytest.approx([(row[there] == lens.following[there]).mean() for row in lens.choice])
    for token, row in enumerate(rows[:-1]):
        assert gains(row["losses"]) == pytest.approx(lens.loss[:3, token] - lens.loss[1:4, token])
        assert sum(gains(row["losses"])) == pytest.approx(lens.loss[0, token] - lens.loss[3, token], rel=1e-4)
    assert right_shares(rows[-1:]) == []
