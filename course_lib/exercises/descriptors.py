"""Exercises of notebook 01: descriptors, what a number names, who left one open."""

from .exercise import Exercise

EXERCISES: tuple[Exercise, ...] = ()
