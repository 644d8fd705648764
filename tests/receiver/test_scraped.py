"""`/metrics`: read as strictly as anyone reads it, by the real Prometheus too, whatever names say; nobody comes in unasked."""

import http.client
import importlib.util
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

from tests.cli.terminal import trajectory
from tests.collector.builders import wait_for
from tests.scenarios import SOURCE, Scenario
from trajectory.collector.importing import WireDelivery
from trajectory.collector.keyring import Keyring
from trajectory.collector.server import Collector
from trajectory.detection.contract import registered_detectors
from trajectory.errors import ConfigError
from trajectory.model.fact import Batch, Finding, Found
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.receiver.gate import Gate
from trajectory.receiver.scraped import Scraped
from trajectory.receiver.tokens import Tokens
from trajectory.signals.book import Book
from trajectory.signals.exposition import OPEN, PLAIN
from trajectory.signals.measures import FIRST_CHUNK_S, Measure
from trajectory.signals.published import Published, Publishing, Vital
from trajectory.signals.tally import Changes

EXAMPLES = Path(__file__).parents[2] / "examples"
RULES = EXAMPLES / "prometheus" / "trajectory.rules.yml"
NOW_NS = 1_790_000_000_000_000_000
NASTY = ['a"b\\c', "line\nend\r", "\x1b[31mred\x00", "x" * 1_000_000, "\ud800", "ü→", '",le="+Inf"} 7\nevil 1', ""]
has_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="Prometheus is not installed"
)


def measure(name: str, seconds: float = 0.5, error: str = "") -> Measure:
    return Measure(
        "model", name, name, "svc", "1.2", "openai", NOW_NS, b"s", error, False, seconds, 0.1, 100, 10, 20, 5, 0.25, 7
    )


def copy_of(*measures: Measure) -> Published:
    book = Book()
    book.put(Changes(added=list(measures), removed=[]), b"t" * 16, NOW_NS)
    return Publishing(book).copy((Vital("trajectory_up", "It is", 1.0, False),), {"version": "1"})


def ask(place: str, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, str, str]:
    with closing(http.client.HTTPConnection(place, timeout=20)) as connection:
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read().decode()


@pytest.fixture
def scraped() -> Iterator[Scraped]:
    door = Scraped("127.0.0.1", 0, Gate())
    yield door
    door.close()


def test_hostile_names_are_values_of_labels_and_nothing_else(scraped: Scraped) -> None:
    scraped.publish(copy_of(*(measure(name, n + 0.5) for n, name in enumerate(NASTY))))
    for accept, media, read in (
        ("", PLAIN, read_plain),
        ("application/openmetrics-text;version=1.0.0", OPEN, read_open),
    ):
        status, said, body = ask(scraped.place, accept=accept)
        assert (status, said) == (200, media)
        families = {family.name: family for family in read(body)}
        calls = families["trajectory_operations"].samples
        assert len(calls) == len(NASTY) and sum(sample.value for sample in calls) == len(NASTY)
        assert all(len(value) < 200 and value.isprintable() for s in calls for value in s.labels.values())
        assert sum(s.value for s in families["trajectory_cost_usd"].samples) == pytest.approx(0.25 * len(NASTY))
        (duration,) = (
            s for s in families["gen_ai_client_operation_duration_seconds"].samples
            if s.name.endswith("_bucket") and s.labels["le"] == "0.64" and s.value == 1
        )  # fmt: skip
        assert media is PLAIN or (
            duration.exemplar is not None and duration.exemplar.labels == {"trace_id": (b"t" * 16).hex()}
        )


def test_no_secret_in_a_name_becomes_a_label() -> None:
    token = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    (labels,) = copy_of(measure("x" * 80 + " " + token)).series
    assert all(token[at : at + 8] not in text for text in labels for at in range(len(token) - 8))
    assert labels.name.startswith("x" * 80)


def test_what_is_taken_back_makes_no_counter_go_back() -> None:
    book, one, other = Book(), measure("one"), measure("one", 3.0)
    publishing = Publishing(book)
    book.put(Changes(added=[one, other], removed=[]), b"t" * 16, NOW_NS)
    before = publishing.copy((), {})
    book.put(Changes(added=[], removed=[one]), b"t" * 16, NOW_NS)
    (kept,) = publishing.copy((), {}).series.values()
    (was,) = before.series.values()
    assert kept.count == 2 and kept.cost_usd == 0.5 and kept.seconds.buckets == was.seconds.buckets
    assert sum(kept.seconds.buckets) == kept.seconds.count == 2
    book.put(Changes(added=[one, one], removed=[]), b"t" * 16, NOW_NS)
    (now,) = publishing.copy((), {}).series.values()
    assert now.count == 3 and was.count == 2


