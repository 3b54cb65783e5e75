"""Networks made from a seed, and single layers, for tests and benchmarks."""
