"""Whole jobs, real servers, the real command."""
