"""The feature browser: every latent in a grid that asks the server for the rows in view, filtered and sorted there."""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from msae_dashboards.address import Address
from msae_dashboards.feature_index import SORTABLE, FeatureIndex, Filter
from msae_dashboards.pages.page import Page
from msae_dashboards.panels.panel import missing
from msae_dashboards.tables import MissingTableError, RunTables

PATH = "features"
BLOCK = 100
STATE, GRID, COUNT = "features-state", "features-grid", "features-count"
CONTROLS = {
    "q": "features-q",
    "level": "features-level",
    "alive": "features-alive",
    "token": "features-token",
    "density_min": "features-density-min",
    "density_max": "features-density-max",
    "max_min": "features-max-min",
    "max_max": "features-max-max",
}
"""Each control's key in the URL, and its id. `assets/browser.js` writes the URL from the same keys."""


def render(tables: RunTables, address: Address) -> Component:
    """The controls as the address has them, and the grid."""
    try:
        features = tables.features()
    except MissingTableError as error:
        return html.Div([html.H1("Features"), missing(error)], className="page")
    query = dict(address.query)
    return html.Div(
        [
            html.Header([html.H1("Features"), html.Span(id=COUNT, className="count", **{"aria-live": "polite"})]),
            html.Div(_controls(features, address), className="filters", role="search"),
            _grid(features, address),
            dcc.Store(id=STATE, data=query),
        ],
        className="page features-page",
    )


def wanted(query: dict[str, Any]) -> Filter:
    """The filter that a query asks for; what it does not understand lets everything through."""
    address = Address(page=PATH, query={key: str(value) for key, value in query.items()})
    alive = {"alive": True, "dead": False}.get(address.query.get("alive", ""))
    return Filter(
        query=address.query.get("q", ""),
        token=address.query.get("token", ""),
        levels=address.numbers("level"),
        alive=alive,
        density=(_percent(address.number("density_min")), _percent(address.number("density_max"))),
        max=(address.number("max_min"), address.number("max_max")),
        sort=address.query.get("sort", ""),
        descending=address.query.get("order") == "desc",
    )


def connect(app: Dash, tables: RunTables) -> None:
    """Controls change the state and the URL; the grid then asks for rows."""
    app.clientside_callback(
        ClientsideFunction("msae", "browse"),
        Output(STATE, "data"),
        Input(GRID, "columnState"),
        *(Input(control, "value") for control in CONTROLS.values()),
        State(STATE, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("msae", "refresh"),
        Output(GRID, "paginationGoTo"),
        Input(STATE, "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output(GRID, "getRowsResponse"),
        Output(COUNT, "children"),
        Input(GRID, "getRowsRequest"),
        State(STATE, "data"),
    )
    def rows(request: dict[str, Any] | None, state: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        if request is None:
            raise PreventUpdate
        features = tables.features()
        found = features.find(wanted(state or {}))
        first, stop = int(request["startRow"]), int(request["endRow"])
        records = [features.record(latent) for latent in found[first:stop].tolist()]
        count = f"{len(found):,} of {len(features):,}" if first == 0 else no_update
        return {"rowData": records, "rowCount": len(found)}, count


def _percent(value: float | None) -> float | None:
    return None if value is None else value / 100


def _controls(features: FeatureIndex, address: Address) -> list[Component]:
    said = " or explanation" if features.has_explanations else ""
    levels = [dmc.Chip(f"L{level}", value=str(level), size="xs") for level in range(features.n_levels)]
    chosen = [str(level) for level in address.numbers("level")]
    alive = address.query.get("alive", "")
    firing = [{"value": "", "label": "all"}, {"value": "alive", "label": "alive"}, {"value": "dead", "label": "dead"}]
    return [
        _labelled(
            f"Search tokens{said}",
            dmc.TextInput(
                id=CONTROLS["q"],
                value=address.query.get("q", ""),
                placeholder="def return",
                size="xs",
                debounce=150,
                w=200,
            ),
            CONTROLS["q"],
        ),
        _labelled(
            "Top token",
            dmc.TextInput(id=CONTROLS["token"], value=address.query.get("token", ""), size="xs", debounce=150, w=90),
            CONTROLS["token"],
        ),
        _grouped("Level", dmc.ChipGroup(dmc.Group(levels, gap=4), id=CONTROLS["level"], multiple=True, value=chosen)),
        _grouped(
            "Fires",
            dmc.SegmentedControl(
                id=CONTROLS["alive"], data=firing, value=alive if alive in ("alive", "dead") else "", size="xs"
            ),
        ),
        _range("Density, %", "density", address),
        _range("Max activation", "max", address),
    ]


def _range(label: str, key: str, address: Address) -> Component:
    ends = [
        dmc.NumberInput(
            id=CONTROLS[f"{key}_{end}"],
            value=value if (value := address.number(f"{key}_{end}")) is not None else "",
            placeholder=end,
            size="xs",
            w=80,
            min=0,
            hideControls=True,
            debounce=250,
            **{"aria-label": f"{label}, {'least' if end == 'min' else 'most'}"},
        )
        for end in ("min", "max")
    ]
    return _grouped(label, html.Div(ends, className="range"))


def _labelled(label: str, control: Component, control_id: str) -> Component:
    return html.Div([html.Label(label, htmlFor=control_id), control], className="filter")


def _grouped(label: str, control: Component) -> Component:
    return html.Div(
        [html.Span(label, className="label"), control], className="filter", role="group", **{"aria-label": label}
    )


def _grid(features: FeatureIndex, address: Address) -> Component:
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
    formats = {
        "n_tokens": "d3.format(',')(params.value)",
        "f1": "params.value == null ? '' : d3.format('.2f')(params.value)",
    }
    formats |= {name: "params.value == null ? '' : d3.format('.2f')(params.value)" for name in ("max", "mean")}
    for column in columns:
        column["sortable"] = column["field"] in SORTABLE
        if column["field"] in formats:
            column["valueFormatter"] = {"function": formats[column["field"]]}
        if column["field"] == address.query.get("sort"):
            column["sort"] = "desc" if address.query.get("order") == "desc" else "asc"
    return dag.AgGrid(
        id=GRID,
        columnDefs=columns,
        rowModelType="infinite",
        getRowId="params.data.latent",
        defaultColDef={"resizable": True, "suppressMovable": True, "sortingOrder": ["desc", "asc", None]},
        dashGridOptions={
            "cacheBlockSize": BLOCK,
            "maxBlocksInCache": 20,
            "rowHeight": 34,
            "headerHeight": 36,
            "suppressCellFocus": False,
            "animateRows": False,
            "theme": {"function": "themeQuartz"},
        },
        className="features-grid",
        style={"height": "100%"},
    )


PAGE = Page(name=PATH, title="Features", render=render, connect=connect, exported=False)
