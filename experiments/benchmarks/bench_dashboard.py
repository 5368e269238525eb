"""How quickly the dashboard answers for a large dictionary, what it holds in memory, and what an export weighs.

    make demo && python experiments/benchmarks/bench_dashboard.py    # 65,536 latents, made of the demo's tables
    python experiments/benchmarks/bench_dashboard.py --run runs/gpt2-l8 --latents 0    # a run as it is

The tables of a real run that the feature pages read are repeated until there are as many latents as asked for, each
copy under numbers of its own, and served by `msae dashboard` in a process of its own. Times are Chromium's: from the
start of a navigation, or the last key, to the whole of what is wanted being on the page; the server's share is from the
last byte it was sent to the first byte of its answer. Next to them the processor time of the server's process, which
stays the same when the machine is busy with something else.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from experiments.lib.browser import installed_browser
from experiments.lib.machine import machine
from experiments.lib.results import Figure, record
from msae.analysis.tables import GROUP_ROWS
from msae_dashboards import export_html
from msae_dashboards.data.tables import EXPLANATIONS
from msae_dashboards.pages import FEATURE

QUESTION = "How quickly does the dashboard answer?"
PACKAGES = ("msae", "dash", "dash-ag-grid", "plotly", "pyarrow", "playwright")
NUMBERED = {"latent", "neighbour", "parent", "child", "a", "b", "picked_for", "children"}
"""Columns that hold numbers of latents."""

TARGETS = {
    "feature browser, from the address to rows, s": 2.0,
    "feature page, the server's share, s": 0.3,
    "feature page, from the address to all of it, s": 0.3,
    "server's memory, MiB": 1024.0,
    "exported feature page, the largest, KB": 120.0,
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured. Medians over `pages` features and `loads` cold loads of the browser page.

    `results`: write every figure there (JSON)."""

    run: Path = Path("runs/demo")
    latents: int = 65_536
    pages: int = 20
    loads: int = 5
    exported: int = 200
    results: Path | None = None


