"""Rules of what a result says about its own failure."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import QUOTE_CHARS, first_line, is_empty_result, says_failure

FAILING = [
    ("Error: 503 Service Unavailable from the inventory", "error text", True),
    ("HTTP 503 Service Unavailable\nRetry-After: 30", "http status", True),
    ("HTTP/1.1 404 Not Found", "http status", False),
    ("503 Service Unavailable", "http status", True),
    ('{"error": "HOTEL_NOT_FOUND", "hotel_id": "H99"}', "error field", False),
    ('{"error": {"code": 429, "message": "Rate limit exceeded"}}', "error field", True),
    ('{"isError": true, "content": [{"type": "text", "text": "boom"}]}', "isError", True),
    ('{"exit_code": 1, "stderr": "no module named x"}', "exit code", True),
    ("exitcode: 1 (execution failed)\nCode output: NameError", "exit code", True),
    ("built 3 of 4\nProcess exited with code 137", "exit code", True),
    ('{"statusCode": 500, "body": ""}', "http status", True),
    ('{"success": false, "message": "the cart is empty"}', "error field", False),
    ('{"status": "error", "message": "backend crashed"}', "error field", True),
    ('{"build": 812, "status": "failed", "reason": "lint"}', "error field", False),  # it may be what was asked about
    ('{"city": "Lyon", "status": "failed", "message": "backend unreachable"}', "error field", True),
    ('{"result": {"error": "timeout"}}', "error field", True),
    ('{"error": true, "message": "the cart is empty"}', "error field", True),
    ('{"errors": [{"message": "timeout"}]}', "error field", True),
    ('{"errors": [["timeout", "again"]]}', "error field", True),
    ('{"errors": [{"code": 5}]}', "error field", True),
    ('{"errors": [7]}', "error field", True),
    ('[{"type": "text", "text": "Error: no route to host"}]', "error text", True),
    ('"Error: quoted"', "error text", True),
    ("<html><head><title>502 Bad Gateway</title></head>", "error page", True),
    ("<html><title>Just a moment...</title>", "error page", True),
    ("Traceback (most recent call last):\n  File x\nValueError: bad", "error text", True),
    ("step 1\nTraceback (most recent call last):\n  File x\nKeyError: 'a'", "error text", True),
    ("ConnectionError: refused", "error text", True),
    ("Error: user not found", "error text", False),
    ("Error: payment does not add up", "error text", False),
    ("I'm sorry, but I can't help with that.", "refusal", False),
    ("Request timed out after 30 s", "error text", True),
    ("Could not fetch the page.", "error text", True),
    ("Failed to fetch data", "error text", True),
    ("bash: foo: command not found", "error text", False),
    ("[Error] API key expired", "error text", True),
    ('{"detail": "Not Found"}', "error text", False),
    ("exitcode: 0 (execution succeeded)\nCode output: Error: no table 'batting'", "error text", True),
    (
        "Your solution failed the test:\nTraceback (most recent call last):\n  File x\nKeyError: 1\n\nThe warnings:\nslow",
        "error text",
        True,
    ),
    ("cat: x.txt: No such file or directory", "error text", False),
    ("curl: (7) Failed to connect to localhost port 1", "error text", True),
    ("psql: error: connection to server failed", "error text", True),
    ("ERROR 1064 (42000): You have an error in your SQL syntax", "error text", True),
    ("npm ERR! code ENOENT", "error text", True),
    ("[Errno 2] No such file or directory: 'x'", "error text", False),
    ("net::ERR_NAME_NOT_RESOLVED at https://x", "error text", True),
    ("Navigation timeout of 30000 ms exceeded", "error text", True),
    ("API rate limit exceeded", "error text", True),
    ("**Error**: the page is gone", "error text", True),
    ("❌ Failed to fetch the page", "error text", True),
    ("Tool 'serach' not found", "error text", False),
    ("1 validation error for Args\nnights\n  Field required", "error text", False),
    ("Invalid arguments: nights must be an integer", "error text", False),
    ('Exception in thread "main" java.lang.RuntimeException', "error text", True),
    ("<tool_use_error>File does not exist.</tool_use_error>", "error element", False),
    ('<?xml version="1.0"?><error><code>500</code></error>', "error element", True),
    ("The server encountered an internal error", "error text", True),
]
FINE = [
    "exit code: 0\nStdout:\n3 hits",
    "exit code: 0\n" * 5000,
    "Timeout: 30",
    "Fatal: none",
    "Forbidden City, Beijing: opened 1925",
    "Unauthorized biographies sell well",
    "Access denied events last week: 4",
    "Internal server error rates fell by 3 % in Q3",
    "I could not find any problems.",
    "Command not found is a podcast.",
    "<html><head><title>Gone with the Wind</title></head></html>",
    "<html><head><title>404 Media: independent news</title></head></html>",
    "<html><head><title>Pump maintenance at home</title></head></html>",
    "<errors>0</errors>",
    "<error>none</error>",
    "0 errors found",
    "No errors found.",
    "2 bars checked, 0 errors found",
    "Errors: 0, warnings: 2",
    "Error: none",
    "Error rate: 0.3%",
    "Found 3 articles about error handling",
    "Error handling in Python is done with try.",
    "Failure modes of bridges: a survey",
    "The 503 status code means Service Unavailable.",
    "404 results found",
    "500 EUR per night",
    "2 failed, 3 passed",
    "Connection established",
    "exit code: 0\nok",
    "Not found in the EU: 3 firms",
    "10:00:01 ERROR timeout\n10:00:02 INFO retry\n10:00:03 INFO connected",
    '{"errors": 0, "passed": 12}',
    "Python prints Traceback (most recent call last) where a program dies.",
    '{"error": null, "data": [1]}',
    '{"error": false, "data": [1]}',
    '{"error": "", "x": 1}',
    '{"error": 0.03, "mean": 2}',
    '{"results": [1], "errors": ["page 3 timed out"]}',
    '{"success": true, "error": "none so far"}',
    '{"order": 1, "status": "failed", "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}',
    "<html><title>How to handle a timeout</title>",
    "I found H7, 640 EUR.",
    "[]",
    "",
]


@pytest.mark.parametrize(("text", "reason", "is_fault"), FAILING)
def test_a_result_that_says_it_failed_is_a_failure(text: str, reason: str, is_fault: bool) -> None:
    failure = failure_in(text)
    assert failure is not None
    assert failure.reason == reason
    assert failure.is_fault is is_fault
    assert 0 < len(failure.quote) <= QUOTE_CHARS


@pytest.mark.parametrize("text", FINE)
def test_a_result_that_only_talks_about_errors_is_fine(text: str) -> None:
    assert failure_in(text) is None


def test_a_long_document_that_begins_with_an_error_is_less_sure() -> None:
    short, long = failure_in("Error: no access"), failure_in("Error: no access" + "\nmore text" * 500)
    assert short is not None and long is not None
    assert long.confidence < short.confidence


def test_an_exit_code_is_quoted_with_the_exception_that_ended_the_program() -> None:
    failure = failure_in("exitcode: 1 (execution failed)\nTraceback (most recent call last):\n  File x\nKeyError: 'a'")
    assert failure is not None
    assert failure.quote == "exitcode: 1 (execution failed): KeyError: 'a'"


@pytest.mark.parametrize("text", ["", "  ", "null", "None", "[]", "{}"])
def test_nothing_is_an_empty_result(text: str) -> None:
    assert is_empty_result(text)


@pytest.mark.parametrize("text", ["The search failed.", "I could not reach it", "H99 does not exist", "No quote today"])
def test_prose_that_owns_up_says_failure(text: str) -> None:
    assert says_failure(text)


@pytest.mark.parametrize("text", ["I found H99.", "0 errors found", "All went well without errors."])
def test_prose_that_reports_success_does_not(text: str) -> None:
    assert not says_failure(text)


def test_the_first_line_is_the_first_that_says_anything() -> None:
    assert first_line("\n\n  hello  \nworld") == "hello"
    assert len(first_line("x" * 1000)) == QUOTE_CHARS


@given(st.text(max_size=300))
def test_no_text_makes_it_raise(text: str) -> None:
    failure = failure_in(text)
    assert failure is None or failure.quote
    says_failure(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "isError", "status", "exit_code", "content", "text", "message", "result", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_no_json_makes_it_raise(value: object) -> None:
    failure = failure_in(json.dumps(value))
    assert failure is None or 0 < failure.confidence <= 1


@pytest.mark.parametrize(
    "unit", ["a", "error ", "no ", " ", "[", '{"error":', "Error: x\n", "<title", "the ", "exit ", "a."]
)
def test_a_million_characters_of_anything_hang_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    failure_in(text)
    says_failure(text)
    assert time.process_time() - start < 10  # the square of it would take hours


def test_a_traceback_is_quoted_by_its_exception_whatever_is_told_around_it() -> None:
    text = "The solution failed:\nTraceback (most recent call last):\n  File x\n    raise E(\nKeyError: 'a'\n\nMind it."
    failure = failure_in(text)
    assert failure is not None and failure.quote == "KeyError: 'a'"


def test_what_a_program_printed_though_it_ended_well_is_less_sure() -> None:
    failure = failure_in("exitcode: 0 (execution succeeded)\nCode output: Error: the engine coughed")
    assert failure is not None and (failure.quote, failure.confidence) == ("Error: the engine coughed", 0.75)
