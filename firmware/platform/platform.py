from platformio.public import PlatformBase


class BitflowbarePlatform(PlatformBase):
    """The boards differ by their environments alone."""

    def is_embedded(self) -> bool:
        return True
