"""The fast first layer: how its values are cut into groups, and its work."""
