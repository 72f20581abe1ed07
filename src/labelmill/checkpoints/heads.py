"""Heads: the output layers that a task wants of a model, and whether config.json names them.

It does not know what the weights hold: who wants to be sure loads them.
"""

from labelmill.batch import ModelFacts

HEADLESS = ("AutoModel", "AutoModelForTextEncoding")  # any checkpoint has what they need
_OTHER_NAMES = {  # that models with such a head have in transformers
    "ForAudioClassification": ("ForSequenceClassification",),
    "ForCausalLM": ("LMHeadModel",),
    "ForSeq2SeqLM": ("ForConditionalGeneration", "MTModel"),
    "ForSpeechSeq2Seq": ("ForConditionalGeneration",),
    "ForZeroShotImageClassification": ("Model",),
}


def names_head(facts: ModelFacts, auto_class: str) -> bool:
    """Whether the class that config.json names has the head of this class of transformers."""
    head = auto_class.removeprefix("AutoModel")
    named = facts.architecture.endswith((head, *_OTHER_NAMES.get(head, ())))
    return auto_class in HEADLESS or named
