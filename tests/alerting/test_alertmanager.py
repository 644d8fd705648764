"""A real Alertmanager takes what we push, and sends its own webhooks of version 4, which say what ours say."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import urllib3

from tests.alerting.servers import http_server
from tests.alerting.test_channels import MESSAGE, VERSION_4, channel
from tests.cli.terminal import until
from trajectory.alerting.channels.webhook import version_4

SAME = ("status", "labels", "annotations", "generatorURL")
PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = """
route: {{receiver: back, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: back
  webhook_configs: [{{url: '{url}', send_resolved: true}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    (folder / "am.yml").write_text(CONFIG.format(url=url))
    port = free_port()
    process = subprocess.Popen(
        [str(PROGRAM), f"--config.file={folder / 'am.yml'}", f"--storage.path={folder}",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pool = urllib3.PoolManager(retries=False, timeout=2)

    def is_ready() -> bool:
        try:
            return pool.request("GET", f"http://127.0.0.1:{port}/-/ready").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    try:
        until(is_ready)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(20)


@pytest.mark.skipif(PROGRAM is None, reason="no Alertmanager here: apt install prometheus-alertmanager")
def test_a_real_alertmanager_takes_what_we_push_and_its_webhooks_say_what_ours_say(tmp_path: Path) -> None:
    import jsonschema
    import msgspec

    now_ns = time.time_ns() // 10**9 * 10**9 - 9 * 10**8  # at .100 s, which is .1 s for it
    opened = msgspec.structs.replace(MESSAGE, opened_ns=now_ns - 10**9, last_ns=now_ns)
    over = msgspec.structs.replace(opened, action="close", closed_ns=now_ns)
    with http_server() as seen, alertmanager(tmp_path, f"{seen.url}/back") as url:
        made = channel(type="alertmanager", url=url)
        made.send(opened)
        made.send(opened)  # twice is once
        until(lambda: len(seen.got) >= 1)
        listed = urllib3.request("GET", f"{url}/api/v2/alerts", retries=False).json()
        assert [alert["labels"]["incident"] for alert in listed] == [MESSAGE.key]
        made.send(over)
        until(lambda: any(got.json["status"] == "resolved" for got in seen.got))
        firing, resolved = seen.got[0].json, seen.got[-1].json
    for theirs, message in ((firing, opened), (resolved, over)):
        ours = version_4(message)
        jsonschema.validate(theirs, VERSION_4)
        assert set(ours) == set(theirs)
        (alert,), (own,) = theirs["alerts"], ours["alerts"]
        assert set(own) == set(alert)
        assert [own[key] for key in SAME] == [alert[key] for key in SAME]
        began, theirs_began = (datetime.fromisoformat(each["startsAt"]) for each in (own, alert))
        assert began == theirs_began  # which drops its last zeros
