"""The Hugging Face hub, where it may be out of reach: asked once, so that nobody waits for retries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

SECONDS = 5


@contextlib.contextmanager
def hub_as_reachable() -> Iterator[None]:
    """While it lasts, only what is in the cache is looked for if the hub does not answer within a few seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or _answers(constants.ENDPOINT):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def _answers(endpoint: str) -> bool:
    from huggingface_hub.utils import get_session

    try:
        get_session().head(endpoint, timeout=SECONDS)
    except Exception:  # of whichever library it sends its requests with
        return False
    return True
