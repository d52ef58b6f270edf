"""The panel's main view: the film's picture of the present moment, as a value."""

import re
import select
import socket
import threading
from contextlib import contextmanager

import pytest
from every_server import OwnThreadsServer, asleep, serving

from course_lib.clients import clients_of
from course_lib.film.queue import in_accept_queue
from course_lib.kernel import descriptors, wait_until
from course_lib.servers import (
    BlockingServer,
    CoroutineServer,
    EpollServer,
    NonBlockingServer,
    SelectServer,
    Server,
    ThreadedServer,
)
from course_lib.widgets import live_picture, observe

pytestmark = pytest.mark.usefixtures("servers_stop")


@contextmanager
def observed(server: Server):
    """(the server, which runs as long as the block lasts, and a panel on it)."""
    with server:
        yield server, observe(server)


def enter(panel, count: int = 1) -> None:
    """So many clients connect."""
    for _ in range(count):
        panel.clients.connect(panel.subject.address)


def shows(panel, condition):
    """Wait until the picture fulfils a condition; returns the state."""
    found = {}

    def look() -> bool:
        panel.clients.look()
        found.update(panel.state())
        return bool(found["picture"]) and condition(found["picture"])

    assert wait_until(look, 20), found["picture"]
    return found


def test_who_sleeps_where_and_who_waits_is_told_with_the_line_of_the_source():
    with observed(BlockingServer()) as (_, panel):
        state = shows(panel, lambda p: p["threads"][0][0] == "accept" and p["asleep"])
        assert state["server"]["line"].startswith("connection, peer")
        enter(panel)
        shows(panel, lambda p: p["threads"][0][0] == "recv")
        enter(panel, 2)
        state = shows(panel, lambda p: p["waiting"] == ("bob", "carol"))
        picture = state["picture"]
        assert picture["asks"] == (
            "The server sleeps in recv(): it waits for alice alone. Meanwhile bob and carol stand in the accept queue."
        )
        assert [row["who"] for row in picture["rows"]] == ["listener", "alice"]
        assert picture["threads"] == [["recv", picture["rows"][1]["number"], True, False]]
        assert ".recv(" in state["server"]["line"]
        assert "bob and carol in the accept queue" in picture["state"]


def test_one_that_left_while_it_waited_still_stands_in_the_queue_under_its_name():
    with observed(BlockingServer()) as (_, panel):
        enter(panel, 3)
        shows(panel, lambda p: p["waiting"] == ("bob", "carol"))
        panel.clients.by_name["bob"].close()
        shows(panel, lambda p: p["waiting"] == ("bob", "carol"))


def test_the_accept_queue_of_the_kernel_names_those_who_were_not_accepted(listener, kept):
    clients = [kept(socket.create_connection(listener.getsockname())) for _ in range(3)]
    kept(listener.accept()[0])
    left = {client.getsockname() for client in clients[1:]}
    # connect() returns before the kernel has taken the last packet of the handshake to the listener.
    assert wait_until(lambda: in_accept_queue(descriptors(listener)[0]) == left)
    panel = observe(listener, one=clients[1])
    shows(panel, lambda p: p["waiting"] == ("one", f"port {clients[2].getsockname()[1]}"))


def test_a_client_that_the_kernels_table_shows_late_has_its_name_in_the_next_look(listener, kept, monkeypatch):
    late = [set()]
    monkeypatch.setattr(live_picture, "in_accept_queue", lambda row: late.pop() if late else in_accept_queue(row))
    client = kept(socket.create_connection(listener.getsockname()))
    assert wait_until(lambda: descriptors(listener)[0].accept_queue == 1)
    panel = observe(listener, one=client)  # its first look
    assert not late
    shows(panel, lambda p: p["waiting"] == ("one",))


def test_a_film_of_a_server_at_which_somebody_waits_already_names_them():
    with BlockingServer() as server:
        clients = clients_of(server)
        for _ in range(2):
            clients.connect(server.address)
        panel = observe(server)
        shows(panel, lambda p: p["waiting"] == ("bob",))
        filmed = panel.film()
        assert filmed[-1].waiting[:3] == ("bob", "carol", "dave")
        assert not server.held


def test_the_film_button_sends_what_the_player_plays():
    with observed(EpollServer()) as (_, panel):
        sent = []
        panel.send = lambda message, **more: sent.append(message)
        panel._click("film", {})
        (message,) = sent
        assert message["type"] == "film" and message["film"]["name"] == "EpollServer"
        assert any(m["came"].startswith("recv() brought 5 bytes") for m in message["film"]["moments"])


