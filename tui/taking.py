"""What leaves the screen, for whoever looks at a run to take along: copies, links, files, exports, and a look in an editor.

Invariant: files are new, the user's alone (0600), and named by us, never by what an agent said; what was written for a moment
(a copy, a text for the editor) goes when the dashboard is left. The app is built on it.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from textual.app import SuspendNotSupported
from textual.message import Message

from trajectory.errors import TrajectoryError
from trajectory.view.feed import Feed, Format
from tui.going import Going
from tui.plain import as_json

_AT_ONCE_S = 1.0  # an editor that is back so soon has opened a window of its own, and still needs the file
_VIM = ("vim", "nvim", "gvim", "vimdiff", "view")
_STOP_S = 3.0


class Exported(Message):
    """An export goes on, or has ended: with a file, or with an error."""

    def __init__(self, progress: str = "", path: str = "", error: str = "") -> None:
        super().__init__()
        self.progress = progress
        self.path = path
        self.error = error


class Copies:
    """The last copied text in a private file: for terminals that keep no clipboard for us."""

    def __init__(self) -> None:
        self._path = ""

    def keep(self, text: str) -> str:
        """Writes the text; returns what to tell."""
        try:
            if not self._path:
                handle, self._path = tempfile.mkstemp(prefix="trajectory-copy-", suffix=".txt")
                os.close(handle)
            Path(self._path).write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            return f"copied {len(text)} characters (no file: {error.strerror})"
        return f"copied {len(text)} characters; also in {self._path}"

    def forget(self) -> None:
        """Removes the file."""
        if self._path:
            with suppress(OSError):
                Path(self._path).unlink()
            self._path = ""


class Editor:
    """Shows texts in the user's editor, each in a file of its own that is removed after."""

    def __init__(self) -> None:
        self._left: list[str] = []  # directories of editors that came back at once

    @property
    def command(self) -> list[str]:
        """`VISUAL`, else `EDITOR`, as words; empty where neither is set or can be read."""
        named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
        try:
            return shlex.split(named)
        except ValueError:
            return []

    def show(self, command: list[str], text: str, suffix: str) -> str:
        """Runs the editor on a text until it is left; returns what to tell. Raises OSError where it cannot be run.

        In a directory of its own, so that what an editor leaves beside a file goes with it.
        """
        folder = tempfile.mkdtemp(prefix="trajectory-look-")
        began_s, is_done = time.monotonic(), False
        try:
            path = Path(folder) / f"value{suffix}"
            path.touch(0o600)
            path.write_text(text, encoding="utf-8", errors="replace")
            code = subprocess.run([*command, *_careful(command), str(path)], check=False).returncode
            is_done = code != 0 or time.monotonic() - began_s >= _AT_ONCE_S
        except OSError:
            is_done = True
            raise
        finally:
            if is_done:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._left.append(folder)
        name = Path(command[0]).name
        if code:
            return f"{name} ended with code {code}"
        return f"{name} is left; nothing here was changed" if is_done else f"{name} has it: the file goes when you quit"

    def forget(self) -> None:
        """Removes what is left."""
        for folder in self._left:
            shutil.rmtree(folder, ignore_errors=True)
        self._left = []


def _careful(command: list[str]) -> list[str]:
    """Options with which an editor takes no orders from a text that an agent wrote."""
    return ["--cmd", "set nomodeline"] if Path(command[0]).name in _VIM else []


