"""What the live prompt's page asks for as it goes: parts of it, as HTML."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from msae_dashboards.app.relative import relative
from msae_dashboards.data.tables import RunTables
from msae_dashboards.live import Continuations, LiveModel
from msae_dashboards.pages.prompt.answers import at_every_level, reading, writing
from msae_dashboards.view.html import write
from msae_dashboards.view.nodes import Content


def connect(server: Flask, tables: RunTables, live: LiveModel) -> None:
    """``/prompt/read``, ``/prompt/nest`` and ``/prompt/write`` answer to a state of the page, as JSON."""
    continuations = Continuations(live)

    @server.post("/prompt/read")
    def read() -> ResponseReturnValue:
        found = reading(tables, live, _state())
        return jsonify({"prompt-left": _html(found.left), "prompt-right": _html(found.right)})

    @server.post("/prompt/nest")
    def levels() -> ResponseReturnValue:
        return jsonify({"prompt-nest": _html(at_every_level(tables, live, _state()))})

    @server.post("/prompt/write")
    def write_on() -> ResponseReturnValue:
        found = writing(tables, live, continuations, _state())
        parts = {"prompt-steered": _html(found.head), "prompt-written": _html(found.written)}
        return jsonify({**parts, "finished": found.finished})


def _state() -> dict[str, str]:
    """The state that was sent. Only JSON is read: a page of another site cannot send that."""
    sent: Any = request.get_json()
    return {key: value for key, value in sent.items() if isinstance(value, str)} if isinstance(sent, dict) else {}


def _html(content: Content) -> str:
    return str(write(content, lambda href: relative("", href)))
