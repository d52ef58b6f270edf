"""What all tests share: the learner's folder is a temporary one, and the browser comes last."""

import signal

import pytest

# A shell's background job ignores Ctrl-C, and so would each process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Playwright keeps an asyncio loop running in the main thread: nothing else may need one after it.
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.fixture(autouse=True)
def learner_folder(tmp_path, monkeypatch):
    """Keep every test's journal and passed exercises out of the repository."""
    folder = tmp_path / "mine"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    return folder
