"""sentence_transformers: `SentenceTransformer.encode` of the same encoder, as documented.

Defaults: float32, batches of 32, ordered by length, all cores. It does less than the others: the
encoder alone, without a classification head.
"""

from benchmarks.contenders import embedding
from benchmarks.setting import Setting


def main() -> None:
    """Embed everything and tell."""
    from sentence_transformers import SentenceTransformer

    setting = Setting.from_argv()
    model = SentenceTransformer(setting.model, device="cpu", local_files_only=True)
    embedding.embed(setting, model)


if __name__ == "__main__":
    main()
