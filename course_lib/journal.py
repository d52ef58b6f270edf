"""The learner's own file on disk: guesses, tries, sentences. Standard library only."""

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from course_lib import folders

_FILE = "progress.json"
_LOCK_LIMIT = 10.0  # seconds; another process has the lock for a few milliseconds only

# What the course keeps under these names, in whatever section; any other name may hold anything.
_TYPES = (
    dict.fromkeys(["passed", "right", "solved", "tested"], bool)
    | dict.fromkeys(["tries", "hints", "times", "sure", "sure_after"], int)
    | dict.fromkeys(["answer", "belief", "last", "outcome", "question", "reason", "rewritten"], str)
    | {"options": list}
)

# What could not be written, by folder: on a read-only disk the lesson still goes on until the kernel ends.
_unsaved: dict[Path, dict] = {}
# Why not, by folder: one sentence, which was printed once.
_trouble: dict[Path, str] = {}


def read() -> dict:
    """The whole journal, ``{section: {key: value}}``; ``{}`` when there is none.

    A damaged file is set aside as ``progress.damaged-N.json``, never deleted; what is sound in it stays, and one
    sentence is printed.
    """
    folder = folders.mine()
    data: dict = {}
    try:
        data, whole = _load(folder)
        if not whole:
            data = _set_aside(folder)
        if why := _refused(folder):
            _say(folder, f"Your progress cannot be saved in {folder}: {why}. It is kept until the kernel ends.")
        elif folder not in _unsaved:
            _trouble.pop(folder, None)
    except OSError as error:
        _say(
            folder,
            f"Your progress in {folder / _FILE} cannot be read: {error.strerror}. What you do now is kept until the kernel ends.",
        )
    return _merge(data, _unsaved.get(folder, {}))


def record(section: str, key: str, value: dict) -> None:
    """Set ``journal[section][key] = value`` on disk; safe beside other processes and threads that record.

    If the journal cannot be written, one sentence is printed and the entry lives until this process ends.
    Raises TypeError if `value` is not a dict that JSON can hold.
    """
    update(section, key, lambda entry: value)


def update(section: str, key: str, change: Callable[[dict], dict]) -> None:
    """As `record`, of ``change(entry)``: the entry as it is now, ``{}`` if there is none, which nobody else changes meanwhile.

    `change` returns another dict, and may be called twice.
    """
    folder = folders.mine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            data, whole = _load(folder)
            if not whole:
                _move_damaged(folder, data)
            data = _merge(data, _unsaved.get(folder, {}))
            data = _merge(data, _changed(data, section, key, change))
            for left in folder.glob(f".{_FILE}.*"):  # by a process that was killed while it wrote
                with suppress(OSError):
                    left.unlink()
            replace_file(folder / _FILE, _text(data))
        _unsaved.pop(folder, None)
        if _trouble.pop(folder, None):
            print(f"Your progress is saved again in {folder}.")
    except OSError as error:
        try:
            data, _ = _load(folder)
        except OSError:
            data = {}
        unsaved = _unsaved.get(folder, {})
        _unsaved[folder] = _merge(unsaved, _changed(_merge(data, unsaved), section, key, change))
        _say(folder, f"Your progress cannot be saved in {folder}: {error.strerror}. It is kept until the kernel ends.")


def trouble() -> str:
    """Why the learner's progress is not on disk now, one sentence; "" when it is."""
    return _trouble.get(folders.mine(), "")


