"""How quantities are written: times, durations, tokens, counts. One way each, on every screen.

Invariant: a unit is always shown, a duration has at most three digits, and what is unknown is a dot or a dash, never a zero.
"""

from datetime import UTC, datetime, tzinfo

_NS_PER_S = 1_000_000_000


def elapsed(ns: int) -> str:
    """`01:42`, from an hour on `1:02:03`, from a hundred hours on days: `4d 04h`."""
    seconds = max(0, ns) // _NS_PER_S
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours // 24}d {hours % 24:02}h"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def took(ns: int, is_over: bool = True) -> str:
    """How long a run took: as `elapsed`, but one that was over within ten seconds says it as exactly as a step."""
    return duration(ns) if is_over and 0 < ns < 10 * _NS_PER_S else elapsed(ns)


def stamp(ns: int) -> str:
    """An instant since the start: `00:33.500`."""
    return f"{elapsed(ns)}.{max(0, ns) % _NS_PER_S // 1_000_000:03}"


def instant(ns: int, run_ns: int) -> str:
    """An instant since the start, as exact as the run is short: `00:00.719` in one of under a minute, else `00:33`."""
    return stamp(ns) if 0 < run_ns < 60 * _NS_PER_S else elapsed(ns)


def wall(at_ns: int, zone: tzinfo | None = None, *, millis: bool = False) -> str:
    """An instant by the clock on the wall: `14:02:11`; in local time unless a zone is given."""
    try:
        moment = datetime.fromtimestamp(at_ns / _NS_PER_S, UTC).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return "--:--:--"
    return moment.strftime("%H:%M:%S") + (f".{at_ns % _NS_PER_S // 1_000_000:03}" if millis else "")


def duration(ns: int) -> str:
    """`38 µs`, `104 ms`, `4.8 s`, `102 s`, `17 min`, `2.3 h`."""
    if ns < 0:
        return "–"
    if ns < 1_000_000:
        return f"{ns // 1000} µs"
    if ns < 999_500_000:
        return f"{round(ns / 1e6)} ms"
    seconds = ns / _NS_PER_S
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    if seconds < 999.5:
        return f"{round(seconds)} s"
    if seconds < 5970:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def scaled(count: int) -> str:
    """`412`, `2.6k`, `184.2k`, `1.2M`."""
    if count < 1000:
        return str(count)
    if count < 999_950:
        return f"{count / 1000:.1f}k"
    return f"{count / 1e6:.1f}M"


def coarse(count: float) -> str:
    """`412`, `2.6k`, `184k`: at most four characters below a billion."""
    if count < 999.5:
        return str(round(count))
    unit, size = next(((unit, size) for unit, size in (("k", 1e3), ("M", 1e6)) if count < 999.5 * size), ("G", 1e9))
    value = count / size
    return f"{value:.1f}{unit}" if value < 9.95 else f"{round(value)}{unit}"


def grouped(count: int) -> str:
    """`3 120`."""
    return f"{count:,}".replace(",", " ")


def size(count_bytes: int) -> str:
    """`812 B`, `1.2 kB`, `3.4 MB`."""
    if count_bytes < 1000:
        return f"{count_bytes} B"
    return f"{count_bytes / 1000:.1f} kB" if count_bytes < 999_950 else f"{count_bytes / 1e6:.1f} MB"


def money(usd: float) -> str:
    """`$0.61`, `$0.0042`, `$12.40`."""
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"


def lag(ns: int) -> str:
    """`38ms`, `2.1s`."""
    return f"{max(0, ns) // 1_000_000}ms" if ns < 999_500_000 else f"{ns / _NS_PER_S:.1f}s"


def many(count: int, one: str, more: str = "") -> str:
    """`1 run`, `7 runs`."""
    return f"{grouped(count)} {one if count == 1 else more or one + 's'}"
