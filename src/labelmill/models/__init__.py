"""Models: what engines share below themselves: a checkpoint's torch modules, loaded.

A model is loaded as a class of transformers, on the CPU, or it is said why not. Nothing here runs
one.
"""
