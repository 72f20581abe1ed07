"""Killed at every point, resumed, compared byte for byte."""
