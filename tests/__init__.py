"""The tests of labelmill."""