def test_only_get_of_metrics_is_answered_and_no_page_of_a_browser(scraped: Scraped) -> None:
    assert ask(scraped.place, "/")[0] == 404 and ask(scraped.place, method="POST")[0] == 405
    assert ask(scraped.place, origin="http://evil.example")[0] == 403
    assert ask(scraped.place, host="evil.example")[0] == 403
    assert ask(scraped.place, accept="application/openmetrics-text;version=\u00fcx")[0] == 200


def test_clients_that_say_nothing_leave_room_for_others(scraped: Scraped) -> None:
    host, _, port = scraped.place.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(64)]
    for each in silent[::2]:
        each.sendall(b"GET /metrics HTTP/1.1\r\nHost: local")
    assert ask(scraped.place)[0] == 200
    for each in silent:
        each.close()


def test_with_keys_a_token_that_may_watch_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trajectory.protocol.keys import KEY, key_of, read_private, token_of

    keyring = Keyring(tmp_path / "keys")
    keyring.begin()
    tokens = {}
    for role in ("watch", "emit"):
        path = str(keyring.add(role, role))
        tokens[role] = token_of(key_of(read_private(path), KEY, path))
    door = Scraped("127.0.0.1", 0, Gate(Tokens(str(keyring.directory), ("watch", "admin"))))
    try:
        assert ask(door.place)[0] == 401
        assert ask(door.place, authorization=f"Bearer {tokens['emit']}")[0] == 401
        assert ask(door.place, authorization=f"Bearer {tokens['watch']}")[0] == 200
        monkeypatch.setattr("trajectory.receiver.tokens._LOOK_S", 0.0)
        assert ask(door.place, authorization=f"Bearer {tokens['watch']}")[0] == 200  # looked again, and nothing changed
        keyring.revoke("watch")
        assert ask(door.place, authorization=f"Bearer {tokens['watch']}")[0] == 401
    finally:
        door.close()


