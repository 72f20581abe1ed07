"""Trainings, without Ray where they can be."""
