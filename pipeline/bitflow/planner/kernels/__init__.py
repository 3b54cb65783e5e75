"""What the planner knows of each kernel of the C library."""
