"""Labels of tokens: concepts that are known of a text, or that a user brings."""

from msae.analysis.concepts.labels.given import given_labels, read_labels
from msae.analysis.concepts.labels.label_text import label_spans, label_text
from msae.analysis.concepts.labels.labelled_rows import Concept, Labels, joined

__all__ = ["Concept", "Labels", "given_labels", "joined", "label_spans", "label_text", "read_labels"]