def replace_file(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader, or a crash, sees the old file or the new one, never a half.

    Raises OSError if the folder cannot be written; the old file is then untouched.
    """
    import tempfile  # for the few who write: each checked process imports this module

    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(number, "wb") as file:
            # A lone surrogate becomes \udXXX, which JSON and Python strings both read back.
            file.write(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name with none of the bytes
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def first_free(path: Callable[[int], Path]) -> Path:
    """The first of the paths that this function gives for 1, 2, 3 …, under which nothing is."""
    return next(free for free in map(path, count(1)) if not os.path.lexists(free))


def _load(folder: Path) -> tuple[dict, bool]:
    """What is sound in the file, and whether that is all of it."""
    path = folder / _FILE
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a folder; or a pipe, from which a read would wait
            return {}, False
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, True
    except (ValueError, RecursionError):
        return {}, False
    sections = data.items() if isinstance(data, dict) else ()
    sound = {
        name: {key: entry for key, entry in section.items() if _is_sound(entry)}
        for name, section in sections
        if isinstance(section, dict)
    }
    return sound, sound == data


def _is_sound(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    return all(type(value) is _TYPES.get(name, type(value)) for name, value in entry.items()) and all(
        isinstance(option, str) for option in entry.get("options", [])
    )


def _changed(data: dict, section: str, key: str, change: Callable[[dict], dict]) -> dict:
    value = change(dict(data.get(section, {}).get(key, {})))
    if not isinstance(value, dict):
        raise TypeError(f"a journal entry is a dict, not {type(value).__name__}")
    return {section: {key: json.loads(json.dumps(value))}}


def _merge(old: dict, new: dict) -> dict:
    """`old` with the entries of `new` put over it, one by one; neither is changed."""
    return {section: old.get(section, {}) | new.get(section, {}) for section in old | new}


def _text(data: dict) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _set_aside(folder: Path) -> dict:
    """Move the damaged file aside and put what is sound in its place, which is returned."""
    data: dict = {}
    try:
        with _locked(folder):
            data, whole = _load(folder)
            if not whole:  # no other process has repaired it meanwhile
                _move_damaged(folder, data)
                _unsaved[folder] = _merge(data, _unsaved.get(folder, {}))
                with suppress(OSError):
                    replace_file(folder / _FILE, _text(_unsaved[folder]))
                    del _unsaved[folder]
    except OSError as error:
        _say(
            folder,
            f"Your progress in {folder / _FILE} is damaged and cannot be put right: {error.strerror}. "
            "What you do now is kept until the kernel ends.",
        )
    return data


def _move_damaged(folder: Path, sound: dict) -> None:
    """Rename the damaged file; the lock is held."""
    aside = first_free(lambda number: folder / f"progress.damaged-{number}.json")
    os.rename(folder / _FILE, aside)
    rest = "what could be read of it stays" if any(sound.values()) else "a new one begins"
    print(f"Your file of progress was damaged. It is kept as {aside}, and {rest}.")


def _refused(folder: Path) -> str:
    """Why nothing can be written into the folder, or into the one that it would be made in; "" if nothing is known."""
    while not os.path.lexists(folder):
        folder = folder.parent
    if os.access(folder, os.W_OK | os.X_OK):
        return ""
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if read_only else errno.EACCES)


def _say(folder: Path, sentence: str) -> None:
    """Print it, if it is the first about this folder since all was well."""
    if folder not in _trouble:
        _trouble[folder] = sentence
        print(sentence)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep out other processes and threads. The lock is on a file of its own: the journal itself is replaced."""
    path = folder / ".progress.lock"
    try:
        lock = open(path, "a")
    except PermissionError:
        if not os.path.exists(path):
            raise
        lock = open(path)  # another user made it, by sudo perhaps; flock(2) asks for no right to write
    with lock:
        held = _lock(lock.fileno())
        try:
            yield
        finally:
            if held:
                # Unlocks even if a child forked by another thread holds a copy of this descriptor.
                fcntl.flock(lock, fcntl.LOCK_UN)


def _lock(number: int) -> bool:
    """False where the file system has no locks. Raises TimeoutError if a process that stands still holds it."""
    until = time.monotonic() + _LOCK_LIMIT
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, "another process keeps it locked") from None
            time.sleep(0.005)  # flock(2) knows no time limit, and SIGALRM belongs to the learner
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                return False
            raise
