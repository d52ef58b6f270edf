"""Exercises of notebook 03: calls that do not wait, and a server made of them."""

from .exercise import Exercise

EXERCISES: tuple[Exercise, ...] = ()
