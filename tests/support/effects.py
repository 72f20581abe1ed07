"""Where it is shown what a setting does: of every key of a job file, a test that sets it."""

from collections.abc import Mapping

OUTPUT = "tests/integration/test_job_output.py"
SETTINGS = "tests/integration/test_job_settings.py"
RESUME = "tests/integration/test_job_resume.py"
COMMAND = "tests/integration/test_label_command.py"
CHECKPOINTS = "tests/unit/test_checkpoints.py"
SHAPE = "tests/unit/test_shape.py"
RUNNER = "tests/unit/test_runner.py"

SECTIONS: Mapping[str, str] = {
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
    "resources.runner": f"{RUNNER}::test_runner_is_what_the_job_names",
    "resources.replicas": f"{SETTINGS}::test_replicas_tokenizers_and_gpus_are_what_ray_is_told",
    "resources.gpus_per_replica": f"{SHAPE}::test_gpus_per_replica_of_a_half_puts_two_on_a_gpu",
    "resources.cpus_per_replica": (
        f"{SETTINGS}::test_cpus_per_replica_are_the_threads_of_the_engine"
    ),
    "resources.tokenizers": f"{SETTINGS}::test_replicas_tokenizers_and_gpus_are_what_ray_is_told",
    "resources.microbatch_tokens": (
        f"{SETTINGS}::test_microbatch_tokens_bound_what_the_engine_gets"
    ),
    "resources.compile": f"{SETTINGS}::test_compile_is_for_a_gpu_and_reaches_the_engine",
}

