"""The rest of the Matryoshka family: ordered representations of which every prefix is usable."""

from msae.nested.all_codes import CODES
from msae.nested.code import NestedCode, halving_widths
from msae.nested.code_files import load_code, save_code
from msae.nested.head import IndependentHeads, MatryoshkaHead
from msae.nested.head_config import HeadConfig
from msae.nested.head_training import train_head, train_independent_heads
from msae.nested.prefixes import PcaPrefix, RandomOrder, RawPrefix
from msae.nested.sae_codes import SaeCodes

__all__ = [
    "CODES",
    "HeadConfig",
    "IndependentHeads",
    "MatryoshkaHead",
    "NestedCode",
    "PcaPrefix",
    "RandomOrder",
    "RawPrefix",
    "SaeCodes",
    "halving_widths",
    "load_code",
    "save_code",
    "train_head",
    "train_independent_heads",
]
