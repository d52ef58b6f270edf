"""Typical wrong solutions of 4.x, each with words of the message that names its cause."""

IMPORTS = ""

CASES = {}
