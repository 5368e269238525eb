"""What the run was made from and how: the source of its activations, the SAE, the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msae_dashboards.data.tables import ANALYSIS
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Heading, Paragraph, Stack, Terms


def render(visit: Visit) -> Content:
    """Lists of terms and values, as the run's config.json has them."""
    tables = visit.tables
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
        "trained on": f"{training['n_tokens']:,} tokens" if "n_tokens" in training else "",
        "seed": str(sae["seed"]),
    }
    if adopted := tables.run.adopted:
        shape |= {"seed": "", "adopted from": str(adopted.get("path", "")), "format": str(adopted.get("format", ""))}
    groups = [("Source", made), ("Dictionary", shape)]
    notes: list[str] = []
    if tables.has(ANALYSIS):
        analysis = tables.analysis()
        sample = analysis["sample"]
        groups.append(
            ("Analysis", {"tokens": f"{sample['n_tokens']:,}", "L0": f"{sample['l0']:.2f}", "store": sample["store"]})
        )
        notes = [*filter(None, [sample.get("rows")]), *analysis["notes"]]
    parts = [
        Stack([Heading(title), Terms([entry for entry in values.items() if entry[1]])]) for title, values in groups
    ]
    return [*parts, *(Paragraph(note, "note") for note in notes)]


def _named(value: Mapping[str, Any]) -> str:
    settings = ", ".join(
        f"{name} {setting}" for name, setting in value.items() if name != "type" and setting is not None
    )
    return f"{value['type']}({settings})"


PANEL = Panel(name="fingerprint", title="Made from", about="run", needs=(), render=render)
