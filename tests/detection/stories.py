"""Named runs for detectors: each fault with a clean twin that looks almost like it.

Invariant: `FAULTY` maps a name to a run and the (kind, agent) of every finding that it deserves at warning or above; `CLEAN`
runs deserve none. Used by the tests of this folder; the conformance suite runs every detector over all of them.
"""

from collections.abc import Callable

from tests.scenarios import Scenario
from trajectory.model.words import (
    DELEGATION_MODE,
    DELEGATION_TARGET,
    FINISH_REASONS,
    INPUT_TOKENS,
    MODEL_NAME,
    TOOL_NAME,
    Slot,
    SpanKind,
)

REQUEST = (
    "Plan a 2-night stay in Lyon for 2 people. Hard constraints: the total must not exceed 900 EUR and the hotel must be "
    "step-free. Reference T-77."
)
FULL_TASK = "Find a step-free hotel in Lyon for 2 people, 2 nights, total at most 900 EUR. Reference T-77."
DOWN = "Error: 503 Service Unavailable from the inventory"
CODED = {"hotels": [{"id": "HR-8841", "step_free": True}]}
HOTELS = [{"id": "H7", "name": "Grand Rhone", "step_free": True, "total": "640 EUR"}]


def trip(
    task: str = FULL_TASK,
    searched: object = HOTELS,
    error: tuple[str, str] | None = None,
    found: str = "I found H7, 640 EUR.",
    hotel: str = "H7",
    quoted: object = "H7: 640 EUR, firm.",
    quote_said: str = "H7 costs 640 EUR.",
    answer: str = "Booked H7 for 640 EUR.",
    captures: bool = True,
    heard: str | None = None,
) -> Scenario:
    """A planner asks a researcher to find a hotel and a booker to price it."""
    run = Scenario(captures_content=captures)
    with run.agent("planner", task=REQUEST):
        run.says("First the hotel.")
        with run.delegate("researcher", task, hears=heard):
            run.says("Searching.")
            run.tool("search", {"city": "Lyon", "nights": 2, "step_free": True}, searched, error=error)
            run.says(found)
        run.says(f"Now a quote for {hotel}.")
        with run.delegate("booker", f"Get a firm quote for hotel {hotel}, 2 nights. Reference T-77."):
            run.says("Asking.")
            run.tool("quote", {"hotel_id": hotel, "nights": 2}, quoted)
            run.says(quote_said)
        run.says(answer)
    return run


def invented() -> Scenario:
    return trip(
        searched=DOWN,
        found="I found H99, Grand Rhone, 520 EUR.",
        hotel="H99",
        quoted={"error": "HOTEL_NOT_FOUND", "hotel_id": "H99"},
        quote_said="No quote: H99 does not exist.",
        answer="The plan failed: H99 could not be quoted.",
    )


def invented_after_exception() -> Scenario:
    return trip(
        searched=None,
        error=("ConnectionError", "inventory unreachable"),
        found="I take H41 then.",
        hotel="H41",
        quoted={"error": "no such hotel", "hotel_id": "H41"},
        quote_said="There is no H41.",
        answer="No hotel could be booked.",
    )


def invented_after_many_tries(tries: int = 3) -> Scenario:
    """The same call fails again and again, by spans that hold no result; the model alone was shown what they said."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("researcher", FULL_TASK):
            for attempt in range(1, tries + 1):
                run.tool("search", {"city": "Lyon"}, DOWN, shown_only=True)
                run.says("Again." if attempt < tries else "I found H99, 520 EUR.")
        run.says("Booking H99.")
        run.tool("book", {"hotel": "H99"}, "done")
        run.says("Booked H99.")
    return run


def called_in_process() -> Scenario:
    """A lead's own code hands on what a researcher answered, whom it called, and a tool gave, past its model."""
    run = Scenario()
    with run.agent("lead", task="Plan two nights in Lisbon, at most 900 EUR."):
        run.says("First research.")
        with run.agent("researcher", task="Find hotels in Lisbon, at most 900 EUR."):
            run.tool("search", {"city": "Lisbon"}, [{"id": "HR-8841", "total": "640 EUR"}])
            run.says("HR-8841, 640 EUR.")
        run.tool("weather", {"city": "Lisbon"}, "21 km/h of wind on 2026-06-03")
        with run.delegate("writer", "Write: HR-8841, 640 EUR, at most 900 EUR, travel on 2026-06-03, reference T-77."):
            run.says("Written.")
    return run