class Taking(Going):
    """The app as far as things are taken from it."""

    feed: Feed

    def __init__(self) -> None:
        super().__init__()
        self.doing = ""  # what goes on behind the screen, for the hint
        self._copies = Copies()
        self._editor = Editor()
        self._exporting: threading.Thread | None = None
        self._stop = threading.Event()

    def forget_files(self) -> None:
        """Removes what was written for a moment, and ends an export that is under way."""
        self._stop.set()
        if self._exporting:
            self._exporting.join(_STOP_S)
        self._copies.forget()
        self._editor.forget()

    def copy_selected(self) -> bool:
        """Copies what the mouse has selected, and lets it go; False where nothing is."""
        text = self.screen.get_selected_text()
        if not text:
            return False
        self.screen.clear_selection()
        self.tell(self.copy(text))
        return True

    async def action_copy_or_quit(self) -> None:
        if not self.copy_selected():
            await self.action_quit()

    def copy(self, text: str) -> str:
        """Puts a text on the clipboard and, for terminals that cannot, in a private file; returns what to tell."""
        self.copy_to_clipboard(text)
        return self._copies.keep(text)

    def copy_row(self, row: object) -> str:
        """Copies a row as JSON."""
        return self.copy(as_json(row))

    def save_picture(self) -> str:
        """Writes the screen as SVG into the current directory, or into the temporary one; returns what to tell."""
        path = new_file("trajectory", ".svg")
        if path is None:
            return _NOWHERE
        try:
            path.write_text(self.export_screenshot(title="trajectory"), encoding="utf-8", errors="replace")
        except OSError as error:
            path.unlink(missing_ok=True)
            return f"nothing saved: {error.strerror}"
        return f"saved {path}"

    def edit(self, text: str, suffix: str) -> str:
        """Shows a text in the user's editor, in the dashboard's place; returns what to tell."""
        command = self._editor.command
        if not command:
            return "no editor is set: VISUAL or EDITOR names one"
        try:
            with self.suspend(), _interrupts_ignored():
                told = self._editor.show(command, text, suffix)
        except SuspendNotSupported:
            return "this terminal cannot be given to an editor; y copies"
        except OSError as error:
            return f"{command[0]} cannot be run: {error.strerror}"
        self.came_back()
        return told

    def came_back(self) -> None:
        """The screen was away for a while."""

    # Exports

    def export(self, trace_id: str, chosen: Format) -> None:
        """Writes a run to a new file, behind the screen; what comes of it is said there."""
        self.keep("export", _name_of(chosen))
        if self._exporting and self._exporting.is_alive():
            self.tell("one export is still under way")
            return
        about = "" if chosen.of == "trace" else f"-{chosen.of}"
        path = new_file(f"trajectory-{trace_id[:8]}{about}", chosen.suffix)
        if path is None:
            self.tell(_NOWHERE)
            return
        self.doing = f"exporting {trace_id[:8]}"
        self._exporting = threading.Thread(
            target=self._export, args=(trace_id, chosen, path), name="trajectory-export", daemon=True
        )
        self._exporting.start()
        self._retell()

    def _export(self, trace_id: str, chosen: Format, path: Path) -> None:
        def told(progress: str) -> bool:
            self.post_message(Exported(progress=progress))
            return not self._stop.is_set()

        try:
            self.feed.export(trace_id, chosen, str(path), told)
        except TrajectoryError as error:
            with suppress(OSError):
                path.unlink()
            self.post_message(Exported(error=str(error) or "it could not be written"))
        else:
            self.post_message(Exported(path=str(path)))

    def on_exported(self, message: Exported) -> None:
        """Tells how far an export is, or what became of it."""
        self.doing = f"exporting: {message.progress}" if message.progress else ""
        if message.path:
            path = Path(message.path)
            self.tell(f"wrote {path.name} ({_size(path)}) in {path.parent}")
        elif message.error:
            self.tell(f"nothing exported: {message.error}")
        else:
            self._retell()

    def _retell(self) -> None:
        if self.data_screen is not None and self.data_screen.is_mounted:
            self.data_screen.update_bars()


def _name_of(chosen: Format) -> str:
    """What a format is remembered by."""
    return f"{chosen.of} {chosen.suffix}"


_NOWHERE = "nothing could be saved: neither here nor in the temporary directory can be written"


def new_file(stem: str, suffix: str) -> Path | None:
    """Makes an empty file of the user's alone in the current directory, or in the temporary one; None where neither can be."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for directory in (Path(), Path(tempfile.gettempdir())):
        for again in range(1, 10):
            path = directory / f"{stem}-{stamp}{f'-{again}' if again > 1 else ''}{suffix}"
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                continue
            except OSError:
                break
            return path.absolute()
    return None


def _size(path: Path) -> str:
    try:
        count = path.stat().st_size
    except OSError:
        return "gone again"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """While an editor has the terminal, its ^c is the editor's: a handler of ours takes it and does nothing."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
