"""`msae search`: the indexed texts nearest to a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from msae.cli.output import show
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.nested.retrieval_plan import SearchPlan


@dataclass(frozen=True, kw_only=True)
class Search:
    """Find the indexed texts nearest to a text."""

    path: Positional[Path]
    """The index."""
    text: Positional[str]
    """What to look for."""
    k: int = 10
    """How many to show."""
    level: int | None = None
    """The level to rank at; by default the index's last."""
    plan: Literal["exact", "adaptive", "funnel"] = "exact"
    """All items at --level; a shortlist at --first ranked again at --level; or shortlists that halve level by level."""
    shortlist: int = 200
    """With adaptive: items that the first level keeps."""
    first: int = 0
    """With adaptive and funnel: the level to look at first."""
    long: Literal["error", "cut"] = "error"
    """What becomes of a text that is longer than a context."""
    model: str | None = None
    """Where the model is, if it has moved."""
    device: str | None = None
    """cpu, cuda, mps."""
    force: bool = False
    """Go on when the model is not the one recorded."""

    def run(self) -> None:
        """Do it."""
        from rich.table import Table
        from rich.text import Text

        from msae.activations.reopen import reopen_pooled
        from msae.cli.places import model_named
        from msae.nested.index import Index
        from msae.nested.index_sources import text_rows

        index = Index.open(self.path)
        plan = self._planned(index.level)
        index.require_levels(plan)
        if index.spec is None:
            raise ConfigError(f"{self.path} does not record what made its rows: search it from Python")
        model = None if self.model is None else str(model_named(self.model))
        source = reopen_pooled(index.spec, model=model, device=self.device, long=self.long, force=self.force)
        found, scores = index.search(text_rows(source, [self.text]), plan)
        table = Table("cosine", "item", "text")
        for item, score in zip(found[0].tolist(), scores[0].tolist(), strict=True):
            table.add_row(f"{score:.3f}", *map(Text, index.named[item]))
        show(table)

    def _planned(self, last: int) -> SearchPlan:
        from msae.nested.retrieval_plan import SearchPlan

        level = last if self.level is None else self.level
        if self.plan == "adaptive":
            return SearchPlan.adaptive(self.first, level, shortlist=self.shortlist, k=self.k)
        if self.plan == "funnel":
            return SearchPlan.funnel(level + 1, self.k, first=self.first)
        return SearchPlan.exact(level, self.k)
