"""What an index holds of its items: dense codes, or sparse ones as a list of items for every latent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

from msae.core.errors import SourceError
from msae.nested.code import NestedCode

SMALLEST_NORM = 1e-12

Found = tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]
"""Items and their cosines, the best first."""


class Items(ABC):
    """Codes of items at a level and, where a code's levels are prefixes, at those before it. Scores are cosines; a code
    of zeros has the cosine 0 with everything.

    `norms`: of every item's code up to each level.
    """

    def __init__(self, code: NestedCode, norms: Float[Tensor, "level items"]) -> None:
        self.code, self.n = code, norms.shape[1]
        self.inverse = 1 / norms.numpy().clip(min=SMALLEST_NORM)

    @classmethod
    @abstractmethod
    def part(cls, code: NestedCode, rows: Float[Tensor, "rows d_in"], level: int) -> dict[str, Tensor]:
        """What is kept of some rows."""

    @classmethod
    @abstractmethod
    def join(cls, parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The parts of consecutive rows as one, the way it is searched."""

    @abstractmethod
    def scan(self, rows: Float[Tensor, "queries d_in"], level: int, k: int) -> Found:
        """The k best of all items."""

    @abstractmethod
    def rank(
        self, rows: Float[Tensor, "queries d_in"], found: Int[np.ndarray, "queries some"], level: int, k: int
    ) -> Found:
        """The k best of the items found so far."""


@final
class DenseItems(Items):
    """Codes as one array, of which a level reads the beginnings; those of a level are normalised when it is first
    searched."""

    def __init__(self, code: NestedCode, codes: Float[Tensor, "items width"], norms: Tensor) -> None:
        super().__init__(code, norms)
        self.codes = codes.numpy()
        self._levels: dict[int, np.ndarray] = {}

    @classmethod
    def part(cls, code: NestedCode, rows: Float[Tensor, "rows d_in"], level: int) -> dict[str, Tensor]:
        """The codes of the level, float32."""
        codes = code.transform(rows, level).contiguous()
        return {"codes": codes, "norms": norms_of(codes, code, level)}

    @classmethod
    def join(cls, parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """One after the other."""
        return {
            "codes": torch.cat([part["codes"] for part in parts]),
            "norms": torch.cat([part["norms"] for part in parts], dim=1),
        }

    def scan(self, rows: Float[Tensor, "queries d_in"], level: int, k: int) -> Found:
        """All inner products of normalised codes, by faiss."""
        faiss = _faiss()
        scores, ids = faiss.knn(
            queries_of(self.code, rows, level), self._level(level), min(k, self.n), faiss.METRIC_INNER_PRODUCT
        )
        return ids, scores

    def rank(
        self, rows: Float[Tensor, "queries d_in"], found: Int[np.ndarray, "queries some"], level: int, k: int
    ) -> Found:
        """The same for the items found by each query."""
        queries, width = queries_of(self.code, rows, level), self.code.width(level)
        products = np.einsum("qid,qd->qi", self.codes[:, :width][found], queries)
        return best(found, products * self.inverse[level][found], k)

    def _level(self, level: int) -> np.ndarray:
        if level not in self._levels:
            cut = self.codes[:, : self.code.width(level)] * self.inverse[level][:, None]
            self._levels[level] = np.ascontiguousarray(cut)
        return self._levels[level]


@final
class SparseItems(Items):
    """Sparse codes as an inverted index: for every latent the items whose code it is in, and its value there."""

    def __init__(self, code: NestedCode, latent: Tensor, item: Tensor, value: Tensor, norms: Tensor) -> None:
        super().__init__(code, norms)
        start = np.searchsorted(latent.numpy(), np.arange(code.width() + 1))
        # A row a latent: multiplying by a query's codes reads the lists of the latents that it has, and no others.
        self._lists = sparse.csr_matrix((value.numpy(), item.numpy(), start), shape=(code.width(), self.n))
        self._by_item: Any = None

    @classmethod
    def part(cls, code: NestedCode, rows: Float[Tensor, "rows d_in"], level: int) -> dict[str, Tensor]:
        """The codes as triples."""
        codes = code.transform(rows, level)
        row, latent = codes.nonzero(as_tuple=True)
        triples = {"item": row.int(), "latent": latent.int(), "value": codes[row, latent]}
        return {**triples, "norms": norms_of(codes, code, level)}

    @classmethod
    def join(cls, parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The triples by latent, then by item."""
        counts = [part["norms"].shape[1] for part in parts]
        first = np.cumsum([0, *counts[:-1]]).tolist()
        item = torch.cat([part["item"] + at for part, at in zip(parts, first, strict=True)])
        latent = torch.cat([part["latent"] for part in parts])
        value = torch.cat([part["value"] for part in parts])
        order = torch.argsort(latent, stable=True)  # items ascend already
        norms = torch.cat([part["norms"] for part in parts], dim=1)
        return {"latent": latent[order], "item": item[order], "value": value[order], "norms": norms}

    def scan(self, rows: Float[Tensor, "queries d_in"], level: int, k: int) -> Found:
        """The lists of a query's latents, summed up by item."""
        queries = sparse.csr_matrix(queries_of(self.code, rows, level))
        scores = (queries @ self._lists[: queries.shape[1]]).toarray() * self.inverse[level]
        return best(np.broadcast_to(np.arange(self.n), scores.shape), scores, k)

    def rank(
        self, rows: Float[Tensor, "queries d_in"], found: Int[np.ndarray, "queries some"], level: int, k: int
    ) -> Found:
        """The same, of the items found by each query."""
        if self._by_item is None:
            self._by_item = self._lists.T.tocsr()
        queries = np.zeros((len(rows), self._lists.shape[0]), dtype=np.float32)  # latents beyond the level stay zero
        queries[:, : self.code.width(level)] = queries_of(self.code, rows, level)
        products = np.stack([self._by_item[own] @ query for own, query in zip(found, queries, strict=True)])
        return best(found, products * self.inverse[level][found], k)


def norms_of(codes: Float[Tensor, "rows width"], code: NestedCode, level: int) -> Float[Tensor, "level rows"]:
    """The norm of every row's code up to each level, `level` the last."""
    return torch.stack([codes[:, : code.width(g)].norm(dim=1) for g in range(level + 1)])


def queries_of(code: NestedCode, rows: Float[Tensor, "queries d_in"], level: int) -> Float[np.ndarray, "queries width"]:
    """The codes of queries, divided by their norms."""
    return torch.nn.functional.normalize(code.transform(rows, level), dim=1).numpy()


def best(found: Int[np.ndarray, "queries some"], scores: Float[np.ndarray, "queries some"], k: int) -> Found:
    """The k best of each query."""
    k = min(k, found.shape[1])
    if k < found.shape[1]:
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        found, scores = np.take_along_axis(found, top, 1), np.take_along_axis(scores, top, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(found, order, 1), np.take_along_axis(scores, order, 1)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise SourceError("searching dense codes needs faiss: pip install 'msae[retrieval]', or faiss-cpu") from error
    return faiss
