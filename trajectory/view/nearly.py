"""What someone may have meant: the nearest names to one that is not known, said behind what is wrong with it.

Invariant: it only suggests; nothing is taken that was not typed. Called wherever a name that a person wrote is none: of a command
or a trace, a field of a filter, a setting, a key or a channel of a policy.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LIKE = 0.7  # of difflib's ratio: `serv` is like `serve`, and not like `search`
_MOST = 3


def meant(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """`; did you mean serve?`, of the known names that are most like this one; where none is, what to say instead."""
    names = {one.casefold(): one for one in known if one and one.isprintable()}
    near = [names[one] for one in get_close_matches(name.casefold(), names, _MOST, _LIKE)]
    return f"; did you mean {' or '.join(near)}?" if near else otherwise
