"""The notebooks as they were shipped, found again after a learner has worked in them. Standard library only.

``shipped.json`` names each notebook's content by its git blob id, so whatever is found is known to be the right one:
the notebook itself if nobody has changed it, else an object of the clone (however often the learner has committed), else
a copy that JupyterLab put aside when it started. No network is asked.
"""

import gzip
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from course_lib import folders, journal

_LIST = Path(__file__).with_suffix(".json")


class NotFound(Exception):
    """A notebook as shipped is not on this machine; the text is one sentence."""


def names() -> list[str]:
    """The course's notebooks, in order: ``["00_start_here.ipynb", …, "more/01_file_descriptors_more.ipynb", …]``."""
    return list(_blobs())


def read(name: str) -> bytes:
    """The notebook of this name as shipped. Raises NotFound."""
    blob = _blobs()[name]
    for content in _candidates(name, blob):
        if content is not None and blob_id(content) == blob:
            return content
    raise NotFound(f"{name} as shipped is not found on this machine: unpack the course anew, and take it from there.")


def unchanged() -> Iterator[bytes]:
    """The notebooks beside the learner's `mine` that are still as shipped."""
    for name, blob in _blobs().items():
        if content := _unchanged(name, blob):
            yield content


def put_aside() -> None:
    """Keep the notebooks that are still as shipped, where the course is no git clone that has them anyway.

    Copies go into ``as_shipped`` in the learner's folder. Where nothing can be written, nothing is done.
    """
    with suppress(OSError):
        for name, blob in _blobs().items():
            copy = _copy(blob)
            if not copy.exists() and (content := _unchanged(name, blob)) and not _in_git(blob):
                copy.parent.mkdir(parents=True, exist_ok=True)
                journal.replace_file(copy, gzip.compress(content))


def reset(name: str) -> str:
    """Give a notebook back as shipped, and keep the learner's version beside it; returns what was done, in sentences.

    Raises NotFound, and OSError if the folder cannot be written; the learner's notebook is then where it was.
    """
    path, content = folders.notebooks() / name, read(name)
    if _content(path) == content:
        return f"{name} is as shipped already. Nothing was done."
    kept = None
    if os.path.lexists(path):
        kept = _beside(path)
        try:
            os.link(path, kept)  # so that there is a notebook of this name at every moment
        except OSError:
            os.rename(path, kept)  # a folder, or a file system without links
    try:
        path.parent.mkdir(exist_ok=True)
        journal.replace_file(path, content)
    except OSError:
        if kept:  # a rename onto another link of the same file would do nothing (rename(2))
            os.unlink(kept) if os.path.lexists(path) else os.rename(kept, path)
        raise
    with suppress(OSError):
        path.chmod(0o666 & ~_umask())
    said = f"{name} is as shipped again."
    if kept:
        said += f" Your version is kept as {kept.name}."
    return (
        f"{said} Your progress and mine/ stay as they are.\n"
        "If JupyterLab has it open, choose Reload Notebook from Disk in its File menu, then restart the kernel. "
        "(Should it ask first, choose Revert, not Overwrite.)"
    )


def write_list(folder: Path) -> None:
    """Take the notebooks in this folder, as they are now, for what is shipped."""
    blobs = {name: blob_id((folder / name).read_bytes()) for name in folders.names(folder)}
    _LIST.write_text(json.dumps(blobs, indent=1) + "\n", encoding="utf-8")


def blob_id(content: bytes) -> str:
    """The name that git gives this content (gitformat-pack, git-hash-object(1))."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _blobs() -> dict[str, str]:
    return json.loads(_LIST.read_text(encoding="utf-8"))


def _candidates(name: str, blob: str) -> Iterator[bytes | None]:
    """What may be the notebook as shipped: the learner's, the course's own, what git keeps, what was put aside."""
    yield _content(folders.notebooks() / name)
    yield _content(folders.COURSE / name)
    yield _in_git(blob)
    yield _put_aside(blob)


def _unchanged(name: str, blob: str) -> bytes | None:
    """The learner's notebook, if it is still as shipped."""
    content = _content(folders.notebooks() / name)
    return content if content is not None and blob_id(content) == blob else None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _in_git(blob: str) -> bytes | None:
    for clone in dict.fromkeys([folders.notebooks(), folders.COURSE]):
        try:
            done = subprocess.run(
                ["git", "cat-file", "blob", blob],
                cwd=clone,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=20,
                env=os.environ | {"GIT_NO_LAZY_FETCH": "1"},
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return done.stdout
    return None


def _put_aside(blob: str) -> bytes | None:
    try:
        return gzip.decompress(_copy(blob).read_bytes())
    except (OSError, EOFError, ValueError):
        return None


def _copy(blob: str) -> Path:
    return folders.mine() / "as_shipped" / f"{blob}.ipynb.gz"


def _beside(path: Path) -> Path:
    """A free name that says when: ``04_select_before_reset_2026-03-01_17-20-05.ipynb``."""
    stem = f"{path.stem}_before_reset_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    return journal.first_free(lambda number: path.with_name(f"{stem}.ipynb" if number == 1 else f"{stem}_{number}.ipynb"))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
