import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from fewshot.host import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
torch.ones(2**25)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(2**25)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_kept_memory_is_not_asked_of_the_system_again() -> None:
    # Five tensors of 128 MiB: without the setting each page is a fault, were it one of 2 MiB.
    assert page_faults("keep") < 5 * 64 <= page_faults("default")
