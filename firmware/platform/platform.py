from platformio.public import PlatformBase


class BitflowemulatedPlatform(PlatformBase):
    """The boards differ by their JSON files alone."""

    def is_embedded(self) -> bool:
        return True
