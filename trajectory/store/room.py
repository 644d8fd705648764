"""The room that a store takes on the disk: what is in use, and the way back of what is not.

Invariant: nothing is lost where the disk is full or the process dies; the store is then as large as it was. Called by the
reader, the writer and `trajectory compact`.
"""

import shutil
from collections.abc import Callable
from time import monotonic

from trajectory.errors import StoreError
from trajectory.store.contract import Room
from trajectory.store.database import Database

_STEP_PAGES = 64


def room_of(database: Database) -> Room:
    """What the file takes, and what of it is in use."""
    page_bytes, pages, free = (
        database.number(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count")
    )
    return Room(page_bytes * pages, page_bytes * (pages - free))


def give_back(database: Database, until_s: float) -> bool:
    """Cuts free pages off the file until an instant of `time.monotonic`; False when there is none, or not in steps."""
    if not can_give_back(database):
        return False
    while free := database.number("PRAGMA freelist_count"):
        with database.connection() as connection:
            # `execute` would free one page: its rows have no columns
            connection.executescript(f"PRAGMA incremental_vacuum({min(free, _STEP_PAGES)})")
        if database.number("PRAGMA freelist_count") >= free:
            return False
        if monotonic() > until_s:
            return True
    return False


def can_give_back(database: Database) -> bool:
    """Whether free pages can be cut off in steps; a store that another program copied may need to be written anew."""
    return database.number("PRAGMA auto_vacuum") != 0


def write_anew(database: Database, tell: Callable[[str], None]) -> None:
    """Writes the whole file anew, without free pages, so that from now on they can be cut off in steps. Nobody else may write.

    Raises StoreError where the disk has no room for it.
    """
    needed_bytes = 2 * room_of(database).needed_bytes  # the new file, and the log through which it replaces the old one
    free_bytes = shutil.disk_usage(database.path.parent).free
    if free_bytes < needed_bytes:
        raise StoreError(
            f"{database.path} has to be written anew, and for that {needed_bytes / 1e6:.0f} MB must be free on its disk, "
            f"{free_bytes / 1e6:.0f} MB are: free some space"
        )
    tell(f"{database.path} is written anew, {needed_bytes / 2e6:.0f} MB; from then on it gives room back in steps")
    database.rows("PRAGMA auto_vacuum = INCREMENTAL")
    database.rows("VACUUM")
