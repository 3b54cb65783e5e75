"""Filter patterns: geometry, lists and work of the kernels patterns_16, patterns_8 and patterns_1."""
