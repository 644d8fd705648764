"""What a fault scenario comes to: its rows, from what was emitted and what the store holds.

Invariant: a row is good only where nothing is missing that may not be, nothing is doubled or out of order, and the emitters
were told the truth. Used by the scenarios of `faults`.
"""

from tests.benchmarks import Row
from tests.benchmarks._faults_room import PATIENCE_S, Emitter, Room, wait_until
from tests.benchmarks._faults_truth import Toll, toll

PACE_PER_S = 400.0
WHOLE = "0 lost, 0 doubled, 0 out of order"


def whole(
    room: Room,
    case: str,
    what: str,
    further: str = "",
    may_be_told_otherwise: bool = False,
    patience_s: float = PATIENCE_S,
) -> Row:
    """Everything comes to its end, and nothing may be missing. `may_be_told_otherwise`: emitters whose collector moved."""
    unflushed_count = room.finish(patience_s)
    found = tally(room)
    measured = str(found) + (f"; {unflushed_count} emitters were told otherwise" if unflushed_count else "")
    measured += f"; {found.counted} said to be missing" if found.counted else ""
    measured += f"; {further}" if further else ""
    wrong_count = (
        found.lost_count + found.bodiless_count + found.counted + (0 if may_be_told_otherwise else unflushed_count)
    )
    return Row(case, what, measured, WHOLE, found.is_sound and not wrong_count and found.emitted_count > 0)


def cut(room: Room, case: str, what: str) -> list[Row]:
    """Everything comes to its end; emitters were killed, so that their ends are missing, without holes, and counted."""
    killed_count = sum(one.process.returncode is not None for one in room.emitters)
    room.finish()
    found = tally(room)
    measured = f"{found}; of the lost {found.hole_count} before stored ones"
    is_good = found.is_sound and not found.hole_count and not found.bodiless_count and found.emitted_count > 0
    each = f"{found.uncounted} of {found.missing}; {found.counted} counted, {found.overcounted} of them not lost"
    is_told = not found.uncounted and not found.overcounted
    return [
        Row(case, what, measured, "nothing but the ends of the killed, 0 doubled, 0 out of order", is_good),
        Row(case, "lost and not counted as a gap", f"{each}; {killed_count} killed", "0, and 0 too many", is_told),
    ]


def tally(room: Room) -> Toll:
    """What is missing, doubled or out of order in the room's store now."""
    done_counts = {name: n for one in room.emitters for name, n in one.done_counts().items()}
    return toll(room.store, done_counts, {one.orders.name: one.fact_count() for one in room.emitters})


def some(room: Room, count: int, per_s: float = PACE_PER_S) -> list[Emitter]:
    """Emitters that have begun, named after how many there are."""
    first = len(room.emitters)
    those = [room.emit(f"emitter-{number}", per_s=per_s) for number in range(first, first + count)]
    begun(those)
    return those


def begun(those: list[Emitter]) -> None:
    """Waits until each has emitted something."""
    wait_until(lambda: all(one.tally.done_count for one in those), "the emitters emit")
