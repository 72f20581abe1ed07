"""labelmill: label very large corpora with Hugging Face models, every row exactly once."""

__version__ = "0.1.0"
