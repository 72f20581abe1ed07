"""Training: a checkpoint fine-tuned for a task on 1..N workers, by Ray Train and transformers.

The task says what is learned of a row (`tasks.Trainable`); here are the data on their way, the
loss, the checkpoints and the result: a directory that `labelmill label` takes as its model.
"""
