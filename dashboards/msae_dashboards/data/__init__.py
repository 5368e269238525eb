"""What is known about a run: its tables, read when wanted."""
