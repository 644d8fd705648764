"""What is to be sent, to which channel and when: kept until it is taken, in order for each incident, and never more
than a channel may get in a minute.

Invariant: a message is gone only when its channel took it, when it became part of a digest, or when it is a dead letter, which
stays and is told of. What does not fit into a minute becomes one digest a minute. Methods raise StoreError.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from trajectory.alerting.incidents import Change
from trajectory.alerting.message import Action, Message, message_of
from trajectory.alerting.policy import Policy, rank_of
from trajectory.alerting.state import State, decoded
from trajectory.store.database import Database

MAX_TRIES = 30  # about two hours of them
MAX_DEAD = 1_000  # of one channel
_KEPT_DEAD_NS = 7 * 86_400_000_000_000
_MINUTE_NS = 60_000_000_000
_FIRST_NS, _MOST_NS = 1_000_000_000, 300_000_000_000  # of the backoff
_MANY = 2  # minutes of messages that wait: then they are one
_FAR_NS = 3_600_000_000_000  # more than anybody is left alone for: the clock was set back
_OPENS = ("open", "worse", "repeat")
_REASON_CHARS = 200
_message = msgspec.msgpack.Decoder(Message)


class Letter(NamedTuple):
    """A message on its way to a channel."""

    row: int
    channel: str
    tries: int
    message: Message


class Standing(NamedTuple):
    """How a channel does: how many messages wait, are dead letters, were taken; why it fails just now."""

    name: str
    waiting: int
    dead: int
    sent: int
    trouble: str
    failures: int


class Outbox:
    """Works on the tables of an open state. `jitter` gives 0 to 1."""

    def __init__(self, state: State, jitter: Callable[[], float] = random.random) -> None:
        self._state = state
        self._jitter = jitter

    # --- in, inside the transaction that makes it so -------------------------------------------------------------------

    def put(
        self, connection: Any, change: Change, policy: Policy, hears: dict[str, frozenset[str]], now_ns: int
    ) -> None:
        """What a change has told to whom. `hears` is by channel."""
        incident = change.incident
        if change.action in _OPENS:
            names = policy.channels_for(policy.rule_named(incident.rule), incident.severity)
            for name in (name for name in names if name in hears):
                self._add(connection, name, incident.id, message_of(incident, change.action), now_ns)  # type: ignore[arg-type]
                connection.execute("INSERT OR IGNORE INTO told VALUES (?, ?, ?)", (incident.id, name, incident.id))
            return
        asked = "DELETE FROM told WHERE incident = ? RETURNING channel, key"
        if change.action != "close":
            asked = "SELECT channel, key FROM told WHERE incident = ?"
        told = connection.execute(asked, (incident.id,)).fetchall()
        for name, key in told:
            is_whole = key == incident.id or (change.action == "close" and not _is_told(connection, name, key))
            if is_whole and change.action in hears.get(name, ()):
                message = msgspec.structs.replace(message_of(incident, change.action), key=key)  # type: ignore[arg-type]
                self._add(connection, name, incident.id, message, now_ns)

    def _add(self, connection: Any, channel: str, incident: str, message: Message, now_ns: int) -> int:
        values = (channel, message.key, incident, message.action, message.severity, now_ns, now_ns)
        made = connection.execute(
            """INSERT INTO outbox (channel, key, incident, action, severity, made_ns, due_ns, tries, is_dead, reason, body)
               VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, '', ?)""",
            (*values, msgspec.msgpack.encode(message)),
        )
        return int(made.lastrowid)

    # --- out ---------------------------------------------------------------------------------------------------------

    def next_for(self, channel: str, per_minute: int, policy: Policy, now_ns: int) -> Letter | None:
        """The message that a channel gets now; None where none is due, or it has had enough for this minute."""
        database = self._state.database
        rests = database.row("SELECT rests_until_ns FROM channels WHERE name = ?", (channel,))
        if rests is not None and 0 < rests[0] - now_ns <= _FAR_NS:  # more: the clock was set back
            return None
        severities: list[str] = [s for s in ("critical", "other") if not policy.quiet_until_ns(channel, s, now_ns)]
        row = database.row(
            f"SELECT id, tries, action, body FROM outbox AS o WHERE {_DUE} ORDER BY id LIMIT 1",
            self._due(channel, severities, now_ns),
        )
        if row is None:
            return None
        left = per_minute - self._sent_lately(channel, now_ns)
        if left <= 0:
            return None
        if row[2] in _OPENS and (left == 1 or self._waiting(channel, severities, now_ns) > _MANY * per_minute):
            return self._digest(channel, severities, now_ns) or self._letter(channel, row)
        return self._letter(channel, row)

    def _letter(self, channel: str, row: Any) -> Letter:
        message = decoded(self._state.database.path, _message, row[3])
        return Letter(row[0], channel, row[1], msgspec.structs.replace(message, id=f"{message.key}-{row[0]}"))

    def _digest(self, channel: str, severities: list[str], now_ns: int) -> Letter | None:
        """All that is due as one message, in place of what there was; None where that is one anyway."""
        database = self._state.database
        rows = database.rows(
            f"SELECT id, incident, key, severity, action, body FROM outbox AS o WHERE {_DUE} "
            "AND action IN ('open', 'worse', 'repeat') AND tries = 0",
            self._due(channel, severities, now_ns),
        )
        if len({row[1] for row in rows}) < 2:
            return None
        worst = max(rows, key=lambda row: (rank_of(row[3]), -row[0]))
        with database.transaction() as connection:
            own = f"digest-{worst[0]}"
            others = (
                len({row[2] for row in rows}) - 1 + sum(decoded(database.path, _message, row[5]).others for row in rows)
            )
            made: Action = "open"
            message = msgspec.structs.replace(
                decoded(database.path, _message, worst[5]), key=own, action=made, others=others
            )
            number = self._add(connection, channel, worst[1], message, now_ns)
            connection.executemany("DELETE FROM outbox WHERE id = ?", [(row[0],) for row in rows])
            # From here on its channel knows it by the digest, and what was to follow it is in that.
            opened = [(channel, row[2]) for row in rows if row[4] == "open"]
            connection.executemany(
                "UPDATE told SET key = ? WHERE channel = ? AND key = ?", [(own, *one) for one in opened]
            )
            connection.executemany("DELETE FROM outbox WHERE channel = ? AND key = ? AND NOT is_dead", opened)
            if not _is_told(connection, channel, own):  # all are over by now
                over = msgspec.structs.replace(message, action="close", closed_ns=now_ns)
                self._add(connection, channel, worst[1], over, now_ns)
        row = database.row("SELECT id, tries, action, body FROM outbox WHERE id = ?", (number,))
        return self._letter(channel, row)

    def _waiting(self, channel: str, severities: list[str], now_ns: int) -> int:
        query = f"SELECT count(*) FROM (SELECT 1 FROM outbox AS o WHERE {_DUE} LIMIT 2000)"
        return self._state.database.number(query, self._due(channel, severities, now_ns))

    def _due(self, channel: str, severities: list[str], now_ns: int) -> dict[str, object]:
        query = "SELECT max(digest_rank) + 1 FROM sent WHERE channel = ? AND at_ns > ? AND at_ns <= ?"
        gathered = self._state.database.number(query, (channel, now_ns - _MINUTE_NS, now_ns))
        quiet = {name: name in severities for name in ("critical", "other")}
        return {"channel": channel, "now_ns": now_ns, "far_ns": _FAR_NS, "gathered": gathered, **quiet}

    def _sent_lately(self, channel: str, now_ns: int) -> int:
        query = "SELECT count(*) FROM sent WHERE channel = ? AND at_ns > ? AND at_ns <= ?"
        return self._state.database.number(query, (channel, now_ns - _MINUTE_NS, now_ns))

    def taken(self, letter: Letter, now_ns: int) -> None:
        """Its channel took it."""
        with self._state.database.transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", (letter.row,))
            connection.execute(
                "DELETE FROM sent WHERE channel = ? AND at_ns <= ?", (letter.channel, now_ns - _MINUTE_NS)
            )
            connection.execute(
                "INSERT INTO sent (channel, at_ns, digest_rank) VALUES (?, ?, ?)",
                (letter.channel, now_ns, rank_of(letter.message.severity) if letter.message.others else -1),
            )
            connection.execute("DELETE FROM outbox WHERE is_dead AND made_ns < ?", (now_ns - _KEPT_DEAD_NS,))
            _stand(connection, letter.channel, "", 0, 0, sent=1)

    def failed(self, letter: Letter, reason: str, pause_s: float, now_ns: int, *, is_final: bool) -> None:
        """Its channel did not: it is sent again later, after longer and longer rests, or is a dead letter."""
        tries = letter.tries + 1
        is_dead = is_final or tries >= MAX_TRIES
        with self._state.database.transaction() as connection:
            failures = connection.execute("SELECT failures FROM channels WHERE name = ?", (letter.channel,)).fetchone()
            count = 0 if is_final else (failures[0] if failures else 0) + 1
            rest_ns = 0 if is_final else max(self.backoff_ns(count), int(pause_s * 1e9))
            connection.execute(
                "UPDATE outbox SET tries = ?, due_ns = ?, is_dead = ?, reason = ? WHERE id = ?",
                (tries, now_ns + max(rest_ns, self.backoff_ns(tries)), is_dead, reason[:_REASON_CHARS], letter.row),
            )
            connection.execute(
                """DELETE FROM outbox WHERE id IN (
                   SELECT id FROM outbox WHERE channel = ? AND is_dead ORDER BY id DESC LIMIT -1 OFFSET ?)""",
                (letter.channel, MAX_DEAD),
            )
            _stand(connection, letter.channel, reason[:_REASON_CHARS], count, now_ns + rest_ns if rest_ns else 0)

    def backoff_ns(self, count: int) -> int:
        """How long to rest after so many failures in a row: twice as long each time, half of it by chance."""
        whole_ns = min(_FIRST_NS << min(max(count - 1, 0), 20), _MOST_NS)
        return int(whole_ns * (0.5 + 0.5 * self._jitter()))


# For a minute after a digest, what is no worse than it is gathered for the next one.
_DUE = """channel = :channel AND NOT is_dead AND (due_ns <= :now_ns OR due_ns > :now_ns + :far_ns) AND
    (CASE severity WHEN 'critical' THEN :critical ELSE :other END) AND
    (action NOT IN ('open', 'worse', 'repeat') OR
     (CASE severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END) >= :gathered) AND
    NOT EXISTS (SELECT 1 FROM outbox AS b WHERE b.channel = o.channel AND b.key = o.key AND NOT b.is_dead AND b.id < o.id)"""


def _is_told(connection: Any, channel: str, key: str) -> bool:
    query = "SELECT 1 FROM told WHERE channel = ? AND key = ? LIMIT 1"
    return connection.execute(query, (channel, key)).fetchone() is not None


def _stand(connection: Any, channel: str, trouble: str, failures: int, rests_until_ns: int, sent: int = 0) -> None:
    connection.execute(
        """INSERT INTO channels VALUES (:name, :trouble, :failures, :rests, :sent) ON CONFLICT (name) DO UPDATE SET
           trouble = :trouble, failures = :failures, rests_until_ns = :rests, sent_count = sent_count + :sent""",
        {"name": channel, "trouble": trouble, "failures": failures, "rests": rests_until_ns, "sent": sent},
    )


def standings(database: Database) -> list[Standing]:
    """How every channel does that has had anything to send."""
    rows = database.rows(
        """SELECT name, coalesce(waiting, 0), coalesce(dead, 0), coalesce(sent_count, 0), coalesce(trouble, ''),
           coalesce(failures, 0) FROM (SELECT name FROM channels UNION SELECT channel FROM outbox)
           LEFT JOIN (SELECT channel, sum(NOT is_dead) AS waiting, sum(is_dead) AS dead FROM outbox GROUP BY channel)
           ON channel = name LEFT JOIN channels USING (name) ORDER BY name""",
        (),
        (str, int, int, int, str, int),
    )
    return [Standing(*row) for row in rows]


def dead_letters(database: Database) -> list[tuple[str, str, str, str]]:
    """(channel, key, action, why) of what was given up."""
    return [
        tuple(row) for row in database.rows("SELECT channel, key, action, reason FROM outbox WHERE is_dead ORDER BY id")
    ]


def told_of(database: Database, incident: str) -> list[str]:
    """The channels that know of an incident."""
    rows = database.rows("SELECT channel FROM told WHERE incident = ? ORDER BY channel", (incident,))
    return [name for (name,) in rows]
