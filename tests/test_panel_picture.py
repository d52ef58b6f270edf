"""The panel's main view: the film's picture of the present moment, as a value."""

import re
import select
import socket
import threading

import pytest
from every_server import OwnThreadsServer

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
    with BlockingServer() as server:
        panel = observe(server)
        assert shows(panel, lambda p: p["threads"][0][0] == "accept" and p["asleep"])["server"]["line"].startswith(
            "connection, peer"
        )
        panel.clients.connect(server.address)
        shows(panel, lambda p: p["threads"][0][0] == "recv")
        for _ in range(2):
            panel.clients.connect(server.address)
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
    with BlockingServer() as server:
        panel = observe(server)
        for _ in range(3):
            panel.clients.connect(server.address)
        shows(panel, lambda p: p["waiting"] == ("bob", "carol"))
        panel.clients.by_name["bob"].close()
        shows(panel, lambda p: p["waiting"] == ("bob", "carol"))


def test_the_accept_queue_of_the_kernel_names_those_who_were_not_accepted():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        accepted, _ = listener.accept()
        left = {client.getsockname() for client in clients[1:]}
        # connect() returns before the kernel has taken the last packet of the handshake to the listener.
        assert wait_until(lambda: in_accept_queue(descriptors(listener)[0]) == left)
        panel = observe(listener, one=clients[1])
        shows(panel, lambda p: p["waiting"] == ("one", f"port {clients[2].getsockname()[1]}"))
        for sock in (*clients, accepted):
            sock.close()


def test_a_client_that_the_kernels_table_shows_late_has_its_name_in_the_next_look(monkeypatch):
    late = [set()]
    monkeypatch.setattr(live_picture, "in_accept_queue", lambda row: late.pop() if late else in_accept_queue(row))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
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
    with EpollServer() as server:
        panel, sent = observe(server), []
        panel.send = lambda message, **more: sent.append(message)
        panel._click("film", {})
        (message,) = sent
        assert message["type"] == "film" and message["film"]["name"] == "EpollServer"
        assert any(m["came"].startswith("recv() brought 5 bytes") for m in message["film"]["moments"])


def test_the_lists_and_tasks_are_in_it():
    with EpollServer() as server:
        panel = observe(server)
        panel.clients.connect(server.address)
        picture = shows(panel, lambda p: [row["watched"] for row in p["rows"]] == ["IN", "IN", ""])["picture"]
        assert picture["rows"][2]["kind"] == "epoll"
        assert wait_until(
            lambda: server.doing().call == "epoll_wait", 20
        )  # a server on its way there would be held in front of it
        server.hold()
        panel.clients.by_name["alice"].send(b"x")
        alice = picture["rows"][1]["number"]
        shows(panel, lambda p: p["call"].startswith("recv(") and p["ready"] == [alice])
        server.run_on()
    server = SelectServer()
    server.record()
    with server:
        panel = observe(server)
        panel.clients.connect(server.address)
        shows(panel, lambda p: p["in"] and len(p["in"]) == 2 and p["asleep"])
    with CoroutineServer() as server:
        panel = observe(server)
        panel.clients.connect(server.address)
        shows(panel, lambda p: [name for name, state, _ in p["tasks"]] == ["accept_clients", "serve_client"])


def test_a_ready_list_that_the_kernel_does_not_tell_is_not_guessed():
    class Edges(Server):
        def serve(self, listener):
            epoll = select.epoll()
            epoll.register(listener, select.EPOLLIN | select.EPOLLET)
            while not any(events & select.EPOLLHUP for _, events in epoll.poll()):  # until it is stopped
                pass

    with Edges() as server:
        panel = observe(server)
        panel.clients.connect(server.address)
        picture = shows(panel, lambda p: p["waiting"] == ("alice",) and p["unknown"])["picture"]
        assert picture["ready"] == [] and picture["unknown"] == [picture["rows"][0]["number"]]


def test_a_server_that_never_sleeps_says_which_calls_it_makes_again_and_again():
    with NonBlockingServer() as server:
        panel = observe(server)
        shows(panel, lambda p: p["asks"] == "The server does not sleep: it calls accept() again and again.")
        panel.clients.connect(server.address)
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

    with EpollServer(answer) as server:
        panel = observe(server)
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

    with ThreadedServer(answer=answer) as server:
        panel = observe(server)
        for _ in range(2):
            panel.clients.connect(server.address)
        shows(
            panel,
            lambda p: (
                p["asks"]
                == "All threads sleep: the first thread in accept(), the thread of alice in recv() and the thread of bob in recv()."
            ),
        )
        panel.clients.by_name["alice"].send(b"work")
        assert at_work.wait(60)
        try:
            shows(panel, lambda p: p["asks"] == "The first thread sleeps in accept(); 1 more is running.")
        finally:
            go_on.set()


def test_held_in_a_thread_of_which_only_its_program_knows():
    with OwnThreadsServer() as server:
        panel = observe(server)
        panel.clients.connect(server.address)
        # Who sleeps on a descriptor is looked up after the descriptors: in its next call, and not in the one that brought alice.
        assert wait_until(lambda: [row["asleep"].split()[-1:] for row in panel.state()["rows"]] == [["accept"], ["recv"]], 20)
        server.hold()
        panel.clients.by_name["alice"].send(b"hello")
        shows(panel, lambda p: p["call"] == f"sendall({p['rows'][1]['number']})" and not p["asleep"])


def test_sockets_of_a_cell():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        panel = observe(listener)
        assert panel.state()["picture"]["asks"] == "No thread sleeps in a call on these."
        sleeper = threading.Thread(target=listener.accept, name="MainThread", daemon=True)
        sleeper.start()
        shows(panel, lambda p: p["asks"] == "A notebook cell sleeps in accept() on listener." and p["asleep"])
        socket.create_connection(listener.getsockname()).close()
        sleeper.join()


def test_of_many_the_listener_and_the_active_ones_are_drawn():
    pairs = [socket.socketpair() for _ in range(15)]
    pairs[12][0].send(b"x")
    picture = observe([end for pair in pairs for end in pair]).state()["picture"]
    assert len(picture["rows"]) == 20 and picture["hidden"] == 10
    assert pairs[12][1].fileno() in [row["number"] for row in picture["rows"]]
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_look_that_found_nothing_new_makes_no_new_picture():
    with BlockingServer() as server:
        panel = observe(server)
        shows(panel, lambda p: p["asleep"])
        assert panel.state()["picture"] is panel.state()["picture"]
        assert re.match("The server sleeps", panel.state()["picture"]["asks"])
