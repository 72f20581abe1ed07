"""Docstrings of the installed packages."""

from labelmill.demo import packages


def test_rows_are_as_many_as_wanted_distinct_and_of_several_packages():
    found = packages.rows(300)
    assert len(found) == 300
    assert len({item.text for item in found}) == 300
    assert len({item.id for item in found}) == 300
    assert len({item.module.partition(".")[0] for item in found}) > 10


def test_rows_are_the_same_every_time():
    assert packages.rows(60) == packages.rows(60)


def test_folders_leave_labelmill_out():
    names = {folder.name for folder in packages.folders()}
    assert "numpy" in names
    assert "labelmill" not in names
