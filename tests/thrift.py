"""What makes a run of the tests cheap, and no test weaker."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: What a folder in memory must have free, in bytes: a container's usual 64 MiB would be full at once.
_ROOM = 2**30


def fast_folder() -> str | None:
    """A folder that is kept in memory, or None where there is none with room. Files in it wait for no disk.

    Processes that are killed lose nothing of what they had written there, as on a disk.
    """
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM):
        return None
    return str(memory)


def keep_files_in_memory() -> None:
    """Have pytest make the tests' folders in memory, unless somebody said where."""
    if folder := fast_folder():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)