def test_beyond_loopback_serve_wants_tokens(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    said = trajectory(
        "serve", "--bind", "tcp://127.0.0.1:*", "--otlp-http", "off", "--otlp-grpc", "off", "--store", store,
        "--metrics", "0.0.0.0:0", XDG_DATA_HOME=str(tmp_path),
    )  # fmt: skip
    assert said.code == 2 and "wants tokens" in said.err


# --- the real Prometheus --------------------------------------------------------------------------------------------------


class Watched(NamedTuple):
    """A collector, and a Prometheus that scrapes it each second."""

    metrics: str
    api: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        status, _, body = ask(self.api, "/api/v1/query?" + urlencode({"query": query}))
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", (query, body)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        groups = json.loads(ask(self.api, "/api/v1/rules")[2])["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def value(self, query: str) -> float:
        found = self.ask(query)
        return float(found[0]["value"][1]) if found else 0.0


def story(number: int) -> Scenario:
    run = Scenario(trace_id=number.to_bytes(16, "big"))
    used = {MODEL_NAME: "gpt-4o", INPUT_TOKENS: 1000, OUTPUT_TOKENS: 100, FIRST_CHUNK_S: 0.3}
    with run.agent("planner", task="Cancel the booking BK-20931 in Lyon"):
        run.says("I ask.", attributes=used)
        with run.delegate("research", task="Cancel the booking BK-20931"):
            failed = run.tool("cancel", {"code": "BK-20931"}, error=("TimeoutError", "no answer"))
            run.tool("cancel", {"code": "BK-20931"}, result="cancelled", retry_of=failed)
            run.says("BK-20931 is cancelled.", attributes=used | {MODEL_NAME: "our-own"})
            run.returns("BK-20931 is cancelled.")
        run.returns("It is cancelled.")
    found = Finding(
        "flow.loop", "warning", 0.9, run.trace().trace_id, b"\0" * 7 + b"\1", "It goes round.", agent="planner"
    )
    run.facts.append(Found(NOW_NS, found))
    return run


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    room = tmp_path_factory.mktemp("prometheus")
    collector = Collector(str(room / "store.db"), registered_detectors(""), "tcp://127.0.0.1:*")
    door = Scraped("127.0.0.1", 0, Gate())
    collector.publish_to(door.publish)
    thread = threading.Thread(target=collector.run, daemon=True)
    thread.start()
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        api = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "trajectory", "static_configs": [{"targets": [door.place]}]}],
    }
    (room / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = ["prometheus", f"--config.file={room / 'prometheus.yml'}", f"--storage.tsdb.path={room / 'data'}",
               f"--web.listen-address={api}", "--enable-feature=exemplar-storage", "--log.level=error"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        both = Watched(door.place, api)
        with WireDelivery(collector.endpoint) as deliver:
            deliver([Batch(SOURCE, 0, story(1).facts)])
            wait_for(lambda: "gpt-4o" in ask(door.place)[2], _pause)
            wait_for(lambda: _is_up(both), _pause)
            deliver([Batch(SOURCE, len(story(1).facts), [f for n in (2, 3) for f in story(n).facts])])
        wait_for(lambda: both.value("sum(trajectory_operations_total{gen_ai_operation_name='chat'})") == 6, _pause)
        yield both
    finally:
        process.terminate()
        process.wait(20)
        collector.stop()
        thread.join(20)
        door.close()


def _pause() -> None:
    threading.Event().wait(0.05)


def _is_up(both: Watched) -> bool:
    try:
        if ask(both.api, "/-/ready")[0] != 200:  # it listens before it answers
            return False
        return both.value("sum(trajectory_operations_total{gen_ai_operation_name='chat'})") == 2
    except (OSError, http.client.HTTPException):
        return False


@has_prometheus
def test_prometheus_gives_the_numbers_back_and_rules_and_dashboards_are_answered(watched: Watched) -> None:
    assert watched.value("trajectory_up") == 1 and watched.value("up") == 1
    assert watched.value("sum(gen_ai_client_token_usage_sum{gen_ai_token_type='input'})") == 6000
    assert watched.value("sum(gen_ai_client_operation_duration_seconds_count)") == 6
    cost = watched.value("sum(trajectory_cost_usd_total{gen_ai_request_model='gpt-4o'})")
    assert cost == pytest.approx(3 * (1000 * 2.5e-6 + 100 * 10e-6))
    assert watched.value("sum(trajectory_unknown_cost_calls_total{gen_ai_request_model='our-own'})") == 3
    tools = "gen_ai_tool_name='cancel', gen_ai_agent_name='research'"
    assert watched.value(f"sum(trajectory_operations_total{{{tools}, error_type='TimeoutError'}})") == 3
    assert watched.value("sum(trajectory_retries_total)") == 3
    edge = "gen_ai_agent_name='planner', trajectory_target_agent_name='research'"
    assert watched.value(f"sum(trajectory_delegations_total{{{edge}}})") == 3
    assert watched.value("trajectory_facts_total") == sum(len(story(n).facts) for n in (1, 2, 3))
    first = "sum by (le) (gen_ai_client_operation_time_to_first_chunk_seconds_bucket)"
    assert 0.16 < watched.value(f"histogram_quantile(0.5, {first})") <= 0.32
    wait_for(lambda: watched.value("sum(trajectory_delegation_items_needed_total)") > 0, _pause)
    wait_for(lambda: all(rule["health"] != "unknown" for rule in watched.rules()), _pause)
    assert len(watched.rules()) == 14 and {rule["health"] for rule in watched.rules()} == {"ok"}, watched.rules()
    for query in queries():
        asked = query.replace("$__rate_interval", "1m")
        wait_for(lambda asked=asked: bool(watched.ask(asked)), _pause, query)  # type: ignore[misc]


@has_prometheus
def test_promtool_finds_nothing_wrong_with_the_metrics_and_the_rules(scraped: Scraped) -> None:
    scraped.publish(copy_of(*map(measure, NASTY)))
    text = ask(scraped.place)[2].encode()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, timeout=30)
    assert checked.returncode == 0, checked.stderr


def queries() -> list[str]:
    boards = [json.loads(path.read_text()) for path in sorted((EXAMPLES / "grafana").glob("*.json"))]
    found = [target["expr"] for board in boards for panel in board["panels"] for target in panel["targets"]]
    assert len(found) == 23
    return found


def test_the_dashboards_are_what_their_script_makes() -> None:
    spec = importlib.util.spec_from_file_location("dashboards", EXAMPLES / "grafana" / "dashboards.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name, said in script.BOARDS.items():
        assert (EXAMPLES / "grafana" / name).read_text() == script.board(*said)


def test_a_port_for_metrics_that_is_taken_is_a_fault_of_the_settings(scraped: Scraped) -> None:
    with pytest.raises(ConfigError, match=r"--metrics: .* cannot be bound: Address already in use"):
        Scraped("127.0.0.1", int(scraped.place.rpartition(":")[2]), Gate())
