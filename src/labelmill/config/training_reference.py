"""Training reference: the part of `docs/config.md` about jobs of `labelmill train`.

A pure function of the sections, as `reference` is.
"""

import inspect
from collections.abc import Iterator, Mapping

from labelmill.config.data import DatasetSection
from labelmill.config.reference_tables import listed, shown, table
from labelmill.config.section import subsections
from labelmill.config.train_job import TrainJob
from labelmill.config.training import LoraSection
from labelmill.config.training_arguments import DEFAULTS, HUB, RESERVED

TRAIN_EXAMPLE = """\
task: text-classification
model:
  path: microsoft/deberta-v3-small
  revision: null
  trust_remote_code: false
  allow_pickle: false
  config: {hidden_dropout_prob: 0.2}
data:
  train: [data/2025/, "data/2026/*.jsonl.gz"]
  dataset: null
  validation: null
  validation_fraction: 0.1
  format: auto
  columns: {text: review.body, label: stars}
  on_bad_row: reject
  max_rejected: 0.01
  class_weights: none
options: {max_length: 256}
training:
  num_train_epochs: 3
  learning_rate: null
  per_device_train_batch_size: 16
  gradient_accumulation_steps: 1
  bf16: auto
  seed: 42
  load_best_model_at_end: true
  metric_for_best_model: f1_macro
  early_stopping_patience: 3
  lora: {r: 16, alpha: 32, dropout: 0.05, target_modules: null}
  lr_scheduler_type: cosine  # any field of TrainingArguments
output:
  path: models/reviews
resources:
  workers: auto
  gpus_per_worker: auto
  cpus_per_worker: auto
  max_failures: 3
"""

_INTRODUCTION = f"""\
## Training jobs

`labelmill train JOB.yaml` reads a job file of its own kind (see `docs/training.md`). Only `task`,
`model.path`, `data.train` (or `data.dataset`) and `output.path` must be there. `task` and `options`
are those of labelling, described above: what a row becomes must be the same in both. Paths, `--set`
and messages are as above, too.

```yaml
task: text-classification
model: {{path: microsoft/deberta-v3-small}}
data: {{train: reviews/}}
output: {{path: models/reviews}}
```

With every setting written out:

```yaml
{TRAIN_EXAMPLE}```
"""

_OTHERS = """\
#### other fields of TrainingArguments

Every other field of transformers' `TrainingArguments` can be set under `training` by its own name,
e.g. `lr_scheduler_type`, `gradient_checkpointing`, `torch_compile` or `fsdp`. A name that there is
not, or a value that does not fit, is refused before anything starts. These defaults are not those
of transformers (`warmup_steps` below 1 is a share of all steps):

| key | default |
| --- | --- |
"""

_RESERVED = """\
These cannot be set, as labelmill decides them:

| key | why, or what to do instead |
| --- | --- |
"""


def training_parts() -> Iterator[str]:
    """The part about training jobs, piece by piece, in Markdown."""
    yield _INTRODUCTION
    for name, section in subsections(TrainJob).items():
        if name != "options":
            title = name if name in ("data", "training") else f"{name} of a training"
            yield f"### {title}\n\n{inspect.getdoc(section)}\n\n{table(section)}"
        if name == "data":
            yield f"#### dataset\n\n{inspect.getdoc(DatasetSection)}\n\n{table(DatasetSection)}"
        if name == "training":
            yield f"#### lora\n\n{inspect.getdoc(LoraSection)}\n\n{table(LoraSection)}"
            yield _OTHERS + listed(_as_json(DEFAULTS))
            yield _RESERVED + listed({**RESERVED, f"{HUB}*": RESERVED["push_to_hub"]})


def _as_json(values: Mapping[str, object]) -> dict[str, str]:
    return {name: f"`{shown(value)}`" for name, value in values.items()}
