"""What is in each list of an extension point: names, and the first sentence of each docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from msae.analysis.all_measurements import INDEPENDENT_MEASUREMENTS, LABELLED_MEASUREMENTS, MEASUREMENTS
from msae.sae.activation_fns import ACTIVATION_FNS
from msae.sae.encoders import ENCODERS
from msae.sae.formats import FORMATS
from msae.sae.kernels import KERNELS
from msae.sae.nesting import NESTINGS

LISTS: dict[str, Iterable[type]] = {
    "Activation functions": ACTIVATION_FNS.values(),
    "Nestings": NESTINGS.values(),
    "Encoders": ENCODERS.values(),
    "Kernels": KERNELS.values(),
    "Formats read": [type(reader) for reader in FORMATS],
    "Measurements": (*MEASUREMENTS, *LABELLED_MEASUREMENTS, *INDEPENDENT_MEASUREMENTS),
}


def as_markdown(heading: str) -> str:
    """One list as a table."""
    rows = [f"| `{cls.__name__}` | {first_sentence(cls)} |" for cls in LISTS[heading]]
    return "\n".join([f"**{heading}**", "", "| | |", "|---|---|", *rows, ""])


def all_as_markdown() -> str:
    """All of them."""
    return "\n".join(map(as_markdown, LISTS))


def first_sentence(cls: type) -> str:
    """Of the class's docstring, as a cell of a table."""
    paragraph = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-zA-Z0-9)`])\. (?=[A-Z`])", paragraph)[0]
    return sentence.replace("|", "\\|")
