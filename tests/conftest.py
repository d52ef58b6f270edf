"""What all tests share: the learner's folder is a temporary one, and the browser comes last."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Playwright keeps an asyncio loop running in the main thread: nothing else may need one after it. And two browsers
    # at a time are more than two cores can drive.
    items.sort(key=lambda item: "browser" in item.path.parts)
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(autouse=True)
def learner_folder(tmp_path, monkeypatch):
    """Keep every test's journal and passed exercises out of the repository."""
    folder = tmp_path / "mine"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    return folder
