"""Masking: secrets in the names of places, hidden from what is told to people.

A password before a host and the signature of a signed URL let whoever reads a log or a page read
the place. Text that holds neither stays as it is.
"""

import re

_HIDDEN = "***"
# Of http all before '@', which may be a token; in abfs://container@account it is no secret.
_USER = re.compile(r"(?:(?<=http://)|(?<=https://))[^/\s?#]+@", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]+@")
_WORDS = "sig|token|credential|passw|pwd|secret|key|auth|policy"
_QUERY = re.compile(rf"([?&;][\w.%~-]*(?:{_WORDS})[\w.%~-]*=)[^&#;\s'\"<>]+", re.IGNORECASE)


def masked(text: str) -> str:
    """The text with '***' for passwords and for values in a query whose names tell of a secret."""
    for pattern, kept in ((_USER, f"{_HIDDEN}@"), (_PASSWORD, rf"\1:{_HIDDEN}@")):
        if "@" in text:
            text = pattern.sub(kept, text)
    return _QUERY.sub(rf"\1{_HIDDEN}", text) if "=" in text else text
