"""Interactive pages about a run: ``msae dashboard RUN``. Reads the run's tables; importing this loads nothing heavy."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msae_dashboards.export import export_html

__all__ = ["export_html"]


def __getattr__(name: str) -> Any:
    if name != "export_html":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from msae_dashboards.export import export_html

    return export_html
