"""Networks to train, as torch modules."""
