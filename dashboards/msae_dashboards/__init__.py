"""Interactive pages about a run: ``msae dashboard RUN``. Reads the run's tables; importing this loads nothing heavy."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msae_dashboards.export import export_html
    from msae_dashboards.notebook import embed, feature, nest

_HOMES = {"embed": "notebook", "export_html": "export", "feature": "notebook", "nest": "notebook"}

__all__ = ["embed", "export_html", "feature", "nest"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
