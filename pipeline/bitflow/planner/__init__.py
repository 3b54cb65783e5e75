"""Which kernel runs each layer on a core, and what that needs."""
