"""The model behind the live prompt page: opened when first wanted; everything else works without it."""

from msae_dashboards.live.continuations import Continuations, Request, Written
from msae_dashboards.live.model import LiveModel, Opened, UnavailableModelError

__all__ = ["Continuations", "LiveModel", "Opened", "Request", "UnavailableModelError", "Written"]
