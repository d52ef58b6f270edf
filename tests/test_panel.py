"""The panel without a browser: what it shows is a value, and what a page would click is a message."""

import io
import itertools
import json
import socket
import threading

import pytest
from every_server import ask, asleep, connect, serving
from held import a_port
from panel_state import Page

from course_lib import proc
from course_lib.clients import Client, crowd
from course_lib.kernel import Doing, wait_until
from course_lib.servers import BlockingServer, CoroutineServer, NonBlockingServer, SelectServer, ThreadedServer
from course_lib.widgets import observe, timeline
from course_lib.widgets import panel as panel_module


@pytest.fixture
def server(servers_stop):
    with BlockingServer(answer=bytes.upper) as server:
        yield server


@pytest.fixture
def page_of():
    pages = []
    yield lambda thing, **names: pages.append(Page(observe(thing, **names))) or pages[-1]
    for page in pages:
        page.leave()


@pytest.fixture
def page(server, page_of):
    return page_of(server)


@pytest.fixture
def page_on(page_of, servers_stop):
    """A page of a new server, whose panel knows it."""
    return lambda model: page_of(model().start())


def doing(call: str):
    """Is it asleep in this call?"""
    return lambda s: s["server"]["doing"].startswith(f"asleep in {call}()")


def modes(s) -> tuple[str, str]:
    return s["listener"], s["connections"]


def column(s, name: str) -> list:
    return [row[name] for row in s["rows"]]


def test_two_clients_one_asleep_on_one_waiting(page):
    page.click("connect")
    page.click("connect")
    page.click("send", client="bob", text="hello")
    assert page.shows(lambda s: doing("recv")(s) and len(s["rows"]) == 2)
    assert page.shows(lambda s: s["rows"][0]["receive"] == "1 waiting")
    listener, connection = page.state["rows"]
    assert (listener["kind"], connection["kind"], connection["peer"]) == ("listener", "connection", "alice")
    assert page.state["server"]["doing"].endswith(f"on descriptor {connection['number']}")
    assert connection["asleep"] == "BlockingServer in recv"
    assert page.shows(lambda s: "waits in the accept queue" in s["clients"][1]["state"])
    page.click("close", client="alice")
    assert page.shows(lambda s: "5 bytes came back: 'HELLO'" in s["clients"][1]["state"])


def test_where_no_descriptor_is_free_a_look_says_so_and_the_next_ones_come(page):
    assert page.shows(doing("accept"))
    used = proc.links()
    with proc.descriptor_limit(next(number for number in itertools.count() if number not in used)):
        page.click("connect")
        assert page.shows(lambda s: s["note"].startswith("This look failed: OSError: [Errno 24]"))
    page.click("connect")
    assert page.shows(lambda s: doing("recv")(s) and s["note"] == "")


def test_the_head_and_the_table_tell_one_thing_of_its_thread(server, monkeypatch):
    panel = observe(server)
    assert wait_until(lambda: column(panel.state(), "asleep") == ["BlockingServer in accept"], 60)
    monkeypatch.setattr(BlockingServer, "doing", lambda _: Doing(asleep=False))  # it was read a moment earlier
    state = panel.state()
    assert state["server"]["doing"] == "running" and column(state, "asleep") == [""]


def test_a_listener_made_non_blocking_ends_the_server_in_plain_words_and_start_brings_it_back(page):
    assert page.shows(doing("accept"))
    page.click("blocking", of="listener", blocking=False)
    # A look asks one thing after the other: the first one that finds it ended may have the note of before.
    assert page.shows(lambda s: not s["server"]["running"] and "Start brings it back" in s["note"])
    note = page.state["note"]
    assert "accept() found nobody waiting" in note and "BlockingIOError, errno 11" in note
    page.click("start")
    assert page.shows(lambda s: s["server"]["running"] and s["listener"] == "blocking" and s["note"] == "")


def test_the_mode_shown_is_the_kernels(server, page):
    page.click("connect")
    assert page.shows(lambda s: modes(s) == ("blocking", "blocking"))
    assert asleep(server, "recv")  # a recv that begins later would end it
    page.click("blocking", of="connections", blocking=False)
    said = "its next recv() with nothing to read raises blockingioerror"
    assert page.shows(lambda s: modes(s) == ("blocking", "non-blocking") and said in s["note"].lower())
    server.set_blocking(True, of="connections")  # from a cell
    assert page.shows(lambda s: s["connections"] == "blocking" and s["note"] == "")


