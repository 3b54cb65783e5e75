"""The engines that run a network: the NumPy reference and the C library on this computer; and their comparison."""
