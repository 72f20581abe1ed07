"""The engine openvino: what PyTorch says, in any company, converted once by however many."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import transformers

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from huggingface_hub import constants

from labelmill import checkpoints, engines
from labelmill.batch import Microbatch, Ragged
from labelmill.engines import Use, openvino
from labelmill.engines.openvino import conversion, runtime
from labelmill.errors import ConfigError, EngineError, ModelError
from labelmill.readouts import (
    Embedding,
    Generation,
    ImageText,
    Logits,
    MaskedTokens,
    TokenLogits,
)
from tests.support.models import ARCHITECTURES, enlarge, processor_of, save_tiny, tiny_classifier
from tests.support.sentence_models import tiny_sentences

CLASSIFIER = "AutoModelForSequenceClassification"
TAGGER = "AutoModelForTokenClassification"
READER = "AutoModelForQuestionAnswering"
SPAN = TokenLogits(names=("start_logits", "end_logits"))
LENGTHS = (40, 17, 16, 9, 2, 1)
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Graphs of this module, by themselves."""
    home = tmp_path_factory.getbasetemp() / "graphs"
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    return home


def checkpoint_at(path):
    return checkpoints.resolve(str(path), None, trust_remote_code=False, allow_pickle=False)


def opened(name, path, auto_class=CLASSIFIER, readout=None, precision="float32", threads=1):
    return engines.load(
        name,
        checkpoint_at(path),
        auto_class,
        readout or Logits(),
        precision=precision,
        device="cpu",
        threads=threads,
    )


def microbatch(path, lengths=LENGTHS, *, types=None, padded=None):
    """Random tokens, the same for a row whatever its company; padded to the longest, or further."""
    facts = checkpoints.facts(checkpoint_at(path))
    counts = np.array(lengths, np.int64)
    width = padded or counts.max()
    attended = np.arange(width) < counts[:, np.newaxis]
    ids = np.array([np.random.default_rng(n).integers(5, 60, max(LENGTHS)) for n in lengths])
    inputs = {
        "input_ids": np.where(attended, ids[:, :width], facts.pad_token_id),
        "attention_mask": attended.astype(np.int64),
    }
    if types is not None:
        inputs["token_type_ids"] = np.where(attended, ids[:, :width] % types, 0)
    return Microbatch(sequences=np.arange(len(lengths)), lengths=counts, inputs=inputs)


def assert_alike(found, wanted, tolerance=TOLERANCE):
    assert found.keys() == wanted.keys()
    for name, theirs in wanted.items():
        ours, exact = found[name], theirs
        if isinstance(theirs, Ragged):
            assert ours.lengths.tolist() == theirs.lengths.tolist()
            ours, exact = ours.values, theirs.values
        assert ours.shape == exact.shape
        assert ours.dtype == exact.dtype == np.float32
        assert np.abs(ours - exact).max() < tolerance


def both(path, auto_class, readout, **how):
    batch = microbatch(path, **how)
    return [opened(name, path, auto_class, readout).forward(batch) for name in engines._AUTO]


@pytest.mark.parametrize("architecture", sorted(openvino._MODEL_TYPES))
def test_logits_are_pytorchs_for_every_architecture_that_auto_gives_it(tmp_path, architecture):
    assert architecture in ARCHITECTURES
    assert_alike(*both(tiny_classifier(tmp_path, architecture), CLASSIFIER, Logits()))


@pytest.mark.parametrize("architecture", sorted(openvino._MODEL_TYPES - {"bert", "roberta"}))
def test_tokens_are_pytorchs(tmp_path, architecture):
    assert_alike(*both(save_tiny(tmp_path, architecture, TAGGER), TAGGER, TokenLogits()))


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_spans_are_pytorchs(tmp_path, architecture):
    assert_alike(*both(save_tiny(tmp_path, architecture, READER), READER, SPAN))


@pytest.mark.parametrize("architecture", sorted(openvino._MODEL_TYPES))
def test_embeddings_are_pytorchs(tmp_path, architecture):
    path = save_tiny(tmp_path, architecture, "AutoModel")
    assert_alike(*both(path, "AutoModel", Embedding()))


