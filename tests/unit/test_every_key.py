"""Every setting of a job file has a test that shows what it does."""

import ast
from pathlib import Path

import pytest

from labelmill.config.job import LabelJob
from labelmill.config.section import Section, subsections
from labelmill.ops import plugins
from labelmill.tasks import Task

ROOT = Path(__file__).parents[2]

OUTPUT = "tests/integration/test_job_output.py"
SETTINGS = "tests/integration/test_job_settings.py"
RESUME = "tests/integration/test_job_resume.py"
TASKS = "tests/contract/test_tasks.py"
CHECKPOINTS = "tests/unit/test_checkpoints.py"
COMMAND = "tests/integration/test_label_command.py"
SHAPE = "tests/unit/test_shape.py"
IMAGES = "tests/contract/test_image_classification.py"
ZERO_SHOT_IMAGES = "tests/contract/test_zero_shot_image_classification.py"

EFFECT = {
    "task": f"{SETTINGS}::test_task_that_nobody_has_is_refused_with_the_near_miss",
    "model.path": f"{RESUME}::test_other_weights_are_refused",
    "model.revision": f"{CHECKPOINTS}::test_resolve_cached_hub_id_is_pinned_to_its_commit",
    "model.engine": (
        f"{SETTINGS}::test_engine_named_is_the_one_that_predicts_and_auto_is_recorded"
    ),
    "model.precision": f"{SETTINGS}::test_precision_is_what_the_model_works_in",
    "model.min_agreement": (
        f"{SETTINGS}::test_min_agreement_stops_a_job_whose_labels_float32_would_not_give"
    ),
    "model.trust_remote_code": (
        f"{SETTINGS}::test_trust_remote_code_runs_the_code_of_the_checkpoint_and_only_then"
    ),
    "model.allow_pickle": (
        f"{SETTINGS}::test_allow_pickle_loads_weights_that_are_refused_without_it"
    ),
    "source.path": f"{SETTINGS}::test_source_path_may_be_a_file_a_glob_or_a_list",
    "source.format": f"{SETTINGS}::test_source_format_names_what_the_suffix_does_not",
    "source.columns": f"{OUTPUT}::test_columns_bind_fields_to_nested_columns_and_pairs",
    "source.keep": f"{OUTPUT}::test_keep_names_carries_these_columns_alone",
    "source.on_bad_row": f"{OUTPUT}::test_on_bad_row_fail_stops_naming_the_row",
    "source.on_bad_shard": f"{RESUME}::test_on_bad_shard_fail_stops_naming_the_shard",
    "source.split_rows": f"{SETTINGS}::test_split_bounds_cut_the_parts",
    "source.split_bytes": f"{SETTINGS}::test_split_bounds_cut_the_parts",
    "output.path": f"{SETTINGS}::test_source_path_may_be_a_file_a_glob_or_a_list",
    "output.format": f"{OUTPUT}::test_json_lines_output_is_read_by_datasets_and_duckdb_as_it_lies",
    "output.prefix": f"{OUTPUT}::test_prefix_and_position_name_the_added_columns",
    "output.position": f"{OUTPUT}::test_prefix_and_position_name_the_added_columns",
    "output.reject_text": f"{OUTPUT}::test_reject_text_false_keeps_place_and_reason_alone",
    "output.max_rejected": f"{COMMAND}::test_too_many_rejects_end_with_4",
    "resources.replicas": (f"{SETTINGS}::test_replicas_tokenizers_and_gpus_are_what_ray_is_told"),
    "resources.gpus_per_replica": f"{SHAPE}::test_gpus_per_replica_of_a_half_puts_two_on_a_gpu",
    "resources.cpus_per_replica": (
        f"{SETTINGS}::test_cpus_per_replica_are_the_threads_of_the_engine"
    ),
    "resources.tokenizers": (f"{SETTINGS}::test_replicas_tokenizers_and_gpus_are_what_ray_is_told"),
    "resources.microbatch_tokens": (
        f"{SETTINGS}::test_microbatch_tokens_bound_what_the_engine_gets"
    ),
    "text-classification: options.max_length": (
        f"{SETTINGS}::test_max_length_is_how_many_tokens_of_a_text_are_read"
    ),
    "text-classification: options.long_text": (
        f"{TASKS}::test_windows_scores_are_the_mean_weighted_by_own_tokens"
    ),
    "text-classification: options.stride": (
        f"{TASKS}::test_windows_own_tokens_put_together_are_the_whole_text"
    ),
    "text-classification: options.scores": (
        f"{TASKS}::test_text_classification_scores_k_are_the_head_of_all"
    ),
    "text-classification: options.threshold": (
        f"{TASKS}::test_text_classification_multi_label_gives_the_labels_above_the_threshold_"
        "best_first"
    ),
    "image-classification: options.scores": (
        f"{IMAGES}::test_image_classification_scores_k_are_the_head_of_all"
    ),
    "image-classification: options.threshold": (
        f"{IMAGES}::test_image_classification_multi_label_gives_the_labels_above_the_threshold"
    ),
    "image-classification: options.labels": (
        f"{IMAGES}::test_image_classification_labels_and_problem_type_of_the_job_win"
    ),
    "image-classification: options.problem_type": (
        f"{IMAGES}::test_image_classification_labels_and_problem_type_of_the_job_win"
    ),
    "image-classification: options.max_pixels": (
        f"{IMAGES}::test_image_classification_larger_than_max_pixels_is_an_error_with_both_numbers"
    ),
    "zero-shot-image-classification: options.labels": (
        f"{ZERO_SHOT_IMAGES}::test_zero_shot_images_descriptions_stand_for_their_labels"
    ),
    "zero-shot-image-classification: options.template": (
        f"{ZERO_SHOT_IMAGES}::test_zero_shot_images_descriptions_stand_for_their_labels"
    ),
    "zero-shot-image-classification: options.scores": (
        f"{ZERO_SHOT_IMAGES}::test_zero_shot_images_scores_k_are_the_head_of_all"
    ),
    "zero-shot-image-classification: options.max_pixels": (
        f"{ZERO_SHOT_IMAGES}::test_zero_shot_images_larger_than_max_pixels_are_errors"
    ),
}


def keys() -> set[str]:
    """Every setting, those of the tasks' options under the task's name."""
    inner = subsections(LabelJob)
    found = set(LabelJob.model_fields) - {*inner, "options"}
    for name, section in inner.items():
        found |= {f"{name}.{key}" for key in section.model_fields}
    for module in plugins.modules("labelmill.tasks"):
        task: type[Task] = plugins.load_class("labelmill.tasks", module)
        options: type[Section] = task.Options
        found |= {f"{task.name}: options.{key}" for key in options.model_fields}
    return found


def test_every_setting_names_a_test_that_shows_its_effect() -> None:
    assert keys() == EFFECT.keys()


@pytest.mark.parametrize("key", EFFECT)
def test_test_that_shows_the_effect_of_a_setting_is_there_and_sets_it(key: str) -> None:
    path, _, name = EFFECT[key].partition("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}

    assert name in functions
    assert key.rpartition(".")[2].rpartition(": ")[2] in source
