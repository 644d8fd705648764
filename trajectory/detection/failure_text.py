"""Whether a text says of itself that what gave it has failed.

Invariant: a pure function of the text, linear in it and bounded: at most `READ_CHARS` characters are read. Precision
comes first: a text must say of itself that it failed, at its beginning; a document that talks about errors, a log, a test
report and "0 errors found" are results like any other. Called by `failure_result` and by the detectors.
"""

import re
from typing import NamedTuple

READ_CHARS = 64 * 1024
QUOTE_CHARS = 160
_TRACEBACK_LINES = 400
_SHORT_CHARS = 400  # a sentence or two: a whole result that is nothing but a complaint
CALM = ("", "none", "null", "no", "0", "false", "n/a", "ok", "-", "no error", "no errors")  # in the place of an error


class Failure(NamedTuple):
    """What a result says about its own failure.

    `reason` names the rule, `quote` the words that say it (one line), `confidence` is 0 to 1. `is_fault` tells a tool that
    did not do its work (503, timeout, crash) from one that did and declined the request (not found, not allowed).
    """

    reason: str
    quote: str
    confidence: float
    is_fault: bool


_NOTHING_WRONG = re.compile(
    r"(?:no|0|zero|without|free of|not an?|(?:find|found|detect(?:ed)?|see)\s+any)\s+(?:\w+\s+)?"
    r"(?:errors?|failures?|exceptions?|problems?|issues?)\b"
    r"|(?:errors?|exceptions?|failures?|fatal)\s*[:=]\s*(?:0|none|null|no|nil|false|-|n/a)\s*(?:$|[,;.\n)\]}])",
    re.I,
)
_HEAD = re.compile(
    r"(?:\[?(?:fatal\s+|internal\s+|runtime\s+|unexpected\s+|tool\s+|api\s+|http\s+|server\s+|network\s+)?"
    r"(?:error|exception|failure)(?:\]|\*{0,2}\s*[:\-–—(!])"
    r"|error\s+(?:code\b|\d{3,6}\b|executing|running|calling|while|when|during|occurred|fetching|reading|loading|in tool|"
    r"invoking)"
    r"|an?\s+(?:\w+\s+)?(?:error|exception)\s+(?:has\s+)?occurred"
    r"|(?:server|service|api|system|application|tool)\s+(?:has\s+)?(?:encountered|returned|reported)\s+an?\s+(?:\w+\s+){0,3}"
    r"(?:error|exception)\b|the\s+server\s+encountered\s+an?\s+(?:\w+\s+){0,3}error\b"
    r"|panic:|fatal:|segmentation fault|npm\s+err|\[(?:errno|winerror)\s+-?\d{1,6}\]|(?:net::)?err_[a-z]+_[a-z_]{3,40}\b"
    r"|exception\s+in\s+thread\b|upstream\s+(?:\w+\s+){0,3}error\b|(?:\d{1,3}\s+)?validation\s+errors?\s+(?:for|in|while)\b"
    r"|traceback \(most recent call last\)"
    r"|(?:[a-z_]\w{0,60}\.){0,6}[a-z_]\w{0,60}(?:error|exception)\s*[:(]"
    r"|failed\s+(?:to|with|because|:)|failure\s+(?:to|in)\b|(?:tool|command|request|call|execution|run)\s+(?:\w+\s+)?failed\b)",
    re.I,
)
_COMPLAINT = re.compile(
    r"(?:sorry,?\s+)?(?:i\s+|we\s+)?(?:could\s*n[o']t|couldn’t|cannot|can\s*not|can't|can’t|(?:was|were|am|is)?\s*unable\s+to)\s+"
    r"(?:\w+\s+){0,2}(?:connect|reach|fetch|load|open|read|retrieve|access|complete|process|execute|run|find|parse|resolve|"
    r"get|download|perform|be\s+(?:reached|loaded|completed|processed|found))\b"
    r"|(?:the\s+|your\s+)?(?:\w+\s+){0,3}(?:request|connection|operation|call|query|command|server|service|api|host|page|"
    r"site|website|database|upstream|gateway|download|response)\s+(?:\w+\s+){0,3}(?:timed\s+out|failed|refused|"
    r"unavailable|unreachable|denied|reset|aborted|not\s+respond\w*|rejected)\b"
    r"|(?:connection|request|read|gateway|operation)\s+(?:time-?out|timed\s+out|refused|reset|aborted)\b"
    r"|time-?out\b(?:\s+(?:after|while|waiting|exceeded|error)|\s*[:!](?!\s*\d)|\s*$)|timed\s+out\b"
    r"|service\s+(?:temporarily\s+)?unavailable"
    r"|(?:permission\s+denied|access\s+denied|unauthori[sz]ed|forbidden|internal\s+server\s+error|bad\s+gateway)"
    r"\s*(?:[.:!,;(\-–]|$|(?:to|for|by|while|when|accessing)\b)"
    r"|(?:\w+\s+){0,2}(?:rate\s+limit\w*|quota)\s+(?:is\s+|was\s+|has\s+been\s+)?(?:exceeded|reached|hit)|too\s+many\s+requests"
    r"|(?:\w+\s+){0,3}time-?out\s+(?:of\s+\d+\s*\w*\s+)?(?:exceeded|expired|reached)\b|no\s+response\s+from\b"
    r"|invalid\s+(?:\w+\s+){0,2}(?:arguments?|parameters?|input|request|json|tool|schema|syntax|query|credentials|api[ _]key)\b"
    r"|(?:tool|function|command|agent)\s+\S{1,80}\s+(?:(?:is|was|does)\s+)?not\s+(?:found|available|exist|defined|registered|"
    r"recogni[sz]ed|supported)\b|(?:killed|aborted)\W*$|not\s+found\s*(?:[.:!]|$)"
    r"|no\s+such\s+(?:file|host|table|key|user|tool|function|command)"
    r"|(?:[\w./-]{1,40}:\s+){0,3}command\s+not\s+found\s*(?:[.:!;(]|$)|(?:[\w./-]{1,40}:\s+){2,4}[\w ]{0,20}not\s+found|"
    r"unknown\s+(?:tool|command|function)\b",
    re.I,
)
_PROGRAM = re.compile(
    r"[\w./+-]{1,40}:\s+(?:[^:\n]{1,120}:\s+){0,2}(?:(?:fatal\s+)?error:|fatal:|\(\d{1,3}\)\s|cannot\s|can't\s|"
    r"could not\s|failed to\s|no such file|permission denied|operation not permitted|connection refused|invalid option|"
    r"unrecogni[sz]ed option|is a directory|not a directory)",
    re.I,
)  # as programs complain: `cat: x: No such file or directory`
_STATUS_PHRASE = (
    r"(?:bad request|unauthori[sz]ed|payment required|forbidden|not found|method not allowed|not acceptable|"
    r"request time-?out|conflict|gone|payload too large|unprocessable\w*|too many requests|internal server error|"
    r"not implemented|bad gateway|service (?:temporarily )?unavailable|gateway time-?out)"
)
_HTTP = re.compile(
    r"(?:http(?:/\d(?:\.\d)?)?\s*(?:error|status)?\s*(?:code)?\s*[:=]?\s*(?P<a>[45]\d\d)\b"
    r"|(?:status|status[ _]code|response code)\s*[:=]?\s*(?P<b>[45]\d\d)\b"
    rf"|(?P<c>[45]\d\d)\s*[:\-–]?\s*{_STATUS_PHRASE})",
    re.I,
)
_EXIT = re.compile(
    r"(?:exit(?:ed)?(?:\s+with)?[ _]?(?:code|status)|return[ _]?code|exited\s+with)\s*[:=]?\s*(?P<code>-?\d{1,5})\b",
    re.I,
)
_REFUSAL = re.compile(
    r"(?:i['’]?m\s+(?:very\s+)?sorry,?\s+(?:but\s+)?i\s+(?:can(?:no|['’])t|can\s?not|am\s+unable|am\s+not\s+able)"
    r"|i\s+(?:can(?:no|['’])t|can\s?not|won['’]t|am\s+unable\s+to|am\s+not\s+able\s+to)\s+"
    r"(?:help|assist|comply|do that|provide|fulfil|answer|process)"
    r"|as\s+an\s+ai\b[^.\n]{0,60}\b(?:can(?:no|['’])t|can\s?not|unable))",
    re.I,
)
_TITLE = re.compile(r"<title[^>]{0,100}>([^<]{0,200})", re.I)
_ERROR_TITLE = re.compile(
    rf"^\W*(?:(?:http\W*)?(?:error|status)?\W*[45]\d\d(?:\W*$|\W{{1,3}}(?:error\b|{_STATUS_PHRASE}))|{_STATUS_PHRASE}\W*(?:$|[|:·–-])"
    r"|error\b\W*(?:$|[|:·–-]|[45]\d\d\b|page\b))|\berror\W{0,3}[45]\d\d\b|\([45]\d\d\)|access\s.{0,20}\bdenied\b|just a moment"
    r"|attention required|are you a robot|page (?:not found|unavailable)|site (?:is )?(?:down|unavailable)"
    r"|(?:under|down for|scheduled|site) maintenance|internal server error|bad gateway|gateway time-?out|service unavailable",
    re.I,
)
_ERROR_ELEMENT = re.compile(
    r"(?:<\?xml[^>]{0,200}>\s*)?<(?:\w{1,40}[_:-])?(?:error|fault|exception)(?:\s[^>]{0,200})?>(?P<said>.{0,400})",
    re.I | re.S,
)
_DECORATION = re.compile(r"[^\w\[<({\"'$/.~-]{1,16}")
_PRINTED = re.compile(
    r"(?:exit(?:ed)?(?:\s+with)?[ _]?(?:code|status)|return[ _]?code)\s*[:=]?\s*0\b[^\n]{0,60}\n+"
    r"(?:[\w ]{0,30}\b(?:output|stdout)\s*:)?\s*",
    re.I,
)  # the head of a program's output
_EXCEPTION_LINE = re.compile(
    r"(?:[A-Za-z_]\w{0,60}\.){0,6}[A-Za-z_]\w{0,60}(?:Error|Exception|Exit|Interrupt|Warning)\b"
)
_LOG_LINE = re.compile(
    r"\[?(?:\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|(?:debug|info|notice|warn|warning|error|critical|trace)\b[\s:\]|-])", re.I
)
FAULT = re.compile(
    r"\b5\d\d\b|\b(?:401|403|407|408|429)\b|time-?out|timed out|connect|unavailable\b(?! on\b)|unreachable|refused|traceback|"
    r"exception|\w(?:error|exception)\b|rate limit|too many requests|quota|permission|denied|unauthori|forbidden|internal|"
    r"crash|panic|segmentation|killed|exit(?:ed)?\b|gateway|network|socket|dns|ssl|certificate verify|out of memory|"
    r"disk|captcha|robot|unknown (?:tool|function|command)|no such (?:tool|function|host)|not implemented",
    re.I,
)
_DECLINED = re.compile(
    r"not[ _]?found|(?:n[o']t|cannot|unable to) find|validation|does ?n[o']t exist|no such|not available|"
    r"invalid|must\b|should\b|cannot be|can ?not be|already|missing|"
    r"mismatch|does not (?:add up|match|belong)|not (?:allowed|eligible|supported|valid|match)|required|"
    r"out of (?:stock|range)|not enough|insufficient|unknown|unprocessable|bad request|\b4(?:00|04|09|10|22)\b",
    re.I,
)
_SAYS_FAILURE = re.compile(
    r"\b(?:fail(?:ed|s|ure|ing)?|error(?:s|ed)?|could\s*n[o']t|couldn['’]t|can\s?not|can['’]t|unable|unavailable|unreachable|"
    r"does\s*n[o']t\s+exist|doesn['’]t\s+exist|not\s+(?:found|available|reachable|possible|able|confirmed|verified|working)|"
    r"no\s+(?:quote|result|results|answer|data|response|access)|timed\s+out|time-?out|outage|broken|crash(?:ed)?|"
    r"did\s*n[o']t\s+(?:work|respond|succeed)|denied|refused|missing|incomplete|unverified|without\s+(?:access|success))\b",
    re.I,
)


