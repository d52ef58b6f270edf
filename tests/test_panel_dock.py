"""Where a panel is shown: nothing is taken for granted but what the page's views report."""

import socket

import pytest
from every_server import asleep

from course_lib.kernel import wait_until
from course_lib.servers import BlockingServer
from course_lib.widgets import observe
from course_lib.widgets import panel as panel_module
from course_lib.widgets.dock import Dock


@pytest.fixture
def dock(monkeypatch, servers_stop):
    dock = Dock()
    monkeypatch.setattr(panel_module, "dock", dock)
    monkeypatch.setattr(panel_module, "_APPEARS", 600.0)  # a page that comes late has not forgotten the place
    yield dock
    dock.close()


@pytest.fixture
def panel_in():
    panels = []

    def panel_in(where="cell of JupyterLab", server=None, **more):
        """A panel on a server, or on a new one; one view of it is there, unless `where` is None."""
        panel = observe(server or BlockingServer().start(), **more)
        panel.send = lambda *message, **more: None
        panels.append(panel)
        if where:
            tell(panel, "ready", "cell", where)
        return panel

    yield panel_in
    for panel in panels:
        for view in list(panel._views):
            tell(panel, "gone", view)
        assert wait_until(lambda panel=panel: panel._pump is None, 10)


def tell(panel, kind, view, where=None):
    panel._hear(panel, {"type": kind, "view": view, "in": where}, [])


def all_is_heard(panel):
    """Wait until it has dealt with what it was told: one message after the other."""
    tell(panel, "alive", "the last")
    assert wait_until(lambda: "the last" in panel._views, 10)
    tell(panel, "gone", "the last")


def put_beside(panel, view="side"):
    """Its view beside the notebook has appeared."""
    tell(panel, "ready", view, "beside")
    assert wait_until(lambda: panel.place == "beside", 10)


@pytest.fixture
def first(dock, panel_in):
    """A panel that has just been put beside the notebook; nobody has seen it there yet."""
    panel = panel_in()
    assert wait_until(lambda: dock._sidecar and dock.shown is panel, 10)
    return panel


def test_in_jupyterlab_it_is_put_beside_the_notebook_and_the_cell_gives_way_when_it_has_appeared(dock, first):
    assert first.place == "here"
    (output,) = dock._sidecar.outputs
    assert output["data"]["application/vnd.jupyter.widget-view+json"]["model_id"] == first.model_id
    put_beside(first)


@pytest.mark.parametrize("where, more", [("cell", {}), ("cell of JupyterLab", {"parts": ["table"]})])
def test_elsewhere_and_a_part_alone_stay_in_the_cell(dock, panel_in, where, more):
    panel = panel_in(where, **more)
    all_is_heard(panel)
    assert dock.shown is None and panel.place == "here"


def test_a_second_panel_takes_the_same_place(dock, panel_in):
    first = panel_in()
    put_beside(first)
    place = dock._sidecar
    second = panel_in()
    assert wait_until(lambda: dock.shown is second, 10)
    tell(first, "gone", "side")
    tell(second, "ready", "side 2", "beside")
    assert wait_until(lambda: (first.place, second.place) == ("away", "beside"), 10)
    assert dock._sidecar is place


def test_who_closes_the_place_has_panels_in_their_cells_and_the_newest_at_hand(dock, panel_in):
    first = panel_in()
    tell(first, "ready", "side", "beside")
    tell(first, "gone", "side")
    assert wait_until(lambda: first.place == "offered" and not dock.wanted, 10)
    second = panel_in()
    assert wait_until(lambda: (first.place, second.place) == ("here", "offered"), 10)
    tell(second, "ready", "cell again", "cell of JupyterLab")
    tell(first, "ready", "cell again", "cell of JupyterLab")  # it is drawn again: it is no newer
    all_is_heard(first)
    assert dock.shown is None and (first.place, second.place) == ("here", "offered")
    tell(first, "dock", "cell")
    assert wait_until(lambda: dock.shown is first and dock.wanted, 10)
    assert second.place == "here"
    tell(second, "dock", "cell")
    assert wait_until(lambda: dock.shown is second, 10)


def test_where_nothing_appears_in_the_old_place_a_new_one_is_opened_once(dock, first, panel_in, monkeypatch):
    """After a reload the page has forgotten the place; where there is none at all, the panel stays in its cell."""
    monkeypatch.setattr(panel_module, "_APPEARS", 0.1)
    place = dock._sidecar
    second = panel_in()
    assert wait_until(lambda: dock._sidecar is not place and dock.is_new, 10)
    assert wait_until(lambda: second._asked is None, 10)
    assert second.place == "here"


