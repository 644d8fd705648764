"""A real terminal that somebody sits at: a shell in tmux, in which the real command is typed, looked at from outside.

Invariant: nothing is waited for by time; whatever is expected is looked for until it is there, up to a deadline. The server has
a socket of its own and ends with the test, so no session of whoever runs the tests is touched.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 20.0
IS_THERE = shutil.which("tmux") is not None
_LOOK_AGAIN_S = 0.03


class Tmux:
    """One window of so many columns and rows with a shell in it. Use with `with`."""

    def __init__(self, folder: Path, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._socket = folder / "tmux"
        self._size = (columns, rows)
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC"}
        self._environment |= {name: value for name, value in os.environ.items() if name.startswith(("XDG_", "TRAJ"))}
        self._environment |= environment

    def __enter__(self) -> "Tmux":
        columns, rows = self._size
        self._ask("new-session", "-d", "-x", str(columns), "-y", str(rows), "sh")
        try:
            self._ask("set-option", "-g", "status", "off")
            self._ask("set-option", "-g", "escape-time", "0")
            self.until(self.is_at_prompt)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ask("kill-server")

    def type_in(self, *words: str | Path) -> None:
        """Types a command of ours into the shell."""
        self._ask("send-keys", "-l", " ".join([sys.executable, "-P", "-m", "trajectory", *map(str, words)]))
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Presses keys, by tmux's names."""
        self._ask("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._ask("resize-window", "-x", str(columns), "-y", str(rows))

    def detach(self) -> None:
        """Takes the window from every terminal that looks at it."""
        self._ask("detach-client", "-s", "0")
        self.until(lambda: not self._ask("list-clients"))

    def is_at_prompt(self) -> bool:
        return self.text.split("\n")[-1] in ("$", "#")

    @property
    def attaching(self) -> list[str]:
        """The command with which a terminal looks at this window."""
        return ["tmux", "-f", "/dev/null", "-S", str(self._socket), "attach"]

    @property
    def text(self) -> str:
        """What stands in the window, as plain lines."""
        return self._ask("capture-pane", "-p").rstrip("\n")

    @property
    def styled(self) -> str:
        """What stands in the window, with the codes of its colours."""
        return self._ask("capture-pane", "-p", "-e")

    @property
    def modes(self) -> str:
        """What the program has switched on in its terminal: other screen, mouse, cursor, keypad; and the line's settings."""
        flags = ["alternate_on", "mouse_any_flag", "mouse_button_flag", "mouse_sgr_flag", "cursor_flag", "keypad_flag"]
        told = self.told(" ".join(f"{flag}=#{{{flag}}}" for flag in flags))
        tty = subprocess.run(["stty", "-g", "-F", self.told("#{pane_tty}")], capture_output=True, text=True, check=True)
        return f"{told} {tty.stdout.strip()}"

    def told(self, form: str) -> str:
        """What tmux knows of the window, in its own format language."""
        return self._ask("display-message", "-p", form).strip()

    def until(self, is_so: Callable[[], object]) -> None:
        """Looks until something is so. Raises AssertionError, with what stands in the window."""
        ends_s = time.monotonic() + DEADLINE_S
        while not is_so():
            assert time.monotonic() < ends_s, self.text
            time.sleep(_LOOK_AGAIN_S)

    def _ask(self, *words: str) -> str:
        command = ["tmux", "-f", "/dev/null", "-S", str(self._socket), "-u", *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
