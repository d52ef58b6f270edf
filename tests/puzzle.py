"""What the tests of single puzzles share: a puzzle's programs as Python, and the server's statements beside them."""

import ast
import inspect
import textwrap
from collections.abc import Callable

from course_lib.lesson.parsons import first_bug, puzzles


class Puzzle:
    """One puzzle by its key; `right` are the blocks of its solution."""

    def __init__(self, key: str) -> None:
        self.its = puzzles()[key]
        self.right: list[str] = self.its["solution"]

    def lines(self, blocks: list[str] | None = None) -> str:
        """These blocks as a program; without any, the solution."""
        return "\n".join(self.its["blocks"][block]["code"] for block in (self.right if blocks is None else blocks))

    def swapped(self, bug: str) -> list[str]:
        """The solution with this bug in the place of its twin."""
        twin = next(twin for twin, its in self.its["pairs"] if its == bug)
        return [bug if block == twin else block for block in self.right]

    def without(self, block: str) -> list[str]:
        return [one for one in self.right if one != block]

    def words(self, program: list[str]) -> str:
        return first_bug(self.its, program)


def statements(function: Callable, within: type[ast.stmt]) -> list[ast.stmt]:
    """The statements of the first loop (or other block) of this kind in a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return next(node for node in ast.walk(tree) if isinstance(node, within)).body


def code(body: list[ast.stmt]) -> str:
    """Statements as Python writes them: without comments."""
    return ast.unparse(ast.Module(body, []))
