"""Tree, splitting and absorption as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as Outline

from msae.analysis.hierarchy.branches import Branches
from msae.analysis.measurement import Result
from msae.analysis.tables import OK

NOT_APPLICABLE = "n/a"
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


def splitting_table(result: Result) -> Table:
    """One row a pair of levels."""
    title = "Splitting: children per parent, and how much of the parent they take up"
    return _splitting(title, result, "splitting_levels")


def independent_table(result: Result) -> Table:
    """One row a pair of SAEs that were trained apart."""
    title = f"Splitting, the same between SAEs trained apart, of widths {result.summary['widths']}"
    return _splitting(title, result, "splitting_independent_levels")


def _splitting(title: str, result: Result, name: str) -> Table:
    table = _table(title, result.summary)
    columns = (
        ("levels", lambda row: f"{row['parent_level']} → {row['child_level']}"),
        ("parents", _count("n_parents")),
        ("with children", _count("with_children")),
        ("split", _count("split")),
        ("edges", _count("edges")),
        ("by chance", _count("edges_by_chance")),
        ("children/parent", _number("children_per_parent", 2)),
        ("coverage", _number("coverage", 3, "coverage_error")),
        ("by chance", _number("null_coverage", 3)),
        ("overlap", _number("overlap", 3)),
        ("entropy", _number("entropy", 2)),
    )
    return _filled(table, columns, result.tables[name].to_pylist())


def absorption_table(result: Result) -> Table:
    """One row a pair of levels."""
    table = _table("Absorption (unsupervised): the child fires, the parent would have been needed", result.summary)
    columns = (
        ("levels", lambda row: f"{row['parent_level']} → {row['child_level']}"),
        ("candidates", _count("pairs")),
        ("absorbing", _count("absorbing")),
        ("mean rate", _number("rate", 4, "rate_error")),
        ("by chance", _number("null_rate", 4)),
    )
    return _filled(table, columns, result.tables["absorption_levels"].to_pylist())


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
        f"latents in random order {summary['edges_in_random_order']:,.0f}. "
        f"Fire on too few tokens to be tested: {summary['latents_with_too_few_tokens']:,} latents."
    )


def _table(title: str, summary: Mapping) -> Table:
    caption = f"By chance: {summary['null_model']}. ± one standard error."
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left", min_width=len(title))


def _filled(table: Table, columns: Iterable[tuple[str, Callable[[dict], str]]], rows: list[dict]) -> Table:
    columns = list(columns)
    if any(row["status"] != OK for row in rows):
        columns.append(("", lambda row: "" if row["status"] == OK else row["status"]))
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(write(row) for _, write in columns))
    return table


def _count(name: str) -> Callable[[dict], str]:
    return lambda row: f"{row[name]:,}"


def _number(name: str, digits: int, error: str | None = None) -> Callable[[dict], str]:
    def write(row: dict) -> str:
        if row[name] is None:
            return NOT_APPLICABLE
        spread = f" ± {row[error]:.{digits}f}" if error and row[error] is not None else ""
        return f"{row[name]:.{digits}f}{spread}"

    return write


__all__ = ["absorption_table", "independent_table", "labels", "splitting_table", "tree_outline"]
