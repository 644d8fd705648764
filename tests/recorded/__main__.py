"""Records the demo anew. Of the machine that it ran on, nothing is kept."""

import gzip
import json
import tempfile
from pathlib import Path

from tests.cli.terminal import trajectory
from tests.recorded import DEMO

_OF_THE_MACHINE = {"host.name": "desk", "process.pid": 1}


def main() -> None:
    """Runs the demo at its full pace, exports it, and keeps the lines."""
    with tempfile.TemporaryDirectory() as folder:
        store, exported = Path(folder) / "demo.db", Path(folder) / "demo.jsonl"
        for words in (("demo", "--headless", "--seed", "7", "--pace", "1"), ("export", "", "-o", exported)):
            done = trajectory(*words, "--store", store)
            assert done.code == 0, done.err
        lines = [_clean(json.loads(line)) for line in exported.read_text(encoding="utf-8").splitlines()]
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    DEMO.write_bytes(gzip.compress(text.replace(f"{Path(__file__).parents[2]}/", "").encode(), mtime=0))


def _clean(line: dict[str, object]) -> dict[str, object]:
    resource = line.get("resource")
    if isinstance(resource, dict):
        resource.update({name: value for name, value in _OF_THE_MACHINE.items() if name in resource})
    return line


if __name__ == "__main__":
    main()
