"""Metrics of texts, numbers and entities: worked by hand, and against the libraries."""

import jiwer
import numpy as np
import pyarrow as pa
import pytest
import sacrebleu
import scipy.stats
from rouge_score import rouge_scorer
from seqeval.metrics import f1_score
from sklearn import metrics

from labelmill.errors import ConfigError, InputError
from labelmill.evaluation import answering, overlaps, tagging, transcripts
from labelmill.evaluation.masks import MaskScorer
from labelmill.evaluation.regression import RegressionScorer
from labelmill.evaluation.scored import Scored, Scorer
from labelmill.evaluation.statistics import Measure, TextScorer

TEXTS = [
    "the cat sat on the mat and looked at the moon",
    "there is nothing new under the sun today",
    "two dogs run over a wet green field",
    "",
]
GOLDS = [
    "the cat sat on a mat and looked up at the moon",
    "there is nothing new under the sun",
    "a man plays guitar on the street",
    "a silent one",
]


def of(scorer: Scorer, column: pa.Array, gold: pa.Array) -> Scored:
    scorer.add(pa.table({scorer.columns[0]: column}), gold)
    return scorer.scored()


def counted(scored: Scored) -> dict[str, float]:
    return scored.counted(np.bincount(scored.patterns, minlength=scored.kinds))


def measured(measure: Measure, texts: list, golds: list, **how) -> dict[str, float]:
    return counted(of(TextScorer("t", [measure], **how), pa.array(texts), pa.array(golds)))


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_sacrebleu_from_rows_is_that_of_the_corpus(name):
    metric = sacrebleu.metrics.BLEU() if name == "bleu" else sacrebleu.metrics.CHRF()
    found = measured(overlaps.SacreBleu(name), TEXTS, GOLDS)
    assert found[name] == pytest.approx(metric.corpus_score(TEXTS, [GOLDS]).score, abs=1e-9)
    scored = of(TextScorer("t", [overlaps.SacreBleu(name)]), pa.array(TEXTS), pa.array(GOLDS))
    assert scored.told().signatures[name] == str(metric.get_signature())


def test_bleu_of_several_golds_is_that_of_the_corpus():
    other = [gold.replace("a ", "the ") for gold in GOLDS]
    pairs = [list(pair) for pair in zip(GOLDS, other, strict=True)]
    expected = sacrebleu.metrics.BLEU().corpus_score(TEXTS, [GOLDS, other]).score
    assert measured(overlaps.SacreBleu("bleu"), TEXTS, pairs)["bleu"] == pytest.approx(expected)


def test_unknown_tokenizer_is_refused():
    with pytest.raises(ConfigError, match="13a"):
        overlaps.SacreBleu("bleu", "morse")


def test_rouge_is_the_mean_of_rouge_score():
    found = measured(overlaps.Rouge(), TEXTS, GOLDS)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    each = [scorer.score(gold, text) for gold, text in zip(GOLDS, TEXTS, strict=True)]
    for name in ("rouge1", "rougeL"):
        assert found[name] == pytest.approx(np.mean([row[name].fmeasure for row in each]))


def test_rouge_tells_of_golds_that_it_cannot_see():
    scorer = TextScorer("t", [overlaps.Rouge()])
    scored = of(scorer, pa.array(["x", "y"]), pa.array(["\u732b\u304c\u3044\u308b", "y"]))
    assert any("1 gold texts have no letter" in note for note in scored.told().notes)


def test_exact_match():
    assert measured(overlaps.ExactMatch(), ["a b ", "c"], ["a b", "d"])["exact_match"] == 0.5


def test_error_rates_are_those_of_jiwer():
    found = measured(transcripts.ErrorRates(), TEXTS, GOLDS)
    assert found["wer"] == pytest.approx(jiwer.wer(GOLDS, TEXTS))
    assert found["cer"] == pytest.approx(jiwer.cer(GOLDS, TEXTS))


def test_normalized_error_rates_see_no_case_and_no_punctuation():
    found = measured(transcripts.ErrorRates(), ["IT'S A DOG"], ["It's a dog."])
    assert found["wer"] == 1.0
    assert found["wer_normalized"] == found["cer_normalized"] == 0.0
    assert transcripts.normalized("'It\u2019s -- O.K.!'") == "it\u2019s o k"


def test_empty_gold_transcript_is_told_and_its_words_are_errors():
    scorer = TextScorer("t", [transcripts.ErrorRates()])
    scored = of(scorer, pa.array(["a b", "c"]), pa.array(["", "c"]))
    assert counted(scored)["wer"] == 2.0
    assert any("1 gold texts are empty" in note for note in scored.told().notes)


