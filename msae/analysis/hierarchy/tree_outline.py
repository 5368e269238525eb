"""The tree as a person reads it in a terminal: its branches, each latent with the tokens it fires on most."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from rich.text import Text
from rich.tree import Tree as Outline

from msae.analysis.hierarchy.branches import Branches
from msae.analysis.measurement import Result

TOKENS_SHOWN = 3
VISIBLE = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})


def labels(features: pa.Table) -> Callable[[int], Text]:
    """A function from a latent to its number with the tokens that make up most of its activation."""
    texts, ids = features["top_tokens"].to_pylist(), features["top_token_ids"].to_pylist()
    level = features["level"].to_pylist()

    def label(latent: int) -> Text:
        words = [f"«{text.translate(VISIBLE)}»" for text in texts[latent][:TOKENS_SHOWN]]
        shown = words or [f"token {token_id}" for token_id in ids[latent][:TOKENS_SHOWN]]
        return Text.assemble((f"{latent}", "bold"), (f" (level {level[latent]}) ", "dim"), " ".join(shown))

    return label


def tree_outline(
    result: Result, features: pa.Table, *, branches: int = 8, children: int = 6, depth: int = 3
) -> Outline:
    """The branches of the tree whose edges are strongest in sum, each child under its nearest parents only.

    A latent with several parents stands under each of them.
    """
    branches_of = Branches.of(result.tables["tree"])
    title = Text(_tree_title(result))
    roots = branches_of.roots
    label = labels(features)
    outline = Outline(title)
    for root in roots[:branches]:
        _grow(outline.add(label(root)), root, branches_of, label, children, depth - 1)
    if len(roots) > branches:
        outline.add(Text(f"… and {len(roots) - branches:,} more branches", style="dim"))
    return outline


def _grow(
    node: Outline, latent: int, branches: Branches, label: Callable[[int], Text], children: int, depth: int
) -> None:
    edges = branches.children.get(latent, [])
    for edge in edges[:children] if depth > 0 else []:
        strength = Text(f"  strength {edge.strength:.2f}", style="dim")
        _grow(node.add(label(edge.child) + strength), edge.child, branches, label, children, depth - 1)
    rest = len(edges) - (children if depth > 0 else 0)
    if rest > 0:
        node.add(Text(f"… and {rest:,} more children", style="dim"))


def _tree_title(result: Result) -> str:
    summary = result.summary
    return (
        f"Feature tree: {summary['edges']:,} edges with P(parent | child) ≥ {summary['conditional']} "
        f"on {summary['n_tokens']:,} tokens; chance gives {summary['edges_by_chance']:,} ({summary['null_model']}), "
        f"latents in random order {summary['edges_in_random_order']:,.0f}; {summary['edges_by_token_alone']:,} of "
        f"them the tokens alone would make. "
        f"Fire on too few tokens to be tested: {summary['latents_with_too_few_tokens']:,} latents."
    )
