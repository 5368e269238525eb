"""msae: Matryoshka (nested) sparse autoencoders on language-model activations.

Public names load on first use, so that ``import msae`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from msae.core.version import __version__

_HOMES = {
    "Absorption": "msae.analysis.all_measurements",
    "ActivationStore": "msae.activations.store",
    "ArrayRows": "msae.analysis.sample",
    "ArraySource": "msae.activations.arrays",
    "BatchTopK": "msae.sae",
    "DemoSettings": "msae.studies.demo",
    "Document": "msae.data.documents",
    "FixedPrefixes": "msae.sae",
    "HeadConfig": "msae.nested",
    "IndependentHeads": "msae.nested",
    "Index": "msae.nested.index",
    "JumpReLU": "msae.sae",
    "LabelledRows": "msae.nested.class_rows",
    "LevelTable": "msae.analysis.levels.level_table",
    "MatryoshkaHead": "msae.nested",
    "ModuleSource": "msae.activations.module",
    "MsaeError": "msae.core.errors",
    "PcaPrefix": "msae.nested",
    "ProbeSettings": "msae.analysis.concepts.probes",
    "RandomOrder": "msae.nested",
    "RawPrefix": "msae.nested",
    "ReLU": "msae.sae",
    "Run": "msae.training",
    "SaeCodes": "msae.nested",
    "SampledPrefixes": "msae.sae",
    "SearchPlan": "msae.nested.retrieval_plan",
    "SourceSpec": "msae.core.spec",
    "SparseAutoencoder": "msae.sae",
    "SparseCodes": "msae.sae",
    "SyntheticForest": "msae.activations.synthetic",
    "TokenText": "msae.analysis.sample",
    "TopK": "msae.sae",
    "TrainConfig": "msae.training",
    "Trainer": "msae.training",
    "TransformerLensSource": "msae.activations.transformer_lens",
    "Tree": "msae.analysis.all_measurements",
    "Unnested": "msae.sae",
    "adopt": "msae.studies.adopt",
    "along": "msae.analysis.interventions.steering",
    "analyze_run": "msae.studies.analyze_run",
    "classify": "msae.studies.classify",
    "collect": "msae.analysis.features.collection",
    "compare_levels": "msae.studies.compare",
    "compare_runs": "msae.studies.compare",
    "continue_text": "msae.analysis.interventions.steering",
    "dataset_documents": "msae.data.documents",
    "evaluate_levels": "msae.analysis.levels.evaluate",
    "evaluate_rows": "msae.analysis.levels.evaluate",
    "ground_truth": "msae.analysis.truth.ground_truth",
    "harvest": "msae.activations.harvest",
    "harvest_hooks": "msae.activations.harvest",
    "indexed_documents": "msae.nested.index_sources",
    "indexed_rows": "msae.nested.index_sources",
    "indexed_store": "msae.nested.index_sources",
    "jsonl_documents": "msae.data.documents",
    "label_text": "msae.analysis.concepts.labels",
    "level_report": "msae.analysis.levels.level_report",
    "levels_figure": "msae.plots.levels",
    "load": "msae.sae",
    "load_code": "msae.nested",
    "parquet_documents": "msae.data.documents",
    "probe_activations": "msae.analysis.concepts.probes",
    "read_prompt": "msae.analysis.interventions.prompt",
    "reopen": "msae.activations.reopen",
    "run_demo": "msae.studies.demo",
    "save": "msae.sae",
    "save_code": "msae.nested",
    "splice": "msae.analysis.interventions.splice",
    "string_documents": "msae.data.documents",
    "supervised": "msae.analysis.concepts.supervised",
    "text_documents": "msae.data.documents",
    "text_rows": "msae.nested.index_sources",
    "train": "msae.training",
    "train_head": "msae.nested",
    "train_independent": "msae.studies.independent",
    "train_independent_heads": "msae.nested",
    "train_many": "msae.training",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from msae.activations.arrays import ArraySource
    from msae.activations.harvest import harvest, harvest_hooks
    from msae.activations.module import ModuleSource
    from msae.activations.reopen import reopen
    from msae.activations.store import ActivationStore
    from msae.activations.synthetic import SyntheticForest
    from msae.activations.transformer_lens import TransformerLensSource
    from msae.analysis.all_measurements import Absorption, Tree
    from msae.analysis.concepts.labels import label_text
    from msae.analysis.concepts.probes import ProbeSettings, probe_activations
    from msae.analysis.concepts.supervised import supervised
    from msae.analysis.features.collection import collect
    from msae.analysis.interventions.prompt import read_prompt
    from msae.analysis.interventions.splice import splice
    from msae.analysis.interventions.steering import along, continue_text
    from msae.analysis.levels.evaluate import evaluate_levels, evaluate_rows
    from msae.analysis.levels.level_report import level_report
    from msae.analysis.levels.level_table import LevelTable
    from msae.analysis.sample import ArrayRows, TokenText
    from msae.analysis.truth.ground_truth import ground_truth
    from msae.core.errors import MsaeError
    from msae.core.spec import SourceSpec
    from msae.data.documents import (
        Document,
        dataset_documents,
        jsonl_documents,
        parquet_documents,
        string_documents,
        text_documents,
    )
    from msae.nested import (
        HeadConfig,
        IndependentHeads,
        MatryoshkaHead,
        PcaPrefix,
        RandomOrder,
        RawPrefix,
        SaeCodes,
        load_code,
        save_code,
        train_head,
        train_independent_heads,
    )
    from msae.nested.class_rows import LabelledRows
    from msae.nested.index import Index
    from msae.nested.index_sources import indexed_documents, indexed_rows, indexed_store, text_rows
    from msae.nested.retrieval_plan import SearchPlan
    from msae.plots.levels import levels_figure
    from msae.sae import (
        BatchTopK,
        FixedPrefixes,
        JumpReLU,
        ReLU,
        SampledPrefixes,
        SparseAutoencoder,
        SparseCodes,
        TopK,
        Unnested,
        load,
        save,
    )
    from msae.studies.adopt import adopt
    from msae.studies.analyze_run import analyze_run
    from msae.studies.classify import classify
    from msae.studies.compare import compare_levels, compare_runs
    from msae.studies.demo import DemoSettings, run_demo
    from msae.studies.independent import train_independent
    from msae.training import Run, TrainConfig, Trainer, train, train_many


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        from msae.core.config import nearest
        from msae.sae import ACTIVATION_FNS, ENCODERS, NESTINGS

        # Whatever is in the lists of extension points is public without an entry here.
        extensions: dict[str, Any] = {**ACTIVATION_FNS, **NESTINGS, **ENCODERS}
        if name in extensions:
            return extensions[name]
        raise AttributeError(f"module 'msae' has no attribute {name!r}{nearest(name, _HOMES)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