@pytest.mark.parametrize(
    ("text", "golds", "exact", "f1"),
    [
        ("The Cat!", ["cat"], 1, 1.0),
        ("a black cat", ["the cat sat"], 0, 0.5),
        ("cat", ["dog", "cat"], 1, 1.0),
        ("", [], 1, 1.0),
        ("cat", [], 0, 0.0),
        ("", ["cat"], 0, 0.0),
        ("the", [], 1, 1.0),
    ],
)
def test_squad_rules(text, golds, exact, f1):
    found = answering.Squad().statistics(text, golds)
    assert found[:2] == (exact, pytest.approx(f1))


def test_answers_with_and_without_gold_are_told_apart():
    gold = pa.array([{"text": ["cat"]}, {"text": []}], pa.struct([("text", pa.list_(pa.string()))]))
    scorer = TextScorer("answer", [answering.Squad()], may_be_empty=True)
    found = counted(of(scorer, pa.array(["cat", "dog"]), gold))
    assert found == {
        "exact_match": 0.5,
        "f1": 0.5,
        "exact_match_answerable": 1.0,
        "f1_answerable": 1.0,
        "accuracy_unanswerable": 0.0,
    }


def test_text_gold_of_another_type_is_refused():
    with pytest.raises(ConfigError, match="expected a text"):
        measured(overlaps.ExactMatch(), ["a"], [1])


def test_regression_is_that_of_scipy_and_scikit_learn():
    drawn = np.random.default_rng(0)
    gold = np.round(drawn.normal(size=60), 1)
    given = (gold + drawn.normal(size=60)).astype(np.float32)
    scored = of(RegressionScorer("score"), pa.array(given), pa.array(gold))
    found = counted(scored) | scored.ranked(np.arange(60))
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(gold, given).statistic)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(gold, given).statistic)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(gold, given))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(gold, given))
    assert found["r2"] == pytest.approx(metrics.r2_score(gold, given))


@pytest.mark.parametrize("size", [1e-90, 1e160])
def test_regression_of_extreme_numbers_ends_in_numbers(size):
    gold, given = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 4.0])
    found = counted(of(RegressionScorer("score"), pa.array(given * size), pa.array(gold * size)))
    assert found["mae"] == pytest.approx(size / 3)
    if size < 1:  # their squares fit
        assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(gold, given).statistic)


def test_regression_of_constants_is_undefined_and_of_text_is_read():
    scored = of(RegressionScorer("score"), pa.array([0.1, 0.2, 0.3]), pa.array(["1", "1", "1"]))
    found = counted(scored) | scored.ranked(np.arange(3))
    assert np.isnan([found["pearson"], found["spearman"], found["r2"]]).all()
    assert found["mae"] == pytest.approx(0.8)
    with pytest.raises(ConfigError, match="expected a number"):
        of(RegressionScorer("score"), pa.array([0.1]), pa.array(["one"]))


def entity(label: str, start: int, end: int) -> dict[str, object]:
    return {"label": label, "start": start, "end": end}


def test_entities_worked_by_hand():
    given = [[entity("PER", 0, 4), entity("LOC", 8, 12)], []]
    gold = [[entity("PER", 0, 4), entity("LOC", 8, 13), entity("O", 5, 7)], [entity("ORG", 0, 3)]]
    scored = of(tagging.TaggingScorer(None), pa.array(given), pa.array(gold))
    found = counted(scored)
    # One of two given is right, one of three gold is found.
    assert found["entity_precision"] == pytest.approx(1 / 2)
    assert found["entity_recall"] == pytest.approx(1 / 3)
    assert found["entity_f1"] == pytest.approx(2 / 5)
    assert found["entity_f1_macro"] == pytest.approx(1 / 3)
    assert "'ORG'" in scored.told().notes[0]


def test_tags_as_gold_agree_with_seqeval():
    words = [["Ann", "Lee", "saw", "Rome", "."], ["Bob", "slept"], ["no", "one"]]
    gold = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER", "O"], ["O", "O"]]
    given = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["O", "B-PER"], ["B-PER", "O"]]
    spans = [
        [entity("PER", 0, 7), entity("LOC", 12, 16)],
        [entity("PER", 4, 9)],
        [entity("PER", 0, 2)],
    ]
    scorer = tagging.TaggingScorer("words")
    scorer.add(pa.table({"entities": pa.array(spans), "words": words}), pa.array(gold))
    assert counted(scorer.scored())["entity_f1"] == pytest.approx(f1_score(gold, given))


