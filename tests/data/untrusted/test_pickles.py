"""Pickles of arrays and plain values, of all protocols and both Pythons, and of attackers."""

import io
import math
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewshot.data.untrusted import pickle_machine
from fewshot.data.untrusted.arrays import Array
from fewshot.data.untrusted.blobs import Blob
from fewshot.data.untrusted.pickles import load_pickle, raw, text
from fewshot.errors import UserError

PROTOCOLS = range(6)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 5, 4, 3), np.uint8)
PNG = RNG.bytes(6000)
NOT_PLAIN = "^x.pkl: not a pickle of arrays and plain values"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Load bytes as a pickle, in a folder where nothing else may appear."""

    def load(data: bytes) -> Any:
        (tmp_path / "x.pkl").write_bytes(data)
        return load_pickle(Blob.of_file(tmp_path / "x.pkl"), tmp_path / "scratch")

    return load


def in_memory(value: Any) -> Any:
    """What was loaded, with the bytes and arrays that stayed on disk."""
    match value:
        case Array():
            return value.numpy()
        case Blob():
            return raw(value)
        case dict():
            return {key: in_memory(part) for key, part in value.items()}
        case list() | tuple():
            return type(value)(map(in_memory, value))
    return value


# -- what Python 3 writes


PLAIN = [
    *(None, True, False, 0, -1, 255, 256, 65536, -(2**31), 2**31, 2**70, -(2**999)),
    *(0.0, -1.5, 1e300, math.inf, "", "abc", "é\n\\€😀\0\x1a'\"", "x" * 5000),
    *(b"", b"abc", b"\xff\0\n\\'\"", PNG, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}),
    [1, [2, [(3, {})]]],
    {"a": 1, b"b": [b"c"], 3: None, None: 2, 1.5: 4, True: {"x": (b"", PNG)}},
    list(range(2500)),
    {i: str(i) for i in range(2500)},
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values(load: Any, protocol: int) -> None:
    for value in PLAIN:
        found = in_memory(load(pickle.dumps(value, protocol)))
        assert found == value
        assert type(found) is type(value)
    assert in_memory(load(pickle.dumps([bytearray(b"x"), bytearray(PNG)], protocol))) == [b"x", PNG]
    assert math.isnan(load(pickle.dumps(math.nan, protocol)))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False)
    | st.text(max_size=50)
    | st.binary(max_size=50)
    | st.binary(min_size=4090, max_size=4100),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.binary(max_size=5), inner, max_size=4)
    ),
)


@settings(max_examples=100, deadline=None)
@given(value=values, protocol=st.sampled_from(PROTOCOLS))
def test_any_plain_value(
    tmp_path_factory: pytest.TempPathFactory, value: Any, protocol: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.pkl"
    path.write_bytes(pickle.dumps([value, value], protocol))
    assert in_memory(load_pickle(Blob.of_file(path))) == [value, value]


DTYPES = ["u1", "i1", ">i2", "<u4", ">i8", "f2", "<f4", ">f8", "?", "S5", "<U3", ">U3"]


def layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    yield array
    yield np.asfortranarray(array)
    yield array.transpose(0, 2, 1)
    yield array.transpose(2, 0, 1)
    yield from (array[::2], array[1:1], array[0, 0], array[:, :, :1])
    yield np.repeat(array, 300, axis=0)  # long enough to stay on disk
    yield np.repeat(array, 300, axis=0).transpose(0, 2, 1)
    yield np.repeat(array, 300, axis=0).transpose(2, 1, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_every_type_and_layout(load: Any, protocol: int, dtype: str) -> None:
    for array in layouts((np.random.default_rng(1).random((3, 4, 5)) * 100).astype(dtype)):
        found = load(pickle.dumps({"data": array, "again": [array]}, protocol))["data"]
        assert isinstance(found, Array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert np.array_equal(found.numpy(), array)
        for i in range(min(len(array), 3)):
            assert np.array_equal(found.part(i), array[i])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_scalars_become_plain(load: Any, protocol: int) -> None:
    scalars = [
        np.uint8(7),
        np.int64(-3),
        np.float32(0.1),
        np.bool_(True),
        np.str_("é"),
        np.str_(""),
    ]
    scalars += [np.bytes_(b"ab"), np.bytes_(b""), np.float16(2), np.float64(math.pi)]
    found = load(pickle.dumps({"labels": scalars, np.int64(4): 5}, protocol))
    assert found == {"labels": [scalar.item() for scalar in scalars], 4: 5}
    assert [type(value) for value in found["labels"]] == [type(s.item()) for s in scalars]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_objects_become_lists(load: Any, protocol: int) -> None:
    flat = np.empty(3, object)
    flat[:] = [PNG, {"a": PIXELS}, "x"]
    found = in_memory(load(pickle.dumps(flat, protocol)))
    assert (found[0], found[2]) == (PNG, "x")
    assert np.array_equal(found[1]["a"], PIXELS)
    deep = np.array([[[1, "a"], [2, "b"]], [[3, "c"], [4, "d"]]], object)
    assert load(pickle.dumps(np.asfortranarray(deep), protocol)) == deep.tolist()
    assert load(pickle.dumps(np.array({"a": 1}, object), protocol)) == {"a": 1}
    assert load(pickle.dumps(np.empty(0, object), protocol)) == []


def test_long_strings_stay_on_disk(load: Any) -> None:
    short, long = b"x" * (pickle_machine.LONG - 1), b"x" * pickle_machine.LONG
    for protocol in PROTOCOLS:
        kept = load(pickle.dumps([short, long, bytearray(short), bytearray(long)], protocol))
        assert [type(value) for value in kept] == [bytes, Blob, bytes, Blob]
    assert isinstance(load(pickle.dumps(np.zeros(5000), 2)).data, Blob)


def test_many_long_strings_take_little_memory(tmp_path: Path) -> None:
    images = [PNG[: 4100 + i % 1000] for i in range(3000)]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([bytearray(image) for image in images], 5))
    blob = Blob.of_file(tmp_path / "x.pkl")
    tracemalloc.start()
    found = load_pickle(blob)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert blob.size > 13e6
    assert peak < 2e6
    assert [raw(value) for value in found[::100]] == images[::100]


@pytest.mark.parametrize("protocol", [0, 2])
def test_text_that_stands_for_bytes_takes_little_memory(tmp_path: Path, protocol: int) -> None:
    array = np.random.default_rng(2).integers(0, 256, 6_000_000, np.uint8)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(array, protocol))
    tracemalloc.start()
    found = load_pickle(Blob.of_file(tmp_path / "x.pkl"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 13e6  # a few pieces of a megabyte, and what text of four bytes a letter adds
    assert np.array_equal(found.numpy(), array)


def test_many_short_strings_go_to_disk_at_last(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MANY_BYTES", 100_000)
    found = load(pickle.dumps([bytes([i]) * 1000 for i in range(200)] + [b"name"], 4))
    assert [type(value) for value in found] == [bytes] * 101 + [Blob] * 99 + [bytes]
    assert in_memory(found) == [bytes([i]) * 1000 for i in range(200)] + [b"name"]


# -- what Python 2 wrote


PicklerInPython: Any = pickle._Pickler


class Python2Pickler(PicklerInPython):  # type: ignore[misc]
    """Writes bytes as Python 2 wrote its `str`, and knows numpy by its old name."""

    dispatch: ClassVar = dict(PicklerInPython.dispatch)

    def save_str(self, value: bytes) -> None:
        if not self.bin:
            self.write(b"S" + repr(value)[1:].encode() + b"\n")
        elif len(value) < 256:
            self.write(b"U" + bytes([len(value)]) + value)
        else:
            self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{obj.__qualname__}\n".encode())
        self.memoize(obj)

    def save_text_as_bytes(self, value: str) -> None:
        self.save_str(value.encode("latin-1"))

    dispatch[bytes] = save_str
    dispatch[str] = save_text_as_bytes  # the names of types, which were `str` as well
    dispatch[type(np.zeros(0).__reduce__()[0])] = save_global
    dispatch[type] = save_global


def dump_python2(value: object, protocol: int) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(value)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_a_cache_of_python2(load: Any, protocol: int) -> None:
    classes = {b"n01440764": [0, 2], b"n0144\xe9": [1, 3, 4, 5]}
    value = {b"image_data": PIXELS, b"class_dict": classes, b"odd": b"'\"\\x41\n\r\t\0\xff"}
    found = load(dump_python2(value, protocol))
    assert set(found) == set(value)
    assert np.array_equal(found[b"image_data"].numpy(), PIXELS)
    assert (found[b"class_dict"], found[b"odd"]) == (classes, value[b"odd"])
    assert [text(name) for name in found[b"class_dict"]] == ["n01440764", "n0144é"]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_long_data_of_python2(load: Any, protocol: int) -> None:
    escapes = b"\\" * 5000 + b"\0" * 300_000 + b"'\\x00\"" * 60_000  # cut at any place
    pixels = np.random.default_rng(3).integers(0, 256, (700, 32, 32, 3), np.uint8)
    found = load(dump_python2([escapes, pixels, [PNG]], protocol))
    assert isinstance(found[0], Blob)
    assert isinstance(found[1].data, Blob)
    assert raw(found[0]) == escapes
    assert np.array_equal(found[1].numpy(), pixels)
    assert raw(found[2][0]) == PNG


def test_a_pickle_written_by_hand(load: Any) -> None:
    """Protocol 2 of Python 2.7 with numpy 1.8, instruction by instruction."""
    data = (
        b"\x80\x02}q\x00(U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02"
        b"cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02K\x03\x86q\x08"
        b"cnumpy\ndtype\nq\tU\x02i2q\nK\x00K\x01\x87q\x0bRq\x0c"
        b"(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb"
        b"\x89T\x0c\x00\x00\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\x00q\x0ftq\x10b"
        b"U\x06labelsq\x11]q\x12(K\x00L1L\nI01\nF0.5\ncnumpy.core.multiarray\nscalar\n"
        b"h\x0cU\x02\x07\x00\x86Reh\x01h\x07u."
    )
    found = load(data.replace(b"h\x01h\x07u.", b"X\x05\x00\x00\x00againh\x07u."))
    assert found[b"labels"] == [0, 1, True, 0.5, 7]
    assert np.array_equal(found[b"data"].numpy(), np.arange(1, 7, dtype="<i2").reshape(2, 3))
    assert found["again"] is found[b"data"]


def test_helpers() -> None:
    assert text("é") == text(b"\xe9") == "é"
    assert raw(b"x") == b"x"


# -- what is damaged


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_pickles(load: Any, protocol: int) -> None:
    whole = pickle.dumps(
        {"data": PIXELS[0], "names": ["a", b"b"], "x": [1.5, 2**40, None]}, protocol
    )
    for size in range(0, len(whole), 1 + len(whole) // 200):
        with pytest.raises(UserError, match=NOT_PLAIN):
            load(whole[:size])


def test_a_web_page_in_place_of_a_pickle(load: Any) -> None:
    with pytest.raises(UserError, match="^x.pkl: a web page"):
        load(b"<!DOCTYPE html><title>Quota exceeded</title>")


# -- what is no array or plain value


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, ("touch evil",)),
        {"data": [Calls(os.system, ("touch evil",))]},
        Calls(eval, ("open('evil', 'w')",)),
        Calls(exec, ("open('evil', 'w')",)),
        Calls(getattr, ("os", "system")),
        Calls(__import__, ("os",)),
        Calls(open, ("evil", "w")),
        Calls(np.load, ("evil.npy", None, True)),
        Calls(np.fromfile, ("/etc/passwd",)),
        Calls(bytes, (10**12,)),
        Calls(bytearray, (10**12,)),
        Calls(bytearray, ([1, 2],)),
        Calls(np.ndarray, ((10**12,),)),
        Calls(np.dtype, ("O",)),
        np.array([Calls(os.system, ("touch evil",))], object),
        np.random.default_rng(0),
        np.zeros(3, "u1,f4"),
        np.zeros(3, "M8[s]"),
        np.zeros(3, complex),
        np.zeros(3).view(np.matrix),
        np.ma.zeros(3),
        np.dtype("u1"),
        np.ndarray,
        bytes,
        eval,
        list,
        1 + 2j,
        {1, 2},
        frozenset([1]),
        OrderedDict(a=1),
        date(2020, 1, 1),
        Path("x"),
        {(1, 2): 3},
        {PNG: 1},
        {2**60: 1},
        2**2000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_things_are_refused(
    load: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: object,
    protocol: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=NOT_PLAIN) as caught:
        load(pickle.dumps(value, protocol))
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"x.pkl", "scratch"}
    assert not any(tmp_path.glob("scratch/*"))


SYSTEM = b"cos\nsystem\n"
TOUCH = b"S'touch evil'\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
NDARRAY = b"cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"
U1 = DTYPE + b"(U\x02u1K\x00K\x01tR"
EMPTY_ARRAY = RECONSTRUCT + b"(" + NDARRAY + b"K\x00\x85U\x01btR"
ENCODE = b"c_codecs\nencode\n"
FROMBUFFER = b"cnumpy.core.numeric\n_frombuffer\n"
SCALAR = b"cnumpy.core.multiarray\nscalar\n"


def state(
    shape: bytes, dtype: bytes = U1, fortran: bytes = b"\x89", data: bytes = b"U\x01x"
) -> bytes:
    return b"(K\x01" + shape + dtype + fortran + data + b"t"


TRICKS = {
    "global": (SYSTEM + b"(" + TOUCH + b"tR.", "it asks for os.system"),
    "global unused": (SYSTEM + b"0N.", "it asks for os.system"),
    "inst": (b"(" + TOUCH + b"ios\nsystem\n.", "it asks for os.system"),
    "inst of an admitted name": (b"(inumpy\nndarray\n.", "it asks for numpy.ndarray"),
    "obj": (b"(" + SYSTEM + TOUCH + b"o.", "it asks for os.system"),
    "obj of an admitted name": (b"(" + NDARRAY + b"o.", "it makes an object"),
    "newobj": (b"\x80\x02" + NDARRAY + b")\x81.", "it makes an object"),
    "newobj_ex": (b"\x80\x04" + NDARRAY + b")}\x92.", "it makes an object"),
    "stack_global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "it asks for os.system"),
    "stack_global dotted": (
        b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__new__\x93.",
        "it asks for numpy.ndarray.__new__",
    ),
    "stack_global of numbers": (b"\x80\x04K\x01K\x02\x93.", "something else where a name belongs"),
    "stack_global of a list": (b"\x80\x04]]\x93.", "something else where a name belongs"),
    "global with odd letters": (b"cos\x1b[2J\nsy\xe9\n.", r"it asks for 'os\\x1b\[2J"),
    "global without end": (b"c" + b"x" * 100_000, "a line without end"),
    "global with a long name": (b"c" + b"x" * 100_000 + b"\nx\n.", "a line too long"),
    "codecs of rot13": (ENCODE + b"(Vevil\nVrot13\ntR.", "another encoding than latin-1"),
    "codecs of zip": (ENCODE + b"(Vevil\nVzlib_codec\ntR.", "another encoding than latin-1"),
    "codecs of bytes": (ENCODE + b"(U\x04evilVlatin1\ntR.", "another encoding than latin-1"),
    "codecs of other text": (ENCODE + b"(V\\u20ac\nVlatin1\ntR.", "damaged"),
    "codecs with errors": (ENCODE + b"(Vevil\nVlatin1\nVreplace\ntR.", "damaged"),
    "codecs.decode": (b"c_codecs\ndecode\n.", "it asks for _codecs.decode"),
    "codecs of long text to rot13": (
        ENCODE + b"(X" + struct.pack("<I", 5000) + b"e" * 5000 + b"Vrot13\ntR.",
        "another encoding than latin-1",
    ),
    "long text with no encoding": (
        ENCODE + b"X" + struct.pack("<I", 5000) + b"e" * 5000 + b"\x86.",
        "where a value belongs",
    ),
    "reduce of text": (b"S'os.system'\n(" + TOUCH + b"tR.", "it calls what is no function"),
    "reduce of ndarray": (NDARRAY + b"(K\x09\x85tR.", "it calls what is no function"),
    "reduce with a list": (ENCODE + b"]R.", "it calls what is no function"),
    "reduce with a dict": (ENCODE + b"}R.", "it calls what is no function"),
    "reduce of an array": (EMPTY_ARRAY + b")R.", "it calls what is no function"),
    "reconstruct another class": (
        RECONSTRUCT + b"(" + DTYPE + b"K\x00\x85U\x01btR.",
        "an array made in an unknown way",
    ),
    "reconstruct a large array": (
        RECONSTRUCT + b"(" + NDARRAY + b"J\xff\xff\xff\x7f\x85U\x01btR.",
        "an array made in an unknown way",
    ),
    "reconstruct objects": (
        RECONSTRUCT + b"(" + NDARRAY + b"K\x00\x85U\x01OtR.",
        "an array made in an unknown way",
    ),
    "an array that is never built": (EMPTY_ARRAY + b".", "where a value belongs"),
    "in a list": (b"]" + EMPTY_ARRAY + b"a.", "where a value belongs"),
    "built after it was put in a list": (
        b"]" + EMPTY_ARRAY + b"q\x00ah\x00" + state(b"K\x01\x85") + b"b0.",
        "where a value belongs",
    ),
    "a function for a value": (b"]" + ENCODE + b"a.", "where a value belongs"),
    "a type for a value": (b"}U\x01a" + U1 + b"s.", "where a value belongs"),
    "a function for a key": (b"}" + ENCODE + b"Ns.", "a key of a dict"),
    "build of a dict": (b"}}b.", "it sets the state"),
    "build of a list": (b"]}S'__setstate__'\nNsb.", "it sets the state"),
    "build of a function": (ENCODE + b"}S'__call__'\nNsb.", "it sets the state"),
    "build of an array with a dict": (
        EMPTY_ARRAY + b"}S'__class__'\nNsb.",
        "it sets the state of a",
    ),
    "build of a type with a dict": (U1 + b"}S'__setstate__'\nNsb.", "it sets the state of a"),
    "build with slots": (EMPTY_ARRAY + b"N}S'dtype'\nNs\x86b.", "damaged"),
    "build of an array twice": (
        EMPTY_ARRAY + state(b"K\x01\x85") + b"b" + state(b"K\x01\x85") + b"b.",
        "it sets the state of a Array",
    ),
    "a shape larger than the data": (
        EMPTY_ARRAY + state(b"J\xff\xff\xff\x7f\x85") + b"b.",
        "takes 2147483647 bytes, and there are 1",
    ),
    "a shape that overflows": (
        EMPTY_ARRAY + state(b"\x8a\x09" + bytes(8) + b"\x01K\x00\x86", data=b"U\x00") + b"b.",
        "too large for any disk",
    ),
    "a negative shape": (EMPTY_ARRAY + state(b"J\xff\xff\xff\xff\x85") + b"b.", "no|none"),
    "a shape of text": (EMPTY_ARRAY + state(b"U\x01a\x85") + b"b.", "a shape that is none"),
    "a shape that is a list": (EMPTY_ARRAY + state(b"]") + b"b.", "made of something else"),
    "data of a list": (EMPTY_ARRAY + state(b"K\x01\x85", data=b"]") + b"b.", "something else"),
    "data of text": (EMPTY_ARRAY + state(b"K\x01\x85", data=b"Vx\n") + b"b.", "something else"),
    "an order of text": (
        EMPTY_ARRAY + state(b"K\x01\x85", fortran=b"U\x01F") + b"b.",
        "in an unknown order",
    ),
    "a type of a list": (EMPTY_ARRAY + state(b"K\x01\x85", dtype=b"]") + b"b.", "something else"),
    "a type with fields": (DTYPE + b"(S'u1,O'\nK\x00K\x01tR.", "an array of type u1,O"),
    "a type of an unknown size": (
        EMPTY_ARRAY + state(b"K\x01\x85", DTYPE + b"(U\x02u3K\x00K\x01tR") + b"b.",
        "damaged",
    ),
    "a type of no size": (
        EMPTY_ARRAY + state(b"K\x01\x85", DTYPE + b"(U\x02S0K\x00K\x01tR", data=b"U\x00") + b"b.",
        "which is not read",
    ),
    "a type with metadata": (
        U1 + b"(K\x03U\x01|U\x02u1NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
        "a type with parts",
    ),
    "a type with names": (
        U1 + b"(K\x03U\x01|N(U\x01atNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
        "a type with parts",
    ),
    "a type of another size": (
        U1 + b"(K\x03U\x01|NNNJ\xff\xff\xff\x7fJ\xff\xff\xff\xffK\x00tb.",
        "a type with parts",
    ),
    "objects of a wrong number": (
        EMPTY_ARRAY + state(b"K\x02\x85", DTYPE + b"(U\x02O8K\x00K\x01tR", data=b"]") + b"b.",
        "takes 2 bytes",
    ),
    "objects in bytes": (
        EMPTY_ARRAY + state(b"K\x01\x85", DTYPE + b"(U\x02O8K\x00K\x01tR") + b"b.",
        "made of something else",
    ),
    "objects that call": (
        EMPTY_ARRAY
        + state(b"K\x01\x85", DTYPE + b"(U\x02O8K\x00K\x01tR", data=b"]" + SYSTEM + b"a")
        + b"b.",
        "it asks for os.system",
    ),
    "a scalar of an object": (SCALAR + b"(" + DTYPE + b"(U\x02O8K\x00K\x01tRNtR.", "something"),
    "a scalar without data": (SCALAR + b"(" + U1 + b"U\x00tR.", "takes 1 bytes"),
    "frombuffer of text": (FROMBUFFER + b"(Vx\n" + U1 + b"K\x01\x85U\x01CtR.", "something else"),
    "frombuffer that lies": (FROMBUFFER + b"(U\x01x" + U1 + b"K\x09\x85U\x01CtR.", "takes 9"),
    "frombuffer in no order": (
        FROMBUFFER + b"(U\x01x" + U1 + b"K\x01\x85U\x01K(K\x05ttR.",
        "in an unknown order",
    ),
    "frombuffer of many empty rows": (
        FROMBUFFER
        + b"(U\x00"
        + U1
        + b"K\x00\x8a\x06"
        + bytes(5)
        + b"\x01\x86U\x01K(K\x01K\x00ttR.",
        "many rows and no bytes",
    ),
    "frombuffer without axes": (FROMBUFFER + b"(U\x01x" + U1 + b"K\x01\x85U\x01KtR.", "damaged"),
    "torch": (b"ctorch._utils\n_rebuild_tensor_v2\n.", "it asks for torch._utils"),
    "torch storage": (b"\x80\x02(U\x07storageQ.", "what is not in the file"),
    "persid": (b"Pos.system\n.", "what is not in the file"),
    "binpersid": (b"S'os.system'\nQ.", "what is not in the file"),
    "ext1": (b"\x80\x02\x82\x01.", "what is not in the file"),
    "ext2": (b"\x80\x02\x83\x01\x00.", "what is not in the file"),
    "ext4": (b"\x80\x02\x84\x01\x00\x00\x00.", "what is not in the file"),
    "next_buffer": (b"\x80\x05\x97.", "what is not in the file"),
    "readonly_buffer": (b"\x80\x05N\x98.", "what is not in the file"),
    "eval": (b"c__builtin__\neval\n(S'1'\ntR.", "it asks for __builtin__.eval"),
    "getattr": (b"cbuiltins\ngetattr\n.", "it asks for builtins.getattr"),
    "copyreg": (b"ccopy_reg\n_reconstructor\n.", "it asks for copy_reg._reconstructor"),
    "operator": (b"coperator\nattrgetter\n.", "it asks for operator.attrgetter"),
    "import by a module's name": (b"cthis\ns\n.", "it asks for this.s"),
    "pickle in a pickle": (b"cpickle\nloads\n.", "it asks for pickle.loads"),
    "numpy.load": (b"cnumpy\nload\n.", "it asks for numpy.load"),
    "numpy's test runner": (b"cnumpy.testing\nrunstring\n.", "it asks for numpy.testing"),
    "memo out of range": (b"h\x05.", "damaged"),
    "a huge place in the memo": (b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff]a.", "damaged|appends"),
    "a negative place": (b"Ng-1\n.", "damaged"),
    "a place with many digits": (b"Np" + b"9" * 900 + b"\n.", "damaged"),
    "a number with many digits": (b"I" + b"9" * 900 + b"\n.", "damaged"),
    "a number that is none": (b"I1_0\n.", "damaged"),
    "a large number": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "a number of 2147483647 bytes"),
    "a large string": (b"T\xff\xff\xff\x7fx.", "bytes announced"),
    "a negative string": (b"T\xff\xff\xff\xffx.", "bytes announced"),
    "a large string of 64 bits": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "bytes announced"),
    "a large text of 64 bits": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "too much text"),
    "a large bytearray": (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.", "bytes announced"),
    "a frame that lies": (b"\x80\x04\x95" + b"\xff" * 8 + b"N.", "a frame of"),
    "protocol 6": (b"\x80\x06N.", "protocol 6"),
    "an unknown instruction": (b"\xff.", "unknown instruction"),
    "nothing": (b"", "damaged or truncated"),
    "nothing but an end": (b".", "other than one value"),
    "two values": (b"NN.", "other than one value"),
    "an open mark": (b"(N.", "other than one value"),
    "no mark": (b"t.", "damaged"),
    "nothing to pop": (b"0.", "damaged"),
    "nothing to append to": (b"Na.", "damaged|appends"),
    "appending to a tuple": (b")Na.", "it appends to a tuple"),
    "items of a list": (b"]NNs.", "it sets items of a list"),
    "an odd number of items": (b"}(Nu.", "damaged"),
    "a list for a key": (b"}]Ns.", "a key of a dict"),
    "a string without quotes": (b"Sabc\n.", "a string without quotes"),
    "a string with one quote": (b"S'\n.", "a string without quotes"),
    "a string with a wrong escape": (b"S'\\N{DIGIT ONE}'\n.", "a wrong escape"),
    "a string cut in an escape": (b"S'\\x4'\n.", "a wrong escape"),
    "text that is not utf-8": (b"X\x01\x00\x00\x00\xff.", "damaged"),
    "half a surrogate pair": (b"X\x03\x00\x00\x00\xed\xa0\x80.", "damaged"),
    "a list in itself": (b"]q\x00h\x00a.", "it holds itself"),
    "a dict in itself": (b"}q\x00Nh\x00s.", "it holds itself"),
    "a list in its tuple": (b"]q\x00(h\x00t\x85a.", "it holds itself"),
    "objects in themselves": (
        EMPTY_ARRAY
        + b"q\x00"
        + state(b"K\x01\x85", DTYPE + b"(U\x02O8K\x00K\x01tR", data=b"]q\x01h\x00a")
        + b"b.",
        "where a value belongs",
    ),
    "a list of lists of lists": (b"]" * 100 + b"a" * 99 + b".", "nested too deeply"),
    "many lists deep": (b"]" * 100_000 + b"a" * 99_999 + b".", "nested too deeply"),
    "many tuples deep": (b")" + b"\x85" * 100_000 + b".", "nested too deeply"),
    "many tuples deep, as a key": (b"})" + b"\x85" * 300_000 + b"Ns.", "a key of a dict"),
    "many marks": (b"(" * 100_000, "nested too deeply"),
    "billion laughs": (
        b"]q\x00" + b"".join(b"](" + b"h%c" % i * 10 + b"eq%c" % (i + 1) for i in range(30)) + b".",
        "other than one value|too many values",
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trick: str) -> None:
    monkeypatch.chdir(tmp_path)
    data, why = TRICKS[trick]
    with pytest.raises(UserError, match=rf"{NOT_PLAIN} \(.*({why})") as caught:
        load(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert [path.name for path in tmp_path.iterdir()] == ["x.pkl"]


def test_laughs_that_end_in_one_value(load: Any) -> None:
    laughs = b"]q\x00N" + b"a"
    for i in range(30):
        laughs += b"0](" + b"h%c" % i * 10 + b"eq%c" % (i + 1)
    with pytest.raises(UserError, match="too many values"):
        load(laughs + b".")
    few = b"]q\x00Na" + b"".join(b"0](" + b"h%c" % i * 10 + b"eq%c" % (i + 1) for i in range(5))
    assert load(few + b".")[9][9][9][9][9] == [None]


def test_too_many_instructions(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_STEPS", 1000)
    assert load(b"N0" * 499 + b"N.") is None
    with pytest.raises(UserError, match="more than 1000 instructions"):
        load(b"N0" * 500 + b"N.")


def test_too_much_text(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MANY_BYTES", 10_000)
    assert len(load(pickle.dumps(["x" * 150 + str(i) for i in range(100)], 4))) == 100
    with pytest.raises(UserError, match="too much text"):
        load(pickle.dumps(["x" * 300 + str(i) for i in range(100)], 4))


def test_keys_cannot_be_made_to_collide(load: Any) -> None:
    collide = {i * (2**61 - 1): None for i in range(3)}
    assert len({hash(key) for key in collide}) == 1
    with pytest.raises(UserError, match="a key of a dict"):
        load(pickle.dumps(collide, 2))


def test_no_library_is_asked(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an attacker could want to be looked up, or imported, is not."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("looked up")

    data = pickle.dumps({"data": PIXELS, "x": [np.int64(3), b"1"]}, 2)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr("builtins.__import__", refuse)
    found, refused = load(data), SYSTEM + b"(" + TOUCH + b"tR."
    with pytest.raises(UserError, match="os.system"):
        load(refused)
    monkeypatch.undo()
    assert found["x"] == [3, b"1"]
