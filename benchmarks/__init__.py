"""Benchmarks: labelmill side by side, in one run, with what people use today.

`python -m benchmarks.label` compares speed, `python -m benchmarks.memory` shows that memory does
not grow with the size of a shard. Run them from the root of the repository, after
`make setup`.
"""
