"""Where a command's text comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.data.documents import Documents


@dataclass(frozen=True, kw_only=True)
class Text:
    """Where text comes from. Give exactly one."""

    text: tuple[str, ...] = ()
    """Text files, one document each: patterns such as 'corpus/*.txt'."""
    jsonl: tuple[str, ...] = ()
    """JSON-lines files, one document a line."""
    csv: tuple[str, ...] = ()
    """CSV files, one document a row."""
    parquet: tuple[str, ...] = ()
    """Parquet files, one document a row."""
    dataset: str | None = None
    """A Hugging Face data set, by hub name or folder."""
    demo_text: bool = False
    """The text the demo model was made for: Python source that is on this machine."""
    text_field: str = "text"
    """The field or column that holds the text, or lists of token ids: data that is tokenized already."""
    split: str = "train"
    """The split of a data set, or of the demo text (train or heldout)."""
    dataset_config: str | None = None
    """The configuration of a data set that has several."""
    errors: Literal["strict", "replace", "ignore"] = "strict"
    """What bytes of --text files that are no UTF-8 are: an error, a replacement character, or nothing."""
    nulls: Literal["refuse", "skip"] = "refuse"
    """What rows without text are: an error, or left out and counted."""

    def documents(self) -> Documents | None:
        """The documents requested; None when none were."""
        from msae.data import documents

        given = [name for name in ("text", "jsonl", "csv", "parquet", "dataset", "demo_text") if getattr(self, name)]
        if len(given) > 1:
            flags = ", ".join("--" + name.replace("_", "-") for name in given)
            raise ConfigError(f"{flags} were given together: give text one way")
        if self.text:
            return documents.text_documents(*self.text, errors=self.errors)
        if self.jsonl:
            return documents.jsonl_documents(*self.jsonl, text=self.text_field, nulls=self.nulls)
        if self.csv:
            return documents.csv_documents(*self.csv, text=self.text_field, nulls=self.nulls)
        if self.parquet:
            return documents.parquet_documents(*self.parquet, text=self.text_field, nulls=self.nulls)
        if self.dataset:
            return documents.dataset_documents(
                self.dataset, text=self.text_field, split=self.split, config=self.dataset_config, nulls=self.nulls
            )
        if self.demo_text:
            import msae.demo

            return msae.demo.documents(self.split)  # type: ignore[arg-type]
        return None
