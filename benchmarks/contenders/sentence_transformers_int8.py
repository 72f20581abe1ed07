"""sentence_transformers_int8: its OpenVINO backend in int8, as its guide to efficiency shows.

Quantized beforehand by its own export, calibrated on rows of the corpus instead of a data set from
the hub. As `sentence_transformers` it runs the encoder alone, without a classification head.
"""

from pathlib import Path

from benchmarks.contenders import embedding
from benchmarks.setting import Setting, preparing

_FILE = "openvino/openvino_model_qint8_quantized.xml"


def main() -> None:
    """Embed everything and tell; or export."""
    from sentence_transformers import SentenceTransformer

    setting = Setting.from_argv()
    if preparing():
        _export(setting)
    else:
        model = SentenceTransformer(
            setting.prepared,
            backend="openvino",
            local_files_only=True,
            model_kwargs={"file_name": _FILE},
        )
        embedding.embed(setting, model)


def _export(setting: Setting) -> None:
    from sentence_transformers import SentenceTransformer, export_static_quantized_openvino_model

    model = SentenceTransformer(setting.model, backend="openvino", local_files_only=True)
    Path(setting.prepared).mkdir(parents=True, exist_ok=True)
    model.save_pretrained(setting.prepared)
    export_static_quantized_openvino_model(
        model,
        quantization_config=None,
        model_name_or_path=setting.prepared,
        dataset_name=setting.shards,
        dataset_config_name="default",
        dataset_split="train",
        column_name="text",
    )


if __name__ == "__main__":
    main()
