"""How many tokens does it take? msae against its peers on real activations, at matched measured L0.

    python experiments/studies/token_race.py --text corpus.txt --out runs/token-race      # the model that ships
    python experiments/studies/token_race.py --model NAME --layer 3 --text a.txt --out runs/race --threads 1

Each peer (`make bench-peers` makes their environments) trains for `--epochs` over the same rows at every learning rate
of a grid; where the best one lies at an edge of it, the grid grows there. msae trains with its defaults on a share of
those tokens. All get warmup – stable – decay (the peers with each of `--warmups`), the input scaled as each expects,
the same batches, and the same figures: held-out FVU of every level, at the threshold that gives L0 = k on the held-out
rows; dead latents are those that fire on none of 131,072 training rows. A run that is finished is not run again.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from safetensors import safe_open

import msae
import msae.demo
from experiments.lib.results import Figure, record
from msae.core.config import to_dict
from msae.core.files import write_tensors
from msae.plots.curves import Curve, curves_figure
from msae.plots.theme import write_html

QUESTION = "How many tokens does it take?"
ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "experiments" / "peers"
PEERS = {"sae-lens": "sae_lens_step.py", "dictionary-learning": "dictionary_learning_step.py"}
MOST_RATES = 6
FEW_DEAD = 0.02
DECAY = msae.TrainConfig.decay_fraction

Report = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Race:
    """`text`: file patterns. `model`: a hub name or a folder (default: the model that ships with msae).

    `rates`: the learning rates every peer begins with, evenly spaced in their logarithm. `warmups`: fractions of their
    runs, each with rates of its own. `shares`: of the peers' tokens, for msae. `curve`: how often figures are taken on
    the way.
    """

    text: tuple[str, ...]
    out: Path
    model: str | None = None
    layer: int = 3
    rows: int = 1_000_000
    widths: tuple[int, ...] = (256, 1024, 4096)
    k: int = 32
    batch: int = 2048
    epochs: float = 4
    rates: tuple[float, ...] = (8e-4, 2e-3, 5e-3)
    warmups: tuple[float, ...] = (0.05, 0.2)
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    curve: int = 8
    threads: int = torch.get_num_threads()
    peers: Path = ROOT / ".venv-peers"
    seed: int = 0

    def python_of(self, peer: str) -> Path:
        return Path(sys.executable) if peer == "msae" else self.peers / peer / "bin" / "python"


def main(race: Race) -> None:
    rows = activations(race)
    with safe_open(rows, "pt") as file:
        n_rows = file.get_slice("x").get_shape()[0]
    steps = int(race.epochs * n_rows) // race.batch
    ours = {share: run(race, "msae", rows, max(1, round(share * steps))) for share in race.shares}
    peers = {}
    for name in PEERS:
        if race.python_of(name).exists():
            peers |= {f"{name}, warmup {warmup:g}": search(race, name, rows, steps, warmup) for warmup in race.warmups}
        else:
            print(f"{name}: not raced, {race.python_of(name)} is not there (make bench-peers)", file=sys.stderr)
    write_html(figure(ours, peers, race), race.out / "token_race.html")
    show(race, ours, peers)
    everyone = [*ours.values(), *(report for reports in peers.values() for report in reports.values())]
    record(
        race.out / "token_race.json",
        __file__,
        question=QUESTION,
        figures=figures(race, everyone),
        seeds=(race.seed,),
        settings={**{n: v for n, v in vars(race).items() if n not in ("out", "peers")}, "rows found": n_rows},
        threads=race.threads,
    )


def activations(race: Race) -> Path:
    """The rows everyone trains on, and those all are measured on, as one safetensors file."""
    path = race.out / "rows.safetensors"
    if not path.exists():
        source = msae.TransformerLensSource(race.model or msae.demo.model_path(), layer=race.layer)
        documents = msae.text_documents(*race.text)
        store = msae.harvest(source, documents, n_tokens=race.rows, path=race.out / "acts", dtype="float32")
        assert store.holdout is not None
        held = store.holdout.rows(0, store.holdout.n_rows)
        write_tensors(path, {"x": store.rows(0, store.n_rows), "heldout": held})
    return path


def search(race: Race, peer: str, rows: Path, steps: int, warmup: float) -> dict[float, Report]:
    """The peer's report at every learning rate, until the best of them is not at an edge."""
    factor = race.rates[1] / race.rates[0] if len(race.rates) > 1 else 2.5
    reports = {rate: run(race, peer, rows, steps, (rate, warmup)) for rate in race.rates}
    while len(reports) < MOST_RATES and (rate := beyond(best_rate(reports), sorted(reports), factor)):
        reports[rate] = run(race, peer, rows, steps, (rate, warmup))
    return dict(sorted(reports.items()))


