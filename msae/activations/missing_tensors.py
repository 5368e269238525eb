"""What of a model is not in its checkpoint, and so was filled at random when it was opened."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msae.activations.model_files import quietly_loading
from msae.core.errors import SourceError

LANGUAGE_MODEL = re.compile(r"LM|ConditionalGeneration")
"""How transformers names the classes it saves with a language head: `LlamaForCausalLM`, `GPT2LMHeadModel`."""


@dataclass(frozen=True, kw_only=True)
class MissingTensors:
    """The tensors that a checkpoint lacks: of the `backbone`, whose hooks give activations, and of the `head`."""

    backbone: tuple[str, ...]
    head: tuple[str, ...]


def missing_tensors(model_class: Any, where: str | Path, revision: str | None = None) -> MissingTensors | None:
    """What `where` (a folder, or a hub name whose files are in the cache) lacks of a model of that class.

    transformers itself compares the names, without reading a weight. None where it cannot: the files are not to be
    had, or the model is quantised in a way that needs its weights.
    """
    logger = logging.getLogger("transformers")
    level, hub = logger.level, {"revision": revision} if revision and not isinstance(where, Path) else {}
    try:
        logger.setLevel(logging.ERROR)
        with quietly_loading():
            model, found = model_class.from_pretrained(
                str(where), device_map="meta", output_loading_info=True, local_files_only=True, **hub
            )
    except Exception:  # transformers and its quantisers raise their own; the question then stays open
        return None
    finally:
        logger.setLevel(level)
    missing = sorted(found["missing_keys"])
    backbone = tuple(name for name in missing if name.startswith(f"{model.base_model_prefix}."))
    return MissingTensors(backbone=backbone, head=tuple(name for name in missing if name not in backbone))


def require_backbone(missing: MissingTensors | None, where: str) -> None:
    """Raise `SourceError` when part of the model itself is not in its checkpoint."""
    if missing is not None and missing.backbone:
        named = ", ".join(missing.backbone[:3]) + (", …" if len(missing.backbone) > 3 else "")
        raise SourceError(
            f"the checkpoint {where} lacks {len(missing.backbone)} of the model's tensors ({named}): they would be "
            "random numbers. Save the model again, with config.json as it was when it was trained"
        )


def has_head(missing: MissingTensors | None, config: Any) -> bool:
    """Whether the language head is the checkpoint's own: none of it is missing. A head tied to the embedding is there
    with the embedding.

    Of a model made in memory, which has no checkpoint to look at, the class it was last saved as decides.
    """
    if missing is not None:
        return not missing.head
    saved_as = (getattr(config, "architectures", None) or [""])[0]
    tied = bool(getattr(config, "tie_word_embeddings", False))
    return tied or not saved_as or bool(LANGUAGE_MODEL.search(saved_as))