def honest() -> Scenario:
    """The researcher reports the failure, and the planner passes that on."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("researcher", FULL_TASK):
            run.says("Searching.")
            run.tool("search", {"city": "Lyon"}, error=("ConnectionError", "inventory unreachable"))
            run.says("The search failed: the inventory could not be reached.")
        run.says("I could not find a hotel: the inventory is unreachable.")
    return run


def retried() -> Scenario:
    """The same call, made again, succeeds."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("researcher", FULL_TASK):
            first = run.tool("search", {"city": "Lyon"}, error=("TimeoutError", "no answer in 5 s"))
            run.tool("search", {"city": "Lyon"}, HOTELS, retry_of=first)
            run.says("I found H7, 640 EUR.")
        run.says("Booked H7 for 640 EUR.")
    return run


def substituted(
    source: str = "read_cache", said: str = "EU revenue is 38.9M EUR (S3).", ledger: bool = True
) -> Scenario:
    """A page is down, a second source answers, and what it gave travels to the answer."""
    run = Scenario()
    with run.agent("planner", task="Write a memo on revenue in the EU."):
        run.says("Research first.")
        with run.delegate("research", "Find revenue in the EU."):
            run.says("Opening S3.")
            run.tool("fetch_page", {"source": "S3"}, "HTTP 503 Service Unavailable\nRetry-After: 120")
            run.says("Another way.")
            run.tool(source, {"source": "S3", "quarter": "Q3"}, {"region": "EU", "amount": 38.9, "unit": "M EUR"})
            run.says(said)
        run.says("The writer takes over: EU 38.9M EUR.")
        with run.delegate("writer", "Write a memo. Figures: EU 38.9M EUR (S3)", mode="transfer"):
            run.says("MEMO: EU revenue is 38.9M EUR.")
            with run.delegate("reviewer", "Review: EU revenue is 38.9M EUR."):
                run.says("Checking.")
                error = ("ValueError", "EU total 41.2M is not 38.9M") if ledger else None
                run.tool("check_totals", {"figures": {"EU": 38.9}}, "totals agree: 1 of 1", error=error)
                run.says("reject: the figure disagrees with S3" if ledger else "accept")
            run.says("MEMO: EU revenue is 38.9M EUR.")
    return run


def answered_unheard(answer: str = "QX-4410 costs 1,374.50 EUR.") -> Scenario:
    """A framework without spans of model calls: a call is told by two layers, and of the two only the inner one knows that it
    raised; what an agent says is seen only as its delegator gets it."""
    run = Scenario()
    named = {TOOL_NAME: "price"}
    with run.agent("planner", task="Order one QX-4410."):
        asked = {DELEGATION_TARGET: "keeper", DELEGATION_MODE: "call"}
        sent = run.opens(
            SpanKind.DELEGATION, "sent", attributes=asked, contents={Slot.TASK: ["What does QX-4410 cost?"]}
        )
        keeper = run.opens(SpanKind.AGENT, "keeper", agent="keeper", under="sent")
        given = {Slot.ARGUMENTS: [{"part": "QX-4410"}]}
        outer = run.opens(SpanKind.TOOL, "outer", under="keeper", attributes=named, contents=given)
        inner = run.opens(SpanKind.TOOL, "inner", under="outer", attributes=named)
        run.ends(inner, error=("ConnectionError", "the warehouse does not answer"))
        run.ends(outer, result="the warehouse does not answer")
        run.ends(keeper)
        run.ends(sent, returned=answer)
    return run


def of_last_month(answer: str = "QX-4410 costs 1,374.50 EUR.") -> Scenario:
    """A call raises, and its agent has an old figure of the same thing."""
    run = Scenario()
    with run.agent("planner", task="Order one QX-4410."):
        run.says("Asking for the price.")
        with run.delegate("keeper", "What does QX-4410 cost?"):
            run.hears("Last month QX-4410 cost 1,374.50 EUR.", role="system")
            run.says("Looking.")
            run.tool("price", {"part": "QX-4410"}, error=("ConnectionError", "the warehouse does not answer"))
            run.says(answer)
        run.says(f"Ordered. {answer}")
    return run


def escaped() -> Scenario:
    """An exception ends the researcher, and the planner with it."""
    fault = ("ConnectionError", "inventory unreachable")
    run = Scenario()
    with run.agent("planner", task=REQUEST, error=fault), run.delegate("researcher", FULL_TASK, error=fault):
        run.says("Searching.")
        run.tool("search", {"city": "Lyon"}, error=fault)
    return run


def given_again() -> Scenario:
    """An exception ends the researcher; the planner gives the work again, with success."""
    fault = ("ConnectionError", "inventory unreachable")
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("researcher", FULL_TASK, error=fault):
            run.tool("search", {"city": "Lyon"}, error=fault)
        run.says("Once more.")
        with run.delegate("researcher", FULL_TASK):
            run.tool("search", {"city": "Lyon"}, HOTELS)
            run.says("I found H7, 640 EUR.")
        run.says("Booked H7 for 640 EUR.")
    return run