def test_the_lists_and_tasks_are_in_it():
    with observed(EpollServer()) as (server, panel):
        enter(panel)
        picture = shows(panel, lambda p: [row["watched"] for row in p["rows"]] == ["IN", "IN", ""])["picture"]
        assert picture["rows"][2]["kind"] == "epoll"
        assert asleep(server, "epoll_wait")
        server.hold()
        panel.clients.by_name["alice"].send(b"x")
        alice = picture["rows"][1]["number"]
        shows(panel, lambda p: p["call"].startswith("recv(") and p["ready"] == [alice])
        server.run_on()
    server = SelectServer()
    server.record()
    with observed(server) as (_, panel):
        enter(panel)
        shows(panel, lambda p: p["in"] and len(p["in"]) == 2 and p["asleep"])
    with observed(CoroutineServer()) as (_, panel):
        enter(panel)
        shows(panel, lambda p: [name for name, state, _ in p["tasks"]] == ["accept_clients", "serve_client"])


def test_a_ready_list_that_the_kernel_does_not_tell_is_not_guessed():
    def edges(listener):
        epoll = select.epoll()
        epoll.register(listener, select.EPOLLIN | select.EPOLLET)
        while not any(events & select.EPOLLHUP for _, events in epoll.poll()):  # until it is stopped
            pass

    with observed(serving(edges)) as (_, panel):
        enter(panel)
        picture = shows(panel, lambda p: p["waiting"] == ("alice",) and p["unknown"])["picture"]
        assert picture["ready"] == [] and picture["unknown"] == [picture["rows"][0]["number"]]


def test_a_server_that_never_sleeps_says_which_calls_it_makes_again_and_again():
    with observed(NonBlockingServer()) as (server, panel):
        shows(panel, lambda p: p["asks"] == "The server does not sleep: it calls accept() again and again.")
        enter(panel)
        shows(panel, lambda p: p["asks"] == "The server does not sleep: it calls accept() and recv() again and again.")
        server.record()
        told = r"The server does not sleep: it calls accept\(\) and recv\(\) again and again, .* a second, and finds nothing."
        shows(panel, lambda p: re.fullmatch(told, p["asks"]))
    assert observe(server).state()["picture"] is None


def test_a_server_that_computes_says_so():
    over = threading.Event()

    def answer(request: bytes) -> bytes:
        while not over.is_set():
            pass
        return request

    with observed(EpollServer(answer)) as (server, panel):
        panel.clients.connect(server.address).send(b"work")
        shows(panel, lambda p: p["asks"] == "The server does not sleep: it computes.")
        over.set()
        shows(panel, lambda p: p["asleep"])


def test_of_many_threads_each_is_named_by_its_client():
    at_work, go_on = threading.Event(), threading.Event()

    def answer(request: bytes) -> bytes:
        at_work.set()
        while request == b"work" and not go_on.is_set():
            pass
        return request

    with observed(ThreadedServer(answer=answer)) as (_, panel):
        enter(panel, 2)
        each = "the first thread in accept(), the thread of alice in recv() and the thread of bob in recv()"
        shows(panel, lambda p: p["asks"] == f"All threads sleep: {each}.")
        panel.clients.by_name["alice"].send(b"work")
        assert at_work.wait(60)
        try:
            shows(panel, lambda p: p["asks"] == "The first thread sleeps in accept(); 1 more is running.")
        finally:
            go_on.set()


def test_held_in_a_thread_of_which_only_its_program_knows():
    with observed(OwnThreadsServer()) as (server, panel):
        enter(panel)
        # Who sleeps on a descriptor is looked up after the descriptors: in its next call, and not in the one that brought alice.
        assert wait_until(lambda: [row["asleep"].split()[-1:] for row in panel.state()["rows"]] == [["accept"], ["recv"]], 20)
        server.hold()
        panel.clients.by_name["alice"].send(b"hello")
        shows(panel, lambda p: p["call"] == f"sendall({p['rows'][1]['number']})" and not p["asleep"])


def test_sockets_of_a_cell(listener):
    panel = observe(listener)
    assert panel.state()["picture"]["asks"] == "No thread sleeps in a call on these."
    sleeper = threading.Thread(target=listener.accept, name="MainThread", daemon=True)
    sleeper.start()
    shows(panel, lambda p: p["asks"] == "A notebook cell sleeps in accept() on listener." and p["asleep"])
    socket.create_connection(listener.getsockname()).close()
    sleeper.join()


def test_of_many_the_listener_and_the_active_ones_are_drawn(kept):
    pairs = [tuple(map(kept, socket.socketpair())) for _ in range(15)]
    pairs[12][0].send(b"x")
    picture = observe([end for pair in pairs for end in pair]).state()["picture"]
    assert len(picture["rows"]) == 20 and picture["hidden"] == 10
    assert pairs[12][1].fileno() in [row["number"] for row in picture["rows"]]


def test_a_look_that_found_nothing_new_makes_no_new_picture():
    with observed(BlockingServer()) as (_, panel):
        shows(panel, lambda p: p["asleep"])
        assert panel.state()["picture"] is panel.state()["picture"]
        assert re.match("The server sleeps", panel.state()["picture"]["asks"])
