"""Translations: Multi30k, English to German -> Parquet files, and a model to train.

The model has the shape of T5, small, with random weights; its tokenizer is made from the training
texts of both languages.
"""

from pathlib import Path

import tokenizers
import torch
import transformers

from benchmarks.accuracy.files import Row, lines, write

MODEL = "random-t5"
_VOCABULARY, _POSITIONS, _SEED = 8000, 128, 1


def multi30k(data: Path, work: Path) -> None:
    """Captions of pictures: the training file, and the test file of 2016."""
    learned = _rows(data / "multi30k", "train")
    write(work / "train.parquet", learned)
    write(work / "validation.parquet", _rows(data / "multi30k", "val"))
    write(work / "test.parquet", _rows(data / "multi30k", "test_2016_flickr"))
    _tokenizer([row[name] for row in learned for name in row]).save_pretrained(work / MODEL)
    torch.manual_seed(_SEED)
    transformers.T5ForConditionalGeneration(_config()).save_pretrained(work / MODEL)


def _rows(folder: Path, name: str) -> list[Row]:
    pairs = zip(lines(folder / f"{name}.en.gz"), lines(folder / f"{name}.de.gz"), strict=True)
    return [{"english": english, "german": german} for english, german in pairs]


def _tokenizer(texts: list[str]) -> transformers.PreTrainedTokenizerFast:
    """Pieces of words by byte-pair encoding; `</s>` ends every text."""
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=special["unk_token"]))
    backend.normalizer = tokenizers.normalizers.NFC()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Metaspace(), tokenizers.pre_tokenizers.Punctuation("isolated")]
    )
    backend.decoder = tokenizers.decoders.Metaspace()
    backend.train_from_iterator(
        texts,
        tokenizers.trainers.BpeTrainer(
            vocab_size=_VOCABULARY, special_tokens=list(special.values()), show_progress=False
        ),
    )
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", backend.token_to_id("</s>"))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=_POSITIONS, **special
    )


def _config() -> transformers.T5Config:
    return transformers.T5Config(
        vocab_size=_VOCABULARY,
        d_model=256,
        d_kv=64,
        d_ff=1024,
        num_layers=3,
        num_decoder_layers=3,
        num_heads=4,
        dropout_rate=0.1,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,  # type: ignore[call-arg]  # of every config of a decoder
    )
