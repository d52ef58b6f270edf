"""The comparison of the servers: what a report holds, what it says when something is missing, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bench import command, goals, idle, importing, observing, readme, running, side_by_side, switching, text
from bench.command import main
from bench.figures import plot_report, write
from bench.machine import Machine
from bench.report import Report
from held import interrupted_in, nothing_more
from outputs import new_notebook

from course_lib.kernel import wait_until
from course_lib.measure import compare_servers, plot_servers
from course_lib.measure.comparison import PEERS, Row, compiling, pair, peers, spread, turns
from course_lib.measure.comparison.compiling import Programs, compiled
from course_lib.measure.comparison.pair import Turn
from course_lib.measure.comparison.spread import Spread
from course_lib.proc import children

TESTS = Path(__file__).parent  # where `python -m bench` finds it
BESIDE = ["c", "epoll", "asyncio streams, 4 kB", "threads", "nonblocking", "blocking"]
BRIEF = {"rounds": 1, "seconds": 0.01}
GOALS = [
    "EpollServer: added cost over the loop in C, against",
    "CoroutineServer, generators: added cost, against",
    "The same loop with async def: added cost, against",
    "EpollServer against the loop in C",
    "CPU time a request with many idle clients, against none idle",
    "Memory for an idle connection",
    "Speed of an observed server, against the same unobserved",
    "The classic table",
    "A switch of asyncio tasks, against one of generators",
    "Readable in the kernel → visible in the page",
    "10,000 live connections: opened, served, closed",
    "Time to run",
    "Time to import, in CPU time",
]


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """Every measurement leaves the descriptors, threads, processes, limits and temporary files as they were."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(pair, "_START", 120.0)  # a busy machine starts a process late
    monkeypatch.setattr(pair, "_PATIENCE", 120.0)
    with nothing_more():
        yield
    assert list(folder.iterdir()) == []


@pytest.fixture
def programs():
    with compiled() as programs:
        yield programs


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)


@pytest.fixture
def no_uvloop(monkeypatch):
    find = peers.importlib.util.find_spec
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None if name == "uvloop" else find(name))


def empty() -> Report:
    """A report in which nothing was measured yet."""
    return Report(machine=Machine("one", 2, "6.1", "3.11.7", None), date="2026-01-02")


def invented(*costs: dict[str, float], load: float = 0.9, **cost: float) -> Report:
    """A report of servers that cost so many microseconds a request: in each round as given, or in three that are all the same."""
    rounds = costs or 3 * (cost,)
    points = []
    for name in rounds[0]:
        turns_of_it = [Turn(own[name], 1000.0, 10.0, 20.0, 0.5, load) for own in rounds]
        points.append(turns.Point(PEERS[name.replace("_", " ")], 50, rounds=turns_of_it, apart=turns_of_it))
    report = empty()
    report.servers.append(side_by_side.compared(points))
    return report


# Servers side by side


def test_each_server_has_a_row_with_all_values(programs):
    tables = []
    side_by_side.measure(tables, programs, BESIDE, 1, **BRIEF)
    assert [served.row.name for served in tables[0].servers] == BESIDE
    for served in tables[0].servers:
        row = served.row
        if row.name == "c" and programs.why_not:
            assert row.cpu is None and row.note == programs.why_not
            continue
        assert row.note == "" and served.rounds == 1
        speed = served.speed
        for value in (row.cpu, row.added, row.times, speed.requests_per_second, speed.p50, speed.p99):
            assert value.low <= value.value <= value.high
        assert row.cpu.value > 0 and speed.p50.value <= speed.p99.value


def test_each_of_the_others_serves():
    names = [name for name in PEERS if name not in BESIDE and not peers.missing(name, Programs())]
    rows = compare_servers(names, rounds=1, connections=2)
    assert [row.name for row in rows] == names
    assert [row.name for row in rows if row.cpu is None] == []


def test_a_server_that_cannot_take_so_many_says_why():
    assert [row.note for row in compare_servers(["blocking"], rounds=1)] == ["it serves one client at a time"]
    assert [row.note for row in compare_servers(["select"], rounds=1, connections=2000)] == [
        "select takes no descriptor from 1024 on (select(2))"
    ]


