"""The frames of one connection: cut from what is read, and the plain questions among them decided on the way.

    u32 length | u8 version | u8 kind | u16 flags | u64 id | payload of `length` bytes

Big-endian. A question is plain where it has no flags, holds a MessagePack map, and its id is higher than all before, so
that it cannot have been asked already; and its answer, where it is ALLOW or BLOCK and can be given out at once. Every
other frame, and every other answer, is handed over to somebody who can do everything; both ways say the same.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memmove

from thoth.native.clients cimport Client, Kept
from thoth.native.desk cimport Desk
from thoth.native.forms cimport Form
from thoth.native.load cimport Load
from thoth.native.replies cimport DIGEST_BYTES, digest_into
from thoth.native.results cimport Results
from thoth.native.sending cimport taken_at_once
from thoth.native.running cimport Running
from thoth.native.spelling cimport Ink
from thoth.native.tally cimport Tally
from thoth.native.waiting cimport Waiting

from thoth.native.load import OVERLOADED, TOO_MUCH

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *one)

cdef enum:
    VERSION = 1
    DECIDE = 3
    HEAD_BYTES = 16
    PAYLOAD_BYTES_MAX = 1 << 20
    KEPT_BYTES_MAX = 1 << 16     # of the memory of one connection, while it has nothing to do

cdef str overloaded = OVERLOADED, too_much = TOO_MUCH


cdef class Street:
    """What the lanes of one socket share.

    A call that is allowed is put into `running` under the id of its decision, as (asker, call, question, answer), the
    last two as bytes: a decision is many objects, and most calls end soon. Where it holds more than `running_max`, or
    more than `running_bytes_max` of these bytes, `forget_oldest` is called. Each `recent_each`-th request goes into
    `recent`, if it has no more than `recent_bytes_max`. `waits`: in there answers wait for the disk, as the `Kept` of
    their questions, until `give_out`; `undurable` is handed one, and the error, where that fails. `block` is None where
    a refusal may yet become something else. `tenant`: whose all calls are that do not say whose they are.
    """

    def __init__(self, *, Desk desk, Load load not None, Results results not None, Tally tally not None,
                 Form answer not None, allow, block, Running running not None, Py_ssize_t running_max,
                 Py_ssize_t running_bytes_max, forget_oldest, recent, Py_ssize_t recent_each, Py_ssize_t recent_bytes_max,
                 Waiting waits=None, undurable=None, str tenant=None):
        self.desk, self.load, self.results, self.tally = desk, load, results, tally
        self.answer, self.allow, self.block, self.running, self.recent = answer, allow, block, running, recent
        self.forget_oldest, self.running_max, self.running_bytes_max = forget_oldest, running_max, running_bytes_max
        self.recent_each, self.recent_bytes_max, self.tenant = recent_each, recent_bytes_max, tenant
        self.waits, self.undurable = waits, undurable
        self.id, self.effect, self.asked, self.reason = map(answer.place, ("id", "effect", "request", "reason_code"))

    cdef int count_unrecorded(self, object decision) except -1:
        """Count a BLOCK of which there is no evidence."""
        if self.answer.read(decision, self.reason) == "evidence_unavailable":
            self.tally.unrecorded += 1
        return 0

    cdef int note(self, object decision, bint allowed, str asker, tuple call, bytes payload, bytes answer) except -1:
        """Take in a decision that is given out; `call` is what a docket knows it by, if one does."""
        cdef Tally tally = self.tally
        cdef object request
        cdef tuple kept
        if allowed:
            tally.allowed += 1
            kept = (asker, call, payload, answer)
            PyObject_GC_UnTrack(<void *>kept)  # it holds texts and bytes
            self.running.put(self.answer.read(decision, self.id), kept)
            tally.under_way_bytes += PyBytes_GET_SIZE(payload) + PyBytes_GET_SIZE(answer)
            while self.running.count > self.running_max or tally.under_way_bytes > self.running_bytes_max:
                self.forget_oldest()
        else:
            tally.blocked += 1
            self.count_unrecorded(decision)
        if (tally.allowed + tally.blocked) % self.recent_each == 0 and PyBytes_GET_SIZE(payload) <= self.recent_bytes_max:
            request = self.answer.read(decision, self.asked)
            if request is not None:
                self.recent.append(request)
        return 0


cdef class Lane:
    """One connection's frames in, and what is to be written to it."""

    def __init__(self, Street street not None, str asker not None, connection):
        """`connection.at_leisure` is handed the id of a question, its bytes, and the decision, where the answer is not
        plain; `connection.gave` is called when answers that waited for the disk were put here.
        """
        self.street, self.asker, self.connection = street, asker, connection
        self.rest, self.out = Ink(), Ink()

    @property
    def torn(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self.rest.used > 0

    @property
    def waiting(self) -> bool:
        """Whether there is anything to be written."""
        return self.out.used > 0

    def feed(self, bytes data not None):
        """Take in what was read; `next` is to be called until it returns None."""
        self.reads += 1
        if self.failed is not None:
            return
        if self.rest.used:
            self.rest.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
            if self.rest.used < self.wanted:
                return
            self.data, self.text, self.at, self.end = None, self.rest.data, 0, self.rest.used
        else:
            self.data, self.text, self.at, self.end = data, <const uint8_t *>PyBytes_AS_STRING(data), 0, PyBytes_GET_SIZE(data)

    def took(self, bytes data not None) -> bool:
        """Take in what was read, and say whether that was all: whole frames, plain questions, answered at once.

        Otherwise `next` is to be called until it returns None.
        """
        if self.rest.used or self.failed is not None or self.street.waits is not None:
            self.feed(data)
            return False
        self.feed(data)
        self.found = self.advance()
        return self.found is None and self.rest.used == 0 and self.failed is None

    def next(self):
        """Decide the plain questions that come next; return the frame behind them as (kind, flags, id, payload).

        None: nothing has come whole any more, or it is no frame, as `failed` says then.
        """
        cdef object found = self.found
        if found is not None:
            self.found = None
            return found
        return self.advance()

    cdef object advance(self):
        cdef const uint8_t *head
        cdef uint32_t length
        cdef bytes payload
        cdef uint64_t id
        if self.text == NULL:
            return None
        self.wanted = HEAD_BYTES
        while self.end - self.at >= HEAD_BYTES:
            head = self.text + self.at
            length = <uint32_t>number(head, 4)
            if head[4] != VERSION:
                self.failed = "version", f"frames of version {VERSION} are spoken here, not {head[4]}"
            elif length > PAYLOAD_BYTES_MAX:
                self.failed = "too_large", f"a payload has at most {PAYLOAD_BYTES_MAX:,} bytes, not {length:,}"
            if self.failed is not None:
                self.data, self.text, self.at, self.end, self.rest.used = None, NULL, 0, 0, 0
                return None
            if self.end - self.at - HEAD_BYTES < length:
                self.wanted = HEAD_BYTES + length
                break
            payload = PyBytes_FromStringAndSize(<const char *>head + HEAD_BYTES, length)
            id = self.id = number(head + 8, 8)
            self.at += HEAD_BYTES + length
            self.count += 1
            if head[5] == DECIDE and head[6] == 0 and head[7] == 0 and self.question(id, payload):
                continue
            return head[5], number(head + 6, 2), id, payload
        self.put_by()
        return None

    cdef int put_by(self) except -1:
        """Keep what has not come whole."""
        cdef Py_ssize_t left = self.end - self.at
        if self.data is not None:
            self.rest.put(self.text + self.at, left)
            self.data = None
        elif self.text != NULL:
            memmove(self.rest.data, self.text + self.at, left)
            self.rest.used = left
        if left == 0 and self.rest.room > KEPT_BYTES_MAX:
            self.rest = Ink()
        self.text, self.at, self.end = NULL, 0, 0
        return 0

    cdef bint question(self, uint64_t id, bytes payload) except -1:
        """Decide a question, if it is plain; say whether it was."""
        cdef Street street = self.street
        cdef Client client = self.client
        cdef Kept kept
        cdef uint8_t first = <uint8_t>PyBytes_AS_STRING(payload)[0]  # a zero where there is nothing
        cdef uint8_t digest[DIGEST_BYTES]
        cdef object decision, effect, taken = None
        cdef bytes answer
        cdef Py_ssize_t begin
        cdef bint shed
        if client is None or id <= client.replies.newest or street.desk is None:
            return False
        if not (0x80 <= first <= 0x8F or first == 0xDE or first == 0xDF):
            return False
        if street.tenant is not None:
            taken = street.desk.taken_for(payload, street.tenant)
            if taken is None:
                return False
        shed = street.load.arrived(<void *>self, self.reads)
        if shed:
            decision = street.desk.refused(street.desk.taken_in(payload) if taken is None else taken, overloaded, too_much)
            street.tally.shed += 1
        elif taken is None:
            decision = street.desk.decide_one(payload, None, None)
        else:
            decision = street.desk.decide_taken(taken, None, None)
        effect = street.answer.read(decision, street.effect)
        begin = self.out.used
        # What may yet become of a refusal is of no account where nothing was decided.
        if (not shed and effect is not street.allow and effect is not street.block) \
                or street.results.frame(self.out, decision, id):
            self.out.used = begin
            if shed:
                self.connection.shed(id, payload, decision)
            else:
                self.connection.at_leisure(id, payload, decision)
            return True
        answer = PyBytes_FromStringAndSize(<const char *>self.out.data + begin, self.out.used - begin)
        if shed:
            street.tally.shed_by_lanes += 1
            street.count_unrecorded(decision)
        else:
            street.note(decision, effect is street.allow, self.asker, None, payload, answer)
        digest_into(<const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), digest)
        if street.waits is not None:
            self.out.used = begin
            kept = client.begun(id, digest, self)
            kept.question, kept.answer = payload, answer
            street.waits.add_one(kept)
            self.in_flight += 1
            street.in_flight += 1
            return True
        client.replies.add(id, digest, answer, street.load.now)
        return True

    cdef int answered(self, Kept kept) except -1:
        """Put here the answer to a question, which is durable now."""
        kept.client.settled(kept, kept.answer, self.street.load.now)
        self.out.put(PyBytes_AS_STRING(kept.answer), PyBytes_GET_SIZE(kept.answer))
        if self.in_flight:
            self.in_flight -= 1
            self.street.in_flight -= 1
        return 0

    # ------------------------------------------------------------ writing

    def put(self, bytes data not None):
        """Have frames written behind what is there."""
        self.out.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def taken(self) -> bytes:
        """Return everything that is to be written; it is not here any more."""
        cdef bytes data = PyBytes_FromStringAndSize(<const char *>self.out.data, self.out.used)
        self.out.used = 0
        if self.out.room > KEPT_BYTES_MAX:
            self.out = Ink()
        return data

    def send(self, int descriptor) -> bytes:
        """Write to a socket that takes it at once; return what it did not take, to be written by somebody who waits."""
        cdef Py_ssize_t done = taken_at_once(descriptor, self.out.data, self.out.used)
        cdef bytes left
        if done == self.out.used:
            self.out.used = 0
            return b""
        left = self.taken()
        return left[done:]


def give_out(list taken not None, error) -> None:
    """Give out what waited for the disk, in its order; `error` is why it is not durable, None where it is.

    It is a `Kept` of a lane's, or a pair: then the second is called with the first and the error. A mistake in giving
    out one is raised when all others are given out.
    """
    cdef list lanes = []
    cdef object failed = None
    cdef Lane lane
    for one in taken:
        try:
            if type(one) is not Kept:
                made, deliver = one
                deliver(made, error)
                continue
            lane = <Lane?>(<Kept>one).lane
            if error is not None:
                lane.street.undurable(one, error)
                continue
            if not lane.told:
                lane.told = True
                lanes.append(lane)
            lane.answered(<Kept>one)
        except Exception as mistake:
            failed = mistake
    for one in lanes:
        lane = <Lane>one
        lane.told = False
        try:
            lane.connection.gave()
        except Exception as mistake:
            failed = mistake
    if failed is not None:
        raise failed


cdef uint64_t number(const uint8_t *data, int size) noexcept:
    cdef uint64_t found = 0
    cdef int place
    for place in range(size):
        found = found << 8 | data[place]
    return found