def main(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = bench.run
        if bench.latents:
            run = Path(scratch) / "run"
            widen(bench.run, run, bench.latents)
        n = pq.read_metadata(run / "results" / "features.parquet").num_rows
        with served(run) as (url, process):
            figures = {"start of the server, s": process.started, **in_browser(url, process.pid, bench, n)}
            figures["server's memory, MiB"] = peak_mib(process.pid)
        folder = export_html(bench.run, Path(scratch) / "html", top=bench.exported)
        sizes = [file.stat().st_size / 1e3 for file in (folder / "feature").glob("*.html")]
        shared = sum(file.stat().st_size for file in (folder / "assets").iterdir()) / 1e6
    figures |= {
        "exported feature page, the median, KB": statistics.median(sizes),
        "exported feature page, the largest, KB": max(sizes),
        f"what the {len(sizes)} exported pages share, MB": shared,
    }
    described = machine(PACKAGES)
    show(figures, n, described)
    if bench.results:
        record(
            bench.results,
            __file__,
            question=QUESTION,
            figures=[as_figure(name, value, bench) for name, value in figures.items()],
            settings={"latents": n, "pages": bench.pages, "loads": bench.loads, "exported": bench.exported},
            packages=PACKAGES[1:],
        )


def as_figure(name: str, value: float, bench: Bench) -> Figure:
    """The unit is what its name ends with."""
    words, _, unit = name.rpartition(", ")
    counts = {
        "feature browser, the very first": (1, "load"),
        "feature browser, from a search to its rows": (3, "searches"),
        "feature browser": (bench.loads, "loads"),
        "feature page": (bench.pages, "pages"),
        "exported feature page": (bench.exported, "pages"),
    }
    n, of = counts.get(words) or counts.get(words.split(",")[0]) or (1, "run")
    known = None if value != value else value
    return Figure(name=words, value=known, unit=unit, n=n, of=of)


def widen(run: Path, out: Path, latents: int) -> None:
    """Copy `run` with its tables repeated until they hold at least `latents` latents."""
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("resume", "html", "independent", "*.parquet"))
    n = pq.read_metadata(run / "results" / "features.parquet").num_rows
    copies = -(-latents // n)
    needed = {name for panel in FEATURE.panels for name in panel.needs}
    for path in sorted((run / "results").glob("*.parquet")):
        if path.stem not in needed | {EXPLANATIONS}:
            continue
        table = pq.read_table(path)
        repeated = pa.concat_tables([renumbered(table, copy * n) for copy in range(copies)], promote_options="none")
        # Dictionaries of texts are one for all copies, as they are where one analysis writes them.
        pq.write_table(
            repeated.unify_dictionaries(), out / "results" / path.name, compression="zstd", row_group_size=GROUP_ROWS
        )


def renumbered(table: pa.Table, by: int) -> pa.Table:
    """The table about latents whose numbers are larger by `by`."""
    for place, name in enumerate(table.column_names):
        if name not in NUMBERED:
            continue
        column = table[name].combine_chunks()
        if pa.types.is_list(column.type):
            flat = pa.array(column.flatten().to_numpy() + np.int32(by))
            moved: pa.Array = pa.ListArray.from_arrays(column.offsets, flat, mask=column.is_null())
        else:
            moved = pa.array(column.to_numpy() + np.int32(by))
        table = table.set_column(place, table.schema.field(name), moved.cast(column.type))
    return table


class Served:
    """A server's process."""

    def __init__(self, process: subprocess.Popen[bytes], started: float) -> None:
        self.pid, self.started = process.pid, started


@contextmanager
def served(run: Path) -> Iterator[tuple[str, Served]]:
    """`msae dashboard` in a process of its own, when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "msae", "dashboard", str(run), "--port", str(port), "--no-browser"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not answers(url):
            if process.poll() is not None:
                sys.exit(f"{' '.join(command)} ended with {process.returncode}")
            time.sleep(0.05)
        yield url, Served(process, time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url).close()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def in_browser(url: str, server: int, bench: Bench, n: int) -> dict[str, float]:
    """Times in Chromium, in seconds, at the size of a laptop's window."""
    path = installed_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
        page.set_default_timeout(120_000)
        loads = [to_rows(page, f"{url}/features") for _ in range(bench.loads + 1)]
        search = statistics.median(to_found(page, word) for word in ("self", "def return", "import"))
        latents = np.random.default_rng(0).choice(n, bench.pages + 2, replace=False).tolist()
        for latent in latents[:2]:
            to_feature(page, url, latent)
        of_server = cpu_seconds(server)
        opened = [to_feature(page, url, latent) for latent in latents[2:]]
        of_server = cpu_seconds(server) - of_server
        browser.close()
    return {
        "feature browser, the very first, s": loads[0],
        "feature browser, from the address to rows, s": statistics.median(loads[1:]),
        "feature browser, from a search to its rows, s": search,
        "feature page, the server's share, s": statistics.median(share for share, _ in opened),
        "feature page, from the address to all of it, s": statistics.median(whole for _, whole in opened),
        "feature page, the slowest of all, s": max(whole for _, whole in opened),
        "feature page, processor time of the server, s": of_server / len(opened),
    }


UNTIL = """(done) => new Promise((resolve) => {
    const look = () => done() ? requestAnimationFrame(() => resolve(performance.now())) : requestAnimationFrame(look);
    look();
})"""


def to_rows(page: Page, url: str) -> float:
    """From the start of the navigation until the grid shows rows."""
    page.goto(url, wait_until="commit")
    return page.evaluate(f"({UNTIL})(() => document.querySelector('.ag-row .ag-cell a'))") / 1e3


def to_found(page: Page, word: str) -> float:
    """From the last key until the count of found features changes; the field waits 0.15 s of it for more keys."""
    page.fill("[name=q]", "")
    page.wait_for_timeout(800)
    before = page.inner_text("#count")
    start = page.evaluate("performance.now()")
    page.fill("[name=q]", word)
    changed = f"() => document.getElementById('count').textContent !== {json.dumps(before)}"
    return (page.evaluate(f"({UNTIL})({changed})") - start) / 1e3


def to_feature(page: Page, url: str, latent: int) -> tuple[float, float]:
    """The server's share of opening a feature's page, and the time from the start of the navigation until its
    histograms and examples are there."""
    shown = (
        f"() => document.querySelector('#page h1')?.textContent === 'Feature {latent}' && "
        "document.querySelector('.examples .strip, .examples .note') && document.readyState === 'complete'"
    )
    page.goto(f"{url}/feature/{latent}", wait_until="commit")
    whole = page.evaluate(f"({UNTIL})({shown})")
    start, answered = page.evaluate(
        "(([got]) => [got.requestStart, got.responseStart])(performance.getEntriesByType('navigation'))"
    )
    return (answered - start) / 1e3, whole / 1e3


def cpu_seconds(pid: int) -> float:
    """The processor time a process has had; NaN where the system does not say."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        return float("nan")
    user, system = status.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory a process has had resident; NaN where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def show(figures: dict[str, float], n: int, described: dict[str, str | int]) -> None:
    table = Table(title=f"The dashboard of {n:,} latents", caption=", ".join(f"{k} {v}" for k, v in described.items()))
    for heading in ("", "measured", "target"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, value in figures.items():
        target = TARGETS.get(name)
        said = "" if target is None else f"≤ {target:g}" + ("" if value <= target else "  missed")
        table.add_row(name, f"{value:,.3f}" if value < 10 else f"{value:,.1f}", said)
    Console(width=120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
