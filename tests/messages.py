"""All that checks can say, from one place: `python tests/messages.py` prints each message with its module and line; {…} is filled in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1] / "course_lib"
# what is called with words for a learner
SAY = "Wrong", "NotChecked", "good", "note", "lets_go", "step", "when", "raises", "never_waits", "wrong"
ANSWER = "is_", "is_a", "is_list_of", "raises", "read"  # whose words, but the first, end the message that `when` begins


class Message(NamedTuple):
    """Words as they stand in the code: `kind` is what says them, "cause" for those of a table, "answer" for the end of a message."""

    place: str
    kind: str
    words: str


def messages() -> Iterator[Message]:
    """Those of `checks` and `sandbox`, in the order of the code."""
    for path in sorted([*PACKAGE.glob("checks/*.py"), *PACKAGE.glob("sandbox/*.py")]):
        said = [each for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for each in _said(node)]
        for kind, node in sorted(said, key=lambda each: (each[1].lineno, each[1].col_offset)):
            if words := _words(node):
                yield Message(f"{path.parent.name}/{path.name}:{node.lineno}", kind, words)


def _said(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call) and node.args:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in SAY:
            yield from ((name, said) for said in node.args[:2])
        if name in ANSWER:
            for said in [*node.args[1:], *(keyword.value for keyword in node.keywords)]:
                yield from (("answer", one) for one in (said.values if isinstance(said, ast.Dict) else [said]))
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Instead" and isinstance(node.value, ast.Dict):
        yield from (("answer", said) for said in node.value.values)
    if isinstance(node, ast.Dict):
        for key, said in zip(node.keys, node.values):
            if isinstance(key, ast.Constant) and re.search(r"Error|Iteration|^E[A-Z]+|^: ", str(key.value)):
                yield "cause", said
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "causes" and isinstance(node.value, ast.Dict):
        yield from (("Wrong", said) for said in node.value.keys if said)


def _words(said: ast.expr) -> str:
    match said:
        case ast.Constant(value=str(words)):
            return words
        case ast.JoinedStr():
            return "".join(part.value if isinstance(part, ast.Constant) else "{…}" for part in said.values)
        case ast.IfExp():
            return " | ".join(filter(None, map(_words, (said.body, said.orelse))))
    return ""


if __name__ == "__main__":
    for message in messages():
        print(*message, sep=": ")
