"""Stages: read, tokenize, predict, write: what a runner calls, and what passes between them.

A stage is a function of one parcel (a whole split on its way). Nothing here knows what runs it.
"""
