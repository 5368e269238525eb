"""Rate–distortion: what every level loses, in variance and in predictions, at how many bits a token.

Codes are rounded to whole steps, coarse to fine, and everything is measured on the rounded codes. So levels, and SAEs,
can be compared at equal cost: a narrow level written finely against a wide one written coarsely.

Measured on rows that the SAE was not trained on where the sample's store has some (trained-on rows flatter the FVU).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float

from msae.activations.source import ContextBatch, PatchableSource
from msae.activations.store import ActivationStore
from msae.analysis.levels.evaluate import GIVEN, HELD_OUT, IN_STORE, first_contexts
from msae.analysis.levels.quantised_loss import QuantisedLosses, quantised_losses
from msae.analysis.levels.rate import RateAccumulator, decoder_norms
from msae.analysis.measurement import Figure, Result
from msae.analysis.sample import CodeTable, Collected, Rows
from msae.analysis.sample.code_table import evenly
from msae.analysis.sample.encode import encode_all
from msae.analysis.sample.pairing import shared_hook
from msae.analysis.tables import WORD, Column, Status, TableSpec, by_column, make_table
from msae.core.config import require
from msae.sae.autoencoder import SparseAutoencoder, decode_bands
from msae.sae.codes import SparseCodes
from msae.sae.metrics import Spread, squared_error, unexplained

if TYPE_CHECKING:
    from rich.console import RenderableType

BLOCK_ROWS = 1 << 12

RATE_DISTORTION = TableSpec(
    "rate_distortion",
    "a level and a quantiser step: bits, FVU, cross-entropy",
    Column("level", pa.int16(), "level; figures are those of its prefix"),
    Column("width", pa.int32(), "latents in the prefix"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': too few rows for any figure; '{Status.NEVER}': the level's own band is silent",
    ),
    Column("step", pa.float64(), "values (code times length of the decoder row) are rounded to whole multiples of "
           "this, at least one"),
    Column("step_over_rms", pa.float64(), "step / root mean square of the sample's values"),
    Column("bits_firing", pa.float64(), "bits a token that say which latents fire (upper bound: coded one by one)"),
    Column("bits_values", pa.float64(), "bits a token that say with which rounded values, one entropy code a band"),
    Column("bits", pa.float64(), "bits_firing + bits_values"),
    Column("fvu", pa.float64(), "fraction of variance unexplained by the rounded codes, on the same rows as the bits"),
    Column("on_frontier", pa.bool_(), "no other (level, step) has both fewer bits and a lower FVU"),
    Column("ce", pa.float64(), "cross-entropy, nats a prediction, with the rounded codes spliced in; null without it"),
    Column("ce_lost", pa.float64(), "ce - CE of the model untouched, nats a prediction"),
    Column("ce_recovered", pa.float64(), "(CE with zeros - ce) / (CE with zeros - CE of the model untouched)"),
    Column("ce_recovered_unigram", pa.float64(), "the same with, for zeros, the CE of a guess without context: by how "
           "often each token occurs among those predicted"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RateDistortion:
    """What each level loses at how many bits a token.

    `steps`: of the quantiser, in multiples of the codes' root mean square. `tokens`: rows that bits and FVU are
    measured on at most, in blocks spread over the sample. `ce_tokens`: held-out tokens for CE at most (0: no CE).

    The rows are those of the sample's store's holdout; where it has none, or the sample is no store, those of the
    sample (``rows`` of the summary says which).
    """

    name: ClassVar[str] = "rate_distortion"
    tables: ClassVar[tuple[TableSpec, ...]] = (RATE_DISTORTION,)

    steps: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125, 0.0625)
    tokens: int = 65_536
    ce_tokens: int = 8_192

    def __post_init__(self) -> None:
        ok = len(self.steps) > 0 and all(step > 0 for step in self.steps)
        require(ok, "steps", self.steps, "positive multiples of the root mean square")
        require(self.tokens >= 1, "tokens", self.tokens, "at least one row")
        require(self.ce_tokens >= 0, "ce_tokens", self.ce_tokens, "a count, 0 or more")

    def run(self, collected: Collected) -> Result:
        """Table ``rate_distortion``: one row a level and step. CE needs a model with a language head and contexts.

        Raises `EvaluationError` when the rows do not vary.
        """
        codes, sample, which = never_trained_on(collected, self.tokens)
        rms = root_mean_square(codes, decoder_norms(collected.sae))
        steps = [factor * rms for factor in self.steps]
        records, n_rows = rate_and_fvu(collected.sae, codes, sample, steps, self.tokens)
        losses = self._losses(collected, steps)
        few = n_rows < collected.pair_settings.min_tokens
        live = np.bincount(collected.level_of[codes.counts > 0], minlength=collected.n_levels) > 0
        rows = []
        frontier = on_frontier(*(np.array([record[name] for record in records]) for name in ("bits", "fvu")))
        for record, best in zip(records, frontier.tolist(), strict=True):
            s, level = record.pop("s"), record["level"]
            measured = losses is not None and not few
            rows.append(
                {
                    **({name: None for name in record} if few else record),
                    "level": level,
                    "width": collected.sae.prefix_widths[level],
                    "status": Status.FEW if few else Status.OK if live[level] else Status.NEVER,
                    "step": steps[s],
                    "step_over_rms": self.steps[s],
                    "on_frontier": None if few else best,
                    "ce": float(losses.rounded[s, level]) if losses and measured else None,
                    "ce_lost": float(losses.rounded[s, level]) - losses.clean if losses and measured else None,
                    "ce_recovered": losses.recovered(s, level) if losses and measured else None,
                    "ce_recovered_unigram": losses.recovered_unigram(s, level) if losses and measured else None,
                }
            )
        summary: dict[str, Figure] = {
            "n_tokens": n_rows,
            "rows": which,
            "rms": rms,
            "n_predictions": losses.n_predictions if losses else 0,
            "ce_clean": losses.clean if losses else None,
            "ce_zero": losses.zero if losses else None,
            "ce_unigram": losses.unigram if losses else None,
        }
        table = make_table(RATE_DISTORTION, by_column(RATE_DISTORTION, rows), summary)
        return Result(tables={self.name: table}, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """Nothing: it is drawn (`plots.rate`)."""
        return []

    def _losses(self, collected: Collected, steps: list[float]) -> QuantisedLosses | None:
        source, sae = collected.source, collected.sae
        contexts = held_out_contexts(collected)
        if not (isinstance(source, PatchableSource) and source.has_language_head and self.ce_tokens and contexts):
            return None
        hook = shared_hook(sae, source, force=True)
        return quantised_losses(sae, source, hook, first_contexts(self.ce_tokens, contexts), steps)


def never_trained_on(collected: Collected, most: int) -> tuple[CodeTable, Rows, str]:
    """Codes and rows of the sample's holdout, `most` at most, and what rows they are; the sample's own where there is
    no holdout."""
    rows = collected.rows
    if not isinstance(rows, ActivationStore):
        return collected.codes, rows, GIVEN
    if rows.manifest.context_rows or rows.holdout is None:
        return collected.codes, rows, HELD_OUT if rows.manifest.context_rows else IN_STORE
    held_out = rows.holdout
    n_rows = min(most, held_out.n_rows)
    return encode_all(collected.sae, held_out, n_rows, scratch=collected.scratch, force=True), held_out, HELD_OUT


def rate_and_fvu(
    sae: SparseAutoencoder, codes: CodeTable, rows: Rows, steps: list[float], tokens: int
) -> tuple[list[dict], int]:
    """For every level and step (``s``, its place) the bits and the FVU, and on how many rows; in whole blocks of rows.

    Raises `EvaluationError` when the rows do not vary.
    """
    widths = sae.prefix_widths
    W_dec, b_dec = sae.W_dec.detach().cpu().float(), sae.b_dec.detach().cpu().float()
    rates = [RateAccumulator(widths, step, decoder_norms(sae).cpu()) for step in steps]
    error = torch.zeros(len(steps), len(widths), dtype=torch.float64)
    spread = Spread(W_dec.shape[1])
    blocks = np.arange(-(-codes.n_rows // BLOCK_ROWS))
    for block in evenly(blocks, max(1, tokens // BLOCK_ROWS)).tolist():
        start = block * BLOCK_ROWS
        stop = min(start + BLOCK_ROWS, codes.n_rows, start + tokens)
        x = rows.rows(start, stop)
        spread.update(x)
        own = codes.sparse(start, stop)
        for s, rate in enumerate(rates):
            error[s] += _squared_errors(x, W_dec, b_dec, rate.update(own), widths)
    records = [
        {
            "s": s,
            "level": level,
            "bits_firing": firing,
            "bits_values": values,
            "bits": firing + values,
            "fvu": unexplained(error[s, level].item(), spread.total()),
        }
        for s, rate in enumerate(rates)
        for level, (firing, values) in enumerate(zip(rate.firing_bits(), rate.value_bits(), strict=True))
    ]
    return sorted(records, key=lambda record: (record["level"], record["s"])), spread.n_rows


def root_mean_square(codes: CodeTable, norms: Float[torch.Tensor, " d_sae"]) -> float:
    """Of the values: what each code that is not zero adds to the reconstruction. `norms`: of the decoder rows."""
    return math.sqrt(sum_of_squares(codes, norms) / len(codes))


def sum_of_squares(codes: CodeTable, norms: Float[torch.Tensor, " d_sae"]) -> float:
    """The same, not divided by their number."""
    values = np.asarray(codes.value, dtype=np.float64) * norms.cpu().numpy()[codes.latent]
    return float(np.square(values).sum())


def on_frontier(bits: Float[np.ndarray, " n"], fvu: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which points no other beats: none has at most as many bits and at most the FVU, and less of one of them."""
    no_worse = (bits[None, :] <= bits[:, None]) & (fvu[None, :] <= fvu[:, None])
    better = (bits[None, :] < bits[:, None]) | (fvu[None, :] < fvu[:, None])
    return np.asarray(~(no_worse & better).any(1))


def held_out_contexts(collected: Collected) -> Iterator[ContextBatch] | None:
    """The contexts of the sample's store or of its holdout; None where none were kept."""
    rows = collected.rows
    if not isinstance(rows, ActivationStore):
        return None
    held_out = rows if rows.manifest.context_rows else rows.holdout
    return None if held_out is None else held_out.contexts()


def _squared_errors(
    x: Float[torch.Tensor, "rows d_in"],
    W_dec: Float[torch.Tensor, "d_sae d_in"],
    b_dec: Float[torch.Tensor, " d_in"],
    codes: SparseCodes,
    widths: tuple[int, ...],
) -> Float[torch.Tensor, " level"]:
    x_hat = b_dec + decode_bands(W_dec, codes, widths).cumsum(0)
    return torch.stack([squared_error(x, level).sum() for level in x_hat])
