"""Commands in processes of their own."""

import subprocess
import sys
from pathlib import Path


def run_without_torch(
    *arguments: object, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `fewshot` in `cwd`, in a process of its own in which torch cannot be imported."""
    command = f"import sys; sys.argv = {['fewshot', *map(str, arguments)]!r}"
    return run_code_without_torch(f"{command}\nfrom fewshot.cli.main import main; main()", cwd)


def run_code_without_torch(
    code: str, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run code in `cwd`, in a process of its own in which torch cannot be imported."""
    script = f"import sys\nsys.modules['torch'] = sys.modules['torchvision'] = None\n{code}"
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


def is_one_line_of_error(outcome):
    """Exit code 2, one line on standard error that starts with 'error:', and nothing else."""
    code, out, err = outcome
    return code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1
