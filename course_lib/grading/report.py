"""What was found, for people (a table) and for programs (JUnit's XML)."""

import re
from xml.etree import ElementTree

from course_lib.sandbox.words import printable

from .validation import Report, State

_TITLE = 34  # characters
_REASON = 240  # characters


def as_text(report: Report) -> str:
    """One file: a line for each exercise, then what else was seen. Nothing in it can steer a terminal."""
    if report.problem:
        return printable(report.problem)
    lines = [f"{report.path}", *report.remarks]
    width = max((len(_title(state)) for state in report.states), default=0)
    lines += [f"  {_title(state):{width}}  {state.word:7}  {_short(state.reason)}".rstrip() for state in report.states]
    lines.append(
        f"  cells as shipped: {report.compared}, of which {len(report.faults) or 'none'} "
        f"{'differs' if len(report.faults) == 1 else 'differ'} from the course's"
    )
    lines += [f"    {_short(fault)}" for fault in report.faults]
    lines += [f"  of your own: {_short(fault)}" for fault in report.own_faults]
    return "\n".join(map(printable, lines))


def as_sum(reports: list[Report]) -> str:
    """The last line: how many of all exercises passed, and how many files could not be used."""
    words = [state.word for report in reports for state in report.states]
    parts = [
        f"{words.count('passed')} of {len(words)} exercises passed",
        *(f"{count} {word}" for word in ("open", "not yet") if (count := words.count(word))),
    ]
    if faults := sum(len(report.faults) for report in reports):
        parts.append(f"{faults} {'cell differs' if faults == 1 else 'cells differ'}")
    if problems := sum(bool(report.problem) for report in reports):
        parts.append(f"{problems} {'file' if problems == 1 else 'files'} not validated")
    return ", ".join(parts) + "."


def as_junit(reports: list[Report]) -> str:
    """JUnit's XML: a suite for each file, in it a case for each exercise and one for the cells that are as shipped.

    An exercise that is open is a failure of type "open"; a file that could not be validated is one case with an error.
    """
    root = ElementTree.Element("testsuites", name="one-process-many-sockets")
    for report in reports:
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(str(report.path)))
        if report.problem:
            case = ElementTree.SubElement(suite, "testcase", classname=_xml(report.path.stem), name="notebook")
            ElementTree.SubElement(case, "error", type="notebook", message=_xml(report.problem))
        else:
            stem = report.notebook.removesuffix(".ipynb")
            for state in report.states:
                case = ElementTree.SubElement(suite, "testcase", classname=stem, name=_title(state, 200))
                if state.word != "passed":
                    message = _xml(state.reason or "it is not written yet")
                    ElementTree.SubElement(case, "failure", type=state.word, message=message)
            case = ElementTree.SubElement(suite, "testcase", classname=stem, name="cells as shipped")
            if report.faults:
                failure = ElementTree.SubElement(case, "failure", type="cells", message=f"{len(report.faults)} differ")
                failure.text = "\n".join(map(_xml, report.faults))
        for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            suite.set(attribute, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _title(state: State, length: int = _TITLE) -> str:
    return _short(f"{state.exercise.id} {state.exercise.name}", length)


def _short(text: str, length: int = _REASON) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _xml(text: str) -> str:
    """Characters that XML 1.0 (section 2.2) does not allow are written as escapes, and so are the other unprintable ones."""
    return printable(re.sub(r"\s", " ", text))