def test_a_listener_made_non_blocking_while_the_server_reads_says_what_will_happen(page):
    page.click("connect")
    assert page.shows(doing("recv"))
    page.click("blocking", of="listener", blocking=False)
    assert page.shows(lambda s: "comes back to accept()" in s["note"] and "errno 11" in s["note"])
    page.click("close", client="alice")
    assert page.shows(lambda s: not s["server"]["running"])


def test_half_close_close_and_reset(page):
    for click, seen in (("half_close", "finished by the server"), ("reset", "reset"), ("close", "closed")):
        page.click("connect")
        assert page.shows(lambda s: s["clients"] and s["clients"][-1]["state"] == "connected")
        page.click(click, client=page.state["clients"][-1]["name"])
        assert page.shows(lambda s: s["clients"][-1]["state"] == seen), click
        if page.state["clients"][-1]["open"]:
            page.click("close", client=page.state["clients"][-1]["name"])


def test_stop_and_start(page):
    page.click("stop")
    assert page.shows(lambda s: not s["server"]["running"] and not s["rows"] and not s["can_connect"])
    page.click("connect")
    assert page.shows(lambda s: "Nobody listens" in s["note"])
    page.click("start")
    assert page.shows(lambda s: s["server"]["running"] and s["can_connect"])


def test_plain_sockets(listener, page_of, kept):
    page = page_of(listener)
    page.click("connect")
    assert page.shows(lambda s: column(s, "receive") == ["1 waiting"] and "waits in the accept queue" in s["clients"][0]["state"])
    assert page.state["server"] is None
    kept(listener.accept()[0])
    assert page.shows(lambda s: s["clients"][0]["state"] == "connected")
    sleeper = threading.Thread(target=listener.accept, daemon=True)
    sleeper.start()
    assert page.shows(lambda s: s["rows"][0]["asleep"].endswith("in accept"))
    page.click("connect")
    sleeper.join()
    page.click("blocking", of="listener", blocking=False)
    assert page.shows(lambda s: s["listener"] == "non-blocking")
    assert not listener.getblocking()


def test_several_sockets_and_names_of_ones_own(listener, kept):
    client = kept(socket.create_connection(listener.getsockname()))
    shown = observe([listener, kept(listener.accept()[0])], mine=client).state()
    assert [(row["kind"], row["peer"]) for row in shown["rows"]] == [("listener", ""), ("connection", "mine")]


def test_two_panels_on_one_server_share_the_clients(server, page_of):
    one, two = page_of(server), page_of(server)
    one.click("connect")
    assert two.shows(lambda s: [c["name"] for c in s["clients"]] == ["alice"])


def test_nothing_is_sent_without_a_page_nor_while_nothing_changes(server, page_of):
    quiet = observe(server)
    sent, looks = [], []
    quiet.send = lambda *message, **more: sent.append(message)
    page = page_of(server)
    look = page.panel._look
    page.panel._look = lambda: looks.append(len(page.messages)) or look()
    assert wait_until(lambda: len(looks) > 10 and len(set(looks[-10:])) == 1, 60)  # ten looks, no message
    assert not sent


def test_the_pump_ends_when_the_page_is_gone_and_comes_back(page):
    assert page.shows(lambda s: True)
    page.leave()
    page.state = {}
    page.click("ready")
    assert page.shows(lambda s: s["server"]["running"])


def test_a_page_that_went_silent_is_not_served_for_ever(server, monkeypatch):
    monkeypatch.setattr("course_lib.widgets.live_panel.UNSEEN", 0.1)
    page = Page(observe(server))
    assert wait_until(lambda: page.panel._pump is None, 30)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": None},
        {"type": "send", "client": "nobody"},
        {"type": "blocking", "of": "everything"},
        {"type": "__init__"},
        {"type": "send", "client": ["alice"]},
    ],
)
def test_an_odd_message_harms_nothing(page, message):
    page.panel._hear(page.panel, {"view": "page", **message}, [])
    page.click("connect")
    assert page.shows(lambda s: len(s["clients"]) == 1)


