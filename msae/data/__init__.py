"""Text: documents, and their packing into contexts with every token traced back."""
