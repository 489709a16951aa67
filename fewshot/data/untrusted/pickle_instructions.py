"""The instructions of a pickle, each a function of the machine."""

import re
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

from fewshot.data.untrusted.blobs import Blob, shown
from fewshot.data.untrusted.pickle_machine import (
    ADMITTED,
    KEYS,
    LONG,
    MAX_DIGITS,
    MAX_INT_BYTES,
    MAX_MARKS,
    DType,
    Function,
    Machine,
    NotPlainError,
    Unbuilt,
    built,
    byte_order,
    short_text,
)
from fewshot.data.untrusted.unpack import CHUNK

MAX_KEY = 1 << 60  # larger ones can be made to collide in a dict, which then takes for ever
Instruction = Callable[[Machine], None]


def _refusal(why: str) -> Instruction:
    def refuse(_: Machine) -> None:
        raise NotPlainError(why)

    return refuse


def _constant(value: Any) -> Instruction:
    return lambda machine: machine.stack.append(value)


def _number(form: str) -> Instruction:
    number = Struct(form)

    def push(machine: Machine) -> None:
        machine.stack.append(number.unpack(machine.input.take(number.size))[0])

    return push


def _sized(form: str, act: Callable[[Machine, int], None]) -> Instruction:
    """Return an instruction with a number in front: a size in bytes, or a place in the memo."""
    number = Struct(form)

    def read(machine: Machine) -> None:
        act(machine, number.unpack(machine.input.take(number.size))[0])

    return read


def _push_bytes(machine: Machine, size: int) -> None:
    machine.stack.append(machine.read_bytes(size))


def _push_text(machine: Machine, size: int) -> None:
    machine.stack.append(machine.read_text(size, "utf-8"))


def _push_long(machine: Machine, size: int) -> None:
    if size > MAX_INT_BYTES:
        raise NotPlainError(f"a number of {size} bytes")
    machine.stack.append(int.from_bytes(machine.input.take(size), "little", signed=True))


def _string_line(machine: Machine) -> None:
    size = machine.input.to_newline()
    pieces = _unescaped(machine.blob.part(machine.input.skip(size), size))
    machine.input.skip(1)
    machine.stack.append(b"".join(pieces) if size < LONG else machine.copied(pieces, size))


def _text_line(machine: Machine) -> None:
    size = machine.input.to_newline()
    machine.stack.append(machine.read_text(size, "raw-unicode-escape"))
    machine.input.skip(1)


def _int_line(machine: Machine) -> None:
    line = machine.read_line()
    machine.stack.append(line == "01" if line in ("00", "01") else _whole_number(line))


def _get(machine: Machine, place: int) -> None:
    machine.stack.append(machine.memo[place])


def _put(machine: Machine, place: int) -> None:
    value = machine.memo[place] = machine.stack[-1]
    if type(value) is Unbuilt:
        value.places.append(place)


def _mark(machine: Machine) -> None:
    if len(machine.marks) == MAX_MARKS:
        raise NotPlainError("nested too deeply")
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.since_mark()


def _tuple_of(n: int) -> Instruction:
    def push(machine: Machine) -> None:
        stack = machine.stack
        if len(stack) < n:
            raise IndexError("too few values")
        stack[-n:] = [tuple(stack[-n:])]

    return push


def _append(machine: Machine, values: list[Any]) -> None:
    target = machine.stack[-1]
    if type(target) is not list:
        raise NotPlainError(f"it appends to a {type(target).__name__}")
    target.extend(values)


def _set_items(machine: Machine, items: list[Any]) -> None:
    target, keys = machine.stack[-1], items[::2]
    if type(target) is not dict:
        raise NotPlainError(f"it sets items of a {type(target).__name__}")
    for key in keys:
        if type(key) not in KEYS or (type(key) is int and abs(key) >= MAX_KEY):
            raise NotPlainError("a key of a dict that is no short text or number")
    target.update(zip(keys, items[1::2], strict=True))


def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine, [key, value])


def _dict(machine: Machine) -> None:
    items = machine.since_mark()
    machine.stack.append({})
    _set_items(machine, items)


def _global(machine: Machine, module: str, name: str) -> None:
    if (module, name) not in ADMITTED:
        raise NotPlainError(f"it asks for {shown(f'{module}.{name}')[:100]}")
    machine.stack.append(ADMITTED[module, name])


def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    _global(machine, short_text(module), short_text(name))


def _inst(machine: Machine) -> None:
    name = f"{machine.read_line()}.{machine.read_line()}"
    raise NotPlainError(f"it asks for {shown(name)[:100]}")