@pytest.mark.parametrize(
    "readout",
    [
        Embedding(pooling="cls", normalize=False),
        Embedding(pooling="max"),
        Embedding(pooling="last", dimensions=7),
        Embedding(pooling="pooler"),
        Embedding(skip=1, normalize=False, anchors=((2, 7, 9, 3), (2, 11, 3))),
        Embedding(anchors=((2, 7, 3),)),
    ],
    ids=lambda readout: f"{readout.pooling}-{readout.skip}-{len(readout.anchors)}",
)
def test_embeddings_of_every_kind_are_pytorchs(tmp_path, readout):
    path = save_tiny(tmp_path, "bert", "AutoModel")
    lengths = [length for length in LENGTHS if length > readout.skip]
    assert_alike(*both(path, "AutoModel", readout, lengths=lengths))


def test_dense_layers_behind_the_pooling_are_pytorchs(tmp_path):
    path = tiny_sentences(tmp_path, dense=5)
    dense = checkpoints.facts(checkpoint_at(path)).sentence.dense
    assert dense
    assert_alike(*both(path, "AutoModel", Embedding(dense=dense)))


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta"])
def test_token_types_count_where_the_model_takes_them(tmp_path, architecture):
    path = tiny_classifier(tmp_path, architecture)
    types = 1 if architecture == "roberta" else 2
    ours, theirs = both(path, CLASSIFIER, Logits(), types=types)
    assert_alike(ours, theirs)
    without = opened("openvino", path).forward(microbatch(path))
    same = np.allclose(ours["logits"], without["logits"], atol=TOLERANCE)
    assert same == (architecture != "bert")


@pytest.mark.parametrize(
    ("auto_class", "readout"),
    [(CLASSIFIER, Logits()), (TAGGER, TokenLogits()), ("AutoModel", Embedding())],
    ids=["logits", "tokens", "embedding"],
)
def test_each_row_is_the_same_in_any_company(tmp_path, auto_class, readout):
    path = save_tiny(tmp_path, "bert", auto_class)
    engine = opened("openvino", path, auto_class, readout)
    (whole,) = engine.forward(microbatch(path)).values()
    pieces = [engine.forward(microbatch(path, (length,))) for length in LENGTHS]
    alone = [next(iter(piece.values())) for piece in pieces]
    if isinstance(whole, Ragged):
        whole, alone = whole.values, [piece.values for piece in alone]
    assert np.abs(whole - np.concatenate(alone)).max() < 1e-5


@pytest.mark.parametrize(
    ("auto_class", "readout"),
    [
        (CLASSIFIER, Logits()),
        (TAGGER, TokenLogits()),
        *(("AutoModel", Embedding(pooling=kind)) for kind in ("mean", "max", "last", "cls")),
    ],
    ids=lambda given: getattr(given, "pooling", type(given).__name__),
)
def test_each_row_is_the_same_padded_further_than_the_longest(tmp_path, auto_class, readout):
    path = save_tiny(tmp_path, "roberta", auto_class)
    engine = opened("openvino", path, auto_class, readout)
    some = LENGTHS[1:]
    wanted = engine.forward(microbatch(path, some))
    assert_alike(engine.forward(microbatch(path, some, padded=32)), wanted, 1e-5)


def test_lengths_are_those_of_tiles_where_the_cpu_has_them(tmp_path):
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        pytest.skip("this system does not tell what its CPU has")
    tiles = "amx_bf16" in flags.read_text("utf-8").split()
    assert runtime.has_tiles() == tiles
    path = tiny_classifier(tmp_path)
    assert opened("openvino", path).padding.multiple_of == 1
    if "bfloat16" in runtime.precisions():
        engine = opened("openvino", path, precision="bfloat16")
        assert engine.padding.multiple_of == (16 if tiles else 1)


def test_outputs_outlast_the_next_microbatch(tmp_path):
    path = tiny_classifier(tmp_path)
    engine = opened("openvino", path)
    first = engine.forward(microbatch(path))["logits"]
    kept = first.copy()
    engine.forward(microbatch(path, LENGTHS[::-1][:1] + LENGTHS[:5]))
    assert np.array_equal(first, kept)


