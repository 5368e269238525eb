"""Results as plotly figures. Only this package imports plotly."""
