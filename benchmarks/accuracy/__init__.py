"""Accuracy: train, label and evaluate on public data sets, by the three commands of labelmill.

`python -m benchmarks.accuracy --data DIR --only sst2,banking77` prepares the files of each data set
in a directory of its own, runs its two job files (`jobs/`) there, and tells the metric with its
interval, the seed, the minutes and the commands. The data are not part of the project: `sets` says
which files DIR must have.
"""
