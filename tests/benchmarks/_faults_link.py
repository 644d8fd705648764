"""A bad network: two namespaces of our own, and between them a line that delays, loses, holds back or is cut.

Invariant: nothing in it reaches any other network, and all of it is gone when the line closes. The packets go over two TUN
devices through a thread of ours, because few kernels have `tc netem`; what it did to them is counted. Used by `faults`.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from contextlib import ExitStack, suppress

from tests.benchmarks import AbsentError

NEAR, FAR = "10.201.73.1", "10.201.73.2"  # the collector's side, the emitters'
_MTU = 1400
_MOST_QUEUED = 1000  # packets, as netem's own limit
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class Line:
    """A line between two namespaces, `near` and `far`; its weather may be changed at any time."""

    def __init__(self, draw: random.Random) -> None:
        """Raises AbsentError where this machine does not allow it."""
        self.delay_s = 0.0  # each way
        self.loss_ratio = 0.0
        self.bytes_per_s = 0.0  # 0: as much as comes
        self.is_cut = False
        self.carried_count = self.lost_count = 0
        self._draw = draw
        self._due: list[tuple[float, int, int, bytes]] = []
        self._free_s = [0.0, 0.0]  # when each direction has sent what was before
        self._undo = ExitStack()
        self._stopped = threading.Event()
        name = f"tj{os.getpid() % 100_000:05}"
        self.near, self.far = f"{name}n", f"{name}f"
        try:
            self._ends = [self._end(self.near, NEAR), self._end(self.far, FAR)]
        except (OSError, subprocess.SubprocessError) as fault:
            self._undo.close()
            said = getattr(fault, "stderr", b"") or str(fault).encode()
            raise AbsentError(f"no network namespaces here: {said.decode(errors='replace').strip()[:200]}") from None
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._thread.start()

    def inside(self, namespace: str) -> list[str]:
        """What stands before a command that runs in a namespace."""
        return ["ip", "netns", "exec", namespace]

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(5)
        self._undo.close()

    def _end(self, namespace: str, address: str) -> int:
        """One end of the line: a namespace with a device whose packets come to us."""
        self._ip("netns", "add", namespace)
        self._undo.callback(lambda: self._ip("netns", "del", namespace, must=False))
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._undo.callback(os.close, file)
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", namespace.encode(), _IFF_TUN | _IFF_NO_PI))
        self._ip("link", "set", namespace, "netns", namespace)
        self._ip("-n", namespace, "addr", "add", f"{address}/24", "dev", namespace)
        self._ip("-n", namespace, "link", "set", namespace, "up", "mtu", str(_MTU))
        self._ip("-n", namespace, "link", "set", "lo", "up")
        return file

    @staticmethod
    def _ip(*words: str, must: bool = True) -> None:
        subprocess.run(["ip", *words], check=must, capture_output=True, timeout=20)

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            wait_s = min(0.05, max(0.0, self._due[0][0] - time.monotonic())) if self._due else 0.05
            ready, _, _ = select.select(self._ends, [], [], wait_s)
            for file in ready:
                side = self._ends.index(file)
                with suppress(BlockingIOError):
                    for _ in range(64):
                        number += 1
                        self._take(side, number, os.read(file, 65_536))
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, side, packet = heapq.heappop(self._due)
                if self.is_cut:
                    self.lost_count += 1
                    continue
                with suppress(OSError):  # the other end takes no more: as lost as any
                    os.write(self._ends[side], packet)
                    self.carried_count += 1

    def _take(self, side: int, number: int, packet: bytes) -> None:
        """What came out at one side is due at the other, unless it is lost."""
        now_s = time.monotonic()
        if self.is_cut or self._draw.random() < self.loss_ratio or len(self._due) >= _MOST_QUEUED:
            self.lost_count += 1
            return
        if self.bytes_per_s:
            self._free_s[side] = max(self._free_s[side], now_s) + len(packet) / self.bytes_per_s
            now_s = self._free_s[side]
        heapq.heappush(self._due, (now_s + self.delay_s, number, 1 - side, packet))
