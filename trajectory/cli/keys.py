"""`trajectory keys`: the keys of a collector that other machines reach. `init`, `add`, `list`, `show`, `revoke`.

Invariant: a secret is written to a file of its owner alone, and printed only by `show --secret` and `show --otlp`. Run where the
collector runs.
"""

import argparse
import sys

from trajectory.cli.output import json_line, plural, say, table
from trajectory.cli.places import add_json, default_endpoint, keys_dir

_ROLES = ("emit", "watch", "admin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    begin = actions.add_parser("init", help="make the collector's own key")
    add = actions.add_parser("add", help="make a key for a client")
    add.add_argument("name", metavar="NAME", help="whose key it is: a team, a service, a person")
    add.add_argument(
        "--role", choices=_ROLES, default="emit", help="emit cannot read, watch cannot write (default: %(default)s)"
    )
    listed = actions.add_parser("list", help="whose keys the collector knows")
    add_json(listed)
    show = actions.add_parser("show", help="print what a client sets in its environment")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--secret", action="store_true", help="print the key file itself, to be put on another machine")
    show.add_argument("--otlp", action="store_true", help="print what an OpenTelemetry exporter sets, token and all")
    show.add_argument("--endpoint", default="", help="where clients reach the collector, or its receiver with --otlp")
    revoke = actions.add_parser("revoke", help="take a key away; a running collector refuses it within a second")
    revoke.add_argument("name", metavar="NAME")
    for action in (begin, add, listed, show, revoke):
        action.add_argument(
            "--keys", metavar="DIR", default=keys_dir(), help="where the keys are (default: %(default)s)"
        )


def run(args: argparse.Namespace) -> int:
    action = {"init": _init, "add": _add, "list": _list, "show": _show, "revoke": _revoke}[args.action]
    action(args)
    return 0


def _init(args: argparse.Namespace) -> None:
    from trajectory.collector.keyring import Keyring

    keyring = Keyring(args.keys)
    print(keyring.begin().hex())
    say(f"The collector's key is in {keyring.directory}; above is its public half.")
    say("next: trajectory keys add NAME --role emit; trajectory serve --bind tcp://0.0.0.0:5570")


def _add(args: argparse.Namespace) -> None:
    from trajectory.collector.keyring import Keyring

    path = Keyring(args.keys).add(args.name, args.role)
    print(path)
    say(f"{args.name} may {args.role} with the key file above: TRAJECTORY_KEY_FILE={path}")


def _list(args: argparse.Namespace) -> None:
    from trajectory.collector.keyring import Keyring

    clients = Keyring(args.keys).clients()
    if args.json:
        for client in clients:
            print(json_line({"name": client.name, "role": client.role or None, "public": client.public.hex()}))
    elif clients:
        rows = [(c.name, c.role or "cannot be read", c.public.hex()[:16]) for c in clients]
        print("\n".join(table(("NAME", "ROLE", "PUBLIC"), rows)))
    else:
        say(f"no keys of clients in {args.keys}: trajectory keys add NAME")


def _show(args: argparse.Namespace) -> None:
    from trajectory.collector.keyring import Keyring
    from trajectory.protocol.keys import KEY, SERVER_KEY, key_of, read_private, token_of

    keyring = Keyring(args.keys)
    path = keyring.file_of(args.name)
    values = read_private(str(path))
    if not (args.endpoint or args.secret):
        reached = "http://HOST:4318" if args.otlp else "tcp://HOST:5570, and copy the key file there"
        say(f"That is for this machine. For another: --endpoint {reached}")
    if args.otlp:
        token = token_of(key_of(values, KEY, str(path)))
        print(f"OTEL_EXPORTER_OTLP_ENDPOINT={args.endpoint or 'http://127.0.0.1:4318'}")
        print(f"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{token}")  # a blank is escaped there (W3C baggage)
        if sys.stdout.isatty():
            say("That is a secret: clear the screen, or next time send it where it belongs.")
        return
    if args.secret:
        print("\n".join(f"{name}={value}" for name, value in values.items()))
        if sys.stdout.isatty():
            say("That is a secret: clear the screen, or next time send it where it belongs.")
        return
    print(f"TRAJECTORY_ENDPOINT={args.endpoint or default_endpoint()}")
    print(f"TRAJECTORY_KEY_FILE={path}")
    print(f"{SERVER_KEY}={values.get(SERVER_KEY, '')}")


def _revoke(args: argparse.Namespace) -> None:
    from trajectory.collector.keyring import Keyring

    keyring = Keyring(args.keys)
    keyring.revoke(args.name)
    say(f"{args.name} is revoked; {plural(len(keyring.clients()), 'key')} left")