def single_agent() -> Scenario:
    """One agent alone recovers from tools that decline."""
    run = Scenario()
    with run.agent("assistant", task="Cancel my order, I am Mei Kovacs."):
        run.tool("find_user", {"name": "Mei Kovac"}, "Error: user not found")
        run.tool("find_user", {"name": "Mei Kovacs"}, "mei_kovacs_8020")
        run.tool("cancel", {"order_id": "W123"}, "Error: non-pending order cannot be cancelled")
        run.says("Order W123 cannot be cancelled any more, Mei.")
    return run


def talks_about_errors() -> Scenario:
    """Documents, reports and counts that speak of errors and are none."""
    run = Scenario()
    with run.agent("coder", task="Check the build."):
        run.tool("lint", {"path": "a.py"}, "0 errors found")
        run.tool(
            "search_docs", {"q": "503"}, "Error handling: a 503 says that the service is unavailable. Retry later."
        )
        run.tool("read_log", {"n": 3}, "10:00:01 ERROR timeout\n10:00:02 INFO retry\n10:00:03 INFO connected")
        run.tool("run_tests", {}, {"errors": 0, "failed": 0, "passed": 12})
        run.tool("measure", {}, {"mean": 3.2, "error": 0.03})
        run.says("All is well.")
    return run


def shared_history() -> Scenario:
    """A hand-over with a short note, where the next agent is shown all that was said before."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("Over to research.")
        with run.delegate("researcher", "Find a hotel.", mode="transfer", sees=[{"role": "user", "content": REQUEST}]):
            run.tool("search", {"city": "Lyon", "step_free": True, "max_total": 900}, HOTELS)
            run.says("H7, 640 EUR.")
    return run


def forgetful(
    task: str = "Find a hotel in Lyon for 2 people, 2 nights, total at most 900 EUR. Reference T-77.",
) -> Scenario:
    """The task for the researcher leaves out a constraint."""
    return trip(task=task)


def unlike_parts() -> Scenario:
    """Work split so that each part gets the constraints that it needs."""
    run = Scenario()
    ask = "Write a report on tides for children; at most 300 words, with a chart in PNG. Use only open data."
    with run.agent("editor", task=ask):
        run.says("Two parts.")
        with run.delegate("writer", "Write about tides for children, at most 300 words. Use only open data."):
            run.says("Tides rise and fall.")
        with run.delegate("artist", "Draw a curve of water levels over a day as PNG."):
            run.tool("plot", {"kind": "line"}, "curve.png written")
            run.says("Done: curve.png")
        run.says("Tides rise and fall. See curve.png.")
    return run


FORM = (
    "You have been given this task by your manager.\n{}\nAnswer at length: your manager knows nothing of what you saw. "
    "Name what you tried, what came of it, and what is still open. Your answer goes back to your manager alone."
)


def in_a_form() -> Scenario:
    """Unlike parts, each in the same long form: what the tasks have in common is the form's."""
    run = Scenario()
    ask = "Pump P-7 leaks: find out why, and order the part. The part must be in stock within 3 days and cost at most 80 EUR."
    with run.agent("dispatcher", task=ask):
        run.says("Two parts.")
        with run.delegate("diagnostician", FORM.format("Find out why pump P-7 leaks; read its sensors.")):
            run.tool("read_sensors", {"pump": "P-7"}, "seal worn")
            run.says("The seal is worn.")
        order = "Order a seal for P-7; it must be in stock within 3 days and cost at most 80 EUR."
        with run.delegate("buyer", FORM.format(order)):
            run.tool("order", {"part": "seal"}, "ordered, 61 EUR, tomorrow")
            run.says("Ordered for 61 EUR, it comes tomorrow.")
        run.says("The seal was worn; a new one comes tomorrow for 61 EUR.")
    return run


def altered(budget: str = "90 EUR") -> Scenario:
    """The task carries another amount than the request."""
    return trip(
        task=f"Find a step-free hotel in Lyon for 2 people; the total must not exceed {budget}. Reference T-77."
    )


def derived() -> Scenario:
    """The task carries an amount that follows from the request's."""
    return trip(task="Find a step-free hotel in Lyon for 2 nights; a night must not exceed 450 EUR. Reference T-77.")