def test_text_is_escaped_in_the_picture_and_bounded_in_a_message(page_on):
    page = page_on(BlockingServer)
    page.click("connect")
    page.click("send", client="alice", text="<img src=x onerror=alert(1)>" * 1000)
    assert page.shows(lambda s: s["clients"] and "1,000 bytes came back" in s["clients"][0]["state"])
    markup = "<script>alert(1)</script>"
    with connect(page.panel.subject) as client:
        page.panel.label(**{markup: client})
        page.click("close", client="alice")
        assert page.shows(lambda s: markup in column(s, "peer"))
        assert "<script" not in page.panel.picture() and "&lt;script&gt;" in page.panel.picture()


def test_a_line_end_can_be_sent(page_on):
    page = page_on(BlockingServer)
    page.click("connect")
    page.click("send", client="alice", text=r"PING\r\n")
    assert page.shows(lambda s: s["clients"] and "6 bytes came back" in s["clients"][0]["state"])
    assert page.panel.clients.by_name["alice"].last == b"PING\r\n"


def test_many_descriptors_show_the_active_ones_and_say_how_many_are_not_shown(kept, monkeypatch):
    monkeypatch.setattr(panel_module, "_SHOWN", 3)
    pairs = [tuple(map(kept, socket.socketpair())) for _ in range(5)]
    pairs[3][1].send(b"x")
    shown = observe([left for left, _ in pairs]).state()
    assert shown["hidden"] == 2 and any(column(shown, "readable"))


def test_clients_that_talk_among_very_many_are_shown_and_named_ones_too(page_of, kept):
    with CoroutineServer(bytes.upper) as server:
        crowd = [kept(connect(server)) for _ in range(220)]
        page = page_of(server)
        assert page.shows(
            lambda s: (
                (s["hidden"], len(s["rows"])) == (161, 61)  # 221 sockets; 60 shown, and the epoll
                and column(s, "kind").count("listener") == 1
                and s["tasks"]["hidden"]
                and modes(s) == ("non-blocking", "non-blocking")
                and any(column(s, "watched"))
            )
        )
        place = "{}:{}".format(*crowd[215].getsockname())

        def talks_and_is_shown() -> bool:
            assert ask(crowd[215], b"x") == b"X"
            return place in column(page.state, "peer")

        assert wait_until(talks_and_is_shown, 20)
        page.click("connect")
        assert page.shows(
            lambda s: "alice" in column(s, "peer") and s["hidden"] == 162 and s["clients"][0]["state"] == "connected"
        )
        shown = set(column(page.state, "number"))  # before their lanes: a later look may show others
        assert shown <= {number for message, _ in page.messages for _, number, _ in message["lanes"]}
        assert "162 more descriptors are not shown" in page.panel.picture()
    assert page.shows(lambda s: s["hidden"] == 0 and s["rows"] == [])


def test_a_state_is_json_and_a_stored_panel_has_a_picture_and_a_name_without_an_address(server):
    shown = observe(server)
    json.dumps(shown.state())
    data, _ = shown._repr_mimebundle_()
    assert data["text/plain"] == "observe(<BlockingServer, running>)"
    assert "<table" in data["text/html"] and "listener" in data["text/html"]


def test_a_server_of_ones_own_that_breaks_tells_its_fate():
    def breaks(listener):
        raise ZeroDivisionError("mine")

    broken = serving(breaks).start()
    broken.wait()
    state = observe(broken).state()
    assert "The server ended by ZeroDivisionError: mine" in state["note"]
    assert state["server"]["doing"] == "ended by ZeroDivisionError"  # the cause is said once


def test_the_cpu_that_is_told_is_that_of_all_its_threads():
    over = threading.Event()

    def compute(request: bytes) -> bytes:
        while not over.is_set():
            pass
        return request

    with ThreadedServer(compute) as server, connect(server) as client:
        panel = observe(server)
        client.sendall(b"x")
        try:
            # The first one sleeps meanwhile.
            assert wait_until(lambda: round(100 * server.doing().cpu) == 0 and panel.state()["server"]["cpu"] > 0, 30)
        finally:
            over.set()