def test_without_a_compiler_the_cheapest_server_is_the_base(no_compiler):
    c, epoll = compare_servers(["c", "epoll"], rounds=1, connections=2)
    assert c == Row("c", PEERS["c"].what, note="no C compiler is installed (cc, gcc or clang)")
    assert (epoll.base, epoll.added.value) == ("epoll", 0.0)


def test_a_compiler_that_fails_is_named_with_its_message(tmp_path, monkeypatch):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho something else >&2\necho no headers >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with compiled() as programs:
        assert programs == Programs(why_not=f"{compiler} failed: no headers")


def test_without_uvloop_the_rest_is_measured(no_uvloop):
    gone, epoll = compare_servers(["uvloop protocol", "epoll"], rounds=1, connections=2)
    assert gone.note == "uvloop is not installed (pip install uvloop)" and gone.cpu is None
    assert epoll.cpu.value > 0


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"names": ["gevent"]}, "there is no server 'gevent'"),
        ({"rounds": 0}, "rounds is 1 or more, not 0"),
        ({"connections": "many"}, "connections is 1 or more, not 'many'"),
    ],
)
def test_a_wrong_argument_is_said_before_anything_runs(wrong, words):
    with pytest.raises(ValueError, match=words):
        compare_servers(**wrong)


def test_an_interrupt_keeps_the_rounds_until_then(programs, monkeypatch):
    points = []

    def point(*given):
        points.append(turns.Point(*given))
        return points[-1]

    monkeypatch.setattr(side_by_side, "Point", point)
    tables = []
    under_way = interrupted_in(side_by_side.measure, lambda: points and len(points[0].rounds) >= 2)
    with under_way, pytest.raises(KeyboardInterrupt):
        side_by_side.measure(tables, programs, ["epoll"], 2, rounds=100_000, seconds=0.01)
    [served] = tables[0].servers
    assert served.rounds >= 2 and served.row.cpu.value > 0


# What rounds have in common


def test_the_best_fifth_is_told_of_costs_and_the_median_of_all_else():
    values = [float(value) for value in range(1, 11)]
    assert spread.cost(values).value == 1.5
    assert spread.typical(values).value == 5.5
    assert spread.quotient([2.0, 6.0], [1.0, 2.0]) == spread.Spread(2.0, 2.0, 3.0)


def test_a_round_that_one_of_both_has_missed_is_not_compared():
    def turn(cpu):
        return Turn(cpu, 1.0, 1.0, 1.0, 1.0, 1.0)

    rounds, others = [None, turn(4.0), turn(1.0)], [turn(1.0), turn(2.0), None]
    assert spread.ratio(rounds, others).value == 2.0
    assert spread.added(rounds, others).value == 2.0
    assert spread.ratio(rounds, [None, None, None]) is None


@pytest.mark.parametrize(
    "server, load, connections, apart, said",
    [
        (0.97, 0.60, 50, True, "server"),
        (0.55, 0.99, 50, True, "clients"),
        (0.40, 0.45, 1, True, "round trip"),
        (0.10, 0.20, 50, True, "machine"),
        (0.97, 0.10, 50, False, "core"),
    ],
)
def test_what_kept_the_requests_a_second_from_being_more_is_named(server, load, connections, apart, said):
    assert side_by_side.limit(server, load, connections, apart) == said


def test_the_share_of_the_core_is_that_of_server_and_clients_together():
    shares = [invented(epoll=2.0, load=load).of_50.share for load in (0.1, 0.4)]
    assert shares == [pytest.approx(0.6), pytest.approx(0.9)]


def test_the_report_says_so_where_the_clients_were_the_bottleneck():
    found = invented(c=1.0, epoll=2.0)
    assert [served.speed.limit for served in found.of_50.servers] == ["clients", "clients"]
    assert "a: the clients had no more to give: the server could answer more a second" in text.text(found)


# Who is cheaper


