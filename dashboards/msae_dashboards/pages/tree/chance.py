"""How many edges the tree has, and how many of them chance would give."""

from __future__ import annotations

from msae_dashboards.data.tables import ANALYSIS, RunTables
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Content, Figures, Paragraph, Strong, Text


def render(visit: Visit) -> Content:
    """Counts, and those of the two null models."""
    found = visit.tables.analysis()["tree"]
    false = found["false_discovery_rate"]
    values: list[tuple[str, Content, str]] = [
        ("edges", f"{found['edges']:,}", f"P(parent | child) ≥ {found['conditional']}, more often than chance has it"),
        ("by chance", f"{found['edges_by_chance']:,}", f"The same with {found['null_model']} of every latent's codes"),
        ("false discoveries", "n/a" if false is None else share(false, 1), "Edges by chance / edges"),
        (
            "tokens alone",
            number(found.get("edges_by_token_alone"), 0),
            f"Edges whose P(parent | child) is {found['conditional']} or more with codes dealt out anew among "
            "occurrences of the same token, too: the parent covers the child's vocabulary, and nothing of the context is needed",
        ),
        (
            "latents in random order",
            number(found["edges_in_random_order"], 0),
            "Edges if the latents were dealt to the levels at random: what the order of the levels adds",
        ),
        ("children", f"{found['children_with_a_parent']:,}", "Latents with a parent"),
        ("parents", f"{found['parents_with_a_child']:,}", "Latents with a child"),
        (
            "too few tokens",
            f"{found['latents_with_too_few_tokens']:,}",
            f"Latents that fire too rarely to be tested; {found['latents_tested']:,} were tested",
        ),
    ]
    note = f"By chance: {found['null_model']}, on the same {found['n_tokens']:,} tokens."
    return [Figures(values), Paragraph(note, "note")]


def badge(tables: RunTables) -> Text:
    """The same in a line."""
    found = tables.analysis()["tree"]
    edges, by_chance = (Strong(f"{found[name]:,}") for name in ("edges", "edges_by_chance"))
    return Text([edges, " edges, chance gives ", by_chance], "badge", f"By chance: {found['null_model']}")


PANEL = Panel(
    name="tree-chance",
    title="Edges, and what chance gives",
    about="run",
    needs=("tree", ANALYSIS),
    render=render,
    hint="An edge: the child hardly ever fires without the parent, and more often with it than chance has it",
)