def test_one_that_is_seen_only_after_a_cell_about_something_else_stays_in_its_cell_until_it_is_asked_for(dock, panel_in):
    """After Run All, a page shows a panel when one scrolls to it: it must not take the width from what is read then."""
    server = BlockingServer().start()
    passed = panel_in(None, server)
    dock.begin("told = 3", {"server": server})
    coming = panel_in(None, server)
    dock.begin("server.address", {"server": server})
    tell(passed, "ready", "cell", "cell of JupyterLab")
    all_is_heard(passed)
    assert dock.shown is None and passed.place == "here"
    tell(coming, "ready", "other cell", "cell of JupyterLab")
    assert wait_until(lambda: dock.shown is coming, 10)
    tell(passed, "dock", "cell")
    assert wait_until(lambda: dock.shown is passed, 10)


def test_one_whose_server_was_stopped_before_it_is_seen_stays_in_its_cell(dock, panel_in):
    server = BlockingServer().start()
    panel = panel_in(None, server)
    server.stop()
    tell(panel, "ready", "cell", "cell of JupyterLab")
    all_is_heard(panel)
    assert dock.shown is None and panel.place == "here"


def test_a_view_that_is_late_in_the_old_place_does_not_close_the_new_one(dock, first, panel_in, monkeypatch):
    monkeypatch.setattr(panel_module, "_APPEARS", 0.1)
    place = dock._sidecar
    second = panel_in()
    assert wait_until(lambda: dock._sidecar is not place, 10)
    for kind, view in (("ready", "late"), ("gone", "late"), ("ready", "side")):
        tell(second, kind, view, "beside")
    assert wait_until(lambda: (second._beside, second.place) == ("side", "beside"), 10)
    assert dock.shown is second and dock.wanted
    tell(second, "gone", "side")  # now it is the learner
    assert wait_until(lambda: not dock.wanted, 10)


class TestFolding:
    """A panel gives its place back when it is about something else."""

    @pytest.fixture
    def panel(self, dock, panel_in):
        panel = panel_in()
        put_beside(panel)
        return panel

    @pytest.fixture
    def names(self, panel):
        """What a kernel knows; a client is connected."""
        server = panel.subject
        with socket.create_connection(server.address) as client, socket.socketpair()[0] as stranger:
            names = {"server": server, "panel": panel, "client": client, "stranger": stranger, "told": {}}
            exec("def ask(): return server.address\ndef other(): return told", names)
            yield names

    @pytest.mark.parametrize(
        "code",
        [
            "server.address",
            "panel.label(a=client)",
            "client.send(b'x')",
            "for each in [stranger, client]: each.close()",
            "print(ask())",
            "guess('key', 'What?', 'a', 'b')",
            "guess('key', 'What?', 'a')\nbelieve('C1')",
            "",
            "%%time\nno Python",
            "(yield",
        ],
    )
    def test_not_before_a_cell_that_has_to_do_with_it_or_only_asks(self, dock, panel, names, code):
        dock.begin(code, names)
        dock.end()
        assert dock.shown is panel and panel.place == "beside"

    @pytest.mark.parametrize(
        "code",
        ["stranger.close()", "told = 3", "print(other())", "with a() as server:\n    server.address", "check('1.1', told)"],
    )
    def test_before_a_cell_that_has_nothing_to_do_with_it(self, dock, panel, names, code):
        dock.begin(code, names)
        assert dock.shown is None and dock._sidecar is None
        tell(panel, "gone", "side")  # so says the view when its place is gone
        assert wait_until(lambda: panel._beside is None, 10)
        assert panel.place == "folded" and dock.wanted

    def test_one_click_brings_it_back(self, dock, panel, names):
        dock.begin("told = 3", names)
        tell(panel, "dock", "cell")
        assert wait_until(lambda: dock.shown is panel and dock._sidecar, 10)
        put_beside(panel, "side 2")

    def test_another_panel_may_have_its_place(self, dock, panel, names, panel_in):
        dock.begin("told = 3", names)
        second = panel_in()
        assert wait_until(lambda: dock.shown is second, 10)
        assert panel.place == "away"

    def test_after_the_cell_that_stops_its_server(self, dock, panel, names):
        dock.begin("server.stop()", names)
        assert panel.place == "beside"
        panel.subject.stop()
        dock.end()
        assert panel.place == "folded"

    def test_not_when_the_learner_stops_it_in_the_panel_or_when_it_ends_by_itself(self, dock, panel, names):
        panel.subject.stop()
        dock.begin("server.address", names)
        dock.end()
        assert panel.place == "beside"
        panel.subject.start()
        assert asleep(panel.subject, "accept")  # an accept that begins later would end it at once
        dock.begin("server.set_blocking(False)", names)
        panel.subject.set_blocking(False, of="listener")
        socket.create_connection(panel.subject.address).close()
        assert wait_until(lambda: panel.subject.fate, 10)
        dock.end()
        assert panel.place == "beside"
