"""Tokens of a sample as a table shows them: text, place, and the tokens around, with a latent's activation at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from msae.analysis.features.examples import context_rows, context_texts
from msae.analysis.hierarchy.residuals import values_at
from msae.analysis.sample import CodeTable, Origin, TokenText
from msae.analysis.tables import WORD, Column, lists, words

PASSAGE = (
    Column("row", pa.int64(), "row of the sample"),
    Column("token_id", pa.int32(), "the token's id"),
    Column("token", WORD, "the token's text; null without a tokenizer"),
    Column("document", WORD, "name of the document"),
    Column("offset", pa.int32(), "tokens before it in the document"),
    Column("position", pa.int16(), "where the token stands in the context lists"),
    Column("context_ids", pa.list_(pa.int32()), "the tokens around it, of the same document, without gaps"),
    Column("context_tokens", pa.list_(WORD), "their text"),
)


@dataclass(frozen=True, kw_only=True)
class Passages:
    """Rows of a sample, and what is around each: `lengths[i]` rows of `around`, of which `before[i]` precede row i."""

    origin: Origin
    row: Int[np.ndarray, " n"]
    before: Int[np.ndarray, " n"]
    lengths: Int[np.ndarray, " n"]
    around: Int[np.ndarray, " total"]

    @classmethod
    def of(cls, origin: Origin, row: Int[np.ndarray, " n"], reach: int) -> Passages:
        """Each of `row` with at most `reach` rows on either side, of its document and without gaps."""
        before, lengths, around = context_rows(row, origin, reach)
        return cls(origin=origin, row=row, before=before, lengths=lengths, around=around)

    def columns(self, text: TokenText | None) -> dict[str, Any]:
        """The columns of `PASSAGE`."""
        origin = self.origin
        token_id, context_ids = origin.token_id[self.row], origin.token_id[self.around]
        tokens, context = context_texts(token_id, context_ids, self.before, self.lengths, text)
        return {
            "row": self.row,
            "token_id": token_id,
            "token": tokens,
            "document": words(origin.names, origin.document[self.row]),
            "offset": origin.offset[self.row],
            "position": self.before,
            "context_ids": lists(context_ids, self.lengths, pa.int32()),
            "context_tokens": lists(context, self.lengths, WORD),
        }

    def values(self, codes: CodeTable, latent: Int[np.ndarray, " n"]) -> pa.ListArray:
        """The activations of `latent[i]` at the rows around row i, for every i."""
        found, of_row = np.unique(np.repeat(latent, self.lengths), return_inverse=True)
        order = np.argsort(of_row, kind="stable")
        start = np.searchsorted(of_row[order], np.arange(len(found) + 1))
        out = np.empty(len(of_row), np.float32)
        for i, j in enumerate(found.tolist()):
            place = order[start[i] : start[i + 1]]
            out[place] = values_at(codes, j, self.around[place])
        return lists(out, self.lengths, pa.float32())