def is_empty_result(text: str) -> bool:
    """Whether a result holds nothing: no text, `null`, `None`, an empty list or object."""
    return text.strip() in ("", "null", "None", "[]", "{}", '""', "()")


def says_failure(text: str) -> bool:
    """Whether prose admits that something did not work: an honest report, as opposed to an answer that hides it."""
    text = text[:READ_CHARS]
    return bool(_SAYS_FAILURE.search(_NOTHING_WRONG.sub(" ", text)))


def first_line(text: str) -> str:
    """The first line that says anything, cut to a quote's length."""
    line = next((line.strip() for line in text[:READ_CHARS].splitlines() if line.strip()), "")
    return line if len(line) <= QUOTE_CHARS else line[: QUOTE_CHARS - 1] + "…"


def failure_in_text(text: str, *, is_printed: bool = False) -> Failure | None:
    """What prose, a page or what a program printed says; `is_printed` where the head of that output is off already."""
    line = first_line(text)
    if text.startswith("<"):
        return _in_page(text)
    exit_code = _EXIT.match(text) or _exit_in(text[-300:])
    if exit_code and int(exit_code["code"]) and (exit_code.start() == 0 or _ends_with(text, exit_code[0])):
        died = _in_traceback(text)
        said = exit_code[0] if exit_code.start() else line
        return Failure("exit code", first_line(f"{said}: {died.quote}" if died else said), 0.95, True)
    printed = None if is_printed else _PRINTED.match(text)
    if printed:  # a program that ended well, and what it printed says otherwise
        failure = failure_in_text(text[printed.end() :].strip() or "-", is_printed=True)
        return failure._replace(confidence=min(failure.confidence, 0.75)) if failure else None
    if decorated := _DECORATION.match(line):
        line = line[decorated.end() :]
    if _NOTHING_WRONG.match(line) or _is_log(text):
        return None
    if text.startswith("Traceback (most recent call last)"):
        return _in_traceback(text) or Failure("error text", line, 0.9, True)
    if "\nTraceback (most recent call last)" in text[:_SHORT_CHARS] and _SAYS_FAILURE.search(line):
        return Failure("error text", _died_of(text) or line, 0.9, True)
    if _HEAD.match(line) and not _NOTHING_WRONG.search(line):
        return Failure("error text", line, 0.95 if len(text) <= 2000 else 0.7, is_fault(line, text))
    if _HTTP.match(line) and (len(text) <= 2000 or line.lower().startswith("http")):
        return Failure("http status", line, 0.95 if len(text) <= 2000 else 0.75, is_fault(line, text))
    if _REFUSAL.match(text) and len(text) <= 2 * _SHORT_CHARS:
        return Failure("refusal", line, 0.8, False)
    if (
        len(text) <= _SHORT_CHARS
        and not _NOTHING_WRONG.search(line)
        and (_COMPLAINT.match(line) or _PROGRAM.match(line))
    ):
        return Failure("error text", line, 0.8, is_fault(line, text))
    return _in_traceback(text)