def test_servers_are_ranked_where_each_round_says_the_same():
    found = invented(
        {"select": 3.3, "c": 2.0, "epoll": 3.0}, {"select": 6.5, "c": 2.1, "epoll": 6.1}, {"select": 3.4, "c": 2.9, "epoll": 3.1}
    )
    assert [(row.name, row.place) for row, _ in found.ranked()] == [("c", 1), ("epoll", 2), ("select", 3)]
    assert found.of_50.tied == [] and "to tell" not in text.text(found)


@pytest.mark.parametrize(
    "rounds",
    [
        [{"c": 1.0, "select": 2.9, "epoll": 3.0}],
        [{"c": 1.0, "select": 2.9, "epoll": 3.0}] * 2,
        [
            {"c": 1.0, "select": 2.9, "epoll": 3.0},
            {"c": 1.0, "select": 9.0, "epoll": 3.0},
            {"c": 1.0, "select": 4.0, "epoll": 3.1},
        ],
        [{"c": 1.0, "select": 3.0, "epoll": 3.0}] * 5,
        [{"c": 1.0, "select": 2.9, "epoll": 3.0}] * 3 + [{"c": 1.0, "select": 3.3, "epoll": 3.0}] * 3,
    ],
    ids=["one round", "two rounds", "they differ", "equal", "half and half"],
)
def test_neighbours_that_the_rounds_do_not_separate_share_a_place(rounds):
    quiet, busy = invented(*rounds), invented(*rounds, load=0.1)
    assert len({quiet.served(name).row.place for name in ("epoll", "select")}) == 1
    [tied] = quiet.of_50.tied
    assert {"epoll", "select"} <= set(tied)
    words = "all of them" if len(tied) == 3 else "; ".join(tied)
    assert f"too busy to tell which is cheaper: {words}" in text.text(busy)
    assert f"to tell which is cheaper: {words}" in text.text(quiet) and "too busy" not in text.text(quiet)


def test_of_many_rounds_three_quarters_decide():
    rounds = [{"c": 1.0, "select": 3.3, "epoll": 3.0}] * 12 + [{"c": 1.0, "select": 3.3, "epoll": 9.0}] * 3
    assert [row.name for row, _ in invented(*rounds).ranked()] == ["c", "epoll", "select"]
    assert invented(*rounds).of_50.tied == []


# Idle clients, the observer, and how long things take


