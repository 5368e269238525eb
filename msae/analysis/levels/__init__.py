"""What a level is worth: reconstruction, loss and rate, level by level."""
