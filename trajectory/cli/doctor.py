"""`trajectory doctor`: what is installed, reachable and misconfigured, and how to mend each."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from trajectory import __version__
from trajectory.cli.output import has_unicode, is_terminal, json_line, plural, say, table, width
from trajectory.cli.places import add_json, add_key, add_store, default_endpoint, keys_dir
from trajectory.view.text import cells, clean, wrapped

_PACKAGES = ("msgpack", "msgspec", "pyzmq", "textual", "networkx", "opentelemetry-proto")


_REPAIR = "trajectory doctor --repair"
_SAID_CHARS = 100  # of a fault that an extension raised


class Check(NamedTuple):
    """One thing that was looked at. `state` is `ok`, `note` (worth knowing) or `bad` (a command will fail)."""

    name: str
    state: str
    said: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connect", metavar="ENDPOINT", default=default_endpoint(), help="collector to try (default: %(default)s)"
    )
    parser.add_argument(
        "--repair", action="store_true", help="put what reads of a damaged store into a new one; the old one is kept"
    )
    add_store(parser)
    add_key(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.repair:
        return _repair(args)
    reached = _collector(args.connect, args.key)
    heard = [_otlp(), _instrumentations()]
    installed = [_python(), *_packages(), _store(args.store), *_alerts(args.store), _keys()]
    checks = [*installed, reached, *heard, _terminal(), *_extensions()]
    if args.json:
        for check in checks:
            print(json.dumps(check._asdict()))
    else:
        print("\n".join(_lines(checks)))
    bad = sum(check.state == "bad" for check in checks)
    if bad:
        say(f"{bad} of {len(checks)} need mending")
    return 1 if bad else 0


def _lines(checks: list[Check]) -> list[str]:
    """What was seen, and below it what to do about it, whole on any terminal; elsewhere a list as any other."""
    if not is_terminal():
        return table(("STATE", "WHAT", "SEEN", "DO"), [(c.state, c.name, c.said, c.mend) for c in checks])
    sign = {"ok": "✓", "note": "·", "bad": "✗"} if has_unicode() else {"ok": "+", "note": ".", "bad": "x"}
    name_cells = max(cells(clean(check.name)) for check in checks)
    lines: list[str] = []
    for check in checks:
        head = f"{sign[check.state]}  {clean(check.name)}"
        told = [check.said, f"{'→' if has_unicode() else '->'} {check.mend}" if check.mend else ""]
        for text in (part for one in told for part in wrapped(clean(one), max(width() - name_cells - 5, 20)) if part):
            lines.append(f"{head}{' ' * (name_cells + 5 - cells(head))}{text.rstrip()}")
            head = ""
    return lines


def _repair(args: argparse.Namespace) -> int:
    """Makes the store anew where it is damaged; where it is sound, leaves it alone."""
    from trajectory.collector.repair import repair

    check = _store(args.store)
    if check.state != "bad":
        say(f"nothing to repair: {check.said}")
        return 0
    done = repair(args.store)
    if args.json:
        print(json_line(done._asdict() | {"damaged": str(done.damaged)}))
    lost = [plural(done.lost_frame_count, "frame"), plural(done.lost_payload_count, "payload")]
    say(
        f"{plural(done.fact_count, 'fact')} saved in {args.store}, lost {' and '.join(lost)}; "
        f"the damaged store is {done.damaged}"
    )
    return 0


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    is_right = sys.version_info >= (3, 11)
    mend = "" if is_right else "use 3.11 or newer"
    return Check("python", "ok" if is_right else "bad", f"{version}, trajectory {__version__}", mend)


def _packages() -> list[Check]:
    from importlib.metadata import PackageNotFoundError, version

    checks = []
    for name in _PACKAGES:
        try:
            checks.append(Check(name, "ok", version(name)))
        except PackageNotFoundError:
            checks.append(Check(name, "bad", "not installed", f"pip install {name}"))
    return checks


def _store(location: str) -> Check:
    from trajectory.errors import StoreError
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of
    from trajectory.store.sqlite import open_reader

    try:
        path = locate(location)
        if not path.exists():
            place = next(p for p in path.absolute().parents if p.exists())
            if os.access(place, os.W_OK):
                return Check("store", "ok", f"{path} will be made when something is stored")
            return Check("store", "bad", f"{place} cannot be written", "use another --store, or TRAJECTORY_STORE")
        reader = open_reader(location)
        try:
            damage = reader.check()
            counts = reader.counts()
        finally:
            reader.close()
    except StoreError as fault:
        mend = _REPAIR if "is damaged" in str(fault) else "use another --store, or move this file away"
        return Check("store", "bad", str(fault), mend)
    if damage:
        said = damage[0].removeprefix(f"{path} is damaged: ")
        return Check("store", "bad", f"{path} is damaged: {said}", _REPAIR)
    served = writer_of(path)
    by = f", written by process {served[0]}" if served else ""
    is_private = Path(path).stat().st_mode & 0o077 == 0
    seen = f"{path}: {plural(counts['traces'], 'trace')}, {plural(counts['facts'], 'fact')}, {counts['bytes'] / 1e6:.1f} MB{by}"
    return Check(
        "store", "ok" if is_private else "note", seen, "" if is_private else f"others can read it: chmod 600 {path}"
    )


def _alerts(store: str) -> list[Check]:
    """Whether the policy of alerts can be read, its channels made, and what was sent by them taken."""
    from trajectory.alerting.channels.registry import channel_of
    from trajectory.alerting.outbox import standings
    from trajectory.alerting.policy_file import default_file, read_policy
    from trajectory.alerting.secret import Vault
    from trajectory.alerting.state import read_state
    from trajectory.cli.alerting import policy_file, state_path
    from trajectory.errors import TrajectoryError

    file = policy_file("")
    if file is None:
        return [Check("alerts", "ok", f"no policy in {default_file()}: nobody is told")]
    try:
        policy = read_policy(file)
    except TrajectoryError as fault:
        return [Check("alerts", "bad", str(fault), "mend the policy; trajectory serve does not begin with it")]
    seen = f"{file}: {plural(len(policy.rules), 'rule')}, {plural(len(policy.checks), 'check')}"
    checks = [Check("alerts", "ok", seen)]
    if not policy.channels:
        checks = [Check("alerts", "note", f"{file} has no channels: nobody is told", "add [channels.NAME]")]
    for name, configured in policy.channels.items():
        vault = Vault()
        try:
            channel_of(configured, vault)
            checks.append(Check(f"channel {name}", "ok", configured.kind, f"trajectory alerts test {name} tries it"))
        except TrajectoryError as fault:
            checks.append(
                Check(
                    f"channel {name}",
                    "bad",
                    vault.scrub(str(fault)).removeprefix(f"channel {name}: "),
                    "nothing is sent by it",
                )
            )
    try:
        state = read_state(state_path(store, file))
        found = standings(state) if state is not None else []
        if state is not None:
            state.close()
    except TrajectoryError as fault:
        return [*checks, Check("alerts", "bad", str(fault), "move it away: alerts begin anew")]
    troubled = [one for one in found if one.dead or one.failures]
    said = "{0.waiting} wait, {0.dead} given up"
    return [*checks, *(Check(f"channel {one.name}", "note", said.format(one), one.trouble) for one in troubled)]


def _keys() -> Check:
    """The keys of collectors on this machine: how many, and whether they are kept from others. Never what they are."""
    from trajectory.collector.keyring import Keyring

    keyring = Keyring(keys_dir())
    if not keyring.is_ready:
        return Check("keys", "ok", "none: collectors here are open to this machine alone")
    seen = f"{keyring.directory}: the collector's, {plural(len(keyring.clients()), 'client')}"
    if keyring.directory.stat().st_mode & 0o077:
        return Check("keys", "bad", seen, f"others can look into it: chmod 700 {keyring.directory}")
    if unread := [client.name for client in keyring.clients() if not client.role]:
        return Check("keys", "bad", f"{seen}; cannot be read: {', '.join(unread)}", "revoke them, and add them anew")
    return Check("keys", "ok", seen)


def _collector(endpoint: str, key_file: str) -> Check:
    from trajectory.collector.remote import RemoteFeed
    from trajectory.errors import ConfigError, TrajectoryError
    from trajectory.protocol.keys import client_keys
    from trajectory.view.feed import FeedLost, NotAdmitted
    from trajectory.view.views import RunsQuery

    try:
        feed = RemoteFeed(endpoint, timeout_s=0.7, keys=client_keys(key_file))
        try:
            view = feed.pull(RunsQuery(limit=1), -1)
        finally:
            feed.close()
    except (NotAdmitted, ConfigError) as fault:
        return Check("collector", "bad", str(fault), "trajectory keys list, where it runs, says which keys it knows")
    except FeedLost as fault:
        return Check("collector", "note", str(fault), "start one: trajectory serve")
    except TrajectoryError as fault:
        return Check("collector", "note", f"{endpoint} is there, and refuses: {fault}")
    health = view.health if view is not None else None
    if health is None:
        return Check("collector", "note", f"{endpoint} answers nothing", "use one release on both sides")
    trouble = next(iter(health.notices), "")
    said = f"{endpoint}: {health.emitters} emitters, {health.dropped_count} facts lost, {health.quarantined_count} quarantined"
    return Check("collector", "note" if trouble else "ok", said, trouble)


def _otlp() -> Check:
    """Whether an exporter with this environment finds a receiver."""
    import urllib.error
    import urllib.request

    place = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://127.0.0.1:4318"
    request = urllib.request.Request(
        f"{place.rstrip('/')}/v1/traces", b"", {"Content-Type": "application/x-protobuf"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=3.0):
            return Check("otlp", "ok", f"{place} takes traces")
    except urllib.error.HTTPError as fault:
        mend = "trajectory keys show NAME --otlp prints what to set" if fault.code == 401 else ""
        return Check("otlp", "note", f"{place} answers {fault.code}", mend)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "reason", fault)
        return Check("otlp", "note", f"nothing takes OTLP at {place}: {reason}", "trajectory serve, or trajectory run")


def _instrumentations() -> Check:
    """Which instrumentations `trajectory.instrument` would find here: a program's own environment may have others."""
    import importlib.util
    from importlib.metadata import entry_points

    from trajectory.injected.trajectory_activation import GROUP

    names = sorted({entry.name for entry in entry_points(group=GROUP)})
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        return Check("instrumentations", "note", "no OpenTelemetry SDK here", "pip install 'trajectory-tracing[otel]'")
    return Check("instrumentations", "ok", ", ".join(names) or "the SDK, and none of a framework's")


