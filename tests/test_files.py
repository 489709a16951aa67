"""Files and folders appear whole or not at all, and have one writer at a time."""

import os
import subprocess
import sys

import pytest

from fewshot.errors import UserError
from fewshot.files import new_file, new_folder, only_writer, resumed_folder


@pytest.fixture(params=[new_file, new_folder])
def replaced(request, tmp_path):
    """A writer, and a path where something stands already."""
    path = tmp_path / "kept"
    with request.param(path) as temporary:
        write(request.param, temporary, "old")
    return request.param, path


def write(writer, temporary, text):
    (temporary if writer is new_file else temporary / "file").write_text(text)


def text_of(writer, path):
    return (path if writer is new_file else path / "file").read_text()


def test_the_new_takes_the_place_of_the_old(replaced, tmp_path):
    writer, path = replaced
    with writer(path) as temporary:
        write(writer, temporary, "new")
        assert text_of(writer, path) == "old"
    assert text_of(writer, path) == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no luck"), "no luck"),
        (KeyboardInterrupt("stopped"), "stopped"),
        (OSError(28, "No space left on device"), r"kept: cannot write \(No space left on device\)"),
    ],
)
def test_the_old_stays_when_writing_fails(replaced, tmp_path, error, shown):
    """A disk that refuses is a user's concern, told in one line; other errors pass as they are."""
    writer, path = replaced
    wanted = UserError if isinstance(error, OSError) else type(error)

    def fail():
        with writer(path) as temporary:
            write(writer, temporary, "half")
            raise error

    with pytest.raises(wanted, match=shown):
        fail()
    assert text_of(writer, path) == "old"
    assert list(tmp_path.iterdir()) == [path]


# Folders that are gone on with, and their writers

STOP = RuntimeError("stop")


def content(folder):
    """Every file below a folder, hidden ones too, but for locks."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {str(p.relative_to(folder)): p.read_text() for p in files}


def fail(writer, files):
    """Write some files, and then come to grief."""
    with writer as folder:
        for name, text in files.items():
            (folder / name).write_text(text)
        raise STOP


def test_a_folder_that_is_gone_on_with_is_handed_on_as_it_was_left(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        fail(resumed_folder(tmp_path / "store", "journal"), {"journal": "half", "a": "1"})
    assert not (tmp_path / "store").exists()
    with resumed_folder(tmp_path / "store", "journal") as partial:
        assert content(partial) == {"journal": "half", "a": "1"}
    assert content(tmp_path) == {"store/a": "1"}


def test_without_a_journal_a_failure_leaves_nothing_to_go_on_with(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        fail(resumed_folder(tmp_path / "store", "journal"), {"a": "1"})
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
