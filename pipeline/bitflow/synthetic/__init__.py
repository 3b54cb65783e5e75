"""Networks made of a seed, and single layers: what tests and benchmarks run."""
