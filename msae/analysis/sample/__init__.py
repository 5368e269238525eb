"""The codes of a sample: where each row comes from, the null model, and which latents fire together."""

from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.collected import Collected, Levelled
from msae.analysis.sample.joined import JoinedCodes, join_saes
from msae.analysis.sample.origin import ArrayRows, Origin, Rows
from msae.analysis.sample.pairs import Pairs, PairSettings
from msae.analysis.sample.token_text import TokenText, token_text

__all__ = [
    "ArrayRows",
    "CodeTable",
    "Collected",
    "JoinedCodes",
    "Levelled",
    "Origin",
    "PairSettings",
    "Pairs",
    "Rows",
    "TokenText",
    "join_saes",
    "token_text",
]
