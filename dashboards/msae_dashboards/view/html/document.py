"""Whole documents: the page around a body, in the app and in an export, and a notebook's cell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from markupsafe import Markup, escape

from msae_dashboards.view.assets import packed
from msae_dashboards.view.html.element import joined, script_json, tag

FOLDER = Path(__file__).parent
DOCUMENT = Template((FOLDER / "document.html").read_text(encoding="utf-8"))
NOTHING = Markup("")
CELL = Template((FOLDER / "cell.html").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is around a page's body.

    `run`: what the run is called. `root`: the way from the page to where the pages begin (``../``); `suffix`: what
    addresses end in (``.html``). `bar`: (title, reference, whether it is this page). `styles`, `scripts`: references.
    `plotly`: where plotly.js is, from where the pages begin. `policy`: a content security policy, where no server sends
    one. `alive`: what to ask whether the server is there.
    `footer`: a sentence under the page.
    """

    run: str
    root: str
    bar: Sequence[tuple[str, str, bool]]
    styles: Sequence[str]
    scripts: Sequence[str]
    plotly: str
    suffix: str = ""
    policy: str = ""
    alive: str = ""
    footer: str = ""


def document(frame: Frame, title: str, body: Markup, *, end: Markup = NOTHING) -> str:
    """The page. `end`: what stands last in it."""
    links = [
        tag("a", name, class_="nav-link", href=href, aria_current="page" if here else None)
        for name, href, here in frame.bar
    ]
    styles = [tag("link", rel="stylesheet", href=href) for href in frame.styles]
    scripts = [tag("script", src=src) for src in frame.scripts]
    policy = tag("meta", http_equiv="Content-Security-Policy", content=frame.policy) if frame.policy else ""
    return DOCUMENT.substitute(
        root=escape(frame.root),
        suffix=escape(frame.suffix),
        plotly=escape(frame.plotly),
        alive=tag("meta", name="alive", content=frame.alive) if frame.alive else "",
        policy=policy,
        title=escape(f"{title} · {frame.run} · msae"),
        head=joined([*styles, *scripts]),
        home=escape(frame.bar[0][1] if frame.bar else "#page"),
        run=escape(frame.run),
        links=joined(links),
        body=body,
        footer=tag("footer", frame.footer, class_="page") if frame.footer else "",
        end=end,
    )


def script(reference: str) -> Markup:
    """A script of ours, to be run where it stands."""
    return tag("script", src=reference)


def cell(title: str, body: Markup, *, style: str, script: str, plotly: str) -> str:
    """A notebook's cell: a document that holds all it needs. `style`, `script`: our own, trusted; `plotly`: the packed
    library, or nothing."""
    return CELL.substitute(title=escape(title), style=style, body=body, script=script, plotly=script_json(plotly))


def packed_sections(sections: Mapping[str, tuple[str, Markup]]) -> Markup:
    """Several bodies of one page by name, each with its title, compressed: a script shows the one that is wanted."""
    content = json.dumps({name: [title, str(inner)] for name, (title, inner) in sections.items()})
    return tag("script", packed(content.encode()), id="sections", type="application/octet-stream")


def framed(title: str, height: int, *, document: str = "", url: str = "", note: str = "") -> str:
    """A whole document in a frame, so that neither's style nor script reaches what is around it: given, or at `url`.
    `note`: a line below it."""
    style = f"width:100%;height:{height}px;border:0"
    if document:
        return tag("iframe", title=title, style=style, srcdoc=document)
    frame = Markup('<iframe title="%s" style="%s" src="%s"></iframe>') % (title, style, url)
    return frame + tag("p", note, style="font-size:12px;opacity:0.7;margin:4px 0 0")
