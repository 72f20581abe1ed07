"""What the classifier learns from, and what it is tested on."""

from collections import Counter

from labelmill.demo import chapters, library
from labelmill.demo.docstrings import Docstring
from labelmill.demo.library import Lesson


def test_lessons_cover_every_chapter_with_distinct_texts():
    found = library.lessons()
    sizes = Counter(lesson.chapter for lesson in found)
    assert set(sizes) == set(chapters.names())
    assert min(sizes.values()) > 50
    assert len({lesson.docstring.text for lesson in found}) == len(found)
    assert {"math", "email.message"} <= {lesson.docstring.module for lesson in found}


def test_hold_out_keeps_modules_whole_and_takes_some_of_every_chapter():
    found = [_lesson(chapter, n % 9, n) for chapter in chapters.names() for n in range(90)]
    learned, held = library.hold_out(found, 0.2)
    assert len(learned) + len(held) == len(found)
    assert {_module(lesson) for lesson in learned}.isdisjoint(_module(lesson) for lesson in held)
    shares = Counter(lesson.chapter for lesson in held)
    assert set(shares.values()) == {20}
    assert set(shares) == set(chapters.names())


def test_hold_out_does_not_depend_on_the_order_of_lessons():
    found = [_lesson("Data Types", n % 7, n) for n in range(50)]
    _, held = library.hold_out(found, 0.2)
    _, again = library.hold_out(found[::-1], 0.2)
    assert {_module(lesson) for lesson in held} == {_module(lesson) for lesson in again}


def _lesson(chapter: str, module: int, line: int) -> Lesson:
    name = f"{chapter.lower().replace(' ', '_')}.m{module}"
    docstring = Docstring(module=name, qualname="f", file="f.py", line=line, text=f"text {line}")
    return Lesson(docstring=docstring, chapter=chapter)


def _module(lesson: Lesson) -> str:
    return lesson.docstring.module
