"""What people run today for each task: transformers' pipeline, or a loop where that is gone.

Each takes the checkpoint, the fields of all rows, the device and the precision, and gives a
function that labels them all once. Batches of 32 rows in the order they come, as the
documentation of pipelines shows.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import transformers

BATCH = 32
Fields = Mapping[str, Sequence[Any]]
Run = Callable[[], Any]


def pipeline(task: str, path: str, fields: Fields, device: str, precision: str, **call: Any) -> Run:
    """transformers.pipeline over the first field."""
    make: Any = transformers.pipeline  # its overloads want the task's name as a literal
    made = make(task, model=path, device=device, dtype=getattr(torch, precision), batch_size=BATCH)
    values = next(iter(fields.values()))
    return lambda: list(made(_inputs(task, values), **call))


def questions(path: str, fields: Fields, device: str, precision: str) -> Run:
    """Question answering without windows: the pipeline is gone from transformers 5."""
    tokenizer, model = _loaded(path, "AutoModelForQuestionAnswering", device, precision)
    pairs = list(zip(fields["question"], fields["context"], strict=True))

    @torch.inference_mode()
    def run() -> int:
        found = 0
        for at in range(0, len(pairs), BATCH):
            inputs = tokenizer(
                [pair[0] for pair in pairs[at : at + BATCH]],
                [pair[1] for pair in pairs[at : at + BATCH]],
                truncation="only_second",
                max_length=384,
                padding=True,
                return_tensors="pt",
            ).to(device)
            outputs = model(**inputs)
            starts, ends = outputs.start_logits.argmax(-1).cpu(), outputs.end_logits.argmax(-1)
            found += int((starts <= ends.cpu()).sum())
        return found

    return run


def writing(auto_class: str) -> Callable[..., Run]:
    """A loop around `generate`: the summarization and translation pipelines are gone."""

    def peer(path: str, fields: Fields, device: str, precision: str, **settings: Any) -> Run:
        tokenizer, model = _loaded(path, auto_class, device, precision)
        if auto_class == "AutoModelForCausalLM":
            tokenizer.padding_side = "left"
        texts = list(fields["text"])

        @torch.inference_mode()
        def run() -> list[str]:
            written: list[str] = []
            for at in range(0, len(texts), BATCH):
                inputs = tokenizer(
                    texts[at : at + BATCH], padding=True, truncation=True, return_tensors="pt"
                ).to(device)
                inputs.pop("token_type_ids", None)
                ids = model.generate(**inputs, do_sample=False, **settings)
                written += tokenizer.batch_decode(ids, skip_special_tokens=True)
            return written

        return run

    return peer


def embeddings(path: str, fields: Fields, device: str, precision: str) -> Run:
    """sentence-transformers, mean pooling."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        path, device=device, model_kwargs={"dtype": getattr(torch, precision)}
    )
    texts = list(fields["text"])
    return lambda: model.encode(texts, batch_size=BATCH, normalize_embeddings=True)


def _loaded(path: str, auto_class: str, device: str, precision: str) -> tuple[Any, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = getattr(transformers, auto_class).from_pretrained(path, dtype=getattr(torch, precision))
    return tokenizer, model.to(device).eval()


def _inputs(task: str, values: Sequence[Any]) -> list[Any]:
    """As pipelines take them: texts, pictures of Pillow, sound decoded by hand.

    Decoding is part of the run: labelmill's side has it, too.
    """
    if "image" in task:
        from PIL import Image

        return [Image.open(io.BytesIO(value)) for value in values]
    if "audio" in task or "speech" in task:
        import soundfile

        return [
            {"raw": samples, "sampling_rate": rate}
            for samples, rate in (soundfile.read(io.BytesIO(value)) for value in values)
        ]
    return list(values)
