"""Exercises of notebook 04: one wait for all, a server on it, and where it ends."""

from .exercise import Exercise

EXERCISES: tuple[Exercise, ...] = ()
