"""The values in a text: money, quantities, dates, periods, identifiers, addresses, names, each in one normal form.

Invariant: equal values have equal keys however they are written (`$1,200` and `1200 USD`; `March 3rd` meets `2026-03-03`),
and one pass over a bounded text finds them: no pattern here can take more than linear time. Called by the boundary diff and
by provenance. Kinds: money, quantity, number, date, time, period, identifier, url, email, path, name, quoted.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from trajectory.detection.words import WORD, plain, stem

MAX_ITEMS_COUNT = 4000  # of one text


class Item(NamedTuple):
    """One value. `key` is its normal form, `text` as it was written, `start` where; `figure` are a number's digits without
    scale, currency or unit (`38.9` of `38.9M EUR`), empty for all else."""

    kind: str
    key: str
    text: str
    start: int
    figure: str = ""

    @property
    def is_distinctive(self) -> bool:
        """Whether the value can hardly be met by chance: not a small number, a name or a quotation."""
        if self.kind in ("number", "quantity", "money"):
            return len(self.figure.replace(".", "").replace("-", "").strip("0")) >= 3 or (
                self.kind == "money" and len(self.figure.replace(".", "")) >= 2
            )
        if self.kind == "identifier":
            return len(self.key) >= 2
        return self.kind in ("url", "email") or (self.kind == "date" and not self.key.startswith("--"))


def keys_of(item: Item) -> list[tuple[str, str]]:
    """The keys under which a value can be looked up: a date also without its year."""
    keys = [(item.kind, item.key)]
    if item.kind == "date" and len(item.key) == 10 and not item.key.startswith("--"):
        keys.append(("date", f"any-{item.key[5:]}"))
    elif item.kind == "date" and item.key.startswith("--"):
        keys.append(("date", f"any-{item.key[2:]}"))
    return keys


def lookup_key(item: Item) -> tuple[str, str]:
    """The key that a value asks for: a date without a year is met by that day of any year."""
    if item.kind == "date" and item.key.startswith("--"):
        return ("date", f"any-{item.key[2:]}")
    return (item.kind, item.key)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# German, French and Spanish names, each by letters that no other month begins with.
_OTHER_MONTHS = {
    "januar": 1, "janv": 1, "ener": 1, "febr": 2, "févr": 2, "fevr": 2, "märz": 3, "maerz": 3, "mars": 3, "marz": 3, "avri": 4,
    "abri": 4, "mai": 5, "mayo": 5, "juni": 6, "juin": 6, "juli": 7, "juil": 7, "août": 8, "aout": 8, "agos": 8, "septi": 9,
    "okto": 10, "octu": 10, "novi": 11, "deze": 12, "déce": 12, "dece": 12, "dici": 12,
}  # fmt: skip
_OTHER_MONTH = (
    r"(?:[Jj]anuar|[Jj]anvier|[Ee]nero|[Ff]ebruar|[Ff]évrier|[Ff]ebrero|[Mm]ärz|[Mm]ars|[Mm]arzo|[Aa]vril|[Aa]bril|[Mm]ai|[Mm]ayo|"
    r"[Jj]uni|[Jj]uin|[Jj]unio|[Jj]uli|[Jj]uillet|[Jj]ulio|[Aa]oût|[Aa]gosto|[Ss]eptiembre|[Ss]eptembre|[Oo]ktober|[Oo]ctobre|"
    r"[Oo]ctubre|[Nn]ovembre|[Nn]oviembre|[Dd]ezember|[Dd]écembre|[Dd]iciembre)"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_CODES = (
    "USD|EUR|GBP|JPY|CHF|CAD|AUD|CNY|INR|SEK|NOK|DKK|PLN|BRL|MXN|KRW|NZD|SGD|HKD|ZAR|CZK|HUF|TRY|ILS|THB|RUB|AED|SAR"
)
CURRENCIES = tuple(_CODES.split("|"))
_CURRENCY_WORDS = {
    "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "dollar": "USD", "dólar": "USD", "euro": "EUR", "pound": "GBP", "yen": "JPY",
    "日元": "JPY", "円": "JPY", "美元": "USD", "欧元": "EUR", "人民币": "CNY", "元": "CNY",
}  # fmt: skip
_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,6}(?:\.\d{1,12})?|\d{1,3}(?:\.\d{3}){1,6},\d{1,12}|\d{1,18}(?:[.,]\d{1,12})?)"
_SCALE = r"(?:\s?(?:[kK]|M|mn|mio|million|bn|B|billion|thousand)\b)?"
_SCALES = {
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "mn": 1e6,
    "mio": 1e6,
    "million": 1e6,
    "bn": 1e9,
    "b": 1e9,
    "billion": 1e9,
}
_CODE = rf"(?:{_CODES}|[Dd]ollars?|[Dd]ólares|[Ee]uros?|[Pp]ounds sterling|[Yy]en|[$€£¥]|日元|円|美元|欧元|人民币|元)"

# What begins a value says which of its kinds are worth trying: a look ahead at one character spares the rest of them.
_PATTERN = re.compile(
    # a run of words that no value begins in, the most frequent: passed over at one go
    r"(?:(?![Ff]iscal\s|FY\s)[A-Za-z]{2,64}[,;:.!?]?[ \n](?=[A-Za-z]))+"
    r"|(?=d)(?P<printed>datetime\.date(?:time)?\(\d{4}(?:, \d{1,2}){2,5}(?:, \d{1,6})?)"  # as Python prints it
    rf"|(?P<url>https?://[^\s<>\"'`\]}})|]{{1,500}})"
    rf"|(?P<email>(?<![\w.+-])[\w.+-]{{1,64}}+@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,5}})"
    rf"|(?=[~./])(?P<path>(?<![\w/.])(?:~|\.{{1,2}})?/(?:[\w.@-]{{1,80}}/){{0,12}}[\w.@-]{{1,80}})"
    r"|(?=\d)(?:"
    rf"(?P<iso>(?<![\w-])\d{{4}}-\d\d-\d\d(?![\w-]|T?\d))"
    rf"|(?P<stamp>(?<![\w-])\d{{4}}-\d\d-\d\dT\d\d:[\d:.]{{2,20}}(?:Z|[+-]\d\d:?\d\d)?)"
    rf"|(?P<slash>(?<![\w/])\d{{1,2}}/\d{{1,2}}/\d{{4}}(?![\w/]))"
    r"|(?P<dotted>(?<![\w.])\d{1,2}\.\s?\d{1,2}\.\s?\d{4}(?![\w]))"
    r"|(?P<cjk>(?:\d{4}\s?年\s?)?\d{1,2}\s?月\s?\d{1,2}\s?[日号])"
    rf"|(?P<clock>(?<![\w:.])\d{{1,2}}(?::[0-5]\d(?::[0-5]\d)?(?:\s?[AaPp]\.?[Mm]\b)?|\s?[AaPp]\.?[Mm]\b|\s(?:Uhr|heures?)\b)(?![\w:]))"
    rf"|(?P<other>(?<![\w.])\d{{1,2}}(?:\.|er)?\s{{1,2}}(?:de\s)?{_OTHER_MONTH}(?:\s{{1,2}}(?:de\s)?\d{{4}})?(?!\w))"
    rf"|(?P<dmy>(?<![\w.])\d{{1,2}}(?:st|nd|rd|th)?\s{{1,2}}(?:of\s)?{_MONTH}(?:,?\s{{1,2}}\d{{4}})?(?!\w)))"
    r"|(?=[A-Zf])(?:"
    rf"(?P<mdy>\b{_MONTH}\s{{1,2}}\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s{{1,2}}\d{{4}})?(?!\w))"
    rf"|(?P<my>\b{_MONTH}\s{{1,2}}\d{{4}}(?!\w))"
    rf"|(?P<period>\b(?:(?:[Ff]iscal\s[Yy]ear\s|FY\s?)(?:FY)?['’]?\d{{2,4}}|Q[1-4])(?!\w)))"
    rf"|(?=[A-Z$€£¥])(?P<moneya>(?:(?<!\w)(?:{_CODES})\s|(?:US|CA|AU)?[$€£¥]\s?){_NUMBER}{_SCALE}(?![\w]))"
    rf"|(?=\d)(?P<moneyb>(?<![\w.,-]){_NUMBER}{_SCALE}[\s-]?{_CODE}(?!\w))"
    r"|(?=[-−\d])(?:"
    rf"(?P<percent>(?<![\w.,])-?{_NUMBER}\s?(?:%|percent\b|per\scent\b))"
    rf"|(?P<number>(?<![\w.,#-])[-−]?{_NUMBER}{_SCALE}(?![\w.,]?\d)(?![\w]|-\d)"
    rf"(?:[ -](?P<unit>(?!{_MONTH}(?!\w))[^\W\d_]{{1,20}})(?![\w]))?))"
    rf"|[^\W\d_]{{2,64}}(?![\w-])"  # a plain word, the most frequent: no value
    rf"|(?P<identifier>\#?[^\W_]{{1,64}}(?:[-_][^\W_]{{1,64}}){{0,12}})"
    rf"|(?P<quoted>[\"“][^\"“”\n]{{2,60}}[\"”](?!\s?:))"
)
_BETWEEN = frozenset(":,)]}")
_SIGN = re.compile(r"[0-9/\"@]")
_NAME_WORD = r"[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ’'-]{1,30}"
_NAME = re.compile(rf"\b{_NAME_WORD}(?: (?:(?:de|of|la|le|du|van|von|der|the) )?{_NAME_WORD}){{1,3}}\b")
_LEADING = re.compile(r"(?:The|A|An|I|We|In|On|At|For|From|If|It|This|That|Our|Your|My|And|But|Use|Find|Get|Book)\s")
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_ORDINARY = re.compile(r"\d{1,6}(?:st|nd|rd|th|x|s|k|m|am|pm|h|hr|min|ms|d|w|y|kb|mb|gb|tb|px|em|pt)", re.I)
_MEASURED = re.compile(r"(\d{1,9})(km|cm|mm|kg|mg|lbs?|oz|mi|ft|ml|hrs?|mins?|secs?|days?|weeks?|kB|KB|MB|GB|TB|words)")
_NOT_UNITS = frozenset(
    WORD.findall(
        "and or of in to by for at the is are per on as from with but if than then a an x vs be it not no so was were has have "
        "had will would can could should must may instead before after until now again because when while which that this there"
    )
)


def items_in(text: str) -> list[Item]:
    """The values of a text, in order. Never raises; reads a bounded part of the text, once."""
    return items_in_plain(plain(text))


def items_in_plain(text: str) -> list[Item]:
    """The same of a text that is in its normal form already."""
    found: list[Item] = []
    for match in _PATTERN.finditer(text) if _may_hold_values(text) else ():
        if match.lastgroup is None:
            continue
        found += _read(match)
        if len(found) >= MAX_ITEMS_COUNT:
            break
    found += _names(text)
    return sorted(found[:MAX_ITEMS_COUNT], key=lambda item: item.start)


def _may_hold_values(text: str) -> bool:
    """Whether the pattern may find anything: every value but a name has a digit, a stroke, a quote or an @ in it."""
    return not text.isascii() or _SIGN.search(text) is not None


def _names(text: str) -> list[Item]:
    names: list[Item] = []
    if text.islower():
        return names
    for match in _NAME.finditer(text):
        said, start = match[0], match.start()
        lead = _LEADING.match(said)
        if lead:
            said, start = said[lead.end() :], start + lead.end()
        if " " in said and len(names) < MAX_ITEMS_COUNT // 4:
            names.append(Item("name", said.casefold(), said, start))
    return names


def _read(match: re.Match[str]) -> list[Item]:
    kind, text, start = match.lastgroup or "", match[0], match.start()
    if match["number"] is not None:
        return [_quantity(match)]
    match kind:
        case "url":
            address = text.rstrip(".,;:!?")
            return [Item("url", address.rstrip("/").casefold(), address, start), *_identifiers_within(address, start)]
        case "email":
            return [Item("email", text.casefold().rstrip("."), text, start)]
        case "path":
            is_path = text.count("/") > 1 or "." in text.rsplit("/", 1)[-1].strip(".")
            return [Item("path", text, text, start), *_identifiers_within(text, start)] if is_path else []
        case "iso" | "stamp":
            return [Item("date", text[:10], text, start)]
        case "printed" | "slash" | "mdy" | "dmy" | "my" | "dotted" | "cjk" | "other":
            return [Item("date", _date_key(kind, text), text, start)]
        case "clock":
            return _time(text, start)
        case "period":
            return [Item("period", _period_key(text), text, start)]
        case "moneya" | "moneyb":
            return [_money(text, start)]
        case "percent":
            value, figure = _number(text)
            return [Item("quantity", f"{value:.12g} %", text, start, figure)]
        case "quoted":
            return _quoted(text, start)
    return _identifier(text, start)


def _quoted(text: str, start: int) -> list[Item]:
    """A quotation, and the values inside it."""
    inner = text[1:-1]
    if not any(c.isalnum() for c in inner):
        return []
    within = [item for match in _PATTERN.finditer(inner) for item in _read(match)]
    shifted = [item._replace(start=start + 1 + item.start) for item in within]
    if inner.lstrip()[:1] in _BETWEEN:
        return shifted  # not a quotation, but what stands between two of JSON's
    return [Item("quoted", inner.strip().casefold(), text, start), *shifted]


def _quantity(match: re.Match[str]) -> Item:
    text, unit = match[0], match["unit"]
    value, figure = _number(text)
    if unit and unit.casefold() not in _NOT_UNITS:
        return Item("quantity", f"{value:.12g} {stem(unit)}", text, match.start(), figure)
    said = text[: match.start("unit") - match.start() - 1] if unit else text
    digits = said.lstrip("-−")
    if len(digits) >= 7 and digits.isdigit():
        return Item("identifier", digits, digits, match.start())
    return Item("number", f"{value:.12g}", said, match.start(), figure)


def _money(text: str, start: int) -> Item:
    value, figure = _number(text)
    code = next((c for c in CURRENCIES if c in text), "")
    folded = text.casefold()
    code = code or next((c for word, c in _CURRENCY_WORDS.items() if word in folded), "")
    return Item("money", f"{value:.12g} {code}", text.strip(), start, figure)


_FIRST_NUMBER = re.compile(rf"[-−]?{_NUMBER}")
_CONTINENTAL = re.compile(r"-?\d{1,3}(?:\.\d{3})+,\d+")
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_FIRST_SCALE = re.compile(r"\s?([A-Za-z]{1,8})\b")


@lru_cache(maxsize=4096)  # few numbers are most of what is said
def _number(text: str) -> tuple[float, str]:
    """A written number's value, and its digits alone in one form."""
    match = _FIRST_NUMBER.search(text)
    assert match is not None  # it was read as a number
    digits = match[0].replace("−", "-")
    if "," in digits:
        if _CONTINENTAL.fullmatch(digits):
            digits = digits.replace(".", "").replace(",", ".")
        else:
            digits = digits.replace(",", "" if _GROUPED.fullmatch(digits) else ".")
    value = float(digits)
    scale = _FIRST_SCALE.match(text, match.end())
    name = scale[1] if scale else ""
    factor = 1.0 if name in ("m", "b") else _SCALES.get(name.casefold(), 1.0)
    return value * factor, f"{value:.12g}"


