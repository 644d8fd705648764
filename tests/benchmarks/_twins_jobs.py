"""Jobs for teams of agents, made up with other values at each seed: what is asked, under which conditions, what is found.

Invariant: every value comes from the seed, every condition has wordings that all say the same, and nothing here knows a detector.
Used by the benchmark of twins.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CITIES = ("Lyon", "Turin", "Graz", "Leeds", "Porto", "Gdansk", "Aarhus", "Bilbao", "Ghent", "Brno")
_PEOPLE = ("Ines Duarte", "Tomas Berg", "Aiko Mori", "Lena Fischer", "Omar Haddad", "Ruth Okafor", "Paolo Neri")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Condition:
    """One condition of a request. `asked` as it is first said; `passed` other wordings of the same; `core` the words that are
    told by whoever names it; `changed` the same condition with another value, empty where it has none to change."""

    asked: str
    passed: tuple[str, ...]
    core: str
    changed: str = ""
    was: str = ""


@dataclass(frozen=True)
class Job:
    """What a lead is asked and gives to a worker, who has one tool for it; a second worker then does the rest."""

    lead: str
    worker: str
    second: str
    goal: str
    task: str
    conditions: tuple[Condition, ...]
    tool: str
    schema: dict[str, Any]
    arguments: dict[str, Any]
    result: dict[str, Any]
    found: str  # what the worker makes of the result
    key: str  # the value in it that the rest of the work hangs on
    wrong: str  # a value like it that nothing holds
    newer: str  # a value that supersedes it
    rest: str  # the second worker's task, with {key}
    finish: str  # the second worker's tool
    answer: str  # with {key}


def job_of(seed: int) -> Job:
    """The job of a seed."""
    chance = random.Random(seed)
    return _MAKERS[seed % len(_MAKERS)](chance)


def _code(chance: random.Random, prefix: str = "") -> str:
    return f"{prefix or chance.choice(_LETTERS)}{chance.choice(_LETTERS)}-{chance.randint(1000, 9999)}"


def _date(chance: random.Random) -> tuple[str, str, str, str]:
    """A date in three wordings, and another one."""
    month, day, year = chance.randint(1, 12), chance.randint(2, 27), chance.choice((2026, 2027))
    other = day + 1 if day < 26 else day - 3
    name = _MONTHS[month - 1]
    return f"{name} {day}, {year}", f"{year}-{month:02d}-{day:02d}", f"{day} {name} {year}", f"{name} {other}, {year}"


def _money(chance: random.Random) -> tuple[str, str, str, str]:
    """An amount in three wordings, and another one."""
    amount = chance.randint(11, 98) * 100
    code, sign = chance.choice((("EUR", "€"), ("USD", "$"), ("GBP", "£")))
    return f"{amount:,} {code}", f"{sign}{amount:,}", f"{code} {amount}", f"{amount + 300:,} {code}"


def _budget(chance: random.Random, what: str) -> Condition:
    long, short, bare, other = _money(chance)
    return Condition(
        f"The {what} must not exceed {long}.",
        (
            f"Keep the {what} at or under {short}.",
            f"At most {bare} for the {what}.",
            f"{what.capitalize()}: no more than {long}.",
        ),
        long.split()[0],
        f"Keep the {what} at or under {other}.",
        long,
    )


def _deadline(chance: random.Random, what: str) -> Condition:
    said, iso, turned, other = _date(chance)
    return Condition(
        f"It has to be {what} before {said}.",
        (f"To be {what} before {iso}.", f"{what.capitalize()} before {turned}, not later."),
        said,
        f"To be {what} before {other}.",
        said,
    )


def _count(chance: random.Random, things: str) -> Condition:
    number = chance.randint(13, 88)
    return Condition(
        f"There must be at least {number} {things}.",
        (f"At least {number} {things} are needed.", f"No fewer than {number} {things}."),
        str(number),
        f"At least {number + 7} {things} are needed.",
        f"{number} {things}",
    )


def _only(what: str, *others: str) -> Condition:
    return Condition(f"Only {what}.", (f"{what[0].upper()}{what[1:]} only.", *others), what)


def _never(what: str, *others: str) -> Condition:
    return Condition(f"Never {what}.", (f"Do not {what} at any time.", *others), what)


def _stay(chance: random.Random) -> Job:
    city, key = chance.choice(_CITIES), _code(chance, "H")
    nights, guests = chance.randint(2, 6), chance.randint(2, 4)
    return Job(
        "planner",
        "researcher",
        "booker",
        f"Plan a stay of {nights} nights in {city} for {guests} people.",
        f"Find a hotel in {city} for {guests} people, {nights} nights.",
        (
            _budget(chance, "total"),
            _only("step-free hotels", "The hotel has to be step-free."),
            _deadline(chance, "booked"),
        ),
        "search_hotels",
        _schema(
            {
                "city": "string",
                "nights": "integer",
                "guests": "integer",
                "step_free": "boolean",
                "max_total": "number",
                "booked_before": "string",
            },
            ("city", "nights"),
        ),
        {"city": city, "nights": nights, "guests": guests, "step_free": True},
        {"hotels": [{"id": key, "name": "Grand Quay", "step_free": True, "total": "540"}]},
        f"I found {key}, Grand Quay, step-free.",
        key,
        _code(chance, "H"),
        _code(chance, "H"),
        "Get a firm quote for hotel {key}.",
        "quote",
        "Booked {key} at Grand Quay.",
    )


def _flight(chance: random.Random) -> Job:
    start, end = chance.sample(_CITIES, 2)
    key = _code(chance, "LX")
    return Job(
        "trip_lead",
        "flight_finder",
        "ticketing",
        f"Get {chance.choice(_PEOPLE)} from {start} to {end}.",
        f"Find a flight from {start} to {end}.",
        (
            _budget(chance, "fare"),
            _only("non-stop flights", "The flight has to be non-stop."),
            _deadline(chance, "flown"),
        ),
        "find_flights",
        _schema(
            {
                "origin": "string",
                "destination": "string",
                "nonstop": "boolean",
                "max_fare": "number",
                "before": "string",
            },
            ("origin", "destination"),
        ),
        {"origin": start, "destination": end, "nonstop": True},
        {"flights": [{"number": key, "stops": 0, "seats": 4}]},
        f"{key} is a non-stop flight with 4 seats.",
        key,
        _code(chance, "LX"),
        _code(chance, "LX"),
        "Issue the ticket for flight {key}.",
        "issue_ticket",
        "The ticket for {key} is issued.",
    )


def _report(chance: random.Random) -> Job:
    company, quarter = chance.choice(("Norvia", "Castell", "Ombra", "Tellin")), chance.randint(1, 4)
    key = f"{chance.randint(21, 79)}.{chance.randint(1, 9)}M EUR"
    return Job(
        "editor",
        "analyst",
        "writer",
        f"Write a memo on the revenue of {company} in Q{quarter}.",
        f"Find the revenue of {company} in Q{quarter}.",
        (
            _only("audited filings", "Use audited filings only."),
            _count(chance, "regions"),
            _deadline(chance, "published"),
        ),
        "search_filings",
        _schema(
            {
                "company": "string",
                "quarter": "string",
                "audited": "boolean",
                "regions": "integer",
                "published_before": "string",
            },
            ("company", "quarter"),
        ),
        {"company": company, "quarter": f"Q{quarter}", "audited": True},
        {"company": company, "revenue": key, "filing": _code(chance, "F")},
        f"Revenue was {key}, by the audited filing.",
        key,
        f"{chance.randint(81, 98)}.{chance.randint(1, 9)}M EUR",
        f"{chance.randint(11, 19)}.{chance.randint(1, 9)}M EUR",
        "Write the memo. Revenue: {key}.",
        "count_words",
        "MEMO: revenue was {key}.",
    )


def _release(chance: random.Random) -> Job:
    service, key = chance.choice(("billing", "checkout", "search", "ledger")), f"build-{chance.randint(21000, 98000)}"
    return Job(
        "release_lead",
        "builder",
        "deployer",
        f"Release the {service} service.",
        f"Build the {service} service and run its tests.",
        (
            _never("touch the production database", "The production database stays untouched."),
            _count(chance, "percent of lines covered"),
            _deadline(chance, "released"),
        ),
        "run_build",
        _schema({"service": "string", "database": "string", "coverage": "number", "deadline": "string"}, ("service",)),
        {"service": service, "database": "staging"},
        {"artifact": key, "tests": "412 passed"},
        f"The artifact is {key}; 412 tests passed.",
        key,
        f"build-{chance.randint(21000, 98000)}",
        f"build-{chance.randint(21000, 98000)}",
        "Roll out artifact {key} to ten percent.",
        "roll_out",
        "Artifact {key} is live.",
    )


def _stock(chance: random.Random) -> Job:
    city, key = chance.choice(_CITIES), _code(chance, "PO")
    return Job(
        "buyer",
        "sourcing",
        "logistics",
        f"Restock the warehouse in {city} with pallets of water.",
        f"Find a supplier of water pallets near {city}.",
        (
            _budget(chance, "order"),
            _count(chance, "pallets"),
            _only("suppliers with ISO certificates", "The supplier needs an ISO certificate."),
        ),
        "find_suppliers",
        _schema({"place": "string", "pallets": "integer", "certificates": "string", "max_order": "number"}, ("place",)),
        {"place": city, "certificates": "ISO"},
        {"suppliers": [{"offer": key, "certificate": "ISO 22000"}]},
        f"The offer {key} is from a supplier with an ISO certificate.",
        key,
        _code(chance, "PO"),
        _code(chance, "PO"),
        "Arrange the transport of order {key}.",
        "book_truck",
        "Order {key} is on its way.",
    )


def _clinic(chance: random.Random) -> Job:
    patient, key = chance.choice(_PEOPLE), f"slot-{chance.randint(3100, 9700)}"
    return Job(
        "coordinator",
        "scheduler",
        "notifier",
        f"Find {patient} an appointment in cardiology.",
        f"Find a cardiology appointment for {patient}.",
        (
            _deadline(chance, "held"),
            _only("rooms with a lift", "The room must have a lift."),
            _never("book a morning", "Mornings are excluded."),
        ),
        "find_slots",
        _schema(
            {"department": "string", "before": "string", "lift": "boolean", "exclude_morning": "boolean"},
            ("department",),
        ),
        {"department": "cardiology", "lift": True, "exclude_morning": True},
        {"slots": [{"id": key, "room": "B2", "lift": True}]},
        f"{key} in room B2 is free, with a lift.",
        key,
        f"slot-{chance.randint(3100, 9700)}",
        f"slot-{chance.randint(3100, 9700)}",
        "Confirm {key} to the patient by letter.",
        "send_letter",
        "{key} is confirmed.",
    )


def _schema(properties: dict[str, str], required: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(required),
        "additionalProperties": False,
    }


_MAKERS: tuple[Callable[[random.Random], Job], ...] = (_stay, _flight, _report, _release, _stock, _clinic)
