"""Labels of tokens: concepts that are known of a text, or that a user brings."""

from msae.analysis.concepts.label import label_spans, label_text
from msae.analysis.concepts.labels import Concept, Labels, joined

__all__ = ["Concept", "Labels", "joined", "label_spans", "label_text"]
