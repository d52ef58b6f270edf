"""Where a panel is shown: nothing is taken for granted but what the page's views report."""

import pytest

from course_lib.kernel import wait_until
from course_lib.servers import BlockingServer, stop_all
from course_lib.widgets import observe
from course_lib.widgets import panel as panel_module
from course_lib.widgets.dock import Dock


@pytest.fixture
def dock(monkeypatch):
    dock = Dock()
    monkeypatch.setattr(panel_module, "dock", dock)
    yield dock
    dock.close()
    stop_all()


@pytest.fixture
def panel_in():
    panels = []

    def panel_in(where, **more):
        """A panel on a new server, one view of which is there."""
        panel = observe(BlockingServer().start(), **more)
        panel.send = lambda *message, **more: None
        panels.append(panel)
        tell(panel, "ready", "cell", where)
        return panel

    yield panel_in
    for panel in panels:
        for view in list(panel._views):
            tell(panel, "gone", view)
        assert wait_until(lambda panel=panel: panel._pump is None, 10)


def tell(panel, kind, view, where=None):
    panel._hear(panel, {"type": kind, "view": view, "in": where}, [])


def test_in_jupyterlab_it_is_put_beside_the_notebook_and_the_cell_gives_way_when_it_has_appeared(dock, panel_in):
    panel = panel_in("cell of JupyterLab")
    assert wait_until(lambda: dock._sidecar and dock.shown is panel, 10)
    assert panel.place == "here"  # nobody has seen it there yet
    (output,) = dock._sidecar.outputs
    assert output["data"]["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    tell(panel, "ready", "side", "beside")
    assert wait_until(lambda: panel.place == "beside", 10)


@pytest.mark.parametrize("where, more", [("cell", {}), ("cell of JupyterLab", {"parts": ["table"]})])
def test_elsewhere_and_a_part_alone_stay_in_the_cell(dock, panel_in, where, more):
    panel = panel_in(where, **more)
    assert wait_until(lambda: panel._views == {"cell"}, 10)
    assert dock.shown is None and panel.place == "here"


def test_a_second_panel_takes_the_same_place(dock, panel_in):
    first = panel_in("cell of JupyterLab")
    tell(first, "ready", "side", "beside")
    assert wait_until(lambda: first.place == "beside", 10)
    place = dock._sidecar
    second = panel_in("cell of JupyterLab")
    assert wait_until(lambda: dock.shown is second, 10)
    tell(first, "gone", "side")
    tell(second, "ready", "side 2", "beside")
    assert wait_until(lambda: (first.place, second.place) == ("away", "beside"), 10)
    assert dock._sidecar is place


def test_who_closes_the_place_has_panels_in_their_cells_until_they_ask_for_it(dock, panel_in):
    first = panel_in("cell of JupyterLab")
    tell(first, "ready", "side", "beside")
    tell(first, "gone", "side")
    assert wait_until(lambda: first.place == "here" and not dock.wanted, 10)
    second = panel_in("cell of JupyterLab")
    assert wait_until(lambda: second._views == {"cell"}, 10)
    assert dock.shown is None
    tell(second, "dock", "cell")
    assert wait_until(lambda: dock.shown is second and dock.wanted, 10)


def test_where_nothing_appears_in_the_old_place_a_new_one_is_opened_once(dock, panel_in, monkeypatch):
    """After a reload the page has forgotten the place; where there is none at all, the panel stays in its cell."""
    first = panel_in("cell of JupyterLab")
    assert wait_until(lambda: dock._sidecar and dock.shown is first, 10)
    monkeypatch.setattr(panel_module, "_APPEARS", 0.1)
    place = dock._sidecar
    second = panel_in("cell of JupyterLab")
    assert wait_until(lambda: dock._sidecar is not place and dock.is_new, 10)
    assert wait_until(lambda: second._asked is None, 10)
    assert second.place == "here"
