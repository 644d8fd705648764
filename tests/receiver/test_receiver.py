"""When a request is answered: not before its facts are stored, once for all who bring the same, later where it is too much."""

import asyncio
import gc
import sys
from collections.abc import Callable

import pytest

from tests.receiver.room import body_of, new_trace
from trajectory.model.fact import Batch, Gap
from trajectory.receiver.bodies import RefusedError
from trajectory.receiver.receiver import Receiver
from trajectory.receiver.seen import Seen


class HeldWay:
    """A way on which nothing is stored before the test says so."""

    def __init__(self) -> None:
        self.brought: list[list[Batch]] = []
        self.dones: list[Callable[[str], None]] = []
        self.came = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def bring(self, batches: list[Batch], done: Callable[[str], None]) -> None:
        self.brought.append(batches)
        self.dones.append(done)
        self.loop.call_soon_threadsafe(self.came.set)

    async def once_brought(self) -> None:
        await asyncio.wait_for(self.came.wait(), 10)
        self.came.clear()


async def test_a_request_is_answered_when_its_facts_are_stored_and_not_before() -> None:
    way = HeldWay()
    receiver = Receiver(way)
    asked = asyncio.ensure_future(receiver.take("traces", "protobuf", body_of(new_trace(), "plan")))
    await way.once_brought()
    assert not asked.done()
    way.dones[0]("")
    way.dones[0]("too late to change anything")
    assert not (await asked).HasField("partial_success")
    receiver.close()


async def test_a_retry_waits_for_the_first_try_and_brings_nothing_itself() -> None:
    way = HeldWay()
    receiver = Receiver(way, patience_s=0.0)
    body = body_of(new_trace(), "plan")
    with pytest.raises(RefusedError) as refused:
        await receiver.take("traces", "protobuf", body)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    await way.once_brought()
    receiver._patience_s = 10.0
    again = [asyncio.ensure_future(receiver.take("traces", "protobuf", body)) for _ in range(3)]
    await asyncio.sleep(0)
    way.dones[0]("")
    await asyncio.gather(*again)
    await receiver.take("traces", "protobuf", body)  # and when all is stored, it is known
    assert len(way.brought) == 1
    receiver.close()


async def test_what_could_not_be_stored_is_taken_again_when_it_comes_again() -> None:
    way = HeldWay()
    receiver = Receiver(way)
    body = body_of(new_trace(), "plan")
    asked = asyncio.ensure_future(receiver.take("traces", "protobuf", body))
    await way.once_brought()
    way.dones[0]("the disk is full")
    with pytest.raises(RefusedError, match="the disk is full") as refused:
        await asked
    assert refused.value.status == 503
    again = asyncio.ensure_future(receiver.take("traces", "protobuf", body))
    await way.once_brought()
    way.dones[1]("")
    await again
    assert way.brought[0] == way.brought[1]
    receiver.close()


async def test_more_than_can_be_held_is_told_to_come_again_and_what_is_held_is_bounded() -> None:
    way = HeldWay()
    first, second = body_of(new_trace(), "plan"), body_of(new_trace(), "plan")
    receiver = Receiver(way, held_bytes=len(first) + len(second) - 1)
    asked = asyncio.ensure_future(receiver.take("traces", "protobuf", first))
    await way.once_brought()
    with pytest.raises(RefusedError) as refused:
        await receiver.take("traces", "protobuf", second)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    way.dones[0]("")
    await asked
    later = asyncio.ensure_future(receiver.take("traces", "protobuf", second))
    await way.once_brought()
    way.dones[1]("")
    await later
    receiver.close()


async def test_what_is_held_counts_bodies_while_they_come_in_and_one_alone_may_be_of_any_size() -> None:
    receiver = Receiver(HeldWay(), held_bytes=100)
    first, second = receiver.hold(), receiver.hold()
    first.add(1000)
    with pytest.raises(RefusedError) as refused:
        second.add(1)
    assert refused.value.status == 429
    first.release()
    first.release()
    second.add(60)
    with pytest.raises(RefusedError):
        first.add(60)
    receiver.close()


async def test_what_is_refused_is_counted_in_the_health_of_the_collector() -> None:
    way = HeldWay()
    receiver = Receiver(way)
    receiver.note_refused(RefusedError(403, "foreign"))
    assert way.brought == []
    receiver.note_refused(RefusedError(400, "not an OTLP trace request"))
    ((batch,),) = way.brought
    (gap,) = batch.facts
    assert isinstance(gap, Gap) and (gap.count, gap.reason) == (1, "quarantined") and "not an OTLP" in gap.detail
    receiver.close()


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
async def test_a_body_that_is_refused_is_let_go_at_once_and_not_when_python_looks_for_circles(fill: bytes) -> None:
    receiver = Receiver(HeldWay())
    body = fill * 100_000
    gc.disable()
    try:
        before = sys.getrefcount(body)
        with pytest.raises(RefusedError) as refused:
            await receiver.take("traces", "protobuf", body)
        assert refused.value.status == 400
        del refused
        receiver.close()
        assert sys.getrefcount(body) == before
    finally:
        gc.enable()


def test_the_oldest_of_too_many_spans_is_new_again() -> None:
    seen = Seen(limit=2)
    seen.add([1, 2])
    seen.add([1, 3])  # the first was added again
    assert [seen.is_new(key) for key in (1, 2, 3)] == [False, True, False]