in_bfloat16 = pytest.mark.skipif(
    "bfloat16" not in runtime.precisions(), reason="this CPU does not compute in bfloat16"
)


@in_bfloat16
def test_bfloat16_leaves_in_float32_and_nearly_agrees(tmp_path):
    path = tiny_classifier(tmp_path)
    exact = opened("openvino", path).forward(microbatch(path))["logits"]
    engine = opened("openvino", path, precision="bfloat16")
    rough = engine.forward(microbatch(path))["logits"]
    assert (engine.name, engine.device, engine.precision) == ("openvino", "cpu", "bfloat16")
    assert rough.dtype == np.float32
    assert 1e-6 < np.abs(rough - exact).max() < 0.1


def test_precision_that_the_cpu_does_not_compute_in_is_not_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "precisions", lambda: ("float32",))
    use = Use(model_type="bert", readout=Logits())
    assert engines.choose("auto", "bfloat16", "cpu", use) == ("pytorch", "bfloat16")
    with pytest.raises(ConfigError, match=r"no instructions for 'bfloat16'.*'pytorch'"):
        opened("openvino", tiny_classifier(tmp_path), precision="bfloat16")


def test_graph_of_disentangled_attention_gathers_nothing_by_distance(tmp_path):
    path = tiny_classifier(tmp_path, "deberta-v2")
    graph = conversion.convert(checkpoint_at(path), CLASSIFIER, Logits(), ("logits",), 1)
    assert "GatherElements" not in {op.get_type_name() for op in graph.get_ops()}


def test_converted_once_and_kept_whole_without_leftovers(tmp_path, cache):
    path = tiny_classifier(tmp_path, seed=11)
    before = set(cache.rglob("graph.xml"))
    opened("openvino", path)
    (graph,) = set(cache.rglob("graph.xml")) - before
    made = graph.stat().st_mtime_ns
    opened("openvino", path, threads=2)
    assert graph.stat().st_mtime_ns == made
    assert sorted(file.name for file in graph.parent.iterdir()) == ["graph.bin", "graph.xml"]
    assert not [place for place in graph.parent.parent.iterdir() if place.name.startswith("tmp")]


def test_other_weights_are_another_graph(tmp_path):
    one, two = (tiny_classifier(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    batch = microbatch(one)
    first, second = (opened("openvino", path).forward(batch)["logits"] for path in (one, two))
    assert np.abs(first - second).max() > 0.01


def test_damaged_graph_says_what_to_remove(tmp_path, cache):
    path = tiny_classifier(tmp_path, seed=12)
    before = set(cache.rglob("graph.xml"))
    opened("openvino", path)
    (graph,) = set(cache.rglob("graph.xml")) - before
    graph.write_bytes(graph.read_bytes()[:200])
    with pytest.raises(EngineError, match=r"graph\.xml.*remove its directory"):
        opened("openvino", path)


def test_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setattr(constants, "HF_HOME", str(file))
    with pytest.raises(EngineError, match="HF_HOME"):
        opened("openvino", tiny_classifier(tmp_path / "model"))


ALONE = """
    import sys
    from labelmill import engines
    from labelmill.checkpoints import Checkpoint
    from labelmill.readouts import Logits

    checkpoint = Checkpoint(path=sys.argv[1], source="tiny", revision=None, digest=sys.argv[2])
    engine = engines.load(
        "openvino", checkpoint, "AutoModelForSequenceClassification", Logits(),
        precision="float32", device="cpu", threads=1,
    )
    print(engine.name, "torch" in sys.modules, "transformers" in sys.modules)
"""


def alone(path, home):
    """The engine in a process that has loaded nothing else; it is started, not awaited."""
    digest = checkpoint_at(path).digest
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ALONE), str(path), digest],
        env={**os.environ, "HF_HOME": str(home), "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # where nothing is to be told
        text=True,
    )


