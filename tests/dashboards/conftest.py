"""A small real run on the demo model, analyzed; one on a hostile corpus; and a server of each."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import msae
from msae.studies.analyze_run import analyze_run
from msae.studies.demo import DemoSettings, run_demo

PATIENCE = 180_000
"""Milliseconds that a page is waited for: a state that comes late is no failure, and one that never comes is."""
TINY = DemoSettings(
    widths=(16, 48, 128), k=6, harvest_tokens=12_000, train_tokens=120_000, eval_tokens=1_500, seed=0, layer=3
)


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> msae.Run:
    """A run on the demo model, small, evaluated and analyzed. Not to be changed: copy it first."""
    folder = tmp_path_factory.mktemp("dashboards")
    run, _ = run_demo(TINY, folder / "run", folder / "acts", progress=False)
    analyze_run(run, progress=False)
    return run


@contextmanager
def serving(run: Path, port: int = 0) -> Iterator[str]:
    """The address of a server of the run's pages, in a thread of this process."""
    from msae_dashboards.app.server import make_local_server

    server = make_local_server(run, port=port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def site(demo_run: msae.Run) -> Iterator[str]:
    """The address of the small run's pages."""
    with serving(demo_run.path) as address:
        yield address


@pytest.fixture
def open_page(browser):
    """Opens an address in a tab of its own, and at the end of the test refuses console errors and foreign requests.

    `missing`: what is opened is not there, or goes: the browser may say so.
    """
    contexts, wrong = [], []

    def open_(url: str, *, scheme: str = "light", width: int = 1440, height: int = 900, missing: bool = False):
        home = url.split("/", 3)[2]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        allowed = "Failed to load resource" if missing else "\x00"
        page.on(
            "console",
            lambda line: (
                wrong.append(f"console: {line.text}") if line.type == "error" and allowed not in line.text else None
            ),
        )
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "request",
            lambda sent: wrong.append(f"request: {sent.url}") if not _local(sent.url, home) else None,
        )
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def _local(url: str, home: str) -> bool:
    scheme, _, rest = url.partition(":")
    return scheme in ("data", "blob", "about") or rest.startswith(f"//{home}/")


HOSTILE = (
    "<script>window.stolen = 1</script>",
    '"><img src=x onerror="window.stolen = 1">',
    "</script><script>window.stolen = 1</script><!--",
    "' onmouseover='window.stolen = 1",
    "\u202eright to left\u202c",
    "\u200b\u200d\ufeff",
    "👩‍👩‍👧",
    "עברית",
    "x" * 10_000,
)
TEXTS = {"top_tokens", "token", "context_tokens", "document", "explanation", "choices"}


@pytest.fixture(scope="session")
def hostile_run(demo_run: msae.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run with every text in its tables replaced by another that tries to break out."""
    path = tmp_path_factory.mktemp("hostile") / "run"
    shutil.copytree(demo_run.path, path)
    for file in (path / "results").glob("*.parquet"):
        table = pq.read_table(file)
        for name in TEXTS & set(table.column_names):
            values = [_hostile(value) for value in table[name].to_pylist()]
            kind = pa.list_(pa.string()) if pa.types.is_list(table.schema.field(name).type) else pa.string()
            table = table.set_column(table.column_names.index(name), name, pa.array(values, kind))
        pq.write_table(table, file)
    return path


def _hostile(value: str | list[str] | None) -> str | list[str] | None:
    if isinstance(value, list):
        return [_hostile(part) for part in value]
    return None if value is None else HOSTILE[sum(value.encode()) % len(HOSTILE)]