def test_entity_that_leaves_out_the_punctuation_of_a_word_is_the_word():
    scorer = tagging.TaggingScorer("words")
    table = pa.table({"entities": [[entity("PER", 0, 3)]], "words": [["Ann,", "hi"]]})
    scorer.add(table, pa.array([["B-PER", "O"]]))
    assert counted(scorer.scored())["entity_f1"] == 1.0


@pytest.mark.parametrize(
    ("words", "tags", "start", "end", "right"),
    [
        (["New", "York", ""], ["B-P", "I-P", "I-P"], 0, 8, 1.0),
        (["", "New", "York"], ["B-P", "I-P", "I-P"], 1, 9, 1.0),
        (["New", " ", "York"], ["B-P", "I-P", "I-P"], 0, 10, 1.0),
        (["#Ann", "hi"], ["B-P", "O"], 1, 4, 1.0),
        (["Annie", "hi"], ["B-P", "O"], 0, 3, 1.0),  # of a word the first piece tells
        (["Annie", "hi"], ["B-P", "O"], 3, 5, 0.0),
    ],
)
def test_entity_is_the_words_whose_first_letter_it_covers(words, tags, start, end, right):
    scorer = tagging.TaggingScorer("words")
    table = pa.table({"entities": [[entity("P", start, end)]], "words": [words]})
    scorer.add(table, pa.array([tags]))
    found = counted(scorer.scored())
    assert found["entity_precision"] == right
    assert found["entity_recall"] == right


def test_tags_without_words_or_of_another_length_are_refused():
    table = pa.table({"entities": [[entity("PER", 0, 3)]]})
    with pytest.raises(ConfigError, match=r"needs the words"):
        tagging.TaggingScorer(None).add(table, pa.array([["B-PER"]]))
    table = table.append_column("words", pa.array([["Ann", "hi"]]))
    with pytest.raises(InputError, match="1 tags for 2 words"):
        tagging.TaggingScorer("words").add(table, pa.array([["B-PER"]]))
    with pytest.raises(ConfigError, match=r"expected list<struct"):
        tagging.TaggingScorer(None).add(table, pa.array(["PER"]))


def test_masks_count_one_by_one():
    fills = [
        [[{"token": "cat"}, {"token": "dog"}], [{"token": " sat"}, {"token": "ran"}]],
        [[{"token": "sun"}, {"token": "moon"}]],
    ]
    found = counted(of(MaskScorer(), pa.array(fills), pa.array([["cat", "ran"], ["Mars"]])))
    assert found == {"accuracy": pytest.approx(1 / 3), "accuracy_listed": pytest.approx(2 / 3)}


def test_null_among_gold_tokens_leaves_its_mask_out():
    listed = [
        [{"token": token, "score": 0.5} for token in tokens] for tokens in (["a"], ["q"], ["c"])
    ]
    kind = pa.list_(pa.list_(pa.struct([("token", pa.string()), ("score", pa.float64())])))
    scored = of(MaskScorer(), pa.array([listed], kind), pa.array([["a", None, "c"]]))
    assert counted(scored) == {"accuracy": 1.0, "accuracy_listed": 1.0}


def test_best_of_several_transcripts_is_chosen_for_either_rate():
    rates = measured(transcripts.ErrorRates(), ["hello world"], [["Hello, World.", "hello there"]])
    assert rates["wer"] == 0.5
    assert rates["wer_normalized"] == 0.0


def test_an_outlier_in_the_first_row_costs_no_digits():
    random = np.random.default_rng(0)
    gold = np.concatenate([[1e9], random.normal(size=500)])
    given = np.concatenate([[0.0], random.normal(size=500)])
    rest = np.ones(501, np.int64)
    rest[0] = 0  # as a slice has it
    values = of(RegressionScorer("score"), pa.array(given), pa.array(gold)).counted(rest)
    assert values["pearson"] == pytest.approx(
        scipy.stats.pearsonr(gold[1:], given[1:])[0], rel=1e-6
    )
    assert values["r2"] == pytest.approx(metrics.r2_score(gold[1:], given[1:]), rel=1e-6)


@pytest.mark.parametrize(
    "gold",
    [
        pa.array([[None, {"label": "X", "start": 0, "end": 3}]]),
        pa.array([["B-X", None]]),
    ],
    ids=["entity", "tag"],
)
def test_null_among_gold_entities_or_tags_is_refused(gold):
    labelled = pa.table(
        {"entities": pa.array([[entity("X", 0, 3)]]), "words": pa.array([["abc", "d"]])}
    )
    with pytest.raises(InputError, match="mend the gold column"):
        tagging.TaggingScorer("words").add(labelled, gold)
