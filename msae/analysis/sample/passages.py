"""Tokens of a sample as a table shows them: text, place, and the tokens around, with a latent's activation at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from msae.analysis.sample.code_table import CodeTable, ranges
from msae.analysis.sample.origin import Origin
from msae.analysis.sample.token_text import TokenText
from msae.analysis.tables import WORD, Column, lists, words

MOST_BYTES = 4
"""Of a character in UTF-8: as many tokens can share one."""

PASSAGE = (
    Column("row", pa.int64(), "row of the sample"),
    Column("token_id", pa.int32(), "the token's id"),
    Column("token", WORD, "the token's text, whole characters; null without a tokenizer"),
    Column("document", WORD, "name of the document"),
    Column("offset", pa.int32(), "tokens before it in the document"),
    Column("position", pa.int16(), "where the token stands in the context lists"),
    Column(
        "context_ids",
        pa.list_(pa.int32()),
        "the tokens around it, of the same document and the same context of the model, without gaps",
    ),
    Column("context_tokens", pa.list_(WORD), "their text; a split character stands at the token that completes it"),
    Column(
        "context_opens",
        pa.bool_(),
        "whether the first of them is the first of the model's context, which had read no text before; null where "
        "contexts are unknown",
    ),
    Column(
        "context_closes",
        pa.bool_(),
        "whether the token after the last of them is the first of another context; null where contexts are unknown",
    ),
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
        """Each of `row` with at most `reach` rows on either side, of its document and context and without gaps."""
        begin, end = origin.passage
        first = np.maximum(begin[row], row - reach)
        last = np.minimum(end[row], row + reach + 1)
        return cls(origin=origin, row=row, before=row - first, lengths=last - first, around=ranges(first, last - first))

    def columns(self, text: TokenText | None) -> dict[str, Any]:
        """The columns of `PASSAGE`."""
        origin = self.origin
        context_ids = origin.token_id[self.around]
        tokens, context = self._texts(context_ids, text)
        return {
            "row": self.row,
            "token_id": origin.token_id[self.row],
            "token": tokens,
            "document": words(origin.names, origin.document[self.row]),
            "offset": origin.offset[self.row],
            "position": self.before,
            "context_ids": lists(context_ids, self.lengths, pa.int32()),
            "context_tokens": lists(context, self.lengths, WORD),
            **self._borders(),
        }

    def _borders(self) -> dict[str, Any]:
        """Whether a context of the model begins with the first row around, and whether one begins behind the last."""
        opens, first = self.origin.opens_context, self.row - self.before
        if opens is None:
            unknown = pa.nulls(len(self.row), pa.bool_())
            return {"context_opens": unknown, "context_closes": unknown}
        behind = np.append(opens, False)[first + self.lengths]
        return {"context_opens": opens[first], "context_closes": behind}

    def values(self, codes: CodeTable, latent: Int[np.ndarray, " n"]) -> pa.ListArray:
        """The activations of `latent[i]` at the rows around row i, for every i."""
        found, of_row = np.unique(np.repeat(latent, self.lengths), return_inverse=True)
        order = np.argsort(of_row, kind="stable")
        start = np.searchsorted(of_row[order], np.arange(len(found) + 1))
        out = np.empty(len(of_row), np.float32)
        for i, j in enumerate(found.tolist()):
            place = order[start[i] : start[i + 1]]
            out[place] = codes.values_at(j, self.around[place])
        return lists(out, self.lengths, pa.float32())

    def _texts(self, context_ids: np.ndarray, text: TokenText | None) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
        """The text of each token and of its context; a token with part of a character gets the whole one."""
        token_id = self.origin.token_id[self.row]
        if text is None:
            return _no_words(len(token_id)), _no_words(len(context_ids))
        table = dict.fromkeys(text.texts)
        number = {word: index for index, word in enumerate(table)}
        of_id = np.array([number[word] for word in text.texts], dtype=np.int32)
        own, context = of_id[token_id], of_id[context_ids]
        start = np.cumsum(self.lengths) - self.lengths
        split = np.add.reduceat(text.has_partial(context_ids), start) > 0 if len(start) else np.empty(0, bool)
        cut = text.has_partial(token_id)
        for place in np.flatnonzero(split):
            span = slice(start[place], start[place] + self.lengths[place])
            first, row = self.around[span.start], self.row[place]
            # A character may go on beyond the passage, from or into another context.
            begin = max(self.origin.text[0][row], first - MOST_BYTES + 1)
            end = min(self.origin.text[1][row], first + self.lengths[place] + MOST_BYTES - 1)
            passage = text.passage(self.origin.token_id[begin:end])
            shown = passage[first - begin : first - begin + self.lengths[place]]
            context[span] = [number.setdefault(word, len(number)) for word in shown]
            if cut[place]:
                whole = next((word for word in passage[row - begin :] if word), "")
                own[place] = number.setdefault(whole, len(number))
        return words(list(number), own), words(list(number), context)


def _no_words(n: int) -> pa.DictionaryArray:
    return words([], np.full(n, -1, dtype=np.int32))
