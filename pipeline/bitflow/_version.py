"""The version of BitFlow; the package, the C library and generated code carry it."""

__version__ = "0.1.0"