def rewritten() -> Scenario:
    """The same values in other writings."""
    run = Scenario()
    with run.agent("planner", task="Book for March 3rd, 2026; the price must not exceed $1,200; must be step-free."):
        run.says("On it.")
        with run.delegate("booker", "Book for 2026-03-03 with step free access, at most 1200 USD."):
            run.tool("book", {"date": "2026-03-03", "max_usd": 1200}, "booked")
            run.says("Booked.")
        run.says("Booked.")
    return run


QUOTE = {
    "type": "object",
    "properties": {
        "hotel": {"type": "string"},
        "nights": {"type": "integer"},
        "unit": {"type": "string", "enum": ["EUR", "USD"]},
    },
    "required": ["hotel", "nights"],
    "additionalProperties": False,
}


def quoted_with(arguments: object, error: tuple[str, str] | None = None) -> Scenario:
    """A booker is offered a tool and calls it."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("booker", FULL_TASK):
            run.says("", tools=[{"name": "quote", "input_schema": QUOTE}], calls=[("q", "quote", arguments)])
            run.tool("quote", arguments, "H7: 640 EUR, firm.", error=error, call_id="q")
            run.says("H7 costs 640 EUR." if error is None else "There is no quote: my call was wrong.")
        run.says("Booked H7 for 640 EUR." if error is None else "There is no quote.")
    return run


def tried_again(
    result: object = "Error: 404 no hotel H99", times: int = 2, then: object = None, edits: bool = False
) -> Scenario:
    """An agent makes a failing call again, perhaps after it did something else."""
    run = Scenario()
    with run.agent("worker", task="Get a quote for H99."):
        for _ in range(times):
            run.says("Asking.")
            run.tool("quote", {"hotel": "H99"}, result)
            if edits:
                run.tool("register", {"hotel": "H99"}, "registered")
        if then is not None:
            run.tool("quote", {"hotel": "H99"}, then)
        run.says("There is no quote.")
    return run


def made_up() -> Scenario:
    """The researcher names a hotel that its tool did not."""
    return trip(
        searched=CODED,
        found="I found HR-2209, step-free.",
        hotel="HR-2209",
        quoted="firm",
        quote_said="Quoted.",
        answer="Done.",
    )


def passed_over() -> Scenario:
    """The planner goes on with a hotel that nobody named."""
    return trip(
        searched=CODED,
        found="I found HR-8841, step-free.",
        hotel="HR-1930",
        quoted="firm",
        quote_said="Quoted.",
        answer="Done.",
    )


def outdated(hotel: str = "HR-8841", notice: str = "Notice: offer HR-8841 was replaced by HR-9017.") -> Scenario:
    """An offer is replaced before it is passed on."""
    run = Scenario()
    with run.agent("planner", task="Book the cheapest room in Lyon."):
        run.says("Looking.")
        run.tool("search", {"city": "Lyon"}, {"offer": "HR-8841"})
        run.says("HR-8841 it is; checking it.")
        run.tool("check", {"offer": "HR-8841"}, notice)
        run.says("On to the booking.")
        with run.delegate("booker", f"Book the room of offer {hotel}."):
            run.says("Booked.")
        run.says("The room is booked.")
    return run


KEY = "sk-proj-" + "q7Rk2Lw9Zt4Xn8Vb3Mc6Yp5Hd1Gf0Js"


def leaking(task: str = f"Summarise the archive. By the way, its key is {KEY}.", parameter: str = "topic") -> Scenario:
    """A key from the lead's instructions goes to an agent that has no use for it."""
    run = Scenario()
    tools = [
        {
            "type": "function",
            "function": {"name": "find", "parameters": {"properties": {parameter: {"type": "string"}}}},
        }
    ]
    with run.agent("lead", task="Summarise the archive.", system=f"The key of the archive is {KEY}."):
        run.says("On it.")
        with run.delegate("writer", task):
            run.says("Reading.", tools=tools)
            run.says("The archive is about tides.")
        run.says("The archive is about tides.")
    return run


def cut_off(continues: bool = False) -> Scenario:
    """An answer ends at the model's limit, and goes back as it is, or is continued."""
    run = Scenario()
    with run.agent("lead", task="Report on tides."):
        run.says("On it.")
        with run.delegate("writer", "Write a report on tides."):
            run.says("Tides rise and fall twice a day because the", attributes={FINISH_REASONS: ["length"]})
            if continues:
                run.says(
                    "Tides rise and fall twice a day because the moon pulls at the sea.",
                    attributes={FINISH_REASONS: ["stop"]},
                )
        run.says("Here is the report.")
    return run


