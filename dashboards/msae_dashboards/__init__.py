"""Interactive pages about a run: ``msae dashboard RUN``. Reads the run's tables; importing this loads nothing heavy."""
