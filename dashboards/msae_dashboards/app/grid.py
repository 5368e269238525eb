"""The feature browser's grid: AG Grid, which Dash serves and starts; its rows are requested as they come into view.

Dash has its own corner of the server (``_grid``) and one component. The grid's rows do not go through a callback, whose
one pair of properties would lose a request that another follows: the page's script answers the grid itself
(`assets/grid.js`), each block of rows by a request of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import Dash
from dash.exceptions import DependencyException
from flask import Flask, Response, abort, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from msae.plots.colors import level_color
from msae_dashboards.address import Address
from msae_dashboards.data.feature_index import SORTABLE, FeatureIndex
from msae_dashboards.data.filter import Filter
from msae_dashboards.data.tables import MissingTableError, RunTables
from msae_dashboards.pages import FEATURES
from msae_dashboards.pages.panel import missing
from msae_dashboards.view.controls import Controls, OneOf, Place, RangeField, Several, TextField
from msae_dashboards.view.nodes import Body, Content, LevelChip

if TYPE_CHECKING:
    from msae_dashboards.app.app import Site

CORNER = "_grid"
ENTRY = "react-entry-point"
"""Where Dash puts what it renders."""
BLOCK, MOST = 100, 1_000
UNUSED = re.compile(r"<script[^>]*/dash/(?:dcc|html|dash_table)/[^>]*></script>")
"""Component libraries of Dash that the grid's page does without."""
FORMATS = {"n_tokens": ",", "f1": ".2f", "max": ".2f", "mean": ".2f"}


class GridApp(Dash):
    """Dash with one component, inside a page of ours."""

    def interpolate_index(self, **parts: str) -> str:
        """The page of this request, with what Dash needs at its end."""
        scripts = UNUSED.sub("", parts["scripts"]).replace(f'src="/{CORNER}/', f'src="{CORNER}/')
        around: Callable[..., str] | None = g.get("msae_page")
        if around is None:
            abort(404)  # Dash has no page of its own
        # Between the configuration and Dash, so that it can be told where the pages are served.
        return around(config=Markup(parts["config"]), end=Markup(scripts + parts["renderer"]))


def connect(server: Flask, tables: RunTables, site: Site) -> None:
    """Dash in its corner, and the rows."""
    app = GridApp(
        __name__,
        server=server,
        url_base_pathname=f"/{CORNER}/",
        serve_locally=True,
        include_assets_files=False,
        update_title=None,
        add_log_handler=False,
    )
    app.layout = lambda: _layout(tables)
    server.extensions["msae-grid"] = app

    @server.errorhandler(DependencyException)
    def no_such_script(_error: DependencyException) -> ResponseReturnValue:
        return "There is no such file.", 404

    @server.get("/features/rows")
    def rows() -> ResponseReturnValue:
        features = tables.features()
        query = request.args.to_dict()
        first = max(int(Address(query=query).whole("first") or 0), 0)
        stop = min(int(Address(query=query).whole("stop") or first + BLOCK), first + MOST)
        found = features.find(Filter.of(query))
        shown = [_row(features, latent) for latent in found[first:stop].tolist()]
        return jsonify({"rows": shown, "found": len(found), "of": len(features)})


def page(site: Site, tables: RunTables, address: Address) -> Response:
    """The controls as the address has them, and the grid."""
    try:
        features = tables.features()
    except MissingTableError as error:
        return Response(
            site.document("/features", Body(FEATURES.title, missing(error)), FEATURES), mimetype="text/html"
        )
    body = Body(
        FEATURES.title,
        [Controls(_controls(features, address), search=True), Place(ENTRY, kind="features-grid")],
        head=Place("count", kind="count", spoken=True),
        kind="features-page",
    )
    g.msae_page = partial(site.document, "/features", body, FEATURES)
    return Response(current_app.extensions["msae-grid"].index(), mimetype="text/html")


def _row(features: FeatureIndex, latent: int) -> dict[str, Any]:
    record = features.record(latent)
    return {**record, "id": str(latent), "color": level_color(record["level"])}


def _controls(features: FeatureIndex, address: Address) -> list[Content]:
    query = address.query
    words = "Search tokens or explanation" if features.has_explanations else "Search tokens"
    levels = [(str(level), LevelChip(level)) for level in range(features.n_levels)]
    fires = [("", "all"), ("alive", "alive"), ("dead", "dead")]
    return [
        TextField("q", words, query.get("q", ""), "def return"),
        TextField("token", "Top token", query.get("token", "")),
        Several("level", "Level", levels, [str(level) for level in address.numbers("level")]),
        OneOf("alive", "Fires", fires, query.get("alive", "")),
        RangeField("density", "Density, %", address.number("density_min"), address.number("density_max")),
        RangeField("max", "Max activation", address.number("max_min"), address.number("max_max")),
    ]


def _layout(tables: RunTables) -> dag.AgGrid:
    try:
        return _grid(tables.features())
    except MissingTableError:  # the page says so, and has no grid
        return dag.AgGrid(id="features-grid")


def _grid(features: FeatureIndex) -> dag.AgGrid:
    columns: list[dict[str, Any]] = [
        {"field": "latent", "headerName": "Feature", "cellRenderer": "FeatureLink", "width": 100},
        {"field": "level", "headerName": "Level", "cellRenderer": "LevelChip", "width": 84},
        {"field": "top_token", "headerName": "Top tokens", "cellRenderer": "TokenList", "flex": 2, "minWidth": 220},
        {"field": "density", "headerName": "Density", "cellRenderer": "Density", "width": 150, "type": "rightAligned"},
        {"field": "n_tokens", "headerName": "Tokens", "type": "rightAligned", "width": 110},
        {"field": "max", "headerName": "Max", "type": "rightAligned", "width": 100},
        {"field": "mean", "headerName": "Mean", "type": "rightAligned", "width": 100},
    ]
    if features.has_explanations:
        columns[3:3] = [
            {"field": "explanation", "headerName": "Explanation", "flex": 3, "minWidth": 240},
            {"field": "f1", "headerName": "F1", "type": "rightAligned", "width": 80},
        ]
    for column in columns:
        column["sortable"] = column["field"] in SORTABLE
        if (form := FORMATS.get(column["field"])) is not None:
            shown = f"params.value == null ? '' : d3.format('{form}')(params.value)"
            column["valueFormatter"] = {"function": shown}
    return dag.AgGrid(
        id="features-grid",
        columnDefs=columns,
        rowModelType="infinite",
        getRowId="params.data.id",
        defaultColDef={"resizable": True, "suppressMovable": True, "sortingOrder": ["desc", "asc", None]},
        dashGridOptions={
            "cacheBlockSize": BLOCK,
            # Dash makes a first request or two that nobody answers: they must not hold up those that follow.
            "maxConcurrentDatasourceRequests": -1,
            "maxBlocksInCache": 20,
            "rowHeight": 34,
            "headerHeight": 36,
            "animateRows": False,
            "theme": {"function": "themeQuartz"},
        },
        style={"height": "100%"},
    )
