"""Keras and Larq files."""
