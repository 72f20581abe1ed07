"""Names: where each file of the ledger lies, below the output directory.

No name has a dot: `datasets` takes a file for data when a known suffix stands anywhere in its name,
not only at its end, and `receipts/a.jsonl-00003` would be read with the parts. Splits are named by
a hash, because a shard's own name may hold anything, be 255 bytes long, or contain a word such as
`train` that `datasets` cuts a dataset by.
"""

import hashlib

ROOT = "_labelmill"
MANIFEST = f"{ROOT}/manifest"
SHARDS = f"{ROOT}/shards"
ATTEMPTS = f"{ROOT}/attempts"
PREPARED = f"{ROOT}/prepared"
RECEIPTS = f"{ROOT}/receipts"
SEGMENTS = f"{ROOT}/segments"
VOLUMES = f"{ROOT}/volumes"
REJECTS = f"{ROOT}/rejects"
VOIDS = f"{ROOT}/voids"
SEALED = f"{ROOT}/sealed"
QUANTIZED = f"{ROOT}/quantized/record"


def inside(path: str) -> bool:
    """Whether the path is the ledger's own."""
    return path.startswith(f"{ROOT}/")


def split_key(split_id: str, generation: int) -> str:
    """One split of one generation of its shard: 128 bits of a hash, collision-free in practice."""
    return (
        f"{hashlib.sha256(split_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}-{generation}"
    )


def receipt(split_id: str, generation: int) -> str:
    """The single receipt of a split."""
    return receipt_of(split_key(split_id, generation))


def receipt_of(key: str) -> str:
    """The same, of its `split_key`."""
    return f"{RECEIPTS}/{key}"


def prepared(split_id: str, generation: int, owner: str) -> str:
    """A prepared receipt of a split; `owner` is unique to one try of one attempt."""
    return f"{PREPARED}/{split_key(split_id, generation)}@{owner}"


def prepared_key(path: str) -> str:
    """The `split_key` that a prepared receipt's path was made from."""
    return path.removeprefix(f"{PREPARED}/").split("@", 1)[0]


def shard_record(sequence: int) -> str:
    """The n-th file of shard records."""
    return f"{SHARDS}/{sequence:06d}"


def attempt(name: str) -> str:
    """The record of one attempt."""
    return f"{ATTEMPTS}/{name}"


def segment(name: str) -> str:
    """A segment of receipts."""
    return f"{SEGMENTS}/{name}"


def volume(name: str) -> str:
    """A volume of segments."""
    return f"{VOLUMES}/{name}"


def rejects(name: str) -> str:
    """The rejects that belong to the segment of the same name."""
    return f"{REJECTS}/{name}"


def voids(name: str) -> str:
    """The receipts that one attempt found without their parts."""
    return f"{VOIDS}/{name}"


def sealed(records: int, voids: int) -> str:
    """The seal of the run as it was at so many shard record files and void files."""
    return f"{SEALED}/{records:06d}-{voids:06d}"


def quantized_model(digest: str) -> str:
    """The bytes of a model in int8."""
    return f"{ROOT}/quantized/{digest}"