def beyond(best: float, rates: list[float], factor: float) -> float | None:
    """The next rate to try where the best one is the smallest or largest; None where it lies inside."""
    if best == rates[-1]:
        return float(f"{best * factor:.3g}")
    return float(f"{best / factor:.3g}") if best == rates[0] else None


def best_rate(reports: dict[float, Report]) -> float:
    """The learning rate with the lowest FVU, mean over levels."""
    return min(reports, key=lambda rate: mean_fvu(reports[rate]))


def mean_fvu(report: Report) -> float:
    fvu = final(report)["fvu"]
    return sum(fvu) / len(fvu)


def final(report: Report) -> Report:
    """The figures at the end, at matched L0."""
    return report["levels"]["matched_l0"]


def run(race: Race, peer: str, rows: Path, steps: int, schedule: tuple[float, float] | None = None) -> Report:
    """One training run in the peer's own Python; its report is kept in a file and read from there the next time.

    `schedule`: learning rate, and warmup as a fraction of the run; by default the peer's own.
    """
    how = "lr-{:g}-warmup-{:g}".format(*schedule) if schedule else f"defaults-{defaults(race, steps)}"
    out = race.out / "reports" / f"{peer}-{steps}-steps-{how}.json"
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        sizes = ["--widths", *race.widths, "--k", race.k, "--batch", race.batch, "--steps", steps, "--seed", race.seed]
        options = ["--data", rows, "--curve", race.curve, "--threads", race.threads, "--out", out]
        if schedule is not None:
            lr, warmup = schedule
            options += ["--lr", lr, "--lr-warmup-steps", round(warmup * steps)]
            options += ["--lr-decay-steps", round(DECAY * steps)]
        print(f"{peer}, {steps} steps, {how} ...", file=sys.stderr, flush=True)
        words = [race.python_of(peer), SCRIPTS / PEERS.get(peer, "msae_step.py"), *sizes, *options]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{peer} failed:\n{done.stderr[-2000:]}")
    warmup = schedule[1] if schedule else msae.TrainConfig.warmup_fraction
    return {**json.loads(out.read_text(encoding="utf-8")), "warmup": warmup}


def defaults(race: Race, steps: int) -> str:
    """A digest of msae's default settings for so many steps: a report made with others is not read."""
    config = msae.TrainConfig(n_tokens=steps * race.batch, batch_size=race.batch, seed=race.seed)
    sae = msae.SparseAutoencoder(8, race.widths[-1], msae.BatchTopK(k=race.k))
    resolved = [to_dict(config), msae.Trainer(sae, config).peak_lr]
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:8]


def show(race: Race, ours: dict[float, Report], peers: dict[str, dict[float, Report]]) -> None:
    console = Console(width=120)
    console.print(final_table(race, ours, peers))
    console.print(curve_table(race, ours, peers))
    for share, report in ours.items():
        dead = report["dead"]["total"] / race.widths[-1]
        print(f"msae at {share:g} of their tokens, {dead:.1%} dead: {verdict(report, peers)}")
        living = {name: alive(reports, race.widths[-1]) for name, reports in peers.items()}
        print(f"  against runs of theirs with less than {FEW_DEAD:.0%} dead: {verdict(report, living)}")


def alive(reports: dict[float, Report], d_sae: int) -> dict[float, Report]:
    """The runs in which few latents are dead."""
    return {rate: report for rate, report in reports.items() if report["dead"]["total"] < FEW_DEAD * d_sae}


