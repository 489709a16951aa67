"""`fewshot doctor`: what is here and what is missing."""

from importlib.metadata import version

from fewshot import __version__


def test_doctor_prints_versions_machine_and_data(fewshot, data):
    code, out, err = fewshot("doctor", "--data", data)
    assert (code, err) == (0, "")
    states = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}
    assert states["fewshot"] == [__version__]
    for package in ("torch", "torchvision", "numpy"):
        assert states[package] == [version(package)]
    assert states["tiny"] == ["present"]
    assert "missing: fewshot data fetch cifar-fs" in out
