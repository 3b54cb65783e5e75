"""Packed network <-> `.bfn`: the format, its writer and its reader."""
