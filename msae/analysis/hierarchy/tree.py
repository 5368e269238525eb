"""The feature tree across levels: every edge, how strong it is, and how many chance would give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from msae.analysis.hierarchy.edges import Edges, find_edges, implications, null_edges, share_in_order
from msae.analysis.hierarchy.residuals import residual_projections
from msae.analysis.hierarchy.token_types import TokenTypes
from msae.analysis.measurement import Figure, Result
from msae.analysis.sample import Collected
from msae.analysis.sample.code_table import evenly
from msae.analysis.sample.pairs import lift_of
from msae.analysis.tables import Column, TableSpec, make_table
from msae.core.checked import checked
from msae.core.config import require

if TYPE_CHECKING:
    from rich.console import RenderableType

TREE = TableSpec(
    "tree",
    "an edge: a child that hardly ever fires without its parent",
    Column("parent", pa.int32(), "number of the parent, in an inner band"),
    Column("child", pa.int32(), "number of the child, in a later band"),
    Column("parent_level", pa.int16(), "the parent's level"),
    Column("child_level", pa.int16(), "the child's level"),
    Column("n_parent", pa.int64(), "tokens on which the parent fires"),
    Column("n_child", pa.int64(), "tokens on which the child fires"),
    Column("together", pa.int64(), "tokens on which both fire"),
    Column("p_parent_given_child", pa.float32(), "together / n_child; at least the setting `conditional`"),
    Column(
        "p_by_token",
        pa.float32(),
        "what the tokens alone make of P(parent | child): the same with codes dealt out anew among the occurrences of "
        "the same token. Where it reaches `conditional` too, the edge needs nothing of the context: the parent covers "
        "the child's vocabulary",
    ),
    Column("p_child_given_parent", pa.float32(), "together / n_parent"),
    Column(
        "strength",
        pa.float32(),
        "P(parent | child) - P(parent | no child): how much more often the parent fires when the child does",
    ),
    Column("lift", pa.float32(), "together / the number expected if they fired independently"),
    Column(
        "log10_p",
        pa.float32(),
        "log10 of an upper bound of the chance of `together`, given how often each fires in each document",
    ),
    Column("decoder_cosine", pa.float32(), "cosine of the two decoder directions"),
    Column(
        "activation_correlation",
        pa.float32(),
        "Pearson's correlation of the two activations over the tokens on which both fire; null below three "
        "tokens, and where one of the two does not vary; 0 by chance",
    ),
    Column(
        "gain",
        pa.float32(),
        "reconstruction gain of the child given the parent: the share of the squared error without the child that the "
        "child removes, over tokens on which both fire (at most `gain_tokens` of the child's, evenly spaced)",
    ),
)


@checked
@dataclass(frozen=True, kw_only=True)
class Tree:
    """Which latents of a later level fire (almost) only where a latent of an earlier level fires.

    `conditional`: the least P(parent | child) of an edge. `gain_tokens`: of each child, for its gains.
    """

    name: ClassVar[str] = "tree"
    tables: ClassVar[tuple[TableSpec, ...]] = (TREE,)

    conditional: float = 0.8
    gain_tokens: int = 500

    def __post_init__(self) -> None:
        require(0 < self.conditional <= 1, "conditional", self.conditional, "a probability above 0, at most 1")
        require(self.gain_tokens >= 1, "gain_tokens", self.gain_tokens, "at least one token")

    def run(self, collected: Collected) -> Result:
        """Table ``tree``: one row an edge, the strongest first. An SAE of one level has none."""
        edges = find_edges(collected, self.conditional)
        by_chance = null_edges(collected, self.conditional)
        types = TokenTypes.of(collected.codes, collected.origin)
        expected = types.expected_of(edges.parent, edges.child)
        by_token = expected / np.maximum(collected.codes.counts[edges.child], 1)
        summary = self._summary(collected, edges, by_chance)
        summary["edges_by_token_alone"] = int((by_token >= self.conditional).sum())
        table = make_table(
            TREE,
            self._columns(collected, edges, by_token),
            summary,
        )
        return Result(tables={"tree": table}, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """The branches whose edges are strongest in sum."""
        from msae.analysis.hierarchy.tree_outline import tree_outline

        return [tree_outline(result, tables["features"])]

    def _columns(self, collected: Collected, edges: Edges, by_token: np.ndarray) -> dict[str, np.ndarray]:
        codes, pairs = collected.codes, collected.pairs
        n_parent, n_child = codes.counts[edges.parent], codes.counts[edges.child]
        together = pairs.together[edges.pair]
        without = np.maximum(codes.n_rows - n_child, 1)
        strength = together / n_child - (n_parent - together) / without
        order = np.lexsort((edges.child, edges.parent, -strength))
        columns = {
            "parent": edges.parent,
            "child": edges.child,
            "parent_level": collected.level_of[edges.parent],
            "child_level": collected.level_of[edges.child],
            "n_parent": n_parent,
            "n_child": n_child,
            "together": together,
            "p_parent_given_child": together / n_child,
            "p_by_token": by_token,
            "p_child_given_parent": together / n_parent,
            "strength": strength,
            "lift": lift_of(together, n_parent, n_child, codes.n_rows),
            "log10_p": pairs.log_p[edges.pair] / math.log(10),
            "decoder_cosine": collected.cosine(edges.parent, edges.child),
            "activation_correlation": activation_correlation(collected, edges),
            "gain": reconstruction_gain(collected, edges, self.gain_tokens),
        }
        return {name: values[order] for name, values in columns.items()}

    def _summary(self, collected: Collected, edges: Edges, by_chance: Edges) -> dict[str, Figure]:
        n_latents = len(collected.codes.counts)
        tested = int(collected.often.sum())
        in_any_order = implications(collected.pairs, collected.codes, self.conditional)
        return {
            "edges": len(edges),
            "edges_by_chance": len(by_chance),
            "false_discovery_rate": min(1.0, len(by_chance) / len(edges)) if len(edges) else None,
            "edges_in_random_order": in_any_order * share_in_order(collected.level_of),
            "children_with_a_parent": len(np.unique(edges.child)),
            "parents_with_a_child": len(np.unique(edges.parent)),
            "latents_tested": tested,
            "latents_with_too_few_tokens": n_latents - tested,
            "pairs_tested": collected.pairs.n_tests,
            "null_model": collected.null_model,
            "conditional": self.conditional,
            "fdr": collected.pair_settings.fdr,
            "n_tokens": collected.codes.n_rows,
        }


def activation_correlation(collected: Collected, edges: Edges) -> Float[np.ndarray, " edges"]:
    """Pearson's, over the tokens on which both fire. (The cosine over the child's tokens, arXiv:2503.17547, appendix F,
    is mostly P(parent | child): with the parent's activations dealt out anew among them it stays nearly the same.)"""
    out = np.full(len(edges), np.nan)
    for i, (parent, child) in enumerate(zip(edges.parent.tolist(), edges.child.tolist(), strict=True)):
        rows = collected.codes.rows_of(child)
        both = collected.codes.fires_at(parent, rows)
        of_child = collected.codes.values_of(child)[both].astype(np.float64)
        of_parent = collected.codes.values_at(parent, rows[both]).astype(np.float64)
        if both.sum() > 2 and of_child.std() > 0 and of_parent.std() > 0:
            out[i] = np.corrcoef(of_parent, of_child)[0, 1]
    return out


