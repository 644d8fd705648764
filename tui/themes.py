"""The colours: two themes of our own, and what roles look like in everybody else's.

Invariant: a role that is text has a contrast of at least 4.5 on its theme's background, no two kinds or severities look the
same, and in our own themes the only vermilion is an error. Those are Okabe and Ito's colours (Color Universal Design, 2008),
adjusted for that contrast. Themes of the terminal's own palette get nothing but its colours.
"""

from functools import lru_cache

from textual.color import Color
from textual.theme import Theme

LEAST_CONTRAST = 4.5

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
UNCOLOURED = "ansi-dark"  # which tells by reverse video and weight what others tell by a background

# The terminal's own sixteen colours. A grey of theirs may be invisible, so what is quiet there is told by its place alone.
_ANSI = {
    "kind-model": "ansi_blue",
    "kind-tool": "ansi_cyan",
    "kind-delegation": "ansi_magenta",
    "good": "ansi_green",
    "bad": "ansi_red",
    "attention": "ansi_yellow",
    "quiet": "ansi_default",
    "hush": "ansi_default",
    "loud": "ansi_default",
    "frame": "ansi_default",
    "frame-focus": "ansi_default",
    "line-here": "ansi_default",  # is told by reverse video
    "line-kept": "ansi_default",
}
_NAMED = {  # our role, and what a theme calls it
    "bad": "error",
    "good": "success",
    "attention": "warning",
    "kind-model": "primary",
    "kind-delegation": "accent",
    "kind-tool": "secondary",
}


def roles_of(theme: Theme) -> dict[str, str]:
    """The colours of our roles in a theme that does not name them itself: its own where they can be read and told apart."""
    if theme.ansi:
        return dict(_ANSI)
    return dict(_derived(theme.name, tuple(theme.to_color_system().generate().items()), theme.dark))


@lru_cache(maxsize=64)
def _derived(_name: str, variables: tuple[tuple[str, str], ...], dark: bool) -> tuple[tuple[str, str], ...]:
    named = dict(variables)
    background, foreground = Color.parse(named["background"]), Color.parse(named["foreground"])
    ours = DARK if dark else LIGHT
    roles: dict[str, str] = {}
    for role, called in _NAMED.items():
        colour = legible(Color.parse(named[called]), background).hex
        roles[role] = colour if colour not in roles.values() else legible(Color.parse(ours[role]), background).hex
    roles["loud"] = legible(foreground, background, 7).hex
    roles["quiet"] = legible(background.blend(foreground, 0.55), background).hex
    for role, share in (("hush", 0.4), ("frame", 0.25), ("frame-focus", 0.7), ("line-here", 0.16), ("line-kept", 0.07)):
        roles[role] = background.blend(foreground, share).hex
    return tuple(roles.items())


def legible(colour: Color, background: Color, least: float = LEAST_CONTRAST) -> Color:
    """The colour, or as much nearer to black or white as makes a contrast of `least` on the background."""
    black, white = Color(0, 0, 0), Color(255, 255, 255)
    end = max(black, white, key=lambda each: contrast(each, background))
    nearer = (colour.blend(end, step / 20) for step in range(21))
    return next((each for each in nearer if contrast(each, background) >= least), end)


def contrast(one: Color, other: Color) -> float:
    """How well two colours can be told apart, 1 to 21 (WCAG 2.2, contrast ratio)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
