"""What a network is compared with: float and XNOR-Net variants of it, and their costs."""
