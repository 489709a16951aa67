"""Downloads, against a server on this machine that misbehaves as real ones do."""

import gzip
import hashlib
import io
import json
import re
import socket
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import DATASETS
from tqdm import tqdm

from fewshot.data import fetch
from fewshot.data.fetch import UnavailableError, fetch_files, fetch_source
from fewshot.data.sources.source import Download
from fewshot.errors import UserError

Forms = list[list[Download]]
SIZE = 1_500_000  # several chunks
FILE = np.random.default_rng(0).bytes(SIZE)
OTHER = np.random.default_rng(1).bytes(SIZE)
PAGE = b"\n<!DOCTYPE html><html><body>Quota exceeded</body></html>"


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


@dataclass(frozen=True)
class Reply:
    """What a path answers. cut: the connection ends after that many bytes. hang: it never does."""

    content: bytes = FILE
    status: int = 200
    ranges: bool = True
    cut: int | None = None
    hang: bool = False
    sized: bool = True
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})


class Site(ThreadingHTTPServer):
    """A server that gives the replies set for a path in turn, the last one for ever."""

    daemon_threads = False  # closing it waits for every thread, so that no socket is left open

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, str | None]] = []  # path, Range
        self.encodings: set[str | None] = set()
        self.served = 0  # bytes of content
        self.ending = threading.Event()

    def set(self, path: str, *replies: Reply) -> str:
        self.replies[path] = list(replies)
        return self.url + path

    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site, asked = self.server, self.headers["Range"]
        site.asked.append((self.path, asked))
        site.encodings.add(self.headers["Accept-Encoding"])
        replies = site.replies.get(self.path, [Reply(b"", 404)])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        status, start, headers = reply.status, 0, dict(reply.headers)
        if asked and reply.ranges and status == 200:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            whole = len(reply.content)
            status = 206 if start < whole else 416
            span = f"{start}-{whole - 1}" if start < whole else "*"
            headers = {"Content-Range": f"bytes {span}/{whole}", **headers}
        body = reply.content[start:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if reply.sized:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        body = body if reply.cut is None else body[: reply.cut]
        site.served += len(body)  # before the client can have them, and look at the sum
        self.wfile.write(body)
        if reply.hang:
            self.wfile.flush()
            site.ending.wait(10)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.ending.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def look_up_here(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(-2, "Name or service not known")
        assert host == "127.0.0.1", f"a test asks for {host}"
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(fetch, "CONNECT_S", 0.8)
    monkeypatch.setattr(fetch, "READ_S", 0.8)


def wanted(*urls: str, content: bytes = FILE) -> Download:
    return Download("set.tar.gz", urls, md5(content), len(content))


def unchecked(*urls: str) -> Download:
    return Download("set.tar.gz", urls)


class Heard(list[str]):
    def __call__(self, line: str) -> None:
        assert "\n" not in line
        self.append(line)


def get(download: Download, folder: Path, heard: Heard | None = None) -> bytes:
    (path,) = fetch_files([download], folder, Heard() if heard is None else heard)
    assert path == folder / download.name
    return path.read_bytes()


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- one file, one server


@pytest.mark.parametrize("sized", [True, False])
def test_a_file_arrives_whole_and_quietly(
    site: Site, tmp_path: Path, sized: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = Heard()
    assert get(wanted(site.set("/f", Reply(sized=sized))), tmp_path / "a/b", heard) == FILE
    assert only(tmp_path / "a/b") == ["set.tar.gz"]
    assert heard == []
    assert capfd.readouterr() == ("", "")  # no bar where there is no terminal
    assert site.encodings == {"identity"}


def test_what_is_there_and_right_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz").write_bytes(FILE)
    assert get(wanted(site.set("/f", Reply())), tmp_path) == FILE
    assert site.asked == []


def test_what_is_there_and_wrong_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz").write_bytes(FILE[:-1])
    assert get(wanted(site.set("/f", Reply())), tmp_path) == FILE


def test_what_is_there_and_wrong_stays_until_better_comes(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz").write_bytes(b"old")
    with pytest.raises(UserError):
        get(wanted(site.set("/f", Reply(OTHER))), tmp_path)
    assert (tmp_path / "set.tar.gz").read_bytes() == b"old"


def test_a_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    site.set("/f", Reply())
    moved = site.set("/old", Reply(b"", 302, headers={"Location": "/f"}))
    assert get(wanted(moved), tmp_path) == FILE
    loop = site.set("/loop", Reply(b"", 302, headers={"Location": "/loop"}))
    with pytest.raises(UserError, match="30 redirects"):
        get(replace(wanted(loop), name="other"), tmp_path)


def test_a_gz_that_is_declared_as_an_encoding_stays_packed(site: Site, tmp_path: Path) -> None:
    packed = gzip.compress(FILE[:1000])
    url = site.set("/f", Reply(packed, headers={"Content-Encoding": "gzip"}))
    assert get(wanted(url, content=packed), tmp_path) == packed


# -- interrupted


def interrupt(site: Site, download: Download, folder: Path, at: int = 1_000_000) -> None:
    """Leave what a program leaves that is stopped in the middle of a download."""
    path = download.urls[0].removeprefix(site.url)
    after = site.replies[path]
    broken = replace(after[0], cut=at)
    site.replies[path] = [broken, Reply(b"", 503)]
    with pytest.raises(UserError, match="HTTP 503"):
        get(download, folder)
    site.replies[path] = after
    site.asked.clear()
    site.served = 0
    assert (folder / "set.tar.gz.part").read_bytes() == FILE[:at]
    assert not (folder / "set.tar.gz").exists()


@pytest.mark.parametrize("make", [wanted, unchecked])
@pytest.mark.parametrize("tag", ["ETag", "Last-Modified"])
def test_an_interrupted_download_goes_on(site: Site, tmp_path: Path, make: Any, tag: str) -> None:
    download = make(site.set("/f", Reply(headers={tag: "one"})))
    interrupt(site, download, tmp_path)
    assert get(download, tmp_path) == FILE
    assert site.served == SIZE - 1_000_000
    assert site.ranges() == ["bytes=1000000-"]
    assert only(tmp_path) == ["set.tar.gz"]


def test_a_stop_by_the_user_keeps_what_came(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> bool | None:
            raise KeyboardInterrupt

    download = wanted(site.set("/f", Reply()))
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "tqdm", Stopped)
        with pytest.raises(KeyboardInterrupt):
            get(download, tmp_path)
    assert only(tmp_path) == ["set.tar.gz.part", "set.tar.gz.part.json"]
    had = (tmp_path / "set.tar.gz.part").stat().st_size
    assert had > 0
    assert get(download, tmp_path) == FILE
    assert site.ranges() == [None, f"bytes={had}-"]


def test_the_bar_starts_where_the_download_goes_on(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    download = wanted(site.set("/f", Reply()))
    interrupt(site, download, tmp_path, at=750_000)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    get(download, tmp_path)
    bars = [bar for bar in terminal.getvalue().split("\r") if "%" in bar]
    assert "set.tar.gz:  50%" in bars[0]
    assert "100%" in bars[-1]
    assert "1.50M/1.50M" in bars[-1]


def test_a_broken_connection_is_taken_up_at_once(site: Site, tmp_path: Path) -> None:
    heard = Heard()
    url = site.set("/f", Reply(cut=400_000), Reply(cut=500_000), Reply())
    assert get(wanted(url), tmp_path, heard) == FILE
    assert site.served == SIZE
    assert site.ranges() == [None, "bytes=400000-", "bytes=900000-"]
    assert len(heard) == 2
    assert "broke off" in heard[0]


def test_a_break_is_noticed_though_the_server_tells_no_size(site: Site, tmp_path: Path) -> None:
    heard = Heard()
    url = site.set("/f", Reply(cut=400_000, sized=False), Reply())
    assert get(wanted(url), tmp_path, heard) == FILE
    assert site.ranges() == [None, "bytes=400000-"]
    assert f"400000 of {SIZE} bytes" in heard[0]


@pytest.mark.parametrize("cut", [0, 100_000])
def test_a_connection_that_always_breaks_is_given_up(site: Site, tmp_path: Path, cut: int) -> None:
    url = site.set("/f", Reply(cut=cut, ranges=False))
    with pytest.raises(UserError, match="broke off"):
        get(wanted(url), tmp_path)
    assert len(site.asked) <= 2


def test_a_server_that_ignores_ranges_starts_from_zero(site: Site, tmp_path: Path) -> None:
    download = wanted(site.set("/f", Reply(ranges=False)))
    interrupt(site, download, tmp_path)
    assert get(download, tmp_path) == FILE
    assert site.served == SIZE


@pytest.mark.parametrize(
    "changed",
    [
        Reply(OTHER, headers={"ETag": '"two"'}),
        Reply(OTHER, headers={"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}),
        Reply(OTHER + b"longer"),
        Reply(OTHER[:900_000]),  # 416
        Reply(OTHER, headers={"ETag": '"one"', "Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}),
        Reply(OTHER, headers={"ETag": '"one"', "Content-Range": "bytes garbage"}),
    ],
)
@pytest.mark.parametrize("make", [wanted, unchecked])
def test_a_file_that_changed_starts_from_zero(
    site: Site, tmp_path: Path, changed: Reply, make: Any
) -> None:
    before = make(site.set("/f", Reply()))
    interrupt(site, before, tmp_path)
    size = None if before.size is None else len(changed.content)
    after = replace(before, known_hash=before.known_hash and md5(changed.content), size=size)
    whole = replace(changed, headers={"ETag": '"two"'})
    site.set("/f", changed, whole)
    assert get(after, tmp_path) == changed.content
    assert site.ranges() == ["bytes=1000000-", None]


def test_without_hash_or_version_nothing_is_taken_up(site: Site, tmp_path: Path) -> None:
    download = unchecked(site.set("/f", Reply(headers={})))
    interrupt(site, download, tmp_path)
    site.set("/f", Reply(OTHER, headers={}))
    assert get(download, tmp_path) == OTHER
    assert site.ranges() == [None]


def test_a_part_of_something_else_costs_one_more_download(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz.part").write_bytes(OTHER[:1000])
    heard = Heard()
    assert get(wanted(site.set("/f", Reply())), tmp_path, heard) == FILE
    assert site.ranges() == ["bytes=1000-", None]
    assert "once more from the start" in heard[0]


@pytest.mark.parametrize("note", [b"", b'["http', b"\xff", b"{}", b"7"])
def test_a_damaged_note_is_no_obstacle(site: Site, tmp_path: Path, note: bytes) -> None:
    download = wanted(site.set("/f", Reply()))
    interrupt(site, download, tmp_path)
    (tmp_path / "set.tar.gz.part.json").write_bytes(note)
    assert get(download, tmp_path) == FILE
    assert site.served == SIZE - 1_000_000


def test_a_part_that_is_whole_is_only_checked(site: Site, tmp_path: Path) -> None:
    download = wanted(site.set("/f", Reply()))
    (tmp_path / "set.tar.gz.part").write_bytes(FILE)
    assert get(download, tmp_path) == FILE
    assert site.asked == []
    (tmp_path / "set.tar.gz").unlink()
    (tmp_path / "set.tar.gz.part").write_bytes(FILE + b"more")
    assert get(download, tmp_path) == FILE
    assert site.ranges() == [f"bytes={SIZE + 4}-", None]


# -- mirrors


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Reply(b"no", 403), "HTTP 403 Forbidden"),
        (Reply(b"no", 404), "HTTP 404 Not Found"),
        (Reply(b"no", 429), "HTTP 429 Too Many Requests"),
        (Reply(b"no", 500), "HTTP 500 Internal Server Error"),
        (Reply(b"no", 503), "HTTP 503 Service Unavailable"),
        (Reply(b"", 204), "HTTP 204 No Content"),
        (Reply(cut=0, hang=True), "timed out"),
        (Reply(PAGE), "a web page in place of the file"),
        (Reply(b"\xef\xbb\xbf<HTML lang=en>"), "a web page in place of the file"),
        (
            Reply(headers={"Content-Type": "Text/HTML; charset=utf-8"}),
            "a web page in place of the file",
        ),
        (Reply(OTHER), f"wrong checksum, not {md5(FILE)}"),
        (Reply(FILE[:-1]), f"a file of {SIZE - 1} bytes, not {SIZE}"),
        (Reply(b"", sized=False), "an empty answer"),
    ],
)
def test_a_mirror_that_fails_is_named_and_the_next_one_tried(
    site: Site, tmp_path: Path, bad: Reply, reason: str
) -> None:
    if bad.content == PAGE or bad.content.endswith(b"en>"):
        bad = replace(bad, sized=False)  # else its size would give it away
    download = wanted(site.set("/bad", bad), site.set("/good", Reply()))
    heard = Heard()
    assert get(download, tmp_path, heard) == FILE
    assert len(heard) == 1
    assert heard[0].startswith("set.tar.gz: 127.0.0.1:")
    assert reason in heard[0]
    assert only(tmp_path) == ["set.tar.gz"]


@pytest.mark.parametrize("status", [200, 206])
def test_a_web_page_does_not_spoil_what_has_come(site: Site, tmp_path: Path, status: int) -> None:
    download = wanted(site.set("/f", Reply()), site.url + "/good")
    interrupt(site, wanted(download.urls[0]), tmp_path)
    page = Reply(PAGE, 200, ranges=False, sized=False)
    if status == 206:
        page = Reply(headers={"Content-Type": "text/html", "ETag": '"one"'})
    site.set("/f", page)
    site.set("/good", Reply())
    heard = Heard()
    assert get(download, tmp_path, heard) == FILE
    assert "web page" in heard[0]
    assert site.ranges() == ["bytes=1000000-"] * 2


def test_the_next_mirror_goes_on_where_one_hangs(site: Site, tmp_path: Path) -> None:
    hangs = Reply(cut=800_000, hang=True, headers={"ETag": '"a"'})
    download = wanted(site.set("/hangs", hangs), site.set("/good", Reply(headers={"ETag": '"b"'})))
    heard = Heard()
    assert get(download, tmp_path, heard) == FILE
    assert "broke off (timed out)" in heard[0]
    had = int(re.findall(r"\d+", site.ranges()[1] or "")[0])
    assert 500_000 < had <= 800_000  # what came last may be lost


def test_an_unchecked_file_is_not_put_together_from_two_mirrors(site: Site, tmp_path: Path) -> None:
    broken = site.set("/a", Reply(cut=800_000))
    assert get(unchecked(broken, site.set("/b", Reply(OTHER))), tmp_path) == OTHER
    assert site.ranges() == [None, None]


def test_a_mirror_of_other_content_does_not_condemn_a_good_one(site: Site, tmp_path: Path) -> None:
    heard = Heard()
    urls = site.set("/other", Reply(OTHER, cut=800_000)), site.set("/good", Reply())
    assert get(wanted(*urls), tmp_path, heard) == FILE
    assert "once more from the start" in heard[1]


def test_servers_that_are_not_there(site: Site, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = f"http://127.0.0.1:{closed.getsockname()[1]}/f"
    heard = Heard()
    download = wanted(refusing, "http://nowhere.invalid/f", "nonsense", site.set("/f", Reply()))
    assert get(download, tmp_path, heard) == FILE
    assert "Connection refused" in heard[0]
    assert "nowhere.invalid: Name or service not known" in heard[1]
    assert "nonsense" in heard[2]


def test_every_mirror_failing_names_them_all(site: Site, tmp_path: Path) -> None:
    urls = site.set("/a", Reply(PAGE, sized=False)), "http://nowhere.invalid/f", site.url + "/c"
    with pytest.raises(UnavailableError) as caught:
        get(wanted(*urls), tmp_path)
    assert str(caught.value) == (
        f"cannot download set.tar.gz (127.0.0.1:{site.server_port}: a web page in place of the "
        "file; nowhere.invalid: Name or service not known; "
        f"127.0.0.1:{site.server_port}: HTTP 404 Not Found)"
    )
    assert only(tmp_path) == []


def test_a_folder_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="file/x: cannot write") as caught:
        get(wanted(site.set("/f", Reply())), tmp_path / "file/x")
    assert not isinstance(caught.value, UnavailableError)
    assert site.asked == []


def test_no_other_form_is_tried_where_the_disk_refuses(
    two_forms: Forms, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"^[^;]*file/x: cannot write \(.*\)$"):
        fetch_source("birds", two_forms, tmp_path / "file/x", Heard())


def test_a_full_disk_is_no_fault_of_the_mirror(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> bool | None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch, "tqdm", Full)
    heard = Heard()
    with pytest.raises(UserError, match=r"cannot write \(No space left on device\)"):
        get(wanted(site.set("/a", Reply()), site.set("/b", Reply())), tmp_path, heard)
    assert heard == []
    assert len(site.asked) == 1


# -- hashes from Zenodo


def zenodo(site: Site, contents: dict[str, bytes], prefix: str = "md5:") -> dict[str, Download]:
    """A record with these files, and what to download of it."""
    listed = [
        {
            "key": name,
            "size": len(content),
            "checksum": prefix + hashlib.md5(content).hexdigest(),
            "links": {"self": f"{site.url}/api/records/7/files/{name}/content"},
        }
        for name, content in contents.items()
    ]
    site.set("/api/records/7", Reply(json.dumps({"id": 7, "files": listed}).encode()))
    return {
        name: Download(name, (site.set(f"/records/7/files/{name}?download=1", Reply(content)),))
        for name, content in contents.items()
    }


@pytest.mark.parametrize("prefix", ["md5:", ""])
def test_hashes_come_from_zenodo_once(site: Site, tmp_path: Path, prefix: str) -> None:
    downloads = zenodo(site, {"a.pkl": FILE, "b.pkl": OTHER}, prefix)
    heard = Heard()
    paths = fetch_files(list(downloads.values()), tmp_path, heard)
    assert [path.read_bytes() for path in paths] == [FILE, OTHER]
    assert [path for path, _ in site.asked].count("/api/records/7") == 1
    assert heard == []


@pytest.mark.parametrize("bad", [OTHER, FILE[:-1]])
def test_what_zenodo_says_is_checked_on_every_mirror(
    site: Site, tmp_path: Path, bad: bytes
) -> None:
    download = zenodo(site, {"a.pkl": FILE})["a.pkl"]
    two = replace(download, urls=(site.set("/other", Reply(bad)), *download.urls))
    heard = Heard()
    assert get(two, tmp_path, heard) == FILE
    assert "wrong checksum" in heard[0] or f"not {SIZE}" in heard[0]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"", 503), "HTTP 503 Service Unavailable"),
        (Reply(PAGE), "not a record of files"),
        (Reply(b"{}"), "not a record of files"),
        (Reply(b'{"files": [{"key": "a.pkl", "checksum": 1, "size": 2}]}'), "not a record"),
        (Reply(b'{"files": []}'), "a.pkl"),
        (Reply(b'{"files": ', cut=3), "broke off"),
        (Reply(cut=0, hang=True), "timed out"),
    ],
)
def test_without_zenodo_s_word_a_file_is_said_to_be_unchecked(
    site: Site, tmp_path: Path, reply: Reply, reason: str
) -> None:
    download = zenodo(site, {"a.pkl": FILE})["a.pkl"]
    site.set("/api/records/7", reply)
    heard = Heard()
    assert get(download, tmp_path, heard) == FILE
    assert len(heard) == 1
    assert heard[0].startswith("a.pkl: cannot be checked")
    assert reason in heard[0]


# -- whole data sets


@pytest.fixture
def two_forms(site: Site) -> Forms:
    """A data set as one archive, and as two files of a record."""
    parts = zenodo(site, {"a.pkl": FILE, "b.pkl": OTHER})
    return [[wanted(site.set("/f", Reply()))], list(parts.values())]


def test_the_first_form_is_a_file(two_forms: Forms, site: Site, tmp_path: Path) -> None:
    assert fetch_source("birds", two_forms, tmp_path, Heard()) == tmp_path / "set.tar.gz"
    assert len(site.asked) == 1


def test_another_form_takes_over(two_forms: Forms, site: Site, tmp_path: Path) -> None:
    site.set("/f", Reply(PAGE, sized=False))
    heard = Heard()
    source = fetch_source("birds", two_forms, tmp_path, heard)
    assert source == tmp_path / "birds"
    assert only(source) == ["a.pkl", "b.pkl"]
    assert len(heard) == 1


def test_no_form_at_all_says_the_way_by_hand(two_forms: Forms, site: Site, tmp_path: Path) -> None:
    site.replies.clear()
    here = f"127.0.0.1:{site.server_port}"
    failures = (
        f"cannot download set.tar.gz ({here}: HTTP 404 Not Found); "
        f"cannot download a.pkl ({here}: HTTP 404 Not Found); "
    )
    with pytest.raises(UserError) as caught:
        fetch_source("birds", two_forms, tmp_path, Heard())
    assert str(caught.value) == failures + (
        f"get {site.url}/f by other means and run `fewshot data import birds f`"
    )
    with pytest.raises(UserError) as caught:
        fetch_source("birds", two_forms[1:], tmp_path, Heard())
    assert str(caught.value).endswith(
        f"get a.pkl, b.pkl from {site.url}/records/7 into one folder by other means and run "
        "`fewshot data import birds FOLDER`"
    )


def test_the_table() -> None:
    found = {name: known.downloads() for name, known in DATASETS.items() if known.downloads}
    assert set(found) == {"cifar-fs", "fc100", "mini-imagenet", "tiered-imagenet"}
    used = set()
    for forms in found.values():
        for downloads in forms:
            used |= {download.name for download in downloads}
            homes = {download.urls[0].rpartition("/")[0] for download in downloads}
            assert len(homes) == 1  # `_way_by_hand` names one
            for download in downloads:
                assert all(url.startswith("https://") for url in download.urls)
                assert download.known_hash or fetch.ZENODO_FILE.match(download.urls[0])
    official = found["cifar-fs"][0]
    assert official == found["fc100"][0]
    assert official[0].known_hash == "md5:eb9058c3a382ffc7106e4002c42a8d85"
    assert official[0].size == 169_001_437
    table = tomllib.loads((files("fewshot.data") / "downloads.toml").read_text("utf-8"))
    assert used == set(table["files"])