def verdict(report: Report, peers: dict[str, dict[float, Report]]) -> str:
    """Which peer's FVU was reached at every level: each level against the best of all that peer's learning rates."""
    said = []
    for name, reports in peers.items():
        if not reports:
            said.append(f"{name} has none")
            continue
        target = [min(levels) for levels in zip(*(final(r)["fvu"] for r in reports.values()), strict=True)]
        missed = [
            f"level {i}" for i, (got, to) in enumerate(zip(final(report)["fvu"], target, strict=True)) if got > to
        ]
        said.append(f"{name} {'missed at ' + ', '.join(missed) if missed else 'reached at every level'}")
    return "; ".join(said) or "no peer was there"


def final_table(race: Race, ours: dict[float, Report], peers: dict[str, dict[float, Report]]) -> Table:
    table = Table(title=f"Held-out FVU at L0 = {race.k}, levels {race.widths}", title_justify="left")
    for heading in ("", "learning rate", "tokens", *(f"FVU {width:,}" for width in race.widths), "L0 by level", "dead"):
        table.add_column(heading, justify="left" if not heading else "right")
    for share, report in ours.items():
        table.add_row(f"msae, {share:g} of the tokens", *cells(report, race))
    for name, reports in peers.items():
        for rate, report in reports.items():
            style = "bold" if rate == best_rate(reports) else None
            table.add_row(f"{name} ({report['version']})", *cells(report, race), style=style)
    return table


def cells(report: Report, race: Race) -> list[str]:
    levels = final(report)
    return [
        f"{report['lr']:.2g}",
        f"{report['steps'] * report['batch']:,}",
        *(f"{fvu:.4f}" for fvu in levels["fvu"]),
        " ".join(f"{l0:.1f}" for l0 in levels["l0"]),
        f"{report['dead']['total'] / race.widths[-1]:.1%}",
    ]


def curve_table(race: Race, ours: dict[float, Report], peers: dict[str, dict[float, Report]]) -> Table:
    """FVU of the full SAE while training, each entry at the peers' best learning rate, side by side."""
    entries = entrants(ours, peers)
    table = Table(title="FVU of all levels while training, at matched L0", title_justify="left")
    for heading in ("tokens", *entries):
        table.add_column(heading, justify="right")
    points = sorted({point["tokens"] for report in entries.values() for point in report["curve"]})
    for tokens in points:
        row = [next((p["fvu"] for p in r["curve"] if p["tokens"] == tokens), None) for r in entries.values()]
        table.add_row(f"{tokens:,}", *(" ".join(f"{fvu:.3f}" for fvu in fvus) if fvus else "" for fvus in row))
    return table


def entrants(ours: dict[float, Report], peers: dict[str, dict[float, Report]]) -> dict[str, Report]:
    best = {name: reports[best_rate(reports)] for name, reports in peers.items()}
    return {f"msae, {share:g} of the tokens": report for share, report in ours.items()} | best


def figure(ours: dict[float, Report], peers: dict[str, dict[float, Report]], race: Race) -> Any:
    """FVU against tokens seen: one colour a trainer, one dash a level."""
    curves = [
        Curve(
            subject=name,
            aspect=f"{width:,} latents",
            x=[point["tokens"] for point in report["curve"]],
            y=[point["fvu"][level] for point in report["curve"]],
        )
        for name, report in entrants(ours, peers).items()
        for level, width in enumerate(race.widths)
    ]
    y = f"FVU on held-out rows at L0 = {race.k}"
    return curves_figure(curves, title="FVU while training", x="tokens seen", y=y, y_scale="log")


def figures(race: Race, reports: Sequence[Report]) -> list[Figure]:
    """FVU of every level and the share of dead latents, at the end of every run."""
    out = []
    for report in reports:
        case = {
            "trainer": f"{report['peer']} {report['version']}",
            "learning rate": report["lr"],
            "warmup": report["warmup"],
            "tokens": report["steps"] * report["batch"],
        }
        for width, fvu in zip(race.widths, final(report)["fvu"], strict=True):
            value = fvu if math.isfinite(fvu) else None
            at = {**case, "width": width}
            name = f"held-out FVU at L0 = {race.k}"
            out.append(Figure(name=name, value=value, unit="fraction", n=1, of="runs", case=at))
        dead = report["dead"]["total"] / race.widths[-1]
        out.append(Figure(name="dead latents", value=dead, unit="fraction", n=1, of="runs", case=case))
    return out


if __name__ == "__main__":
    main(tyro.cli(Race, description=__doc__))
