"""The networks for comparison, float and XNOR-Net variants, and their costs."""
