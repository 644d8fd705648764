"""One cell of a chart of lanes while it is being painted: its text, its role, and the lines that meet in it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Cell:
    """`lines` is the sum of the directions of the lines that meet here; they are drawn in the place of the text."""

    text: str = " "
    role: str = ""
    lines: int = 0
    heavy: bool = False

    @property
    def is_free(self) -> bool:
        """Whether no work is drawn here."""
        return self.role in ("", "waiting")