def test_racing_processes_convert_once_and_later_ones_need_no_torch(tmp_path):
    path, home = tiny_classifier(tmp_path / "model"), tmp_path / "home"
    home.mkdir()
    racing = [alone(path, home) for _ in range(3)]
    told = sorted(process.communicate(timeout=120)[0].strip() for process in racing)
    assert all(line.startswith("openvino") for line in told)
    assert told.count("openvino True True") == 1, told  # who came first
    assert len(list(home.rglob("graph.xml"))) == 1
    assert alone(path, home).communicate(timeout=120)[0].strip() == "openvino False False"
    assert not (home / "intel").exists(), "OpenVINO was about to tell of its use"


@pytest.mark.parametrize(
    "readout",
    [MaskedTokens(mask_token_id=4, count=3), ImageText(texts=((1,),)), Generation()],
    ids=lambda readout: type(readout).__name__,
)
def test_what_it_does_not_read_is_refused_and_auto_leaves_it_to_pytorch(tmp_path, readout):
    with pytest.raises(ConfigError, match=r"'openvino' does not.*'pytorch'"):
        opened("openvino", tiny_classifier(tmp_path), readout=readout)
    use = Use(model_type="bert", readout=readout)
    assert engines.choose("auto", "float32", "cpu", use) == ("pytorch", "float32")


def test_auto_takes_it_on_a_cpu_for_models_it_was_tried_with(monkeypatch):
    use = Use(model_type="bert", readout=Logits())
    for able in (("float32",), ("float32", "bfloat16")):
        monkeypatch.setattr(runtime, "precisions", lambda able=able: able)
        assert engines.choose("auto", able[-1], "cpu", use) == ("openvino", able[-1])
    assert engines.choose("auto", "float32", "cpu", use) == ("openvino", "float32")
    best = engines.choose("auto", "auto", "cpu", use)
    assert best == ("openvino", engines.choose("pytorch", "auto", "cpu")[1])


def test_auto_leaves_to_pytorch_what_it_was_not_tried_with():
    use = Use(model_type="bert", readout=Logits())
    other = Use(model_type="longformer", readout=Logits())
    assert engines.choose("auto", "float16", "cpu", use) == ("pytorch", "float16")
    assert engines.choose("auto", "float32", "cuda", use) == ("pytorch", "float32")
    assert engines.choose("auto", "float32", "cpu", other) == ("pytorch", "float32")
    assert engines.choose("pytorch", "float32", "cpu", use) == ("pytorch", "float32")
    own = Use(model_type="bert", readout=Logits(), own_code=True)
    assert engines.choose("auto", "float32", "cpu", own) == ("pytorch", "float32")


def test_not_installed_auto_is_pytorch_and_its_name_says_how(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "installed", lambda: False)
    use = Use(model_type="bert", readout=Logits())
    assert engines.choose("auto", "float32", "cpu", use) == ("pytorch", "float32")
    for ask in (
        lambda: engines.choose("openvino", "auto", "cpu"),
        lambda: engines.best_device("openvino"),
        lambda: opened("openvino", tiny_classifier(tmp_path)),
    ):
        with pytest.raises(ConfigError, match=r"pip install 'labelmill\[openvino\]'"):
            ask()


def test_model_that_tells_no_token_types_from_zeros_is_refused(tmp_path):
    path = tiny_classifier(tmp_path, "gpt2")
    with pytest.raises(ConfigError, match=r"GPT2ForSequenceClassification.*'pytorch'"):
        opened("openvino", path)


def test_model_that_sees_padding_is_refused(tmp_path):
    config = transformers.FNetConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, intermediate_size=48, num_labels=3
    )
    model = transformers.FNetForSequenceClassification(config)
    enlarge(model)
    model.save_pretrained(tmp_path)
    processor_of("bert").save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"FNet.* change with the padding .*'pytorch'"):
        opened("openvino", tmp_path)


def test_decoder_can_be_named(tmp_path):
    assert_alike(*both(tiny_classifier(tmp_path, "llama"), CLASSIFIER, Logits()))


def test_checkpoint_of_another_task_is_refused_as_by_pytorch(tmp_path):
    with pytest.raises(ModelError, match="ForSequenceClassification"):
        opened("openvino", save_tiny(tmp_path, "bert", "AutoModelForMaskedLM"))
    path = save_tiny(tmp_path / "other", "electra", "AutoModel")
    with pytest.raises(ModelError, match="no pooler"):
        opened("openvino", path, "AutoModel", Embedding(pooling="pooler"))


