"""Training arguments: what labelmill says of transformers' TrainingArguments, by name.

Whatever that class takes can be set under `training`, but for what is reserved here.
"""

from collections.abc import Mapping

from pydantic import JsonValue

# Name, and why it cannot be set or what is to be set instead.
RESERVED: Mapping[str, str] = {
    "output_dir": "set output.path",
    "resume_from_checkpoint": "running the same command again goes on from the last checkpoint",
    "average_tokens_across_devices": "losses are always averaged over all workers",
    "label_names": "the task says them",
    "remove_unused_columns": "there are none",
    "length_column_name": "the lengths of examples are known",
    "greater_is_better": "it is known of every metric",
    "data_seed": "set training.seed",
    "use_cpu": "set resources.gpus_per_worker to 0",
    "disable_tqdm": "labelmill shows the progress",
    "log_level": "labelmill says what there is to say; see --verbose",
    "log_level_replica": "labelmill says what there is to say; see --verbose",
    "include_for_metrics": "the objective has its metrics",
    "prediction_loss_only": "metrics are computed where the objective has some",
    "batch_eval_metrics": "metrics are those of all rows that are kept back",
    "eval_do_concat_batches": "metrics are those of all rows that are kept back",
    "save_only_model": "a checkpoint must be whole to go on from it",
    "ignore_data_skip": "the place in the data is always found again",
    "dataloader_drop_last": "steps are always whole",
    "ddp_backend": "Ray starts the group of workers: gloo on CPUs, nccl on GPUs",
    "ddp_timeout": "Ray starts the group of workers",
    "local_rank": "Ray starts the group of workers",
    "do_train": "it is what the command does",
    "do_eval": "set data.validation or data.validation_fraction",
    "do_predict": "use labelmill label",
    "push_to_hub": "the result is a directory; upload it with 'hf upload'",
}
HUB = "hub_"  # all names that begin with it are as `push_to_hub`

# Where labelmill's default is another than transformers', beside the fields of the section.
DEFAULTS: Mapping[str, JsonValue] = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "logging_steps": 10,
    "warmup_steps": 0.06,  # below 1: a share of all steps
    "weight_decay": 0.01,
    "per_device_eval_batch_size": 32,
    "report_to": ["tensorboard"],
    "save_total_limit": 2,
    "train_sampling_strategy": "group_by_length",
    "ddp_find_unused_parameters": True,  # DINOv2, CLIP and others have weights without a gradient
}