def compacted(summary: str = "Summary so far: the user wants a report on tides; three sources were read.") -> Scenario:
    """A conversation is made shorter, with a summary in place of its beginning."""
    run = Scenario()
    with run.agent("writer", task="Write a report on tides. It must stay under 300 words, and never name the sponsor."):
        for source in ("S1", "S2", "S3"):
            run.says(f"Reading {source}.")
            run.tool("read", {"source": source}, f"{source} says that tides rise and fall.")
        tail = [{"role": "user", "content": summary}, *run.heard[-2:]]
        run.says("Tides rise and fall.", knows=tail)
    return run


def pressed(tokens: int = 125_000) -> Scenario:
    """A call whose context is nearly full."""
    run = Scenario()
    with run.agent("writer", task="Write a report on tides."):
        run.says("Tides rise and fall.", attributes={MODEL_NAME: "gpt-4o-2024-08-06", INPUT_TOKENS: tokens})
    return run


def stuck() -> Scenario:
    """A tool that does not come back, and an agent that waits for it."""
    run = Scenario()
    run.opens(SpanKind.AGENT, "worker", agent="worker")
    run.opens(SpanKind.TOOL, "drill", under="worker")
    return run


Story = Callable[[], Scenario]

FAULTY: dict[str, tuple[Story, set[tuple[str, str]]]] = {
    "invented": (invented, {("tool.silent_failure", "researcher"), ("cascade", "researcher")}),
    "invented after an exception": (invented_after_exception, {("cascade", "researcher")}),
    "invented after many tries": (
        invented_after_many_tries,
        {("tool.silent_failure", "researcher"), ("tool.blind_retry", "researcher"), ("cascade", "researcher")},
    ),
    "substituted": (substituted, {("tool.silent_failure", "research"), ("cascade", "research")}),
    "answered unheard": (answered_unheard, {("cascade", "keeper")}),
    "of last month": (of_last_month, {("cascade", "keeper")}),
    "escaped": (escaped, {("cascade", "researcher")}),
    "forgetful": (forgetful, {("context.lost", "researcher")}),
    "altered": (altered, {("context.altered", "researcher")}),
    "wrong type": (lambda: quoted_with({"hotel": "H7", "nights": "two"}), {("tool.bad_arguments", "booker")}),
    "missing argument": (
        lambda: quoted_with({"hotel": "H7"}, ("ValidationError", "nights: field required")),
        {("tool.bad_arguments", "booker")},
    ),
    "tried again": (tried_again, {("tool.blind_retry", "worker")}),
    "made up": (made_up, {("context.invented", "researcher")}),
    "passed over": (passed_over, {("context.ignored", "planner"), ("context.invented", "planner")}),
    "outdated": (outdated, {("context.stale", "planner")}),
    "leaking": (leaking, {("context.leaked", "lead")}),
    "cut off": (cut_off, {("context.truncated", "writer")}),
    "compacted": (compacted, {("context.truncated", "writer")}),
    "pressed": (pressed, {("context.pressure", "writer")}),
}

CLEAN: dict[str, Story] = {
    "all well": trip,
    "honest": honest,
    "owned up to unheard": lambda: answered_unheard(
        "No price: the warehouse is unreachable. It was 1,374.50 EUR once."
    ),
    "about something else": lambda: answered_unheard("Ask the sales office: sales@hallmann.example."),
    "told as of last month": lambda: of_last_month("Last month QX-4410 cost 1,374.50 EUR."),
    "retried": retried,
    "given again": given_again,
    "single agent": single_agent,
    "talks about errors": talks_about_errors,
    "shared history": shared_history,
    "unlike parts": unlike_parts,
    "in a form": in_a_form,
    "derived": derived,
    "rewritten": rewritten,
    "mended arguments": lambda: quoted_with({"hotel": "H7", "nights": "2", "unit": None}),
    "polled": lambda: tried_again({"status": "pending"}, times=5, then="H99: 310 EUR"),
    "tried again after a change": lambda: tried_again(edits=True, times=3),
    "asked to wait": lambda: tried_again(
        {"status": "queued", "message": "try again later"}, times=4, then="H99: 310 EUR"
    ),
    "up to date": lambda: outdated("HR-9017"),
    "told as history": lambda: outdated("HR-9017, which replaces HR-8841"),
    "given to who needs it": lambda: leaking(f"Summarise the archive; its key is {KEY}.", "api_key"),
    "given to be used": lambda: leaking(f"Open the archive with {KEY} and summarise it."),
    "cut and continued": lambda: cut_off(continues=True),
    "well summarised": lambda: compacted("Report on tides, less than 300 words; the sponsor is never to be named."),
    "room to spare": lambda: pressed(90_000),
    "not captured": lambda: trip(task="Find a hotel.", searched=DOWN, found="H99", hotel="H99", captures=False),
}
