"""Evaluation: the standard metrics of a run's labels against gold, by well-kept libraries.

A *scorer* takes the rows of a run, part by part, and keeps of each what its metrics need; it ends
as *scored* rows, of which any choice can be measured: all, a slice, a bootstrap sample. One module
for each kind of answer, chosen in `choosing` by the columns that the task adds. Nothing here runs a
model. The libraries come with the extra `evaluate` and are imported when they are needed.
"""
