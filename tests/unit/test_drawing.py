"""Drawing: what stands in a picture, whatever its labels are."""

import warnings
from xml.etree import ElementTree as ET

from labelmill.reports import drawing

NAMES = ("$cheap", "\x01\uffff", "\u65e5\u672c", "<b>&", "long " * 400)


def test_any_label_makes_valid_xml_and_no_word_on_the_terminal():
    counts = [[float(row == column) for column in range(5)] for row in range(5)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = drawing.confusion(NAMES, counts, down="gold", across="label")
    told = {"".join(each.itertext()) for each in ET.fromstring(text).iter()}
    assert {"$cheap", "\ufffd\ufffd", "\u65e5\u672c", "<b>&", "gold", "label"} <= told
    assert "long " * 8 + "..." in told


def test_same_numbers_give_the_same_bytes():
    one, other = (
        drawing.confusion(("a", "b"), [[1.0, 2.0], [0.0, 3.0]], down="gold", across="label")
        for _ in range(2)
    )
    assert one == other
