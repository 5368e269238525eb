"""The figures that are kept of `bench_step`: of its steps, their memory, their parts, their growth, and of a GPU."""

from __future__ import annotations

import statistics
from typing import Any

from experiments.lib.results import Figure

Rows = dict[str, dict[str, Any]]


def step_figures(rows: Rows) -> list[Figure]:
    """Milliseconds of every step, and what they are of the product and of the nested step."""
    out = []
    for name, row in rows.items():
        n, case = len(row["seconds"]), {"step": name}
        out.append(Figure(name="a step", value=1e3 * row["median_seconds"], unit="ms", n=n, of="rounds", case=case))
        for key, to in (("to_product", "encoder product"), ("to_nested", "nested step")):
            if row[key]:
                out.append(_ratio(f"a step / {to}", row[key], n, case))
    return out


def memory_figures(memory: dict[str, dict[str, float]]) -> list[Figure]:
    """Peak memory while training, and what it is of the weights' state and one block of batch × d_sae."""
    out = []
    for name, of in memory.items():
        whole = of["training"] / (of["parameters, gradients, moments"] + of["batch x d_sae"])
        case, once = {"step": name}, {"n": 1, "of": "process"}
        out += [
            Figure(name="training above an idle process", value=of["training"] / 1e6, unit="MB", case=case, **once),
            Figure(name=OF_STATE, value=whole, unit="ratio", case=case, **once),
            Figure(name="block of pre-activations held", value=of["block"] / 1e6, unit="MB", case=case, **once),
        ]
    return out


OF_STATE = "training above an idle process / (parameters, gradients, moments, one block of batch x d_sae)"


def profile_figures(name: str, profile: dict[str, Any]) -> list[Figure]:
    """What share of a step each of its parts takes."""
    return [
        Figure(
            name="share of a step's time",
            value=seconds / profile["seconds"],
            unit="fraction",
            n=1,
            of="profile",
            case={"step": name, "part": part},
        )
        for part, seconds in profile["parts"].items()
    ]


def growth_figures(growth: list[dict[str, Any]]) -> list[Figure]:
    """The exponents, and each size's milliseconds."""
    out = []
    for grown in growth:
        grows, rows = grown["grows"], grown["rows"]
        case = {"grows": grows}
        name = "exponent of a step's time"
        out.append(Figure(name=name, value=grown["exponent"], unit="exponent", n=len(rows), of="sizes", case=case))
        for row in rows:
            at = {**case, "size": row[grows]}
            out.append(Figure(name="a step, by size", value=1e3 * row["seconds"], unit="ms", n=7, of="rounds", case=at))
    return out


def gpu_figures(results: dict[str, Any], peers: Rows) -> list[Figure]:
    """A card's steps against its limit, and the peers' on it."""
    out = []
    for name, row in results["steps"].items():
        case, n = {"step": name, "card": results["card"]}, len(row["seconds"])
        value = 1e3 * statistics.median(row["seconds"])
        waits = results["synchronisations"][name]
        out.append(Figure(name="a step", value=value, unit="ms", n=n, of="rounds", case=case))
        out.append(_ratio("a step / the card's limit", row["to_limit"], n, case))
        out.append(Figure(name="host waits in a step", value=waits, unit="waits", n=1, of="step", case=case))
    for name, row in peers.items():
        case = {"step": name, "card": results["card"]}
        value, n = 1e3 * row["median_seconds"], len(row["seconds"])
        out.append(Figure(name="a step", value=value, unit="ms", n=n, of="rounds", case=case))
    return out


def _ratio(name: str, quartiles: dict[str, float], n: int, case: dict[str, Any]) -> Figure:
    value, low, high = quartiles["median"], quartiles["low"], quartiles["high"]
    return Figure(name=name, value=value, low=low, high=high, unit="ratio", n=n, of="rounds", case=case)
