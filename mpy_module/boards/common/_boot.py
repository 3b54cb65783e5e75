# Run at every start: a file system in RAM that no soft reset touches.
import sys

import uctypes
import vfs


class Ram:
    """A block device in the second SSRAM, which is not used for anything else."""

    BLOCK = 4096
    COUNT = 1024

    def __init__(self):
        self.memory = memoryview(uctypes.bytearray_at(0x2000_0000, self.BLOCK * self.COUNT))

    def readblocks(self, block, buffer, offset=0):
        at = block * self.BLOCK + offset
        buffer[:] = self.memory[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * self.BLOCK + offset
        self.memory[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.COUNT
        if operation == 5:
            return self.BLOCK
        return 0


_ram = Ram()
try:
    _disk = vfs.VfsLfs2(_ram, progsize=256, readsize=256)
except OSError:
    vfs.VfsLfs2.mkfs(_ram, progsize=256, readsize=256)
    _disk = vfs.VfsLfs2(_ram, progsize=256, readsize=256)
vfs.mount(_disk, "/")
sys.path.append("/lib")
