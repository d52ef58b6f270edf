"""The learner's own file on disk: guesses, tries, sentences. Standard library only."""

import fcntl
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

_FILE = "progress.json"

# What could not be written, by folder: on a read-only disk the lesson still goes on until the kernel ends.
_unsaved: dict[Path, dict] = {}


def home() -> Path:
    """The learner's folder; it need not exist yet.

    ``$COURSE_HOME`` if set; else ``mine`` beside the notebooks, when the working directory is the
    notebooks' folder; else ``notebooks/mine`` of the repository.
    """
    if os.environ.get("COURSE_HOME"):
        return Path(os.environ["COURSE_HOME"]).expanduser().absolute()
    if Path("00_start_here.ipynb").exists():
        return Path("mine").absolute()
    return Path(__file__).resolve().parents[1] / "notebooks" / "mine"


def read() -> dict:
    """The whole journal, ``{section: {key: value}}``; ``{}`` when there is none.

    A damaged file is set aside as ``journal.damaged-N.json``, never deleted, and one sentence is printed.
    """
    folder = home()
    try:
        data = _load(folder)
    except OSError as error:
        print(f"Your journal {folder / _FILE} cannot be read: {error.strerror}.")
        data = {}
    except ValueError:
        data = _set_aside(folder)
    return _merge(data, _unsaved.get(folder, {}))


def record(section: str, key: str, value: dict) -> None:
    """Set ``journal[section][key] = value`` on disk; safe beside other processes and threads that record.

    If the journal cannot be written, one sentence is printed and the entry lives until this process ends.
    Raises TypeError if `value` is not a dict that JSON can hold.
    """
    if not isinstance(value, dict):
        raise TypeError(f"a journal entry is a dict, not {type(value).__name__}")
    entry = {section: {key: json.loads(json.dumps(value))}}
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            try:
                data = _load(folder)
            except ValueError:
                data = _move_damaged(folder)
            data = _merge(_merge(data, _unsaved.get(folder, {})), entry)
            replace_file(folder / _FILE, json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
        _unsaved.pop(folder, None)
    except OSError as error:
        _unsaved[folder] = _merge(_unsaved.get(folder, {}), entry)
        print(f"Your progress cannot be saved in {folder}: {error.strerror}. It is kept until the kernel ends.")


def replace_file(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader, or a crash, sees the old file or the new one, never a half.

    Raises OSError if the folder cannot be written; the old file is then untouched.
    """
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(number, "wb") as file:
            # A lone surrogate becomes \udXXX, which JSON and Python strings both read back.
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _load(folder: Path) -> dict:
    """The file's content. Raises ValueError if it is not ``{section: {key: {...}}}``."""
    try:
        data = json.loads((folder / _FILE).read_bytes())
    except FileNotFoundError:
        return {}
    except RecursionError:
        raise ValueError("nested too deeply") from None
    sections = data.values() if isinstance(data, dict) else [None]
    if not all(isinstance(s, dict) and all(isinstance(v, dict) for v in s.values()) for s in sections):
        raise ValueError("not a journal")
    return data


def _merge(old: dict, new: dict) -> dict:
    """`old` with the entries of `new` put over it, one by one; neither is changed."""
    return {section: old.get(section, {}) | new.get(section, {}) for section in old | new}


def _set_aside(folder: Path) -> dict:
    try:
        with _locked(folder):
            try:
                return _load(folder)  # another process may have repaired it meanwhile
            except ValueError:
                return _move_damaged(folder)
    except OSError as error:
        print(f"Your journal {folder / _FILE} is damaged and cannot be moved aside: {error.strerror}.")
        return {}


def _move_damaged(folder: Path) -> dict:
    """Rename the damaged file (the lock is held); an empty journal takes its place."""
    number = 1
    while (aside := folder / f"journal.damaged-{number}.json").exists():
        number += 1
    os.rename(folder / _FILE, aside)
    print(f"Your journal was damaged. It is kept as {aside}, and a new one begins.")
    return {}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep out other processes and threads. The lock is on a file of its own: the journal itself is replaced."""
    with open(folder / ".progress.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Unlocks even if a child forked by another thread holds a copy of this descriptor.
            fcntl.flock(lock, fcntl.LOCK_UN)
