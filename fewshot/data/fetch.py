"""Downloads from several mirrors, checks them, and takes them up where they broke off."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from tqdm import tqdm

from fewshot.data.sources.source import Alternatives, Download
from fewshot.data.untrusted.blobs import is_web_page
from fewshot.errors import UserError

CONNECT_S, READ_S = 10.0, 60.0  # how long a server may stay silent
CHUNK = 2**18  # bytes
ZENODO_FILE = re.compile(r"(https?://[^/]+)/records/(\d+)/files/([^/?]+)")
Say = Callable[[str], None]

pooch.get_logger().setLevel("WARNING")  # what a user should know goes through `say`


class UnavailableError(UserError):
    """No mirror gives a file."""


class _MirrorError(Exception):
    """The reason, in a few words, why a server does not give a file."""


def fetch_source(dataset: str, alternatives: Alternatives, folder: Path, say: Say) -> Path:
    """Download a data set into `folder`, in the first of its forms that can be had.

    Returns what to import: the file, or a folder of files. To be called by one process at a time.
    Raises UserError with the reason of every mirror, and the way by hand, when there is none.
    """
    failures = []
    for downloads in alternatives:
        place = folder if len(downloads) == 1 else folder / dataset
        try:
            paths = fetch_files(downloads, place, say)
        except UnavailableError as error:
            failures.append(str(error))
        else:
            return paths[0] if len(paths) == 1 else place
    raise UserError(f"{'; '.join(failures)}; {_way_by_hand(dataset, alternatives[0])}")


def fetch_files(downloads: Sequence[Download], folder: Path, say: Say) -> list[Path]:
    """Have `downloads` in `folder`, each whole and, where its hash can be known, checked.

    A file that is there with the right hash is left alone. `say` gets a line for each mirror that
    fails. Raises UnavailableError with the file and the reason of every mirror, and UserError when
    the disk refuses.
    """
    try:
        return [_fetch(download, folder, say) for download in _with_hashes(downloads, say)]
    except OSError as error:
        raise UserError(f"{folder}: cannot write ({error.strerror or error})") from error


def _way_by_hand(dataset: str, downloads: Sequence[Download]) -> str:
    urls = [download.urls[0].partition("?")[0] for download in downloads]
    names = [url.rpartition("/")[2] for url in urls]
    what, source = urls[0], names[0]
    if len(urls) > 1:
        home = urls[0].rpartition("/")[0].removesuffix("/files")  # of Zenodo: the record's page
        what, source = f"{', '.join(names)} from {home} into one folder", "FOLDER"
    return f"get {what} by other means and run `fewshot data import {dataset} {source}`"


def _with_hashes(downloads: Sequence[Download], say: Say) -> Iterator[Download]:
    """Give the downloads, with hash and size from Zenodo's records where they are not known."""
    ask = cache(_zenodo_hashes)  # once a record, not once a file
    for download in downloads:
        found = next(filter(None, map(ZENODO_FILE.match, download.urls)), None)
        if download.known_hash or not found:
            yield download
            continue
        server, record, name = found.groups()
        try:
            known_hash, size = ask(f"{server}/api/records/{record}")[name]
        except (_MirrorError, KeyError) as error:
            say(f"{download.name}: cannot be checked, {server} does not tell its hash ({error})")
            yield download
        else:
            yield replace(download, known_hash=known_hash, size=size)


def _zenodo_hashes(address: str) -> dict[str, tuple[str, int]]:
    """Return file name -> hash and size, from the record that Zenodo's API has at `address`."""
    with _get(address) as response:
        if response.status_code != 200:
            raise _MirrorError(f"HTTP {response.status_code} {response.reason}")
        try:
            record = json.loads(b"".join(_chunks(response)))
            return {
                file["key"]: (f"md5:{file['checksum'].removeprefix('md5:')}", int(file["size"]))
                for file in record["files"]
            }
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _MirrorError("not a record of files") from error


def _fetch(download: Download, folder: Path, say: Say) -> Path:
    transfer = _Transfer(download, folder / f"{download.name}.part")
    had, reasons = -1, [""]
    while transfer.part_size() > had:  # one round of the mirrors, and more while they bring bytes
        had, reasons = transfer.part_size(), []
        for url in download.urls:
            try:
                _fetch_from(url, transfer, say)
            except _MirrorError as error:
                reasons.append(f"{urlsplit(url).netloc}: {error}")
                say(f"{download.name}: {reasons[-1]}")
            else:
                return folder / download.name
    raise UnavailableError(f"cannot download {download.name} ({'; '.join(reasons)})")


