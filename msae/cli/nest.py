"""`msae nest`: an ordered code of a store's rows, of which every prefix is usable."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msae.cli.output import say
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.activations.store import ActivationStore
    from msae.nested import NestedCode


@dataclass(frozen=True, kw_only=True)
class Nest:
    """Fit an ordered code on a store's rows, of which every prefix is usable, and save it."""

    store: Path
    """The store whose rows it is fitted on, such as one row a document (msae harvest --pooling)."""
    out: Path
    """The code's folder."""
    kind: Literal["pca", "head", "sae"] = "pca"
    """Principal components, an ordered linear map that is trained, or the codes of an SAE by level."""
    widths: tuple[int, ...] = ()
    """Numbers a code has at each level; by default the row's width, its half, its quarter and so on."""
    objective: Literal["classes", "cosines"] = "cosines"
    """What a head is trained for: telling classes apart, or keeping the rows' cosine similarities."""
    labels: Path | None = None
    """For --objective classes: a table (CSV, JSON lines, Parquet) with a row for each of the store's, in order."""
    label_column: str = "label"
    """The column that holds the classes."""
    tied: bool = False
    """One classifier for all prefixes (MRL-E) rather than one each (MRL)."""
    sae: Path | None = None
    """For --kind sae: a run or a saved SAE."""
    k: int | None = None
    """For --kind sae: keep the k largest codes of a level; by default all that fire."""
    steps: int = 2000
    """Steps a head is trained for."""
    batch_size: int = 256
    """Rows a step."""
    lr: float = 3e-3
    """Peak learning rate."""
    seed: int = 0
    """Of the order of the rows."""
    replace: bool = False
    """Delete the code at --out first."""

    def run(self) -> None:
        """Do it."""
        from msae.activations.store import ActivationStore
        from msae.nested.code_files import is_code, require_free

        store = ActivationStore.open(self.store)
        require_free(self.out)
        if is_code(self.out):
            if not self.replace:
                raise ConfigError(f"{self.out} holds a code: choose another folder, or replace it (--replace)")
            shutil.rmtree(self.out)
        code = self._made(store)
        for level, width in enumerate(code.widths):
            say(f"level {level}: {width:5d} numbers, {code.bytes_per_item(level):8,.1f} bytes an item")
        say(f"The code is in {self.out}.")
        say(f"Next:  msae embed --store {self.store} --code {self.out} --level 0 --out vectors.npy")

    def _made(self, store: ActivationStore) -> NestedCode:
        from msae.nested import HeadConfig, PcaPrefix, SaeCodes, halving_widths, save_code, train_head
        from msae.nested.label_column import read_labels_column
        from msae.sae import load

        code: NestedCode
        if self.kind == "head":
            labels = None if self.labels is None else read_labels_column(self.labels, self.label_column)
            config = HeadConfig(
                widths=self.widths or halving_widths(store.d_in),
                objective=self.objective,
                tied=self.tied,
                n_steps=self.steps,
                batch_size=self.batch_size,
                lr=self.lr,
                seed=self.seed,
            )
            return train_head(store, config, labels=labels, path=self.out)
        if self.kind == "sae":
            if self.sae is None:
                raise ConfigError("--kind sae needs --sae: a run or the folder of a saved SAE")
            code = SaeCodes.of(load(self.sae), store, self.k)
        else:
            code = PcaPrefix.fit(store, self.widths)
        save_code(code, self.out)
        return code
