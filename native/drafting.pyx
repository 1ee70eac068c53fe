"""Records drafted in one pass: an object with slots, and a sheet that says which slot stands where, give a body and a box.

Who writes the sheet knows what a record is; here it is a list of members, in the order of their names. What is rare is
not drafted here: then nothing was taken in, `draft` says False, and somebody else drafts the record at leisure.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.math cimport rint
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from thoth.native.forms cimport Form
from thoth.native.sha256 cimport sha256_begin, sha256_choose, sha256_end, sha256_run, sha256_take
from thoth.native.spelling cimport Ink
from thoth.native.tray cimport (
    DIGEST_DIGITS,
    Half,
    ID_BYTES,
    ID_DIGITS,
    NONCE_BYTES,
    Promise,
    Promises,
    SALT_BYTES,
    SealKey,
    Tray,
)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void PyErr_Clear()

sha256_choose(1)

cdef enum:
    PROMISED_BYTES = 4096     # a longer value is hashed at once, and not held until the record is taken out
    CLOCK_BACK_US_MAX = 1_000_000

# What a member is made from.
cdef enum:
    constant, text, texts, number, count, flag, moment, now, via, group, mapping, one_value, length_of, shown_, sealed_, never, same

CONSTANT, TEXT, TEXTS, NUMBER, COUNT, FLAG, MOMENT, NOW = constant, text, texts, number, count, flag, moment, now
VIA, GROUP, MAPPING, ONE, LENGTH = via, group, mapping, one_value, length_of
SHOWN, SEALED, NEVER, SAME = shown_, sealed_, never, same

cdef double US_MAX = 9007199254740992.0


@cython.final
cdef class Member:
    """One member of a record: `kind` says what of the slot becomes its value, `name` is how it is called.

    In clear: CONSTANT, `extra` as it is; TEXT; TEXTS; NUMBER, also zero; COUNT, but zero; FLAG, true or nothing; MOMENT,
    seconds as microseconds; VIA, what `extra` makes of the two objects, if the slot holds anything.
    Committed to: GROUP, each of `extra`, rows of (name, place, a function
    of the object, places for a list of them, or None); MAPPING, each member of the slot, a dict,
    or of what `extra` makes of the objects; ONE, the slot, whose value is kept only with `keep` or `extra`, and its LENGTH.
    With `guard`, nothing of it where the slot of that name holds nothing. NOW, SHOWN, SEALED: what the tray and the members before say. NEVER: no member; not drafted here where the slot holds
    anything. SAME: no member; not drafted here where the slot is another than the slot `extra` of the request.
    """

    cdef readonly int kind
    cdef readonly bytes path
    cdef bytes head
    cdef Form form
    cdef bint of_request
    cdef Py_ssize_t place, guard, offset
    cdef object extra

    def __init__(self, str name not None, int kind, Form form=None, str slot="", bint of_request=False, extra=None,
                 str guard=""):
        self.head = b',"' + name.encode("ascii") + b'":'
        self.path = name.encode("ascii")
        self.kind, self.form, self.of_request = kind, form, of_request
        self.extra = tuple([Row(*row) for row in extra]) if kind == group else extra
        self.place = -1 if form is None or not slot else form.place(slot)
        self.offset = 0 if self.place < 0 else form.offsets[self.place]
        self.guard = -1 if form is None or not guard else form.place(guard)


cdef class Sheet:
    """The members of one kind of record. `main` and `request` are the forms of the two objects it is drafted from."""

    cdef Form main, request
    cdef list members
    cdef Py_ssize_t text_chars, list_items, mapping_items, shown_bytes, body_bytes

    def __init__(self, Form main not None, Form request not None, list members not None, *, text_chars, list_items,
                 mapping_items, shown_bytes, body_bytes):
        names = [(<Member>member).path for member in members]
        assert names == sorted(names)
        kinds = [(<Member>member).kind for member in members]
        assert sealed_ not in kinds or not {group, mapping, one_value} & {*kinds[kinds.index(sealed_):]}
        self.main, self.request, self.members = main, request, members
        self.text_chars, self.list_items, self.mapping_items = text_chars, list_items, mapping_items
        self.shown_bytes, self.body_bytes = shown_bytes, body_bytes

    cpdef uint64_t draft(self, Tray tray, object main, object request, SealKey key, int64_t now_us, object shown, bint keep) except? 0:
        """Put a record into the tray and return what it says, or leave the tray as it is and return 0.

        `key` is what values are sealed with; None: they are committed to and not kept. `shown` are the names that are kept
        in clear, None where there are none.
        """
        cdef Draft draft
        cdef uint64_t ticket = 0
        if type(main) is not self.main.kind or type(request) is not self.request.kind:
            return 0
        if tray.newest_us - now_us > CLOCK_BACK_US_MAX:
            return 0
        # Python code may be called, and then other threads draft meanwhile: so each draft has memory of its own.
        draft = <Draft>idle.pop() if idle else Draft()
        draft.tray, draft.key, draft.shown, draft.keep = tray, key, shown, keep
        draft.now_us = max(now_us, tray.newest_us)
        draft.now_at = -1
        draft.body.used = draft.box.used = draft.clear.used = draft.texts.used = draft.value_bytes = 0
        draft.promises.count = 0
        if not draft.write(self, main, request) and draft.body.used <= self.body_bytes:
            ticket = draft.lay(tray)
        draft.tray = draft.key = draft.shown = None
        idle.append(draft)
        return ticket


cdef list idle = []


cdef class Clerk:
    """Puts the records of one sheet into one tray, as long as nothing is in the way.

    `clock` gives nanoseconds. `shown` says for a tool which names are kept in clear, None where none are. `seals`: values
    are sealed with the keys of the tray. `keep` is that of `draft`; with `drafts` False nothing is drafted here.
    `see_to` is told what the tray says, where it says something, or always with `waits`; `at_leisure` gets the same
    arguments where the record is not drafted here.
    """

    cdef Tray tray
    cdef Sheet sheet
    cdef object clock, see_to, at_leisure
    cdef public object shown
    cdef readonly uint64_t count     # of records that were asked for
    cdef bint seals, keep, drafts, waits
    cdef Py_ssize_t tenant, user, tool

    def __init__(self, Tray tray not None, Sheet sheet not None, clock, shown, *, bint seals, bint keep,
                 see_to=None, at_leisure=None, bint drafts=True, bint waits=False):
        self.tray, self.sheet, self.clock, self.shown, self.seals, self.keep = tray, sheet, clock, shown, seals, keep
        self.see_to, self.at_leisure, self.drafts, self.waits = see_to, at_leisure, drafts, waits
        self.tenant, self.user, self.tool = map(sheet.request.place, ("tenant_id", "user_id", "tool_name"))

    def decided(self, decision) -> None:
        """Record a decision."""
        cdef uint64_t ticket = self.take(decision, decision.request)
        self.count += 1
        if ticket:
            if ticket & 3 or self.waits:
                self.see_to(ticket)
        else:
            self.at_leisure(decision)

    def ended(self, decision, outcome) -> None:
        """Record how a call ended that this decision let through."""
        cdef uint64_t ticket = self.take(outcome, decision.request)
        self.count += 1
        if ticket:
            if ticket & 3 or self.waits:
                self.see_to(ticket)
        else:
            self.at_leisure(decision, outcome)

    cpdef uint64_t take(self, main, request) except? 0:
        """Put in a record; what the tray says, or 0 where somebody else has to."""
        cdef int64_t now_us
        cdef object key = None, shown = None
        cdef Form form = self.sheet.request
        if not self.drafts or not self.tray.ready or type(request) is not form.kind:
            return 0
        now_us = <int64_t>self.clock() // 1000
        if self.seals:
            if now_us >= self.tray.day_ends_us:
                return 0
            try:
                key = self.tray.keys.get((form.read(request, self.tenant), form.read(request, self.user)))
            except TypeError:   # neither is checked to be a text, and may be a list
                return 0
            if key is None:
                return 0
        if self.shown is not None:
            shown = self.shown(form.read(request, self.tool)) or None
        return self.sheet.draft(self.tray, main, request, key, now_us, shown, self.keep)


@cython.final
cdef class Row:
    """One value of a GROUP: `function` of the object, places for a list of them, or None for the slot itself."""

    cdef str name
    cdef Py_ssize_t place
    cdef object function

    def __init__(self, str name not None, Py_ssize_t place, function):
        self.name, self.place, self.function = name, place, function


@cython.final
cdef class Draft:
    """A record in the making; `write` and all that it calls return 1 where it is not drafted here."""

    cdef Tray tray
    cdef SealKey key
    cdef object shown
    cdef bint keep
    cdef Ink body, box, clear, value, texts
    cdef Promises promises           # of this record: places in `body`, `texts` and `box`
    cdef int64_t now_us
    cdef Py_ssize_t now_at, value_bytes

    def __cinit__(self):
        self.body, self.box, self.clear, self.value, self.texts = Ink(), Ink(), Ink(), Ink(), Ink()
        self.promises = Promises()

    cdef uint64_t lay(self, Tray tray) except? 0:
        """Put it into the tray, as the newest record, and return what the tray says; 0 where it cannot be."""
        cdef Half half = tray.open
        cdef Promise *promise
        cdef Py_ssize_t used = self.body.used, at
        if tray.newest_us > self.now_us:   # another thread was quicker: a record is never older than the one before it
            if self.now_at < 0:
                return 0
            self.now_us, self.body.used = tray.newest_us, self.now_at
            self.body.put_number(self.now_us)
            if self.body.data[self.body.used] != <uint8_t>b",":
                return 0
            self.body.used = used
        half.bodies.reserve(used)
        half.boxes.reserve(self.box.used)
        half.texts.reserve(self.texts.used)
        for at in range(self.promises.count):
            promise = self.promises.all + at
            half.promises.put(
                half.bodies.used + promise.digits_at,
                half.texts.used + promise.text_at,
                promise.text_bytes,
                promise.salt_at if promise.salt_at < 0 else half.boxes.used + promise.salt_at,
            )
        half.texts.put(self.texts.data, self.texts.used)
        if self.box.used:
            half.boxes.put(self.box.data, self.box.used)
            half.note_box(self.key)
        half.bodies.put(self.body.data, used)
        return tray.note(self.now_us)

    cdef int write(self, Sheet sheet, object main, object request) except -1:
        cdef Ink body = self.body
        cdef Member member
        cdef object value = None
        cdef PyObject *slot
        cdef int kind
        for one in sheet.members:
            member = <Member>one
            kind = member.kind
            if member.guard >= 0 and not sheet.main.read(main, member.guard):
                continue
            if member.place >= 0:
                # As `Form.read` does; whose objects these are was asked in `draft`.
                slot = (<PyObject **>(<char *><PyObject *>(request if member.of_request else main) + member.offset))[0]
                if slot == NULL:
                    return 1
                value = <object>slot
            if kind == text:
                if value is None:
                    continue
                if not isinstance(value, str) or PyUnicode_GET_LENGTH(value) > sheet.text_chars:
                    return 1
                if PyUnicode_GET_LENGTH(value) == 0:
                    continue
                self.name(member)
                if body.put_text(value):
                    return 1
            elif kind == constant:
                self.name(member)
                body.put(PyBytes_AS_STRING(<bytes>member.extra), PyBytes_GET_SIZE(<bytes>member.extra))
            elif kind == texts:
                if not value:
                    continue
                if type(value) is not tuple or len(<tuple>value) > sheet.list_items:
                    return 1
                self.name(member)
                if self.list_of(sheet, <tuple>value):
                    return 1
            elif kind == number or kind == count:
                if value is None or (kind == count and value == 0):
                    continue
                if type(value) is not int and type(value) is not bool:
                    return 1
                self.name(member)
                if body.put_value(value, 0):
                    return 1
            elif kind == flag:
                if value:
                    self.name(member)
                    body.put(b"true", 4)
            elif kind == moment:
                self.name(member)
                body.put_number(microseconds(value))
            elif kind == now:
                self.name(member)
                self.now_at = body.used
                body.put_number(self.now_us)
            elif kind == via:
                if not value:
                    continue
                value = (<object>member.extra)(main, request)
                if value is None:
                    continue
                if not fits(value, sheet):
                    return 1
                self.name(member)
                if body.put_value(value, 0):
                    return 1
            elif kind == group:
                if self.each_of_group(sheet, member, main, request):
                    return 1
            elif kind == mapping:
                if member.extra is not None:
                    if not value:
                        continue
                    value = (<object>member.extra)(main, request)
                if type(value) is not dict:
                    return 1
                if <dict>value and self.each_of_mapping(sheet, member, <dict>value):
                    return 1
            elif kind == one_value:
                if value is None:
                    continue
                self.name(member)
                body.put(b"\"", 1)
                if self.commit(member.path, None, value, self.keep or member.extra is not None):
                    return 1
                body.put(b"\"", 1)
            elif kind == length_of:
                if value is not None:
                    self.name(member)
                    body.put_number(self.value_bytes)
            elif kind == shown_:
                if self.clear.used:
                    self.name(member)
                    body.put(b"[", 1)
                    body.put(self.clear.data + 1, self.clear.used - 1)
                    body.put(b"]", 1)
            elif kind == sealed_:
                if self.box.used:
                    self.name(member)
                    body.put(b'{"box":"', 8)
                    self.promises.put(body.used, 0, 0, 0)
                    body.reserve(ID_DIGITS)
                    body.used += ID_DIGITS
                    body.put(PyBytes_AS_STRING(self.key.spelled), PyBytes_GET_SIZE(self.key.spelled))
            elif kind == never:
                if value:
                    return 1
            elif kind == same:
                if value != sheet.request.read(request, sheet.request.place(<str>member.extra)):
                    return 1
            else:
                raise AssertionError(kind)
        body.data[0] = <uint8_t>b"{"
        return body.put(b"}", 1)

    cdef int name(self, Member member) except -1:
        return self.body.put(PyBytes_AS_STRING(member.head), PyBytes_GET_SIZE(member.head))

    cdef int list_of(self, Sheet sheet, tuple items) except -1:
        """Write a list of texts."""
        cdef bint first = True
        for item in items:
            if not isinstance(item, str) or PyUnicode_GET_LENGTH(item) > sheet.text_chars:
                return 1
            self.body.put(b"[" if first else b",", 1)
            first = False
            if self.body.put_text(item):
                return 1
        return self.body.put(b"]", 1)

    cdef int each_of_group(self, Sheet sheet, Member member, object main, object request) except -1:
        """Write name and commitment of each value of a group that there is."""
        cdef bint first = True
        cdef object value
        cdef Row row
        cdef Form form = sheet.request if member.of_request else sheet.main
        cdef object one = request if member.of_request else main
        for each in <tuple>member.extra:
            row = <Row>each
            value = form.read(one, row.place)
            if value is None or (not member.of_request and not value):
                continue
            if member.of_request and self.shown is not None and f"request.{row.name}" in self.shown:
                return 1
            if type(row.function) is tuple:
                value = [form.read(one, place) for place in <tuple>row.function]
            elif row.function is not None:
                value = row.function(main)
            if first:
                self.name(member)
                self.body.put(b"[[", 2)
            else:
                self.body.put(b",[", 2)
            first = False
            self.body.put_text(row.name)
            self.body.put(b',"', 2)
            if self.commit(member.path, row.name, value, True):
                return 1
            self.body.put(b'"]', 2)
        return 0 if first else self.body.put(b"]", 1)

    cdef int each_of_mapping(self, Sheet sheet, Member member, dict values) except -1:
        """Write name and commitment of each member of a mapping, by name; what is shown goes with all that is shown."""
        cdef bint first = True, in_order = True
        cdef object before = None
        cdef list names
        if len(values) > sheet.mapping_items:
            return 1
        for key in values:
            if type(key) is not str or PyUnicode_GET_LENGTH(key) > sheet.text_chars:
                return 1
            if before is not None and <str>before >= <str>key:
                in_order = False
            before = key
        names = list(values)
        if not in_order:
            names.sort()
        for key in names:
            value = values[key]
            if self.shown is not None and key in self.shown:
                self.value.used = 0
                if self.value.put_value(value, 0) or self.value.used > sheet.shown_bytes:
                    return 1
                if self.show(member.path, <str>key):
                    return 1
                continue
            if first:
                self.name(member)
                self.body.put(b"[[", 2)
            else:
                self.body.put(b",[", 2)
            first = False
            if self.body.put_text(key):
                return 1
            self.body.put(b',"', 2)
            if self.commit(member.path, <str>key, value, True):
                return 1
            self.body.put(b'"]', 2)
        return 0 if first else self.body.put(b"]", 1)

    cdef int show(self, bytes path, str name) except -1:
        """Keep what `value` holds in clear."""
        cdef Ink clear = self.clear
        cdef str full = path.decode() + "." + name
        clear.put(b",[", 2)
        if clear.put_text(full):
            return 1
        clear.put(b",", 1)
        clear.put_quoted(self.value.data, self.value.used)
        return clear.put(b"]", 1)

    cdef int commit(self, bytes path, str name, object value, bint keep) except -1:
        """Promise the commitment to a value, and put the value into the box; with `keep` False only its salt.

        The path is `path.name`, also where the name is empty; `path` alone where there is no name.
        """
        cdef const char *key = NULL
        cdef Py_ssize_t key_bytes = 0, path_bytes = PyBytes_GET_SIZE(path), salt_at = -1, begin, value_at
        cdef uint16_t short
        cdef uint32_t size
        cdef Ink box = self.box, texts = self.texts
        if name is not None:
            key = PyUnicode_AsUTF8AndSize(name, &key_bytes)
            if key == NULL:
                PyErr_Clear()
                return 1
        # The text: salt | path | 0 | the value's one spelling.
        begin = texts.used
        texts.reserve(SALT_BYTES + path_bytes + key_bytes + 2)
        texts.used += SALT_BYTES
        texts.put(PyBytes_AS_STRING(path), path_bytes)
        if name is not None:
            texts.put(b".", 1)
            texts.put(key, key_bytes)
        texts.put(b"\0", 1)
        value_at = texts.used
        if texts.put_value(value, 0):
            return 1
        self.value_bytes = texts.used - value_at
        if self.key is not None:
            if box.used == 0:
                box.reserve(ID_BYTES + NONCE_BYTES)
                box.used = ID_BYTES + NONCE_BYTES
            short = <uint16_t>(value_at - 1 - begin - SALT_BYTES)
            size = <uint32_t>self.value_bytes if keep else 0
            box.put(&short, 2)
            box.put(texts.data + begin + SALT_BYTES, short)
            salt_at = box.used
            box.reserve(SALT_BYTES)
            box.used += SALT_BYTES
            box.put(&size, 4)
            box.put(texts.data + value_at, size)
        self.body.reserve(DIGEST_DIGITS)
        if self.value_bytes <= PROMISED_BYTES:
            self.promises.put(self.body.used, begin, texts.used - begin, salt_at)
            self.body.used += DIGEST_DIGITS
            return 0
        return self.commit_at_once(begin, salt_at)

    cdef int commit_at_once(self, Py_ssize_t begin, Py_ssize_t salt_at) except -1:
        """Write the commitment to what `texts` holds from `begin` on, and take that away."""
        cdef sha256_run run
        cdef uint8_t digest[32]
        memcpy(self.texts.data + begin, self.tray.chances(SALT_BYTES), SALT_BYTES)
        if salt_at >= 0:
            memcpy(self.box.data + salt_at, self.texts.data + begin, SALT_BYTES)
        sha256_begin(&run)
        sha256_take(&run, self.texts.data + begin, self.texts.used - begin)
        sha256_end(&run, digest)
        self.texts.used = begin
        return self.body.put_hex(digest, 32)


cdef bint fits(object value, Sheet sheet) except -1:
    """Whether a value in clear is short enough to stand as it is."""
    if isinstance(value, str):
        return PyUnicode_GET_LENGTH(value) <= sheet.text_chars
    if isinstance(value, list):
        return len(value) <= sheet.list_items and all([fits(item, sheet) for item in value])
    return True


cdef int64_t microseconds(object seconds) except? -1:
    """Return epoch seconds as microseconds, held within what a record can say."""
    cdef double value = seconds
    return <int64_t>rint(min(US_MAX, max(-US_MAX, value * 1e6))) if value == value else 0