# By task; the file is the task's contract test where none is named.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "audio-classification": {
        "scores": "test_scores_k_are_the_head_of_all",
        "threshold": "test_labels_threshold_and_problem_type_of_the_job_win",
        "labels": "test_labels_threshold_and_problem_type_of_the_job_win",
        "problem_type": "test_labels_threshold_and_problem_type_of_the_job_win",
        "chunk_seconds": "test_pieces_are_weighed_by_their_length",
        "max_seconds": "test_a_sound_beyond_max_seconds_is_an_error",
    },
    "automatic-speech-recognition": {
        "timestamps": "test_ctc_times_agree_with_the_pipeline",
        "chunk_seconds": "test_ctc_of_long_sounds_agrees_with_the_pipeline",
        "stride_seconds": "test_ctc_of_long_sounds_agrees_with_the_pipeline",
        "max_seconds": "test_a_sound_beyond_max_seconds_is_an_error",
        "language": "test_whisper_is_asked_as_the_options_say",
        "translate": "test_whisper_is_asked_as_the_options_say",
        "num_beams": "test_whisper_is_asked_as_the_options_say",
        "max_new_tokens": "test_whisper_is_asked_as_the_options_say",
    },
    "feature-extraction": {
        "pooling": "test_feature_extraction_every_pooling_equals_the_model_row_by_row",
        "normalize": "test_feature_extraction_options_override_the_files",
        "dimensions": "test_feature_extraction_dimensions_are_the_first_and_of_length_one_again",
        "dtype": "test_feature_extraction_column_is_a_fixed_list_as_its_schema_says",
        "prompt": "test_feature_extraction_prompt_by_name_by_text_and_none",
        "prompt_name": "test_feature_extraction_prompt_by_name_by_text_and_none",
        "max_length": "test_feature_extraction_tokens_of_a_row_end_at_max_length",
        "long_text": "test_feature_extraction_windows_are_weighted_by_their_own_tokens",
        "stride": "test_feature_extraction_windows_are_weighted_by_their_own_tokens",
    },
    "fill-mask": {
        "mask": "test_another_mask_in_the_texts_stands_for_the_tokenizers",
        "top_k": "test_fills_equal_the_models_softmax_row_by_row",
        "targets": "test_fills_of_targets_equal_those_of_transformers_pipeline",
        "max_length": "test_max_length_is_how_many_tokens_of_a_text_are_read",
    },
    "image-classification": {
        "scores": "test_image_classification_scores_k_are_the_head_of_all",
        "threshold": "test_image_classification_multi_label_gives_the_labels_above_the_threshold",
        "labels": "test_image_classification_labels_and_problem_type_of_the_job_win",
        "problem_type": "test_image_classification_labels_and_problem_type_of_the_job_win",
        "max_pixels": (
            "test_image_classification_larger_than_max_pixels_is_an_error_with_both_numbers"
        ),
    },
    "question-answering": {
        "max_length": "test_answers_equal_the_model_window_by_window",
        "stride": "test_answers_equal_the_model_window_by_window",
        "max_question_length": (
            "test_max_question_length_is_how_many_tokens_of_a_question_are_read"
        ),
        "max_answer_length": "test_answers_equal_the_model_window_by_window",
        "answers": "test_answers_equal_the_model_window_by_window",
        "no_answer": "test_no_answer_wins_where_its_score_is_higher",
        "null_threshold": "test_no_answer_wins_where_its_score_is_higher",
    },
    "summarization": {
        "prefix": "test_the_checkpoints_prefix_may_be_replaced",
        "max_length": "test_windows_are_written_one_by_one_and_joined",
        "long_text": "test_windows_are_written_one_by_one_and_joined",
        "max_new_tokens": "test_summaries_equal_generate_row_by_row",
        "min_new_tokens": "test_settings_are_those_of_generate",
        "num_beams": "test_summaries_equal_generate_row_by_row",
        "length_penalty": "test_settings_are_those_of_generate",
        "repetition_penalty": "test_settings_are_those_of_generate",
        "no_repeat_ngram_size": "test_settings_are_those_of_generate",
    },
    "text-classification": {
        "max_length": f"{SETTINGS}::test_max_length_is_how_many_tokens_of_a_text_are_read",
        "long_text": "test_windows_scores_are_the_mean_weighted_by_own_tokens",
        "stride": "test_windows_own_tokens_put_together_are_the_whole_text",
        "scores": "test_text_classification_scores_k_are_the_head_of_all",
        "threshold": (
            "test_text_classification_multi_label_gives_the_labels_above_the_threshold_best_first"
        ),
        "labels": (
            "tests/contract/test_text_classification_labels.py"
            "::test_labels_of_the_job_are_the_models_in_the_order_of_their_ids"
        ),
        "problem_type": (
            "tests/contract/test_text_classification_labels.py"
            "::test_problem_type_of_the_job_wins_over_the_models"
        ),
    },
    "text-generation": {
        "temperature": "test_equal_rows_get_equal_texts_and_other_seeds_others",
        "top_k": "test_drawing_from_the_likeliest_alone_is_greedy",
        "top_p": "test_drawing_from_the_likeliest_alone_is_greedy",
        "min_p": "test_drawing_from_the_likeliest_alone_is_greedy",
        "seed": "test_equal_rows_get_equal_texts_and_other_seeds_others",
        "repetition_penalty": "test_settings_are_those_of_generate",
        "max_new_tokens": "test_greedy_text_equals_generate_row_by_row",
        "min_new_tokens": "test_settings_are_those_of_generate",
        "system": "test_a_system_message_is_put_first_where_there_is_none",
        "date": "test_a_template_that_asks_for_the_date_is_told_that_of_the_job",
        "stop": "test_a_stop_string_ends_the_text_before_it",
        "max_length": "test_a_long_prompt_keeps_its_end_and_the_beginning_token",
        "long_text": "test_a_long_prompt_is_rejected_where_the_job_says_so",
    },
    "token-classification": {
        "aggregation": "test_entities_of_texts_are_those_of_transformers",
        "max_length": "test_windows_each_token_is_read_where_it_is_farther_from_a_cut",
        "long_text": "test_entities_of_a_truncated_text_are_those_of_transformers",
        "stride": "test_windows_each_token_is_read_where_it_is_farther_from_a_cut",
        "ignore_labels": "test_entities_ignored_labels_are_those_of_transformers",
        "threshold": "test_entities_threshold_leaves_out_the_unsure",
        "trim": "test_entities_trim_leaves_out_white_space_at_their_ends",
    },
    "translation": {
        "prefix": "test_settings_of_a_translation_are_those_of_generate",
        "max_length": "test_a_long_text_is_translated_piece_by_piece_or_cut",
        "long_text": "test_a_long_text_is_translated_piece_by_piece_or_cut",
        "max_new_tokens": "test_translations_equal_generate_row_by_row",
        "min_new_tokens": "test_settings_of_a_translation_are_those_of_generate",
        "num_beams": "test_settings_of_a_translation_are_those_of_generate",
        "length_penalty": "test_settings_of_a_translation_are_those_of_generate",
        "repetition_penalty": "test_settings_of_a_translation_are_those_of_generate",
        "no_repeat_ngram_size": "test_settings_of_a_translation_are_those_of_generate",
        "source_language": "test_translations_equal_generate_row_by_row",
        "target_language": "test_translations_equal_generate_row_by_row",
    },
    "zero-shot-classification": {
        "labels": "test_inference_agrees_with_the_pipeline_of_transformers",
        "template": "test_inference_agrees_with_a_template_of_ones_own",
        "multi_label": "test_inference_agrees_with_the_pipeline_of_transformers",
        "scores": "test_inference_agrees_with_the_pipeline_of_transformers",
        "threshold": "test_multi_label_gives_each_label_that_reaches_its_threshold",
        "max_length": "test_inference_sequences_are_the_tokenizers_only_first",
    },
    "zero-shot-image-classification": {
        "labels": "test_zero_shot_images_descriptions_stand_for_their_labels",
        "template": "test_zero_shot_images_descriptions_stand_for_their_labels",
        "scores": "test_zero_shot_images_scores_k_are_the_head_of_all",
        "max_pixels": "test_zero_shot_images_larger_than_max_pixels_are_errors",
    },
}

_SHARED = {"summarization": "sequence-to-sequence", "translation": "sequence-to-sequence"}


def effects() -> dict[str, str]:
    """Every setting, an option under its task's name, and where its effect is shown."""
    options = {
        f"{task}: options.{key}": test if "::" in test else f"{_contract(task)}::{test}"
        for task, tests in OPTIONS.items()
        for key, test in tests.items()
    }
    return {**SECTIONS, **options}


def _contract(task: str) -> str:
    return f"tests/contract/test_{_SHARED.get(task, task).replace('-', '_')}.py"
