"""Stages: read, tokenize, predict, write: what Ray calls, and what passes between them.

A stage is a function of one parcel (a whole split on its way); everything here runs without Ray
too.
"""
