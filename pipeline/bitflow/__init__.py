"""BitFlow: fully binary networks on microcontrollers, with proof that the chip computes what was trained."""

__version__ = "0.1.0"

__all__ = ["__version__"]