def _date_key(kind: str, text: str) -> str:
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if kind == "printed":
        return f"{numbers[0]}-{numbers[1]:02d}-{numbers[2]:02d}"
    if kind == "slash":
        first, second, year = numbers
        month, day = (second, first) if first > 12 else (first, second)
        return f"{year}-{month:02d}-{day:02d}"
    if kind == "dotted":
        return f"{numbers[2]}-{numbers[1]:02d}-{numbers[0]:02d}"
    if kind == "cjk":
        month, day = numbers[-2:]
        return f"{numbers[0] if len(numbers) > 2 else '-'}-{month:02d}-{day:02d}"
    if kind == "other":
        folded = text.casefold()
        month = next(number for name, number in _OTHER_MONTHS.items() if name in folded)
    else:
        month = next(i for i, name in enumerate(_MONTHS, 1) if name in text.casefold())
    if kind == "my":
        return f"{numbers[0]}-{month:02d}"
    day = numbers[0]
    return f"{numbers[1]}-{month:02d}-{day:02d}" if len(numbers) > 1 else f"--{month:02d}-{day:02d}"


def _time(text: str, start: int) -> list[Item]:
    """A time of day on a clock of 24 hours."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    hour, minute = numbers[0], numbers[1] if len(numbers) > 1 else 0
    half = text.casefold().replace(".", "").rstrip()[-2:]
    if half in ("am", "pm"):
        if not 1 <= hour <= 12:
            return []
        hour = hour % 12 + (12 if half == "pm" else 0)
    return [Item("time", f"{hour:02d}:{minute:02d}", text, start)] if hour <= 24 else []


def _period_key(text: str) -> str:
    if text[0] in "Qq":
        return text.casefold()
    digits = "".join(re.findall(r"\d", text))
    return f"fy{digits[-2:]}"


def _identifier(text: str, start: int) -> list[Item]:
    bare = text.lstrip("#")
    if len(bare) < 2 or bare.isalpha() or _ORDINARY.fullmatch(bare):
        return []
    measured = _MEASURED.fullmatch(bare)
    if measured is not None:
        value, figure = _number(measured[1])
        return [Item("quantity", f"{value:.12g} {stem(measured[2])}", text, start, figure)]
    if _DIGIT.search(bare) and (len(bare) >= 7 or _LETTER.search(bare)):
        return [Item("identifier", bare.casefold(), text, start)]
    return []


def _identifiers_within(text: str, start: int) -> list[Item]:
    parts = re.finditer(r"[^\W_]{1,64}(?:[-_][^\W_]{1,64}){0,12}", text)
    return [item for part in parts for item in _identifier(part[0], start + part.start())]