def _fetch_from(url: str, transfer: "_Transfer", say: Say) -> None:
    wanted, folder, had = transfer.download, transfer.part.parent, transfer.part_size()
    with suppress(ValueError):  # pooch's word for a wrong hash; what had come is gone then
        pooch.retrieve(url, wanted.known_hash, wanted.name, folder, downloader=transfer)
        return
    if not had:
        raise _MirrorError(f"wrong checksum, not {wanted.known_hash}")
    say(f"{wanted.name}: wrong checksum after it was taken up again; once more from the start")
    transfer.part.unlink(missing_ok=True)  # whatever pooch complained of: no third time
    _fetch_from(url, transfer, say)


@dataclass(frozen=True)
class _Transfer:
    """A downloader for pooch that goes on from what is in `part`.

    pooch's own write into a temporary file that goes away with any failure. Here the bytes wait in
    `part` until all are there; only then does pooch get them, to check and to store.
    """

    download: Download
    part: Path

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        offset = self.part_size()
        noted_url, noted_tag, _ = self._noted()
        if not self.download.known_hash and not (noted_url == url and noted_tag):
            offset = 0  # nothing would tell a file put together from two versions
        if not offset or offset != self.download.size:
            self._go_on(url, offset)
        self.part.replace(output_file)
        self._note.unlink(missing_ok=True)

    def part_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def _note(self) -> Path:
        """Return the file that notes where `part` comes from: URL, ETag or date, size of all."""
        return self.part.with_name(f"{self.part.name}.json")

    def _noted(self) -> list[Any]:
        try:
            url, tag, size = json.loads(self._note.read_bytes())
        except (OSError, ValueError, TypeError):
            return ["", "", None]
        return [url, tag, size]

    def _go_on(self, url: str, offset: int) -> None:
        with _get(url, offset) as response:
            if not offset or self._fits(response, url, offset):
                self._receive(response, url)
                return
        self._go_on(url, 0)

    def _fits(self, response: requests.Response, url: str, offset: int) -> bool:
        """Return whether an answer continues `part`, or is a whole file or an error."""
        if response.status_code != 206:
            return response.status_code != 416  # the file ends before `offset`
        start, size = _extent(response)
        noted = self._noted()
        return start == offset and (noted[0] != url or noted == [url, _tag(response), size])

    def _receive(self, response: requests.Response, url: str) -> None:
        if response.status_code not in (200, 206):
            raise _MirrorError(f"HTTP {response.status_code} {response.reason}")
        start, size = _extent(response)
        wanted = self.download.size
        if None not in (size, wanted) and size != wanted:
            raise _MirrorError(f"a file of {size} bytes, not {wanted}")
        size = size or wanted
        chunks = _chunks(response)
        first = next(chunks, b"")
        is_page = response.headers.get("Content-Type", "").lower().startswith("text/html")
        if is_page or (start == 0 and is_web_page(first)):
            raise _MirrorError("a web page in place of the file")
        if not first:
            raise _MirrorError("an empty answer")
        if start == 0:
            self._note.write_text(json.dumps([url, _tag(response), size]))
        name = self.download.name
        with (
            self.part.open("ab" if start else "wb") as file,
            tqdm(None, name, size, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in chain([first], chunks):
                file.write(chunk)
                bar.update(len(chunk))
        if size and self.part_size() != size:
            raise _MirrorError(f"broke off at {self.part_size()} of {size} bytes")


def _get(url: str, offset: int = 0) -> requests.Response:
    """Ask for all that comes after `offset`; the answer's content is not read yet."""
    headers = {"Accept-Encoding": "identity"}  # offsets count bytes of the file itself
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S))
    except requests.RequestException as error:
        raise _MirrorError(_why(error)) from error


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Give the content as it was sent; `iter_content` would unpack a .gz declared as such."""
    try:
        while chunk := response.raw.read(CHUNK):
            yield chunk
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _MirrorError(f"broke off ({_why(error)})") from error


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Return where an answer starts in the file, and the whole file's size if it is told."""
    content_range = response.headers.get("Content-Range", "")
    if found := re.match(r"bytes (\d+)-\d+/(\d+)", content_range):
        return int(found[1]), int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _tag(response: requests.Response) -> str:
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or ""


def _why(error: BaseException) -> str:
    """Return the system's own words, without the layers above it."""
    while error.__context__:
        error = error.__context__
    return str(getattr(error, "strerror", None) or error)
