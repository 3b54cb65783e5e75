"""Data sets: their sources, their readers, and batches."""
