"""Elements: the one place where a tag, an attribute and a style are put together, each escaped.

What is written is `Markup`; any other text is escaped when it is put inside. A text cannot become a tag by accident.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape
from plotly.utils import PlotlyJSONEncoder

from msae.core.errors import MsaeError

VOID = {"br", "hr", "input", "meta", "link"}
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_SCHEME = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]*:")


class UnwritableError(MsaeError):
    """A part of a page that cannot be HTML: nobody has said how it is written, or it would be unsafe."""


def tag(name: str, /, *inside: Any, **attributes: Any) -> Markup:
    """An element. `inside`: what is `Markup` is kept, all else is escaped. Of the names of attributes a trailing ``_``
    goes and ``_`` is ``-``; None, False and ``""`` leave one out (but an empty ``value``), True gives it no
    value; ``style`` may be a mapping."""
    start = Markup("<" + name + _attributes(attributes) + ">")
    return start if name in VOID else start + joined(inside) + Markup("</" + name + ">")


def joined(parts: Any) -> Markup:
    """Parts one after the other."""
    return Markup("").join(parts)


def embedded_json(value: Any) -> Markup:
    """A script of data: JSON in which no text can end the script."""
    return Markup('<script type="application/json">' + script_json(value) + "</script>")


def script_json(value: Any) -> str:
    """`value` as JSON that can stand inside a script: without ``<``, which ``</script`` and ``<!--`` begin with."""
    text = json.dumps(value, cls=PlotlyJSONEncoder, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _attributes(given: Mapping[str, Any]) -> str:
    written = []
    for key, value in given.items():
        name = key.rstrip("_").replace("_", "-")
        if value is None or value is False or (value == "" and name != "value"):
            continue
        if not _NAME.fullmatch(name) or name.startswith("on"):
            raise UnwritableError(f"{name!r} is no attribute of a page")
        if name in ("href", "src") and _SCHEME.match(value):
            raise UnwritableError(f"{value!r} is no address within the pages")
        if isinstance(value, Mapping):
            value = ";".join(f"{prop}:{setting}" for prop, setting in value.items())
        written.append(f" {name}" if value is True else f' {name}="{escape(value)}"')
    return "".join(written)
