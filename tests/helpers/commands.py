"""Commands in processes of their own."""

import subprocess
import sys
from pathlib import Path


def run_without_torch(
    *arguments: object, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `fewshot` in `cwd`, in a process of its own in which torch cannot be imported."""
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from fewshot.cli.main import main\n"
        f"sys.argv = {['fewshot', *map(str, arguments)]!r}\n"
        "main()\n"
    )
    return subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True)


def cost_of_command(*arguments: object) -> tuple[float, float, str]:
    """Processor seconds and peak memory (2^30 bytes) of `fewshot`, and what it printed."""
    script = (
        "import re, resource, sys\n"
        "from fewshot.cli.main import main\n"
        f"sys.argv = {['fewshot', *map(str, arguments)]!r}\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:  # with which every command ends\n"
        "    assert not end.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        # Not ru_maxrss, in which a new process inherits the peak of the one that started it.
        "peak = re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())\n"
        "print(used.ru_utime + used.ru_stime, int(peak[1]) / 2**20)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, gigabytes = map(float, done.stdout.splitlines()[-1].split())
    return seconds, gigabytes, done.stdout