def _terminal() -> Check:
    from trajectory.cli.watch import chosen_glyphs

    if not sys.stdout.isatty():
        return Check(
            "terminal", "note", "standard output is no terminal", "trajectory watch needs one; the others do not"
        )
    size = os.get_terminal_size()
    said = f"{os.environ.get('TERM', '?')}, {size.columns}x{size.lines}, {chosen_glyphs('auto')} signs"
    is_small = size.columns < 80 or size.lines < 24
    return Check("terminal", "note" if is_small else "ok", said, "80x24 shows more" if is_small else "")


def _extensions() -> list[Check]:
    from importlib.metadata import entry_points

    checks = []
    for group in ("trajectory.detectors", "trajectory.exporters", "trajectory.channels"):
        names, broken = [], []
        for entry in entry_points(group=group):
            try:
                entry.load()
                names.append(entry.name)
            except Exception as fault:  # a stranger's module may raise anything
                broken.append(f"{entry.name}: {type(fault).__name__}: {clean(str(fault)[:_SAID_CHARS])}")
        mend = "" if names else "pip install --force-reinstall trajectory-tracing"
        if broken:
            mend = f"mend, reinstall or remove: {', '.join(broken)}"
        state = "bad" if mend else "ok"
        checks.append(Check(group.removeprefix("trajectory."), state, ", ".join(sorted(names)) or "none", mend))
    return checks
