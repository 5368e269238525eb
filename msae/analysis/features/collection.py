"""`collect`: one pass of a sample through an SAE, and from it what every latent does.

The encoder runs once. Its codes go to disk (`CodeTable`), and from there all tables are made exactly, some latents at a
time.
In memory: 2²² pre-activations while encoding; 12 bytes a row for origins; the codes of a block (at most 2²³) and its
pairs; and the tables themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from torch import Tensor

from msae.activations.source import ActivationSource
from msae.analysis.features.bands import BANDS, band_bounds, joined
from msae.analysis.features.examples import EXAMPLES, ExampleSettings, Picked, example_columns, pick
from msae.analysis.features.logits import LOGIT_HISTOGRAMS, LOGITS, direct_logits
from msae.analysis.features.neighbours import NEIGHBOURS, nearest_directions
from msae.analysis.features.ranked import ranked
from msae.analysis.features.statistics import FEATURES, HISTOGRAMS, FeatureStatistics
from msae.analysis.sample import CodeTable, Collected, Origin, Pairs, PairSettings, Rows, TokenText
from msae.analysis.sample.encode import encode_all
from msae.analysis.sample.pairs import find_pairs, lift_of
from msae.analysis.sample.shift import shift_bounds, shifted, shifts
from msae.analysis.tables import Column, TableSpec, make_table
from msae.core.checked import checked
from msae.core.config import require
from msae.core.progress import bar
from msae.sae.autoencoder import SparseAutoencoder

PAIRS = TableSpec(
    "pairs",
    "two latents that fire together",
    Column("a", pa.int32(), "number of one latent; a < b, so a is never in a later level than b"),
    Column("b", pa.int32(), "number of the other"),
    Column("level_a", pa.int16(), "level whose band a is in"),
    Column("level_b", pa.int16(), "level whose band b is in"),
    Column("together", pa.int64(), "tokens on which both fire"),
    Column("p_a_given_b", pa.float32(), "together / tokens on which b fires"),
    Column("p_b_given_a", pa.float32(), "together / tokens on which a fires"),
    Column("lift", pa.float32(), "together / the number expected if they fired independently"),
    Column("phi", pa.float32(), "Pearson's correlation of firing"),
    Column(
        "log10_p",
        pa.float32(),
        "log10 of an upper bound of the chance of `together`, given how often each fires in each document",
    ),
    Column(
        "significant",
        pa.bool_(),
        "rejected by Benjamini-Hochberg over all pairs tested, and beyond the log10_p at which those of codes "
        "shifted within documents number at most `fdr` as many",
    ),
)


COLLECTED_TABLES = (FEATURES, HISTOGRAMS, BANDS, EXAMPLES, PAIRS, NEIGHBOURS, LOGITS, LOGIT_HISTOGRAMS)
"""What `collect` makes; the last two with an unembedding."""


@dataclass(frozen=True, kw_only=True)
class CollectSettings:
    """What is collected. `n_bins`: bins of a latent's histograms. `neighbours`: nearest directions of either kind.
    `logits`: tokens on either side. `seed`: of the shifts of the null model."""

    examples: ExampleSettings = field(default_factory=ExampleSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    n_bins: int = 40
    neighbours: int = 8
    logits: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_bins >= 1, "n_bins", self.n_bins, "at least one bin")
        require(self.neighbours >= 0, "neighbours", self.neighbours, "a count, 0 or more")
        require(self.logits >= 0, "logits", self.logits, "a count, 0 or more")


@checked
def collect(
    sae: SparseAutoencoder,
    rows: Rows,
    *,
    n_tokens: int | None = None,
    settings: CollectSettings | None = None,
    text: TokenText | None = None,
    unembedding: Float[Tensor, "d_in vocab"] | None = None,
    source: ActivationSource | None = None,
    scratch: Path | None = None,
    progress: bool = False,
    force: bool = False,
) -> Collected:
    """Encode the first `n_tokens` rows (None: all) and make every table.

    `scratch`: the folder for the codes' files (16 bytes a code, deleted with the result); None is the system's own.

    Raises `MismatchError` when the SAE was trained on another source (with `force`, warns) or another width, and
    `EvaluationError` when there is no row, a row is not finite, or not one latent fires.
    """
    settings = settings or CollectSettings()
    require(n_tokens is None or n_tokens > 0, "n_tokens", n_tokens, "at least one token, or None for all")
    n_rows = min(rows.n_rows, n_tokens or rows.n_rows)
    codes = encode_all(sae, rows, n_rows, scratch=scratch, progress=progress, force=force)
    origin = Origin.of(rows, n_rows)
    level_of = sae.level_of.cpu().numpy()
    statistics = FeatureStatistics(codes, origin, settings.n_bins)
    picked: list[Picked] = []
    bands: list[dict[str, np.ndarray]] = []
    with bar("describe latents", sae.d_sae, shown=progress) as advance:
        for block in ranked(codes):
            statistics.update(block)
            picked.append(pick(block, settings.examples))
            bands.append(band_bounds(block, settings.examples.bands))
            advance(block.stop - block.first)
    null = shifted(codes, origin, seed=settings.seed, scratch=scratch)
    nulls = shifts(codes, origin, null, seed=settings.seed, scratch=scratch)
    bounds, _ = shift_bounds(origin)
    pairs = find_pairs(codes, level_of, settings.pairs, bounds=bounds, null=nulls, progress=progress)
    features = statistics.features(level_of, settings.pairs.min_tokens, text)
    chosen = Picked(**{n: np.concatenate([getattr(p, n) for p in picked]) for n in ("latent", "band", "rank", "place")})
    examples = example_columns(chosen, codes, origin, text, settings.examples.reach)
    about = {"n_tokens": n_rows}
    tables = {
        "features": make_table(FEATURES, features, about),
        "histograms": make_table(HISTOGRAMS, statistics.histograms(), about),
        "bands": make_table(BANDS, joined(bands), about),
        "examples": make_table(
            EXAMPLES,
            examples,
            {**about, "bands": settings.examples.bands},
        ),
        "pairs": make_table(
            PAIRS,
            pair_columns(pairs, codes, level_of),
            {**about, "tested": pairs.n_tests, "kept": settings.pairs, "cut": pairs.cut / math.log(10)},
        ),
        "neighbours": make_table(
            NEIGHBOURS,
            nearest_directions(sae.W_dec, level_of, settings.neighbours),
        ),
    }
    if unembedding is not None and settings.logits:
        logits, spread = direct_logits(sae.W_dec, unembedding, settings.logits, text, n_bins=settings.n_bins)
        tables["logits"] = make_table(LOGITS, logits)
        tables["logit_histograms"] = make_table(LOGIT_HISTOGRAMS, spread)
    return Collected(
        sae=sae,
        rows=rows,
        codes=codes,
        null_codes=null,
        origin=origin,
        pairs=pairs,
        pair_settings=settings.pairs,
        seed=settings.seed,
        tables=tables,
        text=text,
        source=source,
        scratch=scratch,
    )


def pair_columns(pairs: Pairs, codes: CodeTable, level_of: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `PAIRS`."""
    n_a, n_b = codes.counts[pairs.a], codes.counts[pairs.b]
    return {
        "a": pairs.a,
        "b": pairs.b,
        "level_a": level_of[pairs.a],
        "level_b": level_of[pairs.b],
        "together": pairs.together,
        "p_a_given_b": pairs.together / n_b,
        "p_b_given_a": pairs.together / n_a,
        "lift": lift_of(pairs.together, n_a, n_b, codes.n_rows),
        "phi": pairs.phi,
        "log10_p": pairs.log_p / math.log(10),
        "significant": pairs.significant,
    }
