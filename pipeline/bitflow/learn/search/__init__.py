"""The search for a network within limits."""
