"""Nothing is open to others, no shell is run, no stranger's bytes are trusted, text stays text, and a check writes nowhere."""

import ast
import json
import os
import re
import socket
import threading
import uuid
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cards import parts
from held import listening, marked
from ipywidgets import HTML

from course_lib import journal, ports
from course_lib.exercises import all_exercises, check
from course_lib.kernel import wait_until
from course_lib.lesson import believe, compare, guess, parsons, recall, rewrite, summary, verdict
from course_lib.lesson.parsons import puzzles
from course_lib.lesson.recall import questions
from course_lib.measure import ladder, plot_ladder
from course_lib.measure.ladder import Rung
from course_lib.measure.ladder_live import chart, table
from course_lib.servers import MODELS, BlockingServer, SelectServer
from course_lib.widgets import observe, process_table, timeline

pytestmark = pytest.mark.usefixtures("servers_stop")

PACKAGE = Path(__file__).parents[1] / "course_lib"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TREES = {source.relative_to(PACKAGE).as_posix(): ast.parse(source.read_text(encoding="utf-8")) for source in SOURCES}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"'\x1b[31m\x07\x00\u202e"
SAFE_TAGS = set(
    "b blockquote br circle code col colgroup details div g h3 h4 img li line ol p path polyline pre rect "
    "span style summary svg table tbody td text th thead title tr tspan ul".split()
)


# Nobody else can reach it


def open_to_others(*pids: int) -> list[str]:
    """Addresses beyond loopback at which one of these processes takes what others send."""
    own = {inode for pid in pids for inode in ports.inodes(pid)}
    return [address for address, beyond in listening(own) if beyond]


def test_an_open_listener_would_be_found():
    with socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.2", 0))
        assert open_to_others(os.getpid()) == []
    with socket.create_server(("0.0.0.0", 0)) as listener:
        assert open_to_others(os.getpid()) == [f"tcp 0.0.0.0:{listener.getsockname()[1]}"]


def test_servers_panels_checks_and_measurements_listen_on_loopback_only(monkeypatch):
    mark = uuid.uuid4().hex
    monkeypatch.setenv("COURSE_TEST", mark)
    looks, seen, over = [], [], threading.Event()

    def look():
        while not over.is_set():
            processes = marked(mark) | {os.getpid()}
            looks.append(len(processes))
            seen.extend(open_to_others(*processes))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for model in MODELS.values():
            panel = observe(model().start())
            panel._click("connect", {})
        for exercise in all_exercises():
            if exercise.id in ("2.4", "7.4"):  # one takes our listener, one makes its own
                check(exercise.id, *exercise.solutions)
        ladder([SelectServer], idle=[0], active=2, rounds=1, seconds=60)
    finally:
        over.set()
        watcher.join()
    assert seen == []
    assert max(looks) > 1, "the watcher has seen no process of a check"


# No shell, and no bytes of strangers are run


def calls() -> list[tuple[str, ast.Call, str]]:
    """(file, call, what is called) of every call in the package."""
    nodes = [(name, node) for name, tree in TREES.items() for node in ast.walk(tree)]
    return [(name, node, ast.unparse(node.func)) for name, node in nodes if isinstance(node, ast.Call)]


SHELLS = r"os\.(system|popen|spawn\w*)|subprocess\.(getoutput|getstatusoutput)|asyncio\.create_subprocess_shell|pty\.spawn"


def test_no_shell_is_started():
    shells = [
        f"{name}:{node.lineno} {function}"
        for name, node, function in calls()
        if re.fullmatch(SHELLS, function)
        or any(keyword.arg == "shell" and ast.unparse(keyword.value) != "False" for keyword in node.keywords)
    ]
    assert shells == []


def test_a_command_is_a_list_of_words():
    strings = [
        f"{name}:{node.lineno}"
        for name, node, function in calls()
        if re.fullmatch(r"subprocess\.(run|Popen|call|check_call|check_output)", function)
        and node.args
        and isinstance(node.args[0], (ast.Constant, ast.JoinedStr, ast.BinOp))
    ]
    assert strings == []


MAY_UNPICKLE = {
    "sandbox/child.py": "its standard input is a file in memory that the check has written",
    "solutions/cpu_io.py": "reference of 8.3: the pipe of a child that it has forked itself",
    "measure/server_process.py": "its standard input is a file in memory that the measurement has written",
    "measure/parent_process.py": "its standard input is a file in memory that the measurement has written",
}


def test_only_what_a_process_of_ours_wrote_is_unpickled():
    found = {name for name, _, function in calls() if re.search(r"pickle\.(loads?|Unpickler)$", function)}
    assert found <= MAY_UNPICKLE.keys()
    # Only by its full name can such a call be found above.
    imported = [(name, node) for name, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name, node in imported if node.module in ("pickle", "cloudpickle", "marshal", "shelve")] == []
    assert [name for name, _, function in calls() if re.fullmatch(r"marshal\.loads?|shelve\.open", function)] == []


def test_every_address_that_the_package_binds_is_loopback():
    hosts = [
        (f"{name}:{node.lineno}", ast.unparse(node.args[0].elts[0]))
        for name, node, function in calls()
        if re.search(r"\b(bind|create_server)$", function) and node.args and isinstance(node.args[0], ast.Tuple)
    ]
    assert len(hosts) > 5
    assert [found for found in hosts if found[1] not in ("HOST", "host") and not re.match(r"f?'127\.", found[1])] == []


@pytest.mark.parametrize("script", sorted(PACKAGE.rglob("*.js")), ids=lambda path: path.name)
def test_pages_set_text_and_never_markup(script):
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", script.read_text()) == []


# Text stays text


