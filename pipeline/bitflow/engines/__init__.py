"""What runs a network: the NumPy reference, the C library on this computer, and their comparison."""