def _reduce(machine: Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if type(function) is not Function or function.call is None or type(arguments) is not tuple:
        raise NotPlainError("it calls what is no function")
    machine.stack.append(function.call(machine, arguments))


def _build(machine: Machine) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if type(state) is not tuple or type(target) not in (DType, Unbuilt):
        raise NotPlainError(f"it sets the state of a {type(target).__name__}")
    if isinstance(target, DType):
        target.order = byte_order(target, state)
        return
    value = machine.stack[-1] = built(state)
    for place in target.places:
        if machine.memo[place] is target:
            machine.memo[place] = value


def _protocol(machine: Machine) -> None:
    if (version := machine.input.take(1)[0]) > 5:
        raise NotPlainError(f"protocol {version}")


def _frame(machine: Machine, size: int) -> None:
    if size > machine.blob.size - machine.input.position:
        raise EOFError(f"a frame of {size} bytes announced")


def _whole_number(line: str) -> int:
    if not re.fullmatch(rf"[+-]?\d{{1,{MAX_DIGITS}}}", line):
        raise ValueError("no number where one belongs")
    return int(line)


ESCAPED = re.compile(rb"(?:[^\\]++|\\(?:x[0-9a-fA-F]{2}|[\\'\"abfnrtv]))*+")


def _unescaped(line: Blob) -> Iterator[bytes]:
    """Give the bytes of a string as Python 2 writes it, with quotes and escapes."""
    if line.size < 2 or not line.read(0, 1) == line.read(line.size - 1) in (b"'", b'"'):
        raise ValueError("a string without quotes")
    rest = b""
    for start in range(1, line.size - 1, CHUNK):
        piece = rest + line.read(start, min(CHUNK, line.size - 1 - start))
        match = ESCAPED.match(piece)
        whole = match.end() if match else 0
        yield piece[:whole].decode("unicode_escape").encode("latin-1")
        rest = piece[whole:]
        if len(rest) > 3:  # more than an escape that goes on in the next piece
            break
    if rest:
        raise ValueError("a string with a wrong escape")


INSTRUCTIONS: list[Instruction] = [_refusal("damaged: an unknown instruction")] * 256
for _codes, _instruction in {
    b"I": _int_line,
    b"L": lambda m: m.stack.append(_whole_number(m.read_line().removesuffix("L"))),
    b"J": _number("<i"),
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"\x8a": _sized("<B", _push_long),
    b"\x8b": _sized("<I", _push_long),
    b"S": _string_line,
    b"UC": _sized("<B", _push_bytes),
    b"TB": _sized("<I", _push_bytes),
    b"\x8e\x96": _sized("<Q", _push_bytes),
    b"V": _text_line,
    b"\x8c": _sized("<B", _push_text),
    b"X": _sized("<I", _push_text),
    b"\x8d": _sized("<Q", _push_text),
    b"F": lambda m: m.stack.append(float(m.read_line())),
    b"G": _number(">d"),
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b")": _constant(()),
    b"]": lambda m: m.stack.append([]),
    b"a": lambda m: _append(m, [m.stack.pop()]),
    b"e": lambda m: _append(m, m.since_mark()),
    b"l": lambda m: m.push(m.since_mark()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"}": lambda m: m.stack.append({}),
    b"d": _dict,
    b"s": _set_item,
    b"u": lambda m: _set_items(m, m.since_mark()),
    b"0": _pop,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"(": _mark,
    b"1": lambda m: m.since_mark(),
    b"g": lambda m: _get(m, _whole_number(m.read_line())),
    b"h": _sized("<B", _get),
    b"j": _sized("<I", _get),
    b"p": lambda m: _put(m, _whole_number(m.read_line())),
    b"q": _sized("<B", _put),
    b"r": _sized("<I", _put),
    b"\x94": lambda m: _put(m, len(m.memo)),
    b"c": lambda m: _global(m, m.read_line(), m.read_line()),
    b"\x93": _stack_global,
    b"R": _reduce,
    b"b": _build,
    b"i": _inst,
    b"\x80": _protocol,
    b"\x95": _sized("<Q", _frame),
    b"o\x81\x92": _refusal("it makes an object of a class"),
    b"\x8f\x90\x91": _refusal("it holds a set"),
    b"PQ\x82\x83\x84\x97\x98": _refusal("it refers to what is not in the file"),
}.items():
    for _code in _codes:
        INSTRUCTIONS[_code] = _instruction
