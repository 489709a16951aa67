"""Folders, zips, tars and single files: what is in them, and what is refused."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewshot.data.untrusted import blobs, members, unpack
from fewshot.data.untrusted.blobs import Blob
from fewshot.data.untrusted.files import open_files
from fewshot.data.untrusted.unpack import Scratch
from fewshot.errors import UserError

CONTENT = {
    "ant/0.png": b"ant" * 100,
    "ant/1.png": np.random.default_rng(0).bytes(3000),
    "bee/0.png": bytes(200_000),
    "bee/empty": b"",
    "split.csv": b"a,b\n",
}
COMPRESSORS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
ZIP_METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
}


def folder(path: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zip_bytes(content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_bytes(content: dict[str, bytes], form: int = tarfile.GNU_FORMAT, **fields: object) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def every_form(root: Path, content: dict[str, bytes]) -> dict[str, Path]:
    tar = tar_bytes(content)
    forms = {"folder": folder(root / "set", content), "tar": write(root / "set.tar", tar)}
    for name, method in ZIP_METHODS.items():
        forms[name] = write(root / f"{name}.zip", zip_bytes(content, method))
    for suffix, compress in COMPRESSORS.items():
        forms[suffix] = write(root / f"set.tar.{suffix}", compress(tar))
    return forms


FORMS = ("folder", "tar", *ZIP_METHODS, *COMPRESSORS)
ARCHIVES = FORMS[1:]


def contents(source: Path, scratch: Path | None = None) -> dict[str, bytes]:
    opened = open_files(source, scratch)
    return {name: opened.read(name) for name in opened.names}


# -- what is there


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_files(tmp_path: Path, form: str) -> None:
    source = every_form(tmp_path, dict(reversed(CONTENT.items())))[form]
    scratch = tmp_path / "scratch"
    opened = open_files(source, scratch)
    assert opened.source == source
    assert list(opened.names) == sorted(CONTENT)
    for name, data in CONTENT.items():
        assert opened.read(name) == data
        assert opened.size(name) == len(data)
        blob = opened.blob(name)
        assert blob.size == len(data)
        assert blob.read() == data
        assert blob.read(1, 2) == data[1:3] if data else True
        assert name in blob.name
    assert not scratch.exists() or not list(scratch.iterdir())  # the copies have no name
    with pytest.raises(UserError, match=f"{source.name}: no file 'ant/2.png'"):
        opened.read("ant/2.png")


@pytest.mark.parametrize("form", FORMS)
def test_many_threads_may_read(tmp_path: Path, form: str) -> None:
    content = {f"{i}.bin": np.random.default_rng(i).bytes(20_000 + i) for i in range(20)}
    opened = open_files(every_form(tmp_path, content)[form])
    jobs = [*content] * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened.read, jobs)) == [content[name] for name in jobs]
        read = pool.map(lambda name: opened.blob(name).read(5, 5000), jobs)
        assert list(read) == [content[name][5:5005] for name in jobs]


def test_a_compressed_member_is_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_files(write(tmp_path / "set.zip", zip_bytes(CONTENT, zipfile.ZIP_DEFLATED)))
    copied = []
    whole = Scratch.copy

    def copy(*arguments: object) -> Blob:
        copied.append(arguments[2])
        return whole(*arguments)

    monkeypatch.setattr(Scratch, "copy", copy)
    for _ in range(3):
        assert opened.blob("bee/0.png").read() == CONTENT["bee/0.png"]
        assert opened.blob("ant/1.png").read() == CONTENT["ant/1.png"]
    assert copied == ["set.zip: bee/0.png", "set.zip: ant/1.png"]


def test_a_blob_outlives_what_it_came_from(tmp_path: Path) -> None:
    source = write(tmp_path / "set.tar.gz", gzip.compress(tar_bytes(CONTENT)))
    blob = open_files(source, tmp_path / "scratch").blob("ant/1.png")
    source.unlink()
    shutil.rmtree(tmp_path / "scratch")
    assert blob.read() == CONTENT["ant/1.png"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files")
@pytest.mark.parametrize("form", FORMS)
def test_files_are_closed_with_the_last_blob(tmp_path: Path, form: str) -> None:
    source = every_form(tmp_path, CONTENT)[form]
    before = len(os.listdir("/proc/self/fd"))
    opened = open_files(source)
    blob = opened.blob("ant/1.png")
    assert len(os.listdir("/proc/self/fd")) > before
    del opened, blob
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["x.pkl", "x.npz", "noname", "x.json"])
def test_a_single_file_is_a_source_of_one(tmp_path: Path, name: str) -> None:
    data = zip_bytes({"a.npy": b"1"}) if name == "x.npz" else b"PKL"
    opened = open_files(write(tmp_path / name, data))
    assert opened.names == (name,)
    assert opened.read(name) == opened.blob(name).read() == data


LONG_NAMES = {f"{'d' * 60}/{'e' * 60}/{i}é.png": bytes([i]) for i in range(3)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_every_format(tmp_path: Path, form: int) -> None:
    content = {**CONTENT, **LONG_NAMES}
    assert contents(write(tmp_path / "x.tar", tar_bytes(content, form))) == content
    headers = {"comment": "x" * 700}  # as git writes of all members, and others of each
    data = tar_bytes(content, tarfile.PAX_FORMAT, pax_headers={**headers, "mtime": "1.5"})
    assert contents(write(tmp_path / "x.tar", data)) == content


def with_field(tar: bytes, at: int, field: bytes) -> bytes:
    """The tar with another value in a field of its last header, and the checksum that fits."""
    start = tar.rindex(b"ustar") - 257
    header = bytearray(tar[start : start + 512])
    header[at : at + len(field)] = field
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)
    return tar[:start] + header + tar[start + 512 :]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    data = with_field(tar_bytes({"@/1.png": b"1"}), 0, b"\xe9")
    assert contents(write(tmp_path / "x.tar", data)) == {"é/1.png": b"1"}


@pytest.mark.parametrize(
    "data",
    [
        with_field(tar_bytes({"a": b"12345"}), 124, b"\x80" + (5).to_bytes(11, "big")),
        with_field(tar_bytes({"a": b"12345"}), 124, b"     5 \0junk"),
        with_field(
            tar_bytes({"a": b"12345"}, tarfile.PAX_FORMAT, pax_headers={"size": "5"}),
            124,
            b"0" * 11,
        ),
    ],
)
def test_sizes_as_large_members_have_them(tmp_path: Path, data: bytes) -> None:
    assert contents(write(tmp_path / "x.tar", data)) == {"a": b"12345"}


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"-0000000001", b"7" * 11, b"9" * 11, b"0o5"]
)
def test_sizes_that_are_none(tmp_path: Path, size: bytes) -> None:
    data = with_field(tar_bytes({"a": b"12345"}), 124, size)
    with pytest.raises(UserError, match="^x.tar: a damaged or truncated tar"):
        open_files(write(tmp_path / "x.tar", data))


def test_folders_inside_archives_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "set/empty").mkdir(parents=True)
    folder(tmp_path / "set", {"a/1": b"1"})
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "set", "./")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.mkdir("a")
        archive.writestr("a/1", b"1")
        archive.writestr("b\\2", b"2")  # as some tools on Windows write it
    assert contents(tmp_path / "x.tar") == {"a/1": b"1"}
    assert contents(tmp_path / "x.zip") == {"a/1": b"1", "b/2": b"2"}


def test_zips_with_something_before_or_after(tmp_path: Path) -> None:
    data = b"#!/bin/sh\n" * 9 + zip_bytes(CONTENT, zipfile.ZIP_DEFLATED)
    assert contents(write(tmp_path / "x.zip", data)) == CONTENT
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        archive.comment = b"PK\5 and so on"
    assert contents(tmp_path / "x.zip") == CONTENT


def test_zip64(tmp_path: Path) -> None:
    plain = zip_bytes({"big": b"12345"})
    start, end = plain.index(b"PK\1\2"), plain.index(b"PK\5\6")
    wide = struct.pack("<HHQQQ", 1, 24, 5, 5, 0)  # sizes and offset that 32 bits do not hold
    entry = plain[start : start + 20] + b"\xff" * 8 + struct.pack("<HH", 3, len(wide))
    entry += plain[start + 32 : start + 42] + b"\xff" * 4 + b"big" + wide
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + len(entry), 1)
    end32 = b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2)
    path = write(tmp_path / "x.zip", plain[:start] + entry + end64 + locator + end32)
    assert len(plain) - end == len(end32)
    with zipfile.ZipFile(path) as archive:  # that we have built one
        assert archive.read("big") == b"12345"
    assert contents(path) == {"big": b"12345"}


names = st.lists(
    st.text(st.characters(exclude_characters="/\\:\0", exclude_categories=["Cs"]), min_size=1)
    .filter(lambda part: part not in (".", ".."))
    .map(lambda part: part[:40]),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(max_examples=30, deadline=None)
@given(content=st.dictionaries(names, st.binary(max_size=2000), max_size=8))
def test_any_names_and_contents(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("any")
    content = {name: data for name, data in content.items() if not name.endswith(".tar")}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert contents(write(root / "x.tar", tar_bytes(content, form))) == content
    for method in ZIP_METHODS.values():
        assert contents(write(root / "x.zip", zip_bytes(content, method))) == content


def test_a_tar_of_many_members_takes_little_memory(tmp_path: Path) -> None:
    n, header = 5000, tarfile.TarInfo("n01440764/n01440764_00000.JPEG")
    with (tmp_path / "x.tar").open("wb") as file:
        for i in range(n):
            header.name = f"n01440764/n01440764_{i:05}.JPEG"
            file.write(header.tobuf())
        file.write(bytes(1024))
    tracemalloc.start()
    opened = open_files(tmp_path / "x.tar")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(opened.names) == n
    assert kept < 150 * n  # bytes: a name, its place in a tuple, two numbers
    assert peak < 400 * n


# -- tars inside


def imagenet() -> dict[str, dict[str, bytes]]:
    return {
        f"n{c:08}": {f"n{c:08}_{i}.JPEG": b"%d %d" % (c, i) for i in range(3)} for c in range(4)
    }


@pytest.mark.parametrize("kind", ["folder", "tar", "gz"])
def test_tars_inside_are_seen_as_folders(tmp_path: Path, kind: str) -> None:
    inner = {f"{name}.tar": tar_bytes(images) for name, images in imagenet().items()}
    inner = {**inner, "notes.txt": b"1", "sub/deep.tar": tar_bytes({"x/1": b"2"})}
    sources = {
        "folder": folder(tmp_path / "set", inner),
        "tar": write(tmp_path / "x.tar", tar_bytes(inner)),
        "gz": write(tmp_path / "x.tgz", gzip.compress(tar_bytes(inner))),
    }
    expected = {
        f"{name}/{file}": data
        for name, images in imagenet().items()
        for file, data in images.items()
    }
    opened = open_files(sources[kind])
    assert contents(sources[kind]) == {**expected, "notes.txt": b"1", "sub/deep/x/1": b"2"}
    assert opened.blob("n00000002/n00000002_1.JPEG").read() == b"2 1"
    assert opened.size("n00000002/n00000002_1.JPEG") == 3


def test_tars_are_seen_through_one_level_deep(tmp_path: Path) -> None:
    inner = tar_bytes({"c.tar": b"not looked at"})
    assert contents(write(tmp_path / "x.tar", tar_bytes({"b.tar": inner, "._b.tar": b"junk"}))) == {
        "b/c.tar": b"not looked at",
        "._b.tar": b"junk",
    }


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize("damage", [lambda tar: tar[:-1500], lambda _: b"junk", lambda _: b""])
def test_a_damaged_tar_inside_is_named(
    tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    whole = tar_bytes({"1.JPEG": b"1" * 5000})[:7168]
    inner = {"n01.tar": whole, "n02.tar": damage(whole)}
    source = (
        folder(tmp_path / "set", inner)
        if kind == "folder"
        else write(tmp_path / "x.tar", tar_bytes(inner))
    )
    with pytest.raises(UserError, match=r"n02\.tar: a damaged or truncated tar"):
        open_files(source)


def test_a_tar_beside_what_was_unpacked_from_it(tmp_path: Path) -> None:
    source = folder(tmp_path / "set", {"n01/1.JPEG": b"", "n01.tar": tar_bytes({"1.JPEG": b""})})
    with pytest.raises(UserError, match="set: n01/1.JPEG: stands there twice"):
        open_files(source)


# -- what leads outside


OUTSIDE = ["../x", "a/../../x", "/x", "C:/x", "C:x", "..\\x", "a\\..\\..\\x", "\\\\host\\share\\x"]


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("member", OUTSIDE)
def test_paths_that_lead_outside_are_refused(tmp_path: Path, form: str, member: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if form in ZIP_METHODS:
        data = zip_bytes({"ok": b"", member: b""}, ZIP_METHODS[form])
    else:
        data = COMPRESSORS.get(form, bytes)(tar_bytes({"ok": b"", member: b""}))
    source = write(root / "set.zip" if form in ZIP_METHODS else root / "set.tar", data)
    with pytest.raises(UserError, match=r"^set.*: a path that leads out of the archive$"):
        open_files(source)
    inner = tar_bytes({"n01.tar": tar_bytes({member: b""})})
    with pytest.raises(UserError, match=r"n01\.tar: .*leads out of the archive$"):
        open_files(write(root / "outer.tar", inner))
    assert {path.name for path in tmp_path.rglob("*")} == {"root", source.name, "outer.tar"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes) -> None:
    data = tar_bytes({"a/link": b""}, type=kind, linkname="../../etc/passwd" * 9)
    with pytest.raises(UserError, match=r"x\.tar: a/link: a link or a device"):
        open_files(write(tmp_path / "x.tar", data))


def test_sparse_files_in_tars_are_refused(tmp_path: Path) -> None:
    old = tar_bytes({"a": b""}, type=tarfile.GNUTYPE_SPARSE)
    new = tar_bytes({"a": b""}, tarfile.PAX_FORMAT, pax_headers={"GNU.sparse.major": "1"})
    for data in (old, new):
        with pytest.raises(UserError, match=r"^x\.tar: "):
            open_files(write(tmp_path / "x.tar", data))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zips_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("a/link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(UserError, match=r"x\.zip: a/link: a link or a device"):
        open_files(tmp_path / "x.zip")


def test_links_in_folders(tmp_path: Path) -> None:
    source, link = folder(tmp_path / "set", CONTENT), tmp_path / "set/ant/link"
    write(tmp_path / "secret", b"secret")
    link.symlink_to(source / "ant/0.png")
    assert contents(source) == {**CONTENT, "ant/link": CONTENT["ant/0.png"]}
    for target, message in [
        (tmp_path / "secret", "a link that leads out of"),
        (source / "bee", "a link to a folder"),
        (source / "nothing", "a link to nothing"),
        (link, "a link to nothing"),
    ]:
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(UserError, match=f"ant/link: ({message})"):
            open_files(source)


def test_pipes_in_folders_are_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "set", CONTENT)
    os.mkfifo(source / "ant/pipe")
    with pytest.raises(UserError, match="ant/pipe: neither a file nor a folder"):
        open_files(source)
    with pytest.raises(UserError, match="pipe: not a file"):
        open_files(source / "ant/pipe")


# -- what is damaged, or an attack


@pytest.mark.parametrize("form", ARCHIVES)
def test_truncated_archives_are_refused(tmp_path: Path, form: str) -> None:
    content = {name: data[:2000] for name, data in CONTENT.items()}
    source = every_form(tmp_path, content)[form]
    whole = source.read_bytes()
    if form == "tar":
        whole = whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % 512)  # less its end mark
    for size in {*range(0, len(whole), 97), len(whole) - 1, len(whole) // 512 * 512}:
        source.write_bytes(whole[:size])
        with pytest.raises(UserError, match=source.name) as caught:
            contents(source)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["stored", "deflated", "bzip2"])
def test_a_damaged_member_is_named(tmp_path: Path, form: str) -> None:
    source = every_form(tmp_path, {"a": b"a" * 100, "b": CONTENT["ant/1.png"]})[form]
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1  # within b, the longer one
    source.write_bytes(data)
    opened = open_files(source)
    assert opened.read("a") == b"a" * 100
    with pytest.raises(UserError, match=rf"^{form}\.zip: b: "):
        opened.read("b")
    if form != "stored":
        with pytest.raises(UserError, match=rf"^{form}\.zip: b: "):
            opened.blob("b")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"junk" * 1000])
@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz", "set.7z", "set.TGZ"])
def test_what_is_not_what_its_name_says(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(UserError, match=f"{name}: neither a folder nor a zip or tar"):
        open_files(write(tmp_path / name, content))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere.zip: no such file"):
        open_files(tmp_path / "nowhere.zip")
    with pytest.raises(UserError, match="x.gz: a damaged or truncated tar"):
        open_files(write(tmp_path / "x.gz", gzip.compress(b"no tar at all" * 100)))


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>",
        b"\xef\xbb\xbf\r\n  <!doctype HTML>",
        b"\n\t<HTML lang=en>",
        "<!DOCTYPE html>".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("name", ["mini.zip", "x.tar.gz", "train.pkl"])
def test_a_web_page_is_recognised(tmp_path: Path, page: bytes, name: str) -> None:
    with pytest.raises(UserError, match=f"^{name}: a web page, .*its host refused the download"):
        open_files(write(tmp_path / name, page))


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/1", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/1", b"2")
    tar = tar_bytes({"a/1": b"1"})[:1024] + tar_bytes({"./a/1": b"2"})
    for source in (tmp_path / "x.zip", write(tmp_path / "x.tar", tar)):
        with pytest.raises(UserError, match="a/1: stands there twice"):
            open_files(source)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"a": b"1"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(UserError, match="x.zip: a: encrypted"):
        open_files(write(tmp_path / "x.zip", data))


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "x.zip", zip_bytes({"a": b"1"}, zipfile.ZIP_LZMA))
    with pytest.raises(UserError, match=r"a: compressed in a way \(number 14\) that is not read"):
        open_files(source)


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    data = zip_bytes({"a": b"1" * 500, "b": b"2" * 500})
    start = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", start + 1)
    data = data[: second + 42] + struct.pack("<I", 0) + data[second + 46 :]
    with pytest.raises(UserError, match="members overlap"):
        open_files(write(tmp_path / "x.zip", data))


@pytest.mark.parametrize("declared", [0, 1, 99_999, 100_001, 2**31])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_must_be_as_large_as_declared(tmp_path: Path, method: int, declared: int) -> None:
    data = bytearray(zip_bytes({"a": np.random.default_rng(0).bytes(100_000)}, method))
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", declared)
    with pytest.raises(UserError, match=r"x\.zip: a: "):
        contents(write(tmp_path / "x.zip", data))
    with pytest.raises(UserError, match=r"x\.zip: a: "):
        open_files(tmp_path / "x.zip").blob("a")


def test_bombs_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "FREE_SIZE", 1 << 20)
    written = []
    monkeypatch.setattr(blobs.File, "write", lambda _, at, data: written.append(len(data)))
    zeros = bytes(1 << 23)
    bombs = {"x.zip": zip_bytes({"a": zeros}, zipfile.ZIP_DEFLATED)}
    for suffix, compress in COMPRESSORS.items():
        bombs[f"x.tar.{suffix}"] = compress(tar_bytes({"a": zeros}))
    for name, data in bombs.items():
        written.clear()
        with pytest.raises(UserError, match=rf"^{name}.*: refused, since its .* unpack to"):
            open_files(write(tmp_path / name, data))
        assert sum(written) <= max(1 << 20, 200 * len(data))


def test_many_tiny_streams_are_unpacked_in_time(tmp_path: Path) -> None:
    data = gzip.compress(b"") * 30_000 + gzip.compress(tar_bytes(CONTENT))
    start = time.process_time()
    assert contents(write(tmp_path / "x.tar.gz", data)) == CONTENT
    assert time.process_time() - start < 10  # and not a minute


def test_many_members_make_no_bomb_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE_SIZE", 1 << 20)
    data = zip_bytes({f"{i}": bytes(1 << 19) for i in range(8)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"^x\.zip: refused"):
        open_files(write(tmp_path / "x.zip", data))


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = every_form(tmp_path, CONTENT)
    monkeypatch.setattr(members, "MAX_MEMBERS", len(CONTENT) - 1)
    for source in forms.values():
        with pytest.raises(UserError, match="more than 4 files"):
            open_files(source)


def test_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = every_form(tmp_path, CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=70 << 20))
    assert contents(forms["gz"]) == CONTENT
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 20))
    with pytest.raises(UserError, match=r"set\.tar\.gz: no room to unpack it in .*here"):
        open_files(forms["gz"], tmp_path / "here")
    with pytest.raises(UserError, match=r"in .*: cannot be unpacked|cannot be unpacked into"):
        open_files(forms["gz"], forms["tar"])


def test_a_failed_copy_leaves_the_others_alone(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    one = scratch.copy([b"one"], "one", 3)
    with pytest.raises(UserError, match="^two: damaged"):
        scratch.copy([b"2" * 100, b"3"], "two", 101, declared=100)
    three = scratch.copy([b"thr", b"ee"], "three", 5, declared=5)
    assert (one.read(), three.read()) == (b"one", b"three")


def test_what_is_too_large_to_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = every_form(tmp_path, CONTENT)
    monkeypatch.setattr(members, "MAX_READ", 100_000)
    for source in forms.values():
        opened = open_files(source)
        assert opened.read("ant/0.png") == CONTENT["ant/0.png"]
        with pytest.raises(UserError, match="bee/0.png: too large"):
            opened.read("bee/0.png")
        assert opened.blob("bee/0.png").size == 200_000


# -- blobs


def test_parts_of_blobs(tmp_path: Path) -> None:
    whole = Blob.of_file(write(tmp_path / "x", bytes(range(100))))
    assert (whole.name, whole.size) == ("x", 100)
    part = whole.part(10, 50, "part").part(5, 20)
    assert (part.name, part.size) == ("part", 20)
    assert part.read() == bytes(range(15, 35))
    assert part.read(18) == bytes(range(33, 35))
    assert part.read(20) == b""
    for start, size in [(-1, 1), (0, -1), (0, 21), (21, 0), (19, 2)]:
        with pytest.raises(UserError, match="^part: "):
            part.read(start, size)
        with pytest.raises(UserError, match="^part: "):
            part.part(start, size)


def test_a_file_that_shrinks_is_named(tmp_path: Path) -> None:
    blob = Blob.of_file(write(tmp_path / "x", bytes(100)), "set: x")
    write(tmp_path / "x", bytes(50))
    assert blob.read(0, 50) == bytes(50)
    with pytest.raises(UserError, match="^set: x: shorter than it was"):
        blob.read()


def test_systems_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    for name, source in every_form(tmp_path, CONTENT).items():
        opened = open_files(source)
        with ThreadPoolExecutor(4) as pool:
            read = pool.map(opened.read, [*CONTENT] * 20)
            assert list(read) == [*CONTENT.values()] * 20, name


def test_small_memory_of_a_blob(tmp_path: Path) -> None:
    whole = Blob.of_file(write(tmp_path / "x", bytes(100_000)))
    tracemalloc.start()
    parts = [whole.part(i, 5000) for i in range(20_000)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 200 * len(parts)
