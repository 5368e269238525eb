"""A text read at every level as a node: from rows of table ``nest``, stored or just made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from msae.analysis.hierarchy.threads import NEW, Hole, Threads, threads
from msae.analysis.levels.nest import gains
from msae_dashboards.address import absorption_href, feature_href
from msae_dashboards.data.feature_index import FeatureIndex
from msae_dashboards.data.tables import RunTables
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Nest, NestCell, NestHole, NestToken

OTHERS = 6


def nest(tables: RunTables, rows: Sequence[Mapping[str, Any]], level: int | None) -> Nest:
    """The text of `rows`, one a token in order, coloured by what `level` gains (None: the last)."""
    features = tables.features()
    absorbing = absorbing_pairs(tables)
    fired = {
        (token, latent): size
        for token, row in enumerate(rows)
        for latent, size in zip(row["latents"], row["contributions"], strict=True)
    }
    drawn = threads(fired, _parents(tables), {child: list(parents) for child, parents in absorbing.items()})
    holes: dict[int, list[Hole]] = {}
    for hole in drawn.holes:
        holes.setdefault(hole.token, []).append(hole)
    tokens = [
        NestToken(
            text=row["token"] or "",
            id=row["token_id"],
            meaning=_meaning(row),
            lanes=[
                (
                    _cell(features, row, token, lane, drawn),
                    [_hole(absorbing, each) for each in holes.get(token, ()) if features.level[each.parent] == lane],
                )
                for lane in range(features.n_levels)
            ],
            said=_said(row),
            gains=_gains(row, features.n_levels),
            cut=bool(row["begins"]),
        )
        for token, row in enumerate(rows)
    ]
    lens = any(token.said for token in tokens)
    return Nest(
        tokens=tokens,
        n_levels=features.n_levels,
        views=[*(f"L{lane} says" for lane in range(features.n_levels)), "model"] if lens else [],
        level=features.n_levels - 1 if level is None or level >= features.n_levels else level,
        label="The text, a lane a level",
    )


def absorbing_pairs(tables: RunTables) -> dict[int, dict[int, dict[str, Any]]]:
    """The rows of table ``absorption`` that are absorbing by both witnesses, by child and parent; none without it."""
    if not tables.has("absorption"):
        return {}
    return tables.made("absorption", "absorbing-by-child", _by_child)


def _by_child(table: pa.Table) -> dict[int, dict[int, dict[str, Any]]]:
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for row in table.filter(table["absorbing"]).to_pylist():
        found.setdefault(row["child"], {})[row["parent"]] = row
    return found


def _parents(tables: RunTables) -> dict[int, list[int]]:
    if not tables.has("tree"):
        return {}
    return {child: [edge.parent for edge in edges] for child, edges in tables.branches().parents.items()}


def _cell(features: FeatureIndex, row: Mapping[str, Any], token: int, lane: int, drawn: Threads) -> NestCell | None:
    own = [
        (latent, size)
        for latent, size in zip(row["latents"], row["contributions"], strict=True)
        if features.level[latent] == lane
    ]
    if not own:
        return None
    latent, _ = own[0]
    parent = drawn.parent[token, latent]
    listed = ", ".join(f"{other} ({number(size, 1)})" for other, size in own[:OTHERS])
    where = "" if lane == 0 else f"; inside {parent}" if parent != NEW else "; new at this level"
    explanation = features.explanation[latent]
    return NestCell(
        latent=latent,
        text=" ".join(features.top_tokens[latent][:1]),
        kind="outer" if lane == 0 else "new" if parent == NEW else "inside",
        href=feature_href(latent),
        meaning=f"{latent}{f': {explanation}' if explanation else ''}{where}. By contribution: {listed}"
        + (", …" if len(own) > OTHERS else ""),
        parent=None if lane == 0 or parent == NEW else parent,
        more=len(own) - 1,
    )


def _hole(absorbing: Mapping[int, Mapping[int, Mapping[str, Any]]], hole: Hole) -> NestHole:
    row = absorbing[hole.child][hole.parent]
    meaning = (
        f"{hole.parent} is silent where {hole.child}, which has absorbed it, fires: over the child's tokens it is "
        f"missing on {share(row['hole'], 1)} more than other tokens of the same type make expect. It looks needed on "
        f"{share(row['rate'], 1)} of them, other latents at the same cosine on {share(row['null_rate'], 1)}; "
        f"{row['hole_left_out']:,} of {row['n_child']:,} are of types that never occur with the child silent"
    )
    return NestHole(hole.parent, hole.child, absorption_href(hole.parent, hole.child), meaning)


def _said(row: Mapping[str, Any]) -> list[tuple[str, bool | None]]:
    """What each level and the model say next; the decoder's bias alone, the first view, is not shown."""
    if row["choices"] is None:
        return []
    followed = row["right"] or [None] * len(row["choices"])
    return list(zip(row["choices"], followed, strict=True))[1:]


def _gains(row: Mapping[str, Any], n_levels: int) -> list[float | None]:
    return [None] * n_levels if row["losses"] is None else list(gains(row["losses"]))


def _meaning(row: Mapping[str, Any]) -> str:
    if row["losses"] is None:
        return f"id {row['token_id']}"
    losses = [number(loss, 2) for loss in row["losses"]]
    levels = ", ".join(f"L{level} {loss}" for level, loss in enumerate(losses[1:-1]))
    return (
        f"id {row['token_id']}. Loss of the next token in nats: without a latent {losses[0]}, {levels}, "
        f"the model {losses[-1]}"
    )
