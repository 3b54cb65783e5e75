"""The search for a network within limits of flash, RAM and latency."""
