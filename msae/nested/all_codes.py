"""Every nested code there is: to add one, a class (`NestedCode`) and an entry here."""

from msae.nested.code import NestedCode
from msae.nested.head import IndependentHeads, MatryoshkaHead
from msae.nested.prefixes import PcaPrefix, RandomOrder, RawPrefix
from msae.nested.sae_codes import SaeCodes

CODES: tuple[type[NestedCode], ...] = (RawPrefix, PcaPrefix, RandomOrder, MatryoshkaHead, IndependentHeads, SaeCodes)

__all__ = ["CODES"]
