"""One streaming pass over a sample: sparse codes, and from them what every latent does."""

from msae.analysis.collect.codes import CodeTable
from msae.analysis.collect.cofiring import Pairs, PairSettings
from msae.analysis.collect.collection import Collected, collect
from msae.analysis.collect.examples import ExampleSettings
from msae.analysis.collect.joined import JoinedCodes, join_saes
from msae.analysis.collect.levelled import Levelled
from msae.analysis.collect.origin import ArrayRows, Origin, Rows
from msae.analysis.collect.settings import CollectSettings
from msae.analysis.collect.token_text import TokenText, token_text

__all__ = [
    "ArrayRows",
    "CodeTable",
    "CollectSettings",
    "Collected",
    "ExampleSettings",
    "JoinedCodes",
    "Levelled",
    "Origin",
    "PairSettings",
    "Pairs",
    "Rows",
    "TokenText",
    "collect",
    "join_saes",
    "token_text",
]
