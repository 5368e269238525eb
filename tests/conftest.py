"""What every test runs under: no network, few threads, property tests that are quick and repeatable; and a browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Set before torch starts, so that subprocesses take it too. Workers inherit what the first process has set, and two
# threads in each of two workers would wait for one another by spinning.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
else:
    os.environ.setdefault("OMP_NUM_THREADS", "2")

import shutil

import pytest
from hypothesis import HealthCheck, settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

settings.register_profile(
    "msae",
    deadline=None,
    max_examples=25,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("msae")


@pytest.fixture(scope="session")
def browser():
    """A real browser; where there is none, the tests that need it say so and skip.

    One for the whole process: Playwright's synchronous interface runs once in a thread.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed (apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


FILE_STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "open", "shutil.rmtree"}


@pytest.fixture
def killed_after() -> Callable[[int, Callable[[], object]], bool]:
    """Does work in a process of its own that ends, as if killed, before the file-system step of that number; tells
    whether the work came so far."""

    def run(step: int, work: Callable[[], object]) -> bool:
        child = os.fork()
        if child == 0:
            seen = 0

            def count(event: str, arguments: object) -> None:
                nonlocal seen
                if event in FILE_STEPS:
                    seen += 1
                    if seen > step:
                        os._exit(9)

            sys.addaudithook(count)
            try:
                work()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 9

    return run
