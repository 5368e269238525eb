from __future__ import annotations

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import get_session

from msae.core.hub import hub_as_reachable


@pytest.mark.parametrize("answers", [True, False])
def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch, answers):
    asked = []

    def head(url, timeout):
        asked.append((url, timeout))
        if not answers:
            raise OSError("Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(type(get_session()), "head", lambda self, url, timeout: head(url, timeout))
    with hub_as_reachable():
        assert (not answers) == constants.HF_HUB_OFFLINE
    assert asked == [(constants.ENDPOINT, 5)] and not constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub_as_reachable():
        assert constants.HF_HUB_OFFLINE
    assert len(asked) == 1 and constants.HF_HUB_OFFLINE