class Reader(HTMLParser):
    """`wrong`: what in some HTML is markup of somebody else's."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.wrong += [f"<{tag}>"] if tag not in SAFE_TAGS else []
        places = [value or "" for name, value in attributes if name in ("src", "href")]
        self.wrong += [place for place in places if re.match(r"\s*(?!data:image/|#)\w*:|x$", place)]
        self.wrong += [name for name, _ in attributes if name.startswith("on")]


def shown(thing) -> str:
    """What a page gets as HTML; asserts that nothing in it is markup of somebody else's."""
    bundle = thing._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    assert Reader(bundle["text/html"]).wrong == []
    return bundle["text/html"]


def test_the_reader_finds_markup():
    for evil in (EVIL, "<a href='javascript:alert(1)'>x</a>", "<p onclick=alert(1)>", "<iframe>", "<img src=x>"):
        assert Reader(f"<p>{evil}</p>").wrong != []


def test_network_text_in_a_panel():
    with BlockingServer() as server, socket.create_connection(server.address) as client:
        panel = observe(server, **{EVIL: client})
        client.sendall(EVIL.encode())
        assert client.recv(1000) == EVIL.encode()
        assert "&lt;script&gt;" in shown(panel)
        server.record()
        panel._click("connect", {})
        client.close()
        [name] = panel.clients.by_name
        panel._click("send", {"client": name, "text": EVIL})
        assert wait_until(lambda: panel.clients.look() or panel.clients.by_name[name].received, 10)
        shown(panel)
        told = json.dumps(panel.state()["clients"]) + "".join(panel.state()["server"]["calls"])
        assert "script" in told and "\x1b" not in told and "\x07" not in told
        shown(timeline(server))


def test_an_exception_of_a_server_in_its_panel():
    def answer(request):
        raise ValueError(EVIL)

    with BlockingServer(answer=answer) as server, socket.create_connection(server.address) as client:
        client.sendall(b"x")
        assert wait_until(lambda: server.error is not None and not server.running, 10)
        html = shown(observe(server))
    assert "&lt;script&gt;" in html


def test_names_of_sockets_in_a_panel_of_sockets():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        with listener.accept()[0] as connection:
            html = shown(observe([listener, connection], **{EVIL: client}))
    assert "&lt;script&gt;" in html


def test_guesses_outcomes_and_reasons():
    asked = guess("evil", EVIL, EVIL, "no")
    assert "&lt;script&gt;" in shown(asked)
    journal.record("guesses", "evil", {"answer": EVIL, "sure": 90, "reason": EVIL, "question": EVIL, "options": [EVIL, "no"]})
    assert shown(compare("evil", "no")).count("&lt;script&gt;") >= 2
    assert "&lt;script&gt;" in shown(summary("02"))


@pytest.mark.parametrize("name", ["belief", "sure", "sure_after", "rewritten"])
def test_a_sentence_and_what_the_journal_says_of_it(name):
    entry = {"belief": "true", "sure": 80, "rewritten": "so", "sure_after": 90}
    journal.record("sentences", "C02", entry | {name: EVIL})
    card = rewrite("C02")
    shown(card)
    for part in parts(card, HTML):
        assert Reader(part.value).wrong == []
    for card in (believe("C02"), verdict("C02")):
        shown(card)


def test_cards_of_the_course_itself():
    for card in [*(recall(number) for number in questions()), *(parsons(key) for key in puzzles())]:
        shown(card)


def test_names_and_reasons_of_measured_servers():
    rows = [Rung(EVIL, idle, 1, 2.0, 1.0, 3.0, 4.0, 5) for idle in (0, 10)]
    rows += [Rung("b", idle, 1, why_not=EVIL) for idle in (0, 10)]
    shown(plot_ladder(rows))
    for html in (chart(rows), table(rows)):
        assert Reader(html).wrong == []
    assert "&lt;script&gt;" in table(rows)


def test_the_table_of_the_process(tmp_path):
    path = tmp_path / EVIL.replace("/", "").replace("\0", "")
    with path.open("w"):
        with closing(process_table()) as table:
            shown(table)


def test_what_an_exercise_raises_and_prints_has_no_control_characters(capsys):
    def serve_one(listener):
        print(EVIL)
        raise ValueError(EVIL)

    assert not check("2.3", serve_one).passed
    said = capsys.readouterr().out
    assert "script" in said
    assert [character for character in said if not character.isprintable() and character != "\n"] == []


# Checks write nowhere


def test_a_check_runs_in_a_folder_of_its_own_which_vanishes(tmp_path, monkeypatch, capfd, learner_folder):
    here = tmp_path / "notebooks"
    here.mkdir()
    monkeypatch.chdir(here)

    def serve_one(listener):
        import os

        with open("left.txt", "w") as file:
            file.write("x")
        os.mkdir("folder")
        print("in", os.getcwd())
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data.upper())

    check("2.3", serve_one)
    said = capfd.readouterr().out
    folders = re.findall(r"\| in (\S+)", said)
    assert folders, said
    assert all("check-" in folder and not Path(folder).exists() for folder in folders)
    assert list(here.iterdir()) == []
    assert not list(learner_folder.glob("left*"))


def test_a_check_finds_the_learners_library_from_its_own_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("COURSE_HOME")
    here = tmp_path / "notebooks"
    (here / "mine").mkdir(parents=True)
    (here / "00_start_here.ipynb").write_text("{}")
    (here / "mine/lines.py").write_text("class Lines:\n    own = 'my own'\n")
    monkeypatch.chdir(here)

    def serve_one(listener):
        from course_lib.mine import Lines

        print(getattr(Lines, "own", "the reference"))

    check("2.3", serve_one)
    assert "my own" in capfd.readouterr().out
