"""Reference: the page `docs/config.md`, written from the sections themselves.

A pure function of the sections and the tasks' options, so that a test can tell a stale page.
"""

import inspect
from collections.abc import Iterator, Mapping

from labelmill.config.fingerprint import EXEMPT, TRAINING_EXEMPT
from labelmill.config.job import LabelJob
from labelmill.config.reference_tables import listed, table
from labelmill.config.section import Section, subsections
from labelmill.config.training_reference import training_parts

EXAMPLE = """\
task: text-classification
model:
  path: distilbert/distilbert-base-uncased-finetuned-sst-2-english
  revision: null
  engine: auto
  precision: auto
  min_agreement: 0.99
  trust_remote_code: false
  allow_pickle: false
source:
  path: [data/2025/, "data/2026/*.jsonl.gz"]
  format: auto
  columns: {text: review.body}
  keep: [id, stars]
  on_bad_row: reject
  on_bad_shard: skip
  split_rows: auto
  split_bytes: 64MiB
options: {max_length: 256, long_text: window, scores: all}
output:
  path: labelled/
  format: parquet
  prefix: ""
  position: false
  reject_text: true
  max_rejected: 0.01
resources:
  runner: auto
  replicas: auto
  gpus_per_replica: auto
  cpus_per_replica: auto
  tokenizers: auto
  microbatch_tokens: auto
  compile: false
"""

_INTRODUCTION = f"""\
# Job files

<!-- Generated from src/labelmill/config; edit the descriptions there. -->

A job is one YAML file. `labelmill label JOB.yaml` checks all of it before anything starts. Only
`task`, `model.path`, `source.path` and `output.path` must be there; the rest has defaults.

```yaml
task: text-classification
model: {{path: distilbert/distilbert-base-uncased-finetuned-sst-2-english}}
source: {{path: reviews/}}
output: {{path: labelled/}}
```

With every setting written out:

```yaml
{EXAMPLE}```

Local paths start at the current directory, not at the job file; `~` is your home directory. Where a
path is expected, a URL such as `s3://bucket/reviews/` will do. Environment variables are not
expanded.

## Changing a setting for once

`--set` lays a value over the file, any number of times; the last one wins. The value is YAML:

```sh
labelmill label JOB.yaml --set model.revision=v2.1 --set resources.microbatch_tokens=8192
labelmill label JOB.yaml --set source.path='[a/, b/]' --set source.columns.text=body
labelmill label JOB.yaml --set model.revision=null --set output.prefix='""'
```

## When something is wrong

All problems are reported at once, one a line, with the file (or `--set`) and the setting:

```text
reviews.yaml: resources.batchsize: no such setting; did you mean 'microbatch_tokens'?
reviews.yaml: source.on_bad_shard: input should be 'skip' or 'fail' (got 'ignore')
```

YAML guesses types: put text that looks like a number in quotes (`revision: "1234567"`). A key given
twice is an error.
"""

_EXIT_CODES = """\
## Exit codes

| code | meaning |
| ---: | --- |
| 0 | whole: every row is labelled, or rejected within `output.max_rejected`; the model is trained |
| 1 | failed |
| 2 | nothing was done: the command line, the job, its data or the output cannot be used |
| 3 | unfinished: run the same command again and it goes on |
| 4 | finished, but shards were damaged; or more rows rejected than `output.max_rejected`, which \
ends a job early |
"""

_FINGERPRINT = """\
## What may change between two attempts

Running a job again goes on where it stopped. It must then be the same job: a change of a setting
that can change a result is refused, naming the setting. These are not compared as they are written:

| setting | why |
| --- | --- |
"""

_TRAINING_FINGERPRINT = """\
Of a training job:

| setting | why |
| --- | --- |
"""


def render(options: Mapping[str, type[Section]]) -> str:
    """The page, in Markdown; `options` are the classes of the tasks' options by task."""
    parts = [_INTRODUCTION, "## Settings\n", *_sections(), *_options(options)]
    parts += training_parts()
    parts += [_FINGERPRINT + listed(EXEMPT), _TRAINING_FINGERPRINT + listed(TRAINING_EXEMPT)]
    parts += [_EXIT_CODES]
    return "\n".join(parts)


def _sections() -> Iterator[str]:
    inner = subsections(LabelJob)
    yield table(LabelJob, without=inner)
    for name, section in inner.items():
        if name != "options":
            yield f"### {name}\n\n{inspect.getdoc(section)}\n\n{table(section)}"


def _options(options: Mapping[str, type[Section]]) -> Iterator[str]:
    yield "### options\n\nWhat can be set depends on the task.\n"
    for task, section in sorted(options.items()):
        yield f"#### options of {task}\n\n{table(section)}"