def _exit_in(end: str) -> re.Match[str] | None:
    """An exit code at a text's end; looked for only where it may be."""
    folded = end.lower()
    may_hold = "exit" in folded or "return" in folded or not end.isascii()
    return _EXIT.search(end) if may_hold else None


def _in_page(text: str) -> Failure | None:
    title = _TITLE.search(text[:8192])
    if title and _ERROR_TITLE.search(title[1]):
        return Failure("error page", first_line(title[1]), 0.85, True)
    element = _ERROR_ELEMENT.match(text)
    said = re.sub(r"<[^>]{0,200}>", " ", element["said"]).strip() if element else ""
    if said and said.lower() not in CALM:
        return Failure("error element", first_line(said), 0.85, is_fault(first_line(said), ""))
    return None


def _in_traceback(text: str) -> Failure | None:
    """A traceback whose last line is its exception: what a program left that died of it."""
    if "Traceback (most recent call last)" not in text:
        return None
    last = text[-600:].rstrip().rsplit("\n", 1)[-1].strip()
    if _EXCEPTION_LINE.match(last):
        return Failure("error text", first_line(last), 0.9, True)
    return None


def _died_of(text: str) -> str:
    """The exception that a traceback ends in, whatever is told after it."""
    _, _, told = text.partition("Traceback (most recent call last)")
    lines = told.splitlines()[1:_TRACEBACK_LINES]
    return next((first_line(line) for line in lines if _EXCEPTION_LINE.match(line)), "")


def _ends_with(text: str, said: str) -> bool:
    last = text[-200:].rstrip().rsplit("\n", 1)[-1]
    return said in last and len(last) <= 120


def _is_log(text: str) -> bool:
    """Whether a text is a log: several lines that each begin with a level or a time."""
    lines = text[:4096].splitlines()[:40]
    return len(lines) >= 3 and sum(1 for line in lines if _LOG_LINE.match(line)) >= 3


def is_fault(line: str, text: str) -> bool:
    """A fault unless the words are those of a tool that worked and declined."""
    said = f"{line} {text[:QUOTE_CHARS]}"
    return bool(FAULT.search(said)) or not _DECLINED.search(said)
