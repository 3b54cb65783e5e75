"""The errors of BitFlow. Each carries the exit code that the command line ends with.

BitflowError               1  a check failed
├── CheckFailed            1  accuracy, mismatches or a budget are not as required
├── InputError             2  bad use or bad input; the message says what is wrong, where, and what to do
│   ├── ImageError         2  a `.bfn` that is damaged, has another version or contradicts itself
│   ├── FusionError        2  a network that cannot be fused exactly; names the layer
│   └── ImportRefused      2  a source file or module that BitFlow does not support; names the layer
└── MissingError           3  a tool, an extra or a device is missing; the message says how to get it
    └── DeviceError        3  a device does not answer, or answers wrongly
"""

__all__ = [
    "BitflowError",
    "CheckFailed",
    "DeviceError",
    "FusionError",
    "ImageError",
    "ImportRefused",
    "InputError",
    "MissingError",
]


class BitflowError(Exception):
    """Base of all errors that BitFlow raises on purpose; ``str()`` is one line for people."""

    exit_code = 1


class CheckFailed(BitflowError):
    """A check ran and failed."""


class InputError(BitflowError):
    """Bad use or bad input."""

    exit_code = 2


class ImageError(InputError):
    """A `.bfn` image is refused."""


class FusionError(InputError):
    """A network cannot be fused exactly."""


class ImportRefused(InputError):
    """A source is not a network that BitFlow supports."""


class MissingError(BitflowError):
    """A tool, an optional dependency or a device is missing."""

    exit_code = 3


class DeviceError(MissingError):
    """A device does not answer, or answers wrongly."""
