"""mkdocs hook: files of the repository that the site shows where they are, rather than as copies under `docs/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
BORROWED = {
    "images/feature.png": "dashboards/images/feature.png",
    "images/prompt.png": "dashboards/images/prompt.png",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add them under the name they have on the site."""
    for name, path in BORROWED.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """In a page of the repository's root, links into ``docs/`` become links of the site."""
    return markdown.replace("](docs/", "](") if page.file.src_uri in BORROWED else markdown
