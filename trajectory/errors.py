"""Every error that Trajectory raises on purpose, in one tree.

    TrajectoryError
    ├── WireError                 a frame that cannot be read, or an endpoint that cannot be used
    ├── StoreError                a store that is missing, foreign, newer, locked, full or damaged
    ├── QueryError(position)      a filter expression that does not parse
    ├── ConfigError(key)          a setting that makes no sense
    └── ImportFormatError(path, line)   a file that is not what it was said to be

Each message is one line and says what happened, where, and what to do about it: the command line prints it as it is.
Nothing in the emitter raises these into an agent.
"""


class TrajectoryError(Exception):
    """Anything that Trajectory raises on purpose."""


class WireError(TrajectoryError):
    """A frame cannot be read, or an endpoint cannot be used."""


class StoreError(TrajectoryError):
    """A store is missing, not ours, from a newer version, locked, full or damaged."""


class QueryError(TrajectoryError):
    """A filter expression does not parse; `position` is the zero-based column of the fault."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class ConfigError(TrajectoryError):
    """The setting `key` has a value that makes no sense."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class ImportFormatError(TrajectoryError):
    """The file `path` is not in the format it was read as; `line` is one-based, 0 where lines mean nothing."""

    def __init__(self, message: str, path: str, line: int = 0) -> None:
        where = f"{path}:{line}" if line else path
        super().__init__(f"{where}: {message}")
        self.path = path
        self.line = line
