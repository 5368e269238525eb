"""What the run was made from and how: the source of its activations, the SAE, the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.panel import Panel
from msae_dashboards.tables import ANALYSIS, RunTables


def render(tables: RunTables, address: Address) -> Component:
    """Lists of terms and values, as the run's config.json has them."""
    config = tables.run.config
    source, sae, training = config["store"]["source"], config["sae"], config["training"]
    made = {
        "model": source["model"],
        "hook": source["hook_name"],
        "revision": source["revision"],
        "weights": f"{source['weight_processing']}, {source['dtype']}",
        "contexts": f"{source['context_size']:,} tokens, {'BOS first' if source['prepend_bos'] else 'no BOS'}",
        "store": config["store"]["path"],
        "fingerprint": config["store"]["fingerprint"],
    }
    shape = {
        "dictionary": f"{sae['d_sae']:,} latents of {sae['d_in']:,}",
        "activation": _named(sae["activation_fn"]),
        "nesting": _named(sae["nesting"]),
        "trained on": f"{training['n_tokens']:,} tokens",
        "seed": str(sae["seed"]),
    }
    groups = [("Source", made), ("Dictionary", shape)]
    notes: list[str] = []
    if tables.has(ANALYSIS):
        analysis = tables.analysis()
        sample = analysis["sample"]
        groups.append(
            ("Analysis", {"tokens": f"{sample['n_tokens']:,}", "L0": f"{sample['l0']:.2f}", "store": sample["store"]})
        )
        notes = analysis["notes"]
    parts = [html.Div([html.H3(title), _terms(values)]) for title, values in groups]
    return html.Div([*parts, *(html.P(note, className="note") for note in notes)])


def _named(value: Mapping[str, Any]) -> str:
    settings = ", ".join(
        f"{name} {setting}" for name, setting in value.items() if name != "type" and setting is not None
    )
    return f"{value['type']}({settings})"


def _terms(values: Mapping[str, str]) -> Component:
    parts = [part for name, value in values.items() if value for part in (html.Dt(name), html.Dd(value, title=value))]
    return html.Dl(parts, className="terms")


PANEL = Panel(name="fingerprint", title="Made from", about="run", needs=(), render=render)