@pytest.mark.parametrize(
    "thing, why",
    [
        (None, "; this NoneType has no descriptor now"),
        (True, "; this bool has no descriptor now"),
        ("text", "; this str has no descriptor now"),
        (b"text", "; this bytes has no descriptor now"),
        (object(), "; this object has no descriptor now"),
        (io.StringIO("text"), "; this StringIO has no descriptor now"),
        (iter([]), "; this list_iterator has no descriptor now"),
        (BlockingServer, r", not a class: make one of it, BlockingServer\(…\)"),
        ([], ", and this list is empty"),
        ({}, ", and this dict is empty"),
        ([1, "text"], "; in this list, at 1, this str has no descriptor now"),
        ((0, ("127.0.0.1", 1)), "; in this tuple, at 1, this tuple has no descriptor now"),
    ],
)
def test_what_cannot_be_observed_is_one_sentence(thing, why):
    takes = "takes a server, a socket, a file, a descriptor's number, a list of these, or a process"
    with pytest.raises(TypeError, match=rf"{takes}{why}$"):
        observe(thing)


def test_a_part_that_is_none_is_one_sentence(server):
    assert observe(server, parts="lanes").parts == ["lanes"]
    with pytest.raises(ValueError, match="no part 'lane'; its parts are picture, controls, clients, table, tasks, lanes, calls"):
        observe(server, parts=["lane"])


def test_a_name_for_what_is_no_open_socket_is_one_sentence(server):
    with pytest.raises(TypeError, match="first is not an open socket"):
        observe(server, first=3)


class TestClient:
    @pytest.fixture
    def client(self, listener):
        client = Client(listener.getsockname(), "bob")
        assert wait_until(lambda: client.look() or client.state == "connected")
        yield client
        client.close()

    def test_refused(self):
        with a_port() as port:
            client = Client(("127.0.0.1", port), "late")
            assert wait_until(lambda: client.look() or client.state == "refused: nobody listens")
        assert not client.open

    def test_a_full_send_buffer_does_not_block(self, client):
        client.send(bytes(20 << 20))
        assert client.unsent

    def test_one_that_half_closes_with_much_unsent_sends_no_more(self, client):
        client.send(bytes(20_000_000))
        client.half_close()
        client.look()
        assert client.state == "half-closed" and client.open and not client.unsent

    def test_a_cell_and_the_thread_of_a_panel_use_it_at_the_same_time(self, listener, client):
        class Meets(socket.socket):
            def send(self, data):
                with memoryview(data):
                    if not other.ident:
                        other.start()
                        other.join(0.1)  # it waits for its turn
                return super().send(data)

        client.socket = Meets(fileno=client.socket.detach())
        other = threading.Thread(target=client.send, args=(b"two",))
        client.send(b"one ")
        other.join()
        client.close()
        with listener.accept()[0] as connection:
            assert connection.recv(100, socket.MSG_WAITALL) == b"one two"

    def test_calls_after_the_end_do_nothing(self, listener, client):
        listener.close()
        client.close()
        client.look(), client.half_close(), client.send(b"x"), client.reset(), client.close()
        assert not client.open


class TestStillPictures:
    def test_the_timeline_shows_one_lane_for_the_thread_and_one_for_each_descriptor(self, server):
        server.record()
        for _ in range(2):
            with connect(server) as client:
                assert ask(client, b"x") == b"X"
        assert wait_until(lambda: [call.name for call in server.calls()].count("close") == 2)
        figure = timeline(server)
        lanes = [label.get_text().split()[0] for label in figure.axes[0].get_yticklabels()]
        assert lanes[0] == "the" and set(lanes[1:]) == {"listener", "connection"}
        assert f"{len(server.calls())} system calls" in figure.axes[0].get_title()
        assert figure.png().startswith(b"\x89PNG")

    def test_nothing_recorded_is_one_sentence(self, server):
        with pytest.raises(ValueError, match="call server.record"):
            timeline(server)

    def test_a_panels_picture_has_lanes_when_calls_were_recorded(self, server):
        assert "<img" not in observe(server).picture()
        server.record()
        with connect(server) as client:
            ask(client, b"x")
        assert 'alt="' in observe(server).picture() and "system calls" in observe(server).picture()


