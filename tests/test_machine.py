import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fewshot import machine

# A step of training in small: the memory of one is what the next one needs.
FAULTS = """
import resource, sys
import torch
from fewshot.machine import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
net = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
x = torch.rand(64, 3, 84, 84)
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net(x).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_kept_memory_is_not_asked_of_the_system_again() -> None:
    assert page_faults("keep") < 0.25 * page_faults("default")  # 0.03 to 0.13 seen


STAT = """cpu  100 20 30 4000 500 6 7 8 0 0
cpu0 50 10 15 2000 250 3 3 4 0 0
"""


def test_busy_processors_are_all_but_those_that_idle_or_wait(monkeypatch, tmp_path) -> None:
    stat = tmp_path / "stat"
    stat.write_text(STAT)
    monkeypatch.setattr(machine, "Path", lambda name: {"/proc/stat": stat}[name])
    monkeypatch.setattr(machine.os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    assert machine.processor_seconds().busy_s == pytest.approx((100 + 20 + 30 + 6 + 7 + 8) / 100)
    stat.unlink()
    assert machine.processor_seconds().busy_s is None


def test_own_work_is_counted_and_sleep_is_not() -> None:
    before = machine.processor_seconds()
    torch.randn(300, 300) @ torch.randn(300, 300)
    after = machine.processor_seconds()
    assert after.own_s > before.own_s
    assert after.machine_s > before.machine_s


CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: {model}
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu avx2 {flags}

"""


@pytest.mark.parametrize(
    ("model", "flags", "vectors", "kind"),
    [
        (1, "sha_ni", "AVX2", "family 25, model 1, AVX2"),
        (17, "avx512f avx512_bf16", "AVX512", "family 25, model 17, AVX512, bf16"),
        # Contrast down by the user, or on a PyTorch without such kernels: the flag alone is no use.
        (17, "avx512f avx512_bf16", "AVX2", "family 25, model 17, AVX2"),
    ],
)
def test_processors_of_one_name_are_told_apart(
    monkeypatch, tmp_path, model, flags, vectors, kind
) -> None:
    (tmp_path / "cpuinfo").write_text(2 * CPUINFO.format(model=model, flags=flags))
    monkeypatch.setattr(machine, "Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(machine.torch.backends.cpu, "get_cpu_capability", lambda: vectors)
    assert machine.processor_name() == "AMD EPYC"
    assert machine.processor_kind() == kind
    assert machine.computes_bf16() == kind.endswith("bf16")


def test_where_the_system_tells_nothing_of_its_processor_torch_does(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(machine, "Path", lambda name: tmp_path / "nothing")
    monkeypatch.setattr(machine.torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert machine.processor_name()
    assert machine.processor_kind() == "DEFAULT"
    assert not machine.computes_bf16()
