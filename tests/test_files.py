"""Folders appear whole or not at all, and have one writer at a time."""

import os
import subprocess
import sys

import pytest

from fewshot.errors import UserError
from fewshot.files import new_folder, only_writer, resumed_folder


STOP = RuntimeError("stop")


def content(folder):
    """Every file below a folder, hidden ones too, but for locks."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {str(p.relative_to(folder)): p.read_text() for p in files}


def fill(folder, text):
    with new_folder(folder) as new:
        (new / "a").write_text(text)


def test_a_folder_takes_the_place_of_an_older_one_whole(tmp_path):
    fill(tmp_path / "cell", "old")
    with new_folder(tmp_path / "cell") as new:
        (new / "b").write_text("new")
        assert content(tmp_path / "cell") == {"a": "old"}
    assert content(tmp_path) == {"cell/b": "new"}


def fail(writer, files, fault):
    """Write some files, and then come to grief."""
    with writer as folder:
        for name, text in files.items():
            (folder / name).write_text(text)
        raise fault


@pytest.mark.parametrize("fault", [STOP, KeyboardInterrupt()])
def test_whatever_goes_wrong_the_older_folder_stays_and_nothing_else(tmp_path, fault):
    fill(tmp_path / "cell", "old")
    with pytest.raises(type(fault)):
        fail(new_folder(tmp_path / "cell"), {"a": "half"}, fault)
    assert content(tmp_path) == {"cell/a": "old"}


def test_a_disk_that_refuses_is_a_mistake_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for writer in (new_folder, only_writer):
        with pytest.raises(UserError, match="cannot write"), writer(tmp_path / "file" / "cell"):
            pass
    with (
        pytest.raises(UserError, match="cannot write"),
        resumed_folder(tmp_path / "file" / "cell", "journal"),
    ):
        pass


def test_a_folder_that_is_gone_on_with_is_handed_on_as_it_was_left(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        fail(resumed_folder(tmp_path / "store", "journal"), {"journal": "half", "a": "1"}, STOP)
    assert not (tmp_path / "store").exists()
    with resumed_folder(tmp_path / "store", "journal") as partial:
        assert content(partial) == {"journal": "half", "a": "1"}
    assert content(tmp_path) == {"store/a": "1"}


def test_without_a_journal_a_failure_leaves_nothing_to_go_on_with(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        fail(resumed_folder(tmp_path / "store", "journal"), {"a": "1"}, STOP)
    assert content(tmp_path) == {}


def test_a_writer_waits_for_another_process_and_clears_what_a_killed_one_left(tmp_path):
    left = tmp_path / ".cell.tmp-1-00"
    left.mkdir()
    script = (
        "import sys, pathlib\n"
        "from fewshot.files import only_writer\n"
        "with only_writer(pathlib.Path(sys.argv[1])):\n"
        "    print('in', flush=True)\n"
    )
    with only_writer(tmp_path / "cell"):
        assert not left.exists()
        command = [sys.executable, "-c", script, str(tmp_path / "cell")]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
    assert other.communicate(timeout=60)[0] == "in\n"