def test_the_lists_of_select_stand_beside_the_descriptors_while_calls_are_recorded(page_on):
    page = page_on(SelectServer)
    assert page.shows(lambda s: s["rows"] and not any(column(s, "asked") + column(s, "found")))
    page.click("record", on=True)
    page.click("connect")  # it ends the select in flight, which was not seen to begin
    assert page.shows(lambda s: column(s, "asked") == ["read", "read"])
    page.click("connect")
    assert page.shows(lambda s: column(s, "found") == ["read", "", ""])
    page.click("send", client="alice", text="hello")
    assert page.shows(lambda s: column(s, "found") == ["", "read", ""])
    page.click("slow", client="alice")
    page.click("send_block", client="alice")
    assert page.shows(lambda s: s["rows"][1]["asked"] == "write")
    assert "handed in" in page.panel.picture()
    page.click("record", on=False)
    assert page.shows(lambda s: not any(column(s, "asked")))
    assert "handed in" not in page.panel.picture()


def test_each_task_has_the_name_of_its_client(page_on):
    page = page_on(CoroutineServer)
    page.click("connect")
    page.click("connect")
    clients = ["listener", "alice", "bob"]
    assert page.shows(lambda s: [task["client"] for task in s["tasks"]["shown"]] == clients and s["tasks"]["ready"] == 0)
    assert asleep(page.panel.subject, "epoll_wait")
    listener, alice, bob = page.state["tasks"]["shown"]
    assert (listener["name"], alice["name"], alice["state"]) == ("accept_clients", "serve_client", "read")
    page.click("hold")
    page.click("send", client="alice", text="hello")
    assert page.shows(lambda s: s["server"]["pending"].startswith("recv(") and s["tasks"]["ready"] == 1)
    first = page.state["tasks"]["shown"][0]
    assert (first["client"], first["state"], first["waits"]) == ("alice", "running", "running")
    page.click("step")
    assert page.shows(lambda s: s["server"]["pending"].startswith("send("))
    page.click("step")
    assert page.shows(lambda s: s["server"]["pending"].startswith("epoll_wait(") and s["tasks"]["ready"] == 0)


def test_a_message_holds_the_rows_that_changed(page_of, kept):
    pairs = [tuple(map(kept, socket.socketpair())) for _ in range(20)]
    page = page_of([end for pair in pairs for end in pair])
    assert page.shows(lambda s: len(s["rows"]) == 40)
    before = len(page.messages)
    pairs[3][0].send(b"x")
    number = pairs[3][1].fileno()
    assert page.shows(lambda s: next(row for row in s["rows"] if row["number"] == number)["receive"] == "1")
    changed = [row["number"] for message, _ in page.messages[before:] for row in message.get("rows", [])]
    assert set(changed) <= {number, pairs[3][0].fileno()}
    pairs[5][0].close()
    assert page.shows(lambda s: len(s["rows"]) == 39)


def test_a_crowd_leaves_when_its_server_has_stopped_and_another_crowd_comes():
    with BlockingServer() as gone:  # the name keeps it: of a server that nobody has, nothing is remembered
        first = crowd(gone, 3)
    assert all(client.open for client in first)  # what happened to them can still be looked at
    with BlockingServer() as server:
        assert len(crowd(server, 2)) == 2
        assert not any(client.open for client in first)


class TestServersThatNeverBlock:
    def test_their_own_mode_needs_no_words(self, page_on):
        page = page_on(SelectServer)
        page.click("connect")
        assert page.shows(lambda s: modes(s) == ("non-blocking", "non-blocking") and s["note"] == "")

    def test_made_blocking_they_freeze_and_the_panel_says_why(self, page_on):
        page = page_on(NonBlockingServer)
        page.click("connect")
        assert page.shows(lambda s: s["connections"] == "non-blocking")
        page.click("blocking", of="connections", blocking=True)
        assert page.shows(lambda s: "the server sleeps in recv() until its client acts" in s["note"])
        page.click("blocking", of="connections", blocking=False)
        page.click("send", client="alice", text="hello")
        assert page.shows(lambda s: s["note"] == "" and not s["server"]["asleep"])
        page.click("blocking", of="listener", blocking=True)
        assert page.shows(lambda s: "sleeps in accept() until somebody comes" in s["note"])
        page.click("blocking", of="listener", blocking=False)
        page.click("connect")
        assert page.shows(lambda s: s["note"] == "" and len(s["rows"]) == 3)
