"""Activations whose features are known: a forest of features with exclusive children, after the toy of
Bussmann et al. (arXiv 2503.17547).

A root fires with its own probability. When a node that has children fires, exactly one of them fires with probability
`child_rate`, and none otherwise: so a child never fires without its parent, nor together with a sibling. A row is the
sum of the directions of the features that fire, each times a non-negative magnitude, plus noise.

Features are numbered by depth: first all roots, then the children of root 0, of root 1, …, then the next depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import ContextBatch
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import SourceError
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.data.documents import Document


@checked
@dataclass(frozen=True, kw_only=True)
class SyntheticForest:
    """A forest of known features, and rows drawn from it.

    `root_rate`: the probability of a root, one for all or one each. `branching[k]`: children of every node at depth k;
    ``()`` for roots alone. `child_rate`: P(one of the children fires | the parent fires).
    `magnitude_std`: a feature that fires has magnitude ``|1 + magnitude_std · N(0, 1)|``; or, with `magnitude_tail`
    above 0, a heavy-tailed one, ``1 − magnitude_tail + magnitude_tail · Exp(1)``.
    `noise_std`: standard deviation of Gaussian noise on each of the `d_in` numbers.
    `seed` makes the directions; rows have seeds of their own. No stream is shared with anything else in msae.
    """

    d_in: int = 64
    n_roots: int = 16
    root_rate: float | tuple[float, ...] = 0.1
    branching: tuple[int, ...] = (3,)
    child_rate: float = 0.8
    magnitude_std: float = 0.1
    magnitude_tail: float = 0.0
    noise_std: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.d_in > 0, "d_in", self.d_in, "at least one dimension")
        require(self.n_roots > 0, "n_roots", self.n_roots, "at least one root")
        rates = self._root_rates
        require(len(rates) == self.n_roots, "root_rate", self.root_rate, f"one rate, or {self.n_roots}, one a root")
        require(all(0 < rate <= 1 for rate in rates), "root_rate", self.root_rate, "probabilities above 0, at most 1")
        require(all(n > 0 for n in self.branching), "branching", self.branching, "at least one child a node")
        require(0 < self.child_rate <= 1, "child_rate", self.child_rate, "a probability above 0, at most 1")
        require(self.magnitude_std >= 0, "magnitude_std", self.magnitude_std, "0 or more")
        require(0 <= self.magnitude_tail <= 1, "magnitude_tail", self.magnitude_tail, "a share of the mean, 0 to 1")
        require(self.noise_std >= 0, "noise_std", self.noise_std, "0 or more")

    @property
    def n_features(self) -> int:
        """All nodes of the forest."""
        return sum(self._level_sizes)

    @cached_property
    def directions(self) -> Float[Tensor, "feature d_in"]:
        """The features' directions: independent, uniform on the unit sphere."""
        generator = torch_stream(self.seed, "synthetic/directions")
        drawn = torch.randn(self.n_features, self.d_in, generator=generator, dtype=torch.float64)
        return (drawn / drawn.norm(dim=1, keepdim=True)).float()

    @cached_property
    def parent(self) -> Int[Tensor, " feature"]:
        """The parent of each feature; −1 for roots. The exact edges of the hierarchy."""
        levels = [torch.full((self.n_roots,), -1)]
        first = 0
        for size, children in zip(self._level_sizes, self.branching, strict=False):
            levels.append(torch.arange(first, first + size).repeat_interleave(children))
            first += size
        return torch.cat(levels)

    @cached_property
    def depth(self) -> Int[Tensor, " feature"]:
        """0 for roots, 1 for their children, and so on."""
        sizes = torch.tensor(self._level_sizes)
        return torch.arange(len(sizes)).repeat_interleave(sizes)

    @cached_property
    def firing_rate(self) -> Float[Tensor, " feature"]:
        """The exact probability that each feature fires."""
        rates = [torch.tensor(self._root_rates, dtype=torch.float64)]
        for children in self.branching:
            rates.append((rates[-1] * self.child_rate / children).repeat_interleave(children))
        return torch.cat(rates).float()

    def ancestors(self, feature: int) -> tuple[int, ...]:
        """The features above `feature`, its parent first and its root last."""
        require(0 <= feature < self.n_features, "feature", feature, f"a number below {self.n_features}")
        above = int(self.parent[feature])
        return () if above < 0 else (above, *self.ancestors(above))

    def sample(
        self, n_rows: int, *, seed: int, stream: str = "rows"
    ) -> tuple[Float[Tensor, "rows d_in"], Float[Tensor, "rows feature"]]:
        """`n_rows` rows and their true codes (each feature's magnitude, 0 where it is silent)."""
        require(n_rows > 0, "n_rows", n_rows, "at least one row")
        generator = torch_stream(seed, f"synthetic/{stream}")
        fires = self._draw_firing(n_rows, generator)
        codes = self._draw_magnitude(fires.shape, generator) * fires
        noise = self.noise_std * torch.randn(n_rows, self.d_in, generator=generator)
        return codes @ self.directions + noise, codes

    def token_types(
        self, codes: Float[Tensor, "rows feature"], *, per_root: int = 4, seed: int, stream: str = "types"
    ) -> Int[Tensor, " rows"]:
        """A token type for every row, as text has them: one of `per_root` that the last root to fire has to itself, or
        one of `per_root` for rows without any. Whether a child fires does not depend on it: a type alone tells which
        root is there, and not what is below it."""
        require(per_root > 0, "per_root", per_root, "at least one type a root")
        roots = torch.where(codes[:, : self.n_roots] > 0, torch.arange(self.n_roots), -1).amax(dim=1)
        drawn = torch.randint(per_root, (len(codes),), generator=torch_stream(seed, f"synthetic/{stream}"))
        return torch.where(roots < 0, self.n_roots, roots) * per_root + drawn

    def batches(self, batch_size: int, *, seed: int, start: int = 0) -> Iterator[Float[Tensor, "batch d_in"]]:
        """Endless fresh batches, like `ActivationStore.batches`: batch i depends on (seed, batch_size, i) alone."""
        require(batch_size > 0, "batch_size", batch_size, "at least one row")
        require(start >= 0, "start", start, "a count of batches consumed, 0 or more")
        return self._batches(batch_size, seed, start)

    def _batches(self, batch_size: int, seed: int, start: int) -> Iterator[Tensor]:
        while True:
            yield self.sample(batch_size, seed=seed, stream=f"batch/{start}")[0]
            start += 1

    def _draw_firing(self, n_rows: int, generator: torch.Generator) -> Float[Tensor, "rows feature"]:
        fires = [(torch.rand(n_rows, self.n_roots, generator=generator) < torch.tensor(self._root_rates)).float()]
        for children in self.branching:
            above = fires[-1]
            has_child = above * (torch.rand(above.shape, generator=generator) < self.child_rate)
            chosen = torch.randint(children, above.shape, generator=generator)
            one_of = torch.nn.functional.one_hot(chosen, children)
            fires.append((has_child[..., None] * one_of).flatten(1))
        return torch.cat(fires, dim=1)

    def _draw_magnitude(self, shape: torch.Size, generator: torch.Generator) -> Float[Tensor, "rows feature"]:
        if self.magnitude_tail == 0:
            return (1 + self.magnitude_std * torch.randn(shape, generator=generator)).abs()
        return 1 - self.magnitude_tail * (1 - torch.empty(shape).exponential_(generator=generator))

    @property
    def _root_rates(self) -> tuple[float, ...]:
        return self.root_rate if isinstance(self.root_rate, tuple) else (self.root_rate,) * self.n_roots

    @property
    def _level_sizes(self) -> list[int]:
        return [self.n_roots * math.prod(self.branching[:depth]) for depth in range(len(self.branching) + 1)]