def reconstruction_gain(collected: Collected, edges: Edges, tokens: int) -> Float[np.ndarray, " edges"]:
    """1 − Σ‖x − x̂‖² / Σ‖x − x̂ + f_c W_dec[c]‖² over tokens on which p and c fire; NaN where none was drawn."""
    children = np.unique(edges.child)
    drawn = [evenly(collected.codes.rows_of(child), tokens) for child in children.tolist()]
    rows = np.concatenate(drawn) if drawn else np.empty(0, np.int64)
    lengths = [len(of_child) for of_child in drawn]
    latent = np.repeat(children, lengths)
    projection, error = residual_projections(collected, rows, latent)
    begin = np.cumsum([0, *lengths])
    out = np.full(len(edges), np.nan)
    for i, (parent, child) in enumerate(zip(edges.parent.tolist(), edges.child.tolist(), strict=True)):
        which = int(np.searchsorted(children, child))
        span = slice(begin[which], begin[which + 1])
        value = collected.codes.values_at(child, rows[span]).astype(np.float64)
        both = collected.codes.fires_at(parent, rows[span])
        removed = (2 * value * projection[span] + value**2)[both].sum()
        without = removed + error[span][both].sum(dtype=np.float64)
        out[i] = removed / without if without > 0 else np.nan
    return out
