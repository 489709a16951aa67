"""Files and folders appear whole or not at all; what stood there stays when that fails."""

import pytest

from fewshot.errors import UserError
from fewshot.files import new_file, new_folder


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