def test_idle_clients_are_scaled_down_to_the_limit_of_descriptors():
    program = """
import json, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from bench import idle
from course_lib.measure.comparison.compiling import compiled
rows, notes = [], []
with compiled() as programs:
    idle.measure(rows, notes, programs, ["epoll"], (1000,), 1, 0.01)
[row] = rows
print(json.dumps([row.idle, row.why_not, row.times.value, notes]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=TESTS, capture_output=True, text=True, check=True)
    number, why_not, times, [note] = json.loads(done.stdout)
    assert 0 < number < 256 and why_not == "" and times > 0
    assert "limit of descriptors" in note and f"With {number} idle" in note


def test_the_memory_of_an_idle_connection_is_that_of_the_servers_process(programs):
    rows = []
    idle.measure(rows, [], programs, ["epoll", "threads"], (400,), **BRIEF)
    epoll, threads = rows
    assert 0 <= epoll.memory < threads.memory


def test_each_way_to_observe_has_a_row_and_only_an_open_panel_sends_messages(programs):
    rows = []
    observing.measure(rows, programs, rounds=1, seconds=0.5)
    assert [row.name for row in rows] == list(observing.VARIANTS)
    assert rows[0].speed.value == 1.0
    for row in rows:
        assert row.cpu.value > 0 and (row.messages_per_second > 0) == ("panel" in row.name)


def test_switches_and_imports_have_their_values():
    rows, found = [], switching.measure(rounds=1)
    importing.measure(rows, rounds=1)
    assert found.asyncio.value > found.generators.value > 0
    assert [(row.module, row.after) for row in rows] == list(importing.PARTS)
    assert all(row.milliseconds.value > 0 and len(row.slowest) == 3 for row in rows)


def test_a_notebook_is_run_and_its_slowest_cell_is_named(tmp_path, monkeypatch):
    cells = "1", "# the slow one\nimport time; time.sleep(.3)", "2"
    nbformat.write(new_notebook(*cells), tmp_path / "00_short.ipynb")
    monkeypatch.setattr(running, "paths", lambda: [tmp_path / "00_short.ipynb"])
    rows = []
    running.measure(rows)
    [row] = rows
    assert row.name == "00_short" and row.why_not == "" and row.seconds > 0.3
    seconds, begins = row.slowest[0]
    assert begins == "# the slow one" and seconds >= 0.3


def test_without_chromium_or_nbclient_the_report_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(running.importlib.util, "find_spec", lambda name: None)
    left_out = command._left_out(quick=False, with_tests=True)
    assert "Playwright" in left_out["visible"] or "Chromium" in left_out["visible"]
    assert left_out["notebooks"] == "nbclient is not installed (make bench installs it)"


# The table of goals


def test_the_table_has_every_goal_and_says_of_each_that_it_was_not_measured():
    found = goals.goals(empty())
    assert [goal.what for goal in found] == GOALS
    assert all(goal.met is None and goal.parts and all(part.why for part in goal.parts) for goal in found)


def test_a_goal_is_met_or_not_and_what_is_not_met_has_what_shows_the_reason():
    found = invented(
        c=2.0,
        **{"epoll": 3.0, "uvloop protocol": 2.8, "asyncio streams, 4 kB": 12.0, "epoll, inlined": 2.6, "bare epoll loop": 2.6},
    )
    first, *_, fourth = goals.goals(found)[:4]
    assert [(part.what, part.met) for part in first.parts] == [("uvloop protocol", False), ("asyncio streams, 4 kB", True)]
    assert first.parts[0].value.value == pytest.approx(1.25) and "is at 0.75" in first.parts[0].why
    assert fourth.parts[0].value.value == pytest.approx(2 / 3, abs=1e-3) and "has 0.77 of that speed" in fourth.parts[0].why
    said = text.text(found)
    assert "NOT MET" in said and "met" in said and all(goal in said for goal in GOALS)


def test_a_busy_machine_gives_no_verdict():
    found = invented(c=2.0, epoll=3.0, load=0.1, **{"uvloop protocol": 2.8})
    part = goals.goals(found)[0].parts[0]
    assert part.met is None and part.why == "something else ran beside: a server and its clients together had 60% of their core"


def test_without_the_loop_in_c_what_is_added_to_it_is_not_told():
    found = invented(epoll=3.0, **{"uvloop protocol": 2.8})
    assert found.of_50.ratios == {} and goals.goals(found)[0].met is None
    assert "added to uvloop protocol" in text.text(found)


# The command


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--rounds", "0"], "rounds is a number from 1 to 1000, not '0'"),
        (["--rounds", "many"], "rounds is a number from 1 to 1000, not 'many'"),
        (["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be written"),
        (["--figure", "picture.gif"], "a figure is a .png or an .svg file, not picture.gif"),
        (["--quick", "--readme"], "leave --quick away"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_status_2(arguments, words, capsys):
    assert main([*arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and said.out == ""


@pytest.fixture
def two_servers(monkeypatch):
    """The command measures two servers only."""

    def sections(found, programs, quick, rounds):
        yield (
            "servers",
            "two servers",
            lambda: side_by_side.measure(found.servers, programs, ["c", "epoll"], 50, rounds or 1, 0.01),
        )

    monkeypatch.setattr(command, "_sections", sections)


def test_the_report_is_printed_and_written_as_json_and_as_a_picture(two_servers, tmp_path, capsys):
    file, picture = tmp_path / "report.json", tmp_path / "report.svg"
    assert main(["--rounds", "2", "--json", str(file), "--figure", str(picture)]) == 0
    said = capsys.readouterr()
    found = json.loads(file.read_text())
    assert {"machine", "date", "mode", "interrupted", "notes", "skipped", "servers", "goals", "seconds"} <= found.keys()
    assert {served["rounds"] for served in found["servers"][0]["servers"] if served["row"]["cpu"]} == {2}
    assert [goal["what"] for goal in found["goals"]] == GOALS
    assert said.err.startswith("[1/1] two servers\n") and "Goals" in said.out and "epoll" in said.out
    assert "<svg" in picture.read_text()


def test_an_interrupt_ends_it_with_what_was_measured(monkeypatch, capsys):
    def sections(found, programs, quick, rounds):
        yield "servers", "first", lambda: found.servers.extend(invented(c=1.0, epoll=2.0).servers)
        yield "idle", "then", lambda: os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(command, "_sections", sections)
    monkeypatch.setattr(readme, "write", lambda found: pytest.fail("the README holds the figures of a whole run"))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["--readme"]) == 130
    said = capsys.readouterr().out
    assert "Interrupted: this is what was measured until then." in said and "2.00 (2.00–2.00)" in said
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_no_process_and_no_file(number, tmp_path):
    folder = tmp_path / "of the command"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "--quick", "--rounds", "1"],
        cwd=TESTS,
        env=os.environ | {"TMPDIR": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert wait_until(lambda: len(children(process.pid)) >= 4, 300)
    started = children(process.pid)
    process.send_signal(number)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 130 and "Interrupted" in said and "Goals" in said
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 60)
    assert list(folder.iterdir()) == []


# Figures and the README


def test_a_figure_has_the_finding_in_words_and_what_is_missing():
    rows = [
        Row("c", "C", Spread(2.0, 1.9, 2.1), Spread(0.0, 0.0, 0.0), base="c"),
        Row("epoll", "EpollServer", Spread(3.0, 2.9, 3.1), Spread(1.0, 0.9, 1.1), base="c"),
        Row("uvloop protocol", "uvloop", note="uvloop is not installed"),
    ]
    figure = plot_servers(rows)
    assert repr(figure).startswith("A request costs 2.00 µs of CPU time with c, 1.5 times as much with epoll.\n")
    assert "uvloop is not installed" in repr(figure) and figure.png().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no rows"):
        plot_servers(rows[2:])


def test_the_readme_gets_the_table_between_its_two_lines(tmp_path, monkeypatch):
    file = tmp_path / "README.md"
    file.write_text(f"before\n\n{readme.BEGIN}\nof last year\n{readme.END}\n\nafter\n")
    monkeypatch.setattr(readme, "README", file)
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "PICTURE", tmp_path / "bench.png")
    found = invented(c=2.0, epoll=3.0, **{"uvloop protocol": 2.8})
    for _ in range(2):
        readme.write(found)
    text = file.read_text()
    assert text.startswith(f"before\n\n{readme.BEGIN}\n") and text.endswith(f"{readme.END}\n\nafter\n")
    assert "of last year" not in text
    assert "| **EpollServer** | 1.50 | 1.25 | – |" in text and "Measured on 2026-01-02: one, 2 cores, Linux 6.1" in text
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    file.write_text("no such lines")
    assert "no README.md with the lines" in readme.why_not()


def test_the_readme_of_the_course_holds_what_the_command_writes():
    between = readme.README.read_text(encoding="utf-8").partition(readme.BEGIN)[2].partition(readme.END)[0]
    head = readme.text(invented(c=2.0, epoll=3.0), "x").strip().splitlines()[:2]
    lines = between.strip().splitlines()
    assert lines[:2] == head
    whats = {PEERS[name].what for name in readme.NAMES}
    rows = [line.split("|")[1].strip(" *") for line in lines[2:] if line.startswith("|")]
    assert len(rows) >= 8 and set(rows) <= whats
    assert "Measured on 20" in between
    assert readme.PICTURE.exists() and f"]({readme.PICTURE.relative_to(readme.ROOT)})" in between


def test_a_row_says_what_it_is_in_one_line():
    assert str(Row("c", "C", note="no compiler")).split() == ["c", "no", "compiler"]
    row = Row("epoll", "EpollServer", Spread(3.0, 2.9, 3.1), Spread(1.0, 0.9, 1.1), base="c")
    assert " ".join(str(row).split()) == "epoll 3.00 µs (2.90 to 3.10), added 1.00"


def test_a_picture_is_written_as_its_name_says(tmp_path):
    figure = plot_report(invented(c=2.0, epoll=3.0, nonblocking=60.0))
    assert repr(figure).startswith("CPU time of a request, as a multiple of c: 1.5 times with epoll, 30 times with nonblocking.")
    for name, begins in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        write(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)