@dataclass(frozen=True, kw_only=True)
class SyntheticSource:
    """A forest as an `ActivationSource`: each document handed in becomes one context of `context_size` rows.

    The text of a document plays no part; its number and `seed` draw the rows. A row's token id is the deepest feature
    that fires there (the last, of several), or `n_features` where none does, so that rows can be read by a person.
    """

    forest: SyntheticForest
    context_size: int = 64
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.context_size > 0, "context_size", self.context_size, "at least one row")
        require(self.batch_size > 0, "batch_size", self.batch_size, "at least one context")

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """One hook, named ``rows``."""
        name = f"forest {self.forest.n_roots}x{'x'.join(map(str, self.forest.branching)) or '0'}"
        revision = f"forest seed {self.forest.seed}, row seed {self.seed}"
        return {
            "rows": SourceSpec(
                kind="synthetic",
                model=name,
                revision=revision,
                hook_name="rows",
                d_in=self.forest.d_in,
                context_size=self.context_size,
            )
        }

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """A context for every document, `batch_size` at a time."""
        count = 0
        pending = 0
        for _ in documents:
            pending += 1
            if pending == self.batch_size:
                yield self._batch(range(count, count + pending))
                count, pending = count + pending, 0
        if pending:
            yield self._batch(range(count, count + pending))

    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """The rows of each context, drawn again from its document's number."""
        if batch.token_ids.shape[1] != self.context_size:
            raise SourceError(f"contexts of {batch.token_ids.shape[1]} rows were given, {self.context_size} expected")
        rows = [self._rows(document)[0] for document in batch.document[:, 0].tolist()]
        return {"rows": torch.stack(rows)}

    def _rows(self, document: int) -> tuple[Tensor, Tensor]:
        return self.forest.sample(self.context_size, seed=self.seed, stream=f"document/{document}")

    def _batch(self, numbers: range) -> ContextBatch:
        shape = (len(numbers), self.context_size)
        return ContextBatch(
            token_ids=torch.stack([_deepest(self._rows(number)[1]) for number in numbers]),
            document=torch.tensor(numbers)[:, None].expand(shape),
            offset=torch.arange(self.context_size).expand(shape),
            attention=torch.ones(shape, dtype=torch.bool),
        )


def _deepest(codes: Float[Tensor, "rows feature"]) -> Int[Tensor, " rows"]:
    n_features = codes.shape[1]
    numbered = torch.where(codes > 0, torch.arange(n_features), -1).amax(dim=1)
    return torch.where(numbered < 0, n_features, numbered)
