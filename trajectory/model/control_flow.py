"""Which exceptions steer and do not fail, by their names: nothing else of them is known in a trace.

Invariant: standard library only, because emitters load it. A framework raises these to hand over, to wait for a person, to end an
iteration, to stop what nobody waits for any more, or to have a model ask again. Called by the emitter, by the dialects, and by
whoever looks for where an error began.
"""

import re
from functools import lru_cache

_STEERS = re.compile(
    r"(?:Command|Interrupt|BubbleUp)$"
    r"|^(?:Graph|Agent)?(?:Hand_?[oO]ff|HandOver|Delegate|Transfer)(?:Signal)?$"
    r"|^(?:Stop(?:Async)?Iteration|GeneratorExit)$"
    r"|^(?:Task|Future|Run|Workflow|Node)?Cancell?ed(?:Error|Exception)?$"
    r"|^(?:Model|Tool|Node)?Retry$|^(?:Model|Tool)Retry(?:Error|Exception)$"
    r"|^(?:CallDeferred|ApprovalRequired)$"
)
_REAL = re.compile(r"^(?:Invalid|Unknown|Bad|Missing|Illegal|Unsupported)|^KeyboardInterrupt$")


@lru_cache(maxsize=1024)
def is_control_flow(exception_type: str) -> bool:
    """Whether an exception of this type (with or without its module) steers and does not fail."""
    name = exception_type[-200:].rsplit(".", 1)[-1].strip()
    return bool(_STEERS.search(name)) and not _REAL.search(name)
