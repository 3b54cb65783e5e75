"""torch modules."""