def test_device_and_precision_that_it_does_not_know_are_refused(tmp_path):
    path = tiny_classifier(tmp_path)
    with pytest.raises(ConfigError, match="'float16'"):
        opened("openvino", path, precision="float16")
    with pytest.raises(EngineError, match="needs 'cpu'"):
        openvino.load(
            checkpoint_at(path), CLASSIFIER, Logits(), precision="float32", device="cuda", threads=1
        )


OUT_OF_MEMORY = """
    import resource, sys
    import numpy as np
    from labelmill.batch import Microbatch
    from labelmill.errors import OutOfMemory
    from tests.contract.test_openvino import microbatch, opened

    def part(rows):
        inputs = {name: values[:rows] for name, values in whole.inputs.items()}
        places, lengths = whole.sequences[:rows], whole.lengths[:rows]
        return Microbatch(sequences=places, lengths=lengths, inputs=inputs)

    engine = opened("openvino", sys.argv[1])
    whole = microbatch(sys.argv[1], (32,) * 2**16)
    wanted = engine.forward(part(2))["logits"][0]  # all rows are the same
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    # Room for the heap of a thread too, which takes 128 MiB of addresses and uses few.
    resource.setrlimit(resource.RLIMIT_AS, (used + 320 * 2**20,) * 2)
    rows, failed = 2**16, 0
    while True:
        try:
            logits = engine.forward(part(rows))["logits"]
            break
        except OutOfMemory as error:
            assert "no memory on 'cpu'" in str(error), error
            failed += 1
            rows //= 2
    assert failed >= 1 and rows >= 64, (failed, rows)
    assert logits.shape == (rows, 3) and np.allclose(logits, wanted, atol=1e-4)
    print("halved", failed)
"""


def in_a_fresh_process(code, path, tmp_path):
    """Python code of this module's, with the path of a model and a cache of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), path],
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
        cwd=Path(__file__).parents[2],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds only on Linux")
def test_without_memory_raises_out_of_memory_and_smaller_ones_succeed(tmp_path):
    path = tiny_classifier(tmp_path / "model")
    done = in_a_fresh_process(OUT_OF_MEMORY, path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("halved")


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=in_bfloat16)])
def test_streams_say_what_one_says_to_the_bit(tmp_path, precision):
    path = tiny_classifier(tmp_path)
    batches = [microbatch(path, (length, 3, 1)) for length in range(3, 40)]
    one, three = (opened("openvino", path, precision=precision, threads=n) for n in (1, 3))
    assert (one.streams, three.streams) == (1, 3)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(three.forward, batches))
    for ours, batch in zip(found, batches, strict=True):
        assert np.array_equal(ours["logits"], one.forward(batch)["logits"])


FIRST_CALLS = """
    import sys
    from concurrent.futures import ThreadPoolExecutor
    from tests.contract.test_openvino import microbatch, opened

    sys.setswitchinterval(1e-7)  # with which two threads that may wait for each other do
    engine, batch = opened("openvino", sys.argv[1], threads=8), microbatch(sys.argv[1])
    with ThreadPoolExecutor(8) as pool:
        print(len(list(pool.map(engine.forward, [batch] * 64))))
"""


def test_first_calls_of_all_streams_at_once_do_not_wait_for_each_other(tmp_path):
    path = tiny_classifier(tmp_path / "model")
    done = in_a_fresh_process(FIRST_CALLS, path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "64\n"


def test_after_a_failure_of_one_stream_all_are_made_anew(tmp_path):
    path = tiny_classifier(tmp_path)
    engine, batch = opened("openvino", path, threads=2), microbatch(path)
    wanted = engine.forward(batch)["logits"]
    refused = Microbatch(
        sequences=batch.sequences,
        lengths=batch.lengths,
        inputs={**batch.inputs, "attention_mask": batch.inputs["attention_mask"][:, :-1]},
    )
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(engine.forward, one) for one in [batch, refused, batch, refused] * 3]
    assert {type(call.exception()) for call in calls[1::2]} == {EngineError}
    for call in calls[::2]:
        assert np.array_equal(call.result()["logits"], wanted)
