"""The colours: two themes of our own, and what roles look like in everybody else's.

Invariant: a role's colour has a contrast of at least 4.5 on our own backgrounds, and the only vermilion on a screen is an
error. Kinds and severities are Okabe and Ito's colours (Color Universal Design, 2008), adjusted for that contrast.
"""

from textual.theme import Theme

DARK = {
    "kind-model": "#56B4E9",
    "kind-tool": "#E69F00",
    "kind-delegation": "#CC79A7",
    "good": "#2FC79A",
    "bad": "#FF7A33",
    "attention": "#F0E442",
    "quiet": "#8A94A3",
    "hush": "#566070",
    "loud": "#F2F5F8",
    "frame": "#3A4453",
    "frame-focus": "#9DB2CC",
    "line-here": "#24303F",
    "line-kept": "#1A212B",
}
LIGHT = {
    "kind-model": "#1B6FA8",
    "kind-tool": "#9A6200",
    "kind-delegation": "#9A4A78",
    "good": "#00704F",
    "bad": "#B04A00",
    "attention": "#7A6A00",
    "quiet": "#5C6470",
    "hush": "#9AA1AB",
    "loud": "#0B0E13",
    "frame": "#C3C8CF",
    "frame-focus": "#4A5A70",
    "line-here": "#DCE6F1",
    "line-kept": "#EEF1F4",
}

OKABE_DARK = Theme(
    name="okabe-dark",
    dark=True,
    primary="#56B4E9",
    secondary="#E69F00",
    accent="#CC79A7",
    success="#2FC79A",
    warning="#F0E442",
    error="#FF7A33",
    background="#11151C",
    surface="#11151C",
    panel="#1A212B",
    foreground="#D5DBE3",
    variables=DARK,
)
OKABE_LIGHT = Theme(
    name="okabe-light",
    dark=False,
    primary="#1B6FA8",
    secondary="#9A6200",
    accent="#9A4A78",
    success="#00704F",
    warning="#7A6A00",
    error="#B04A00",
    background="#FBFBF8",
    surface="#FBFBF8",
    panel="#EEF1F4",
    foreground="#22272E",
    variables=LIGHT,
)
OURS = (OKABE_DARK, OKABE_LIGHT)
