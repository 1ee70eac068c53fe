"""The plain questions that come over HTTP, decided and answered on the way: head, key, body, decision, envelope.

A question is plain where its head is (see `heads`), its body can be read in one way only, and it does not name itself;
and its answer, where it is ALLOW or BLOCK, changes nothing, and can be given out at once. Every other question, and every
other answer, is handed over to somebody who can do everything; both ways say the same.

An envelope differs from others of its rules in nothing but ids and latency, so it is spelled once, and filled in.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH
from libc.math cimport INFINITY, llrint
from libc.stdint cimport int64_t, uint8_t, uint64_t

from thoth.native.desk cimport Desk
from thoth.native.docket cimport Docket
from thoth.native.forms cimport Form, held
from thoth.native.heads cimport Head, read_head
from thoth.native.lane cimport Street
from thoth.native.replies cimport DIGEST_BYTES, digest_into
from thoth.native.spelling cimport Ink
from thoth.native.texts cimport text_is_ascii

cdef enum:
    TEMPLATES_MAX = 4096
    TEMPLATES_EACH = 8
    SHOWN_CHARS_MAX = 4096       # of a template that is kept
    LATENCY_MS_MAX = 1000000000

cdef bytes HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
cdef bytes LATENCY = b'"latency_ms":'


cdef class Asker:
    """Who asks with a key, under a name that is no secret. `asks`: it may, until `until`, in epoch seconds or None."""

    def __init__(self, str name not None, bint asks, until, tenant, agent):
        self.name, self.asks, self.tenant, self.agent = name, asks, tenant, agent
        self.until = INFINITY if until is None else until


cdef class Template:
    """The envelopes of decisions that show the same: (each slot that is shown, tool, environment, whether traced)."""

    def __init__(self, tuple shown not None, bytes before not None, bytes behind, list between not None):
        self.shown, self.before, self.behind, self.between = shown, before, behind, between


cdef class Posts:
    """The plain questions of one HTTP door."""

    def __init__(self, *, bytes target not None, Street street not None, Docket docket not None, dict askers not None,
                 tuple shown not None, policy_of, cut, spell, clock):
        """`shown` names what an envelope shows of a decision; `cut` makes a template of one, or returns None where it shows
        more. `policy_of` has the policy in `policy`, `spell` a text as JSON, `clock` the time.
        """
        cdef Form request
        cdef Py_ssize_t place
        assert street.desk is not None
        request = street.desk.request
        self.target, self.street, self.docket, self.askers = target, street, docket, askers
        self.policy_of, self.cut, self.spell, self.clock = policy_of, cut, spell, clock
        assert len(shown) <= SHOWN_MAX
        self.rules = street.answer.place("rules")
        self.shown_count, self.templates, self.ink = len(shown), {}, Ink()
        for place in range(self.shown_count):
            self.places[place] = street.answer.place(shown[place])
        self.session_id, self.tenant_id, self.agent_id, self.tool_name, self.environment = map(
            request.place, ("session_id", "tenant_id", "agent_id", "tool_name", "environment")
        )

    def take(self, reader, uint64_t read, bytes data not None):
        """Take what came in the read of this number from `reader`, whom the loop lets read once in a turn.

        None: nothing was done, and somebody else has to look. Bytes: a whole answer, to be sent. Otherwise the call is
        decided, and somebody else has to answer: (decision, who asked, user agent, members of the body, body, when).
        """
        cdef Head head
        cdef Street street = self.street
        cdef Desk desk = street.desk
        cdef Form answer = street.answer
        cdef uint8_t digest[DIGEST_BYTES]
        cdef PyObject *found
        cdef Asker asker
        cdef bytes body, agent, packed, trace = None
        cdef object members, request, decision, effect, session, traced
        cdef Template template = None
        cdef str id
        cdef double began
        cdef tuple call = None
        if not read_head(data, self.target, &head):
            return None
        digest_into(head.key, head.key_bytes, digest)
        found = PyDict_GetItemWithError(self.askers, PyBytes_FromStringAndSize(<const char *>digest, DIGEST_BYTES))
        if found == NULL:
            return None
        asker = <Asker>found
        body = PyBytes_FromStringAndSize(<const char *>head.body, head.body_bytes)
        members = desk.wire.members_of(body, <const uint8_t *>PyBytes_AS_STRING(body), head.body_bytes)
        if members is None or (<dict>members).get("request_id") is not None:
            return None
        request = desk.wire.intake.adopt(<dict>members)
        if request is None:
            return None
        if street.tenant is not None and desk.request.read(request, self.tenant_id) is None:
            desk.request.write(request, self.tenant_id, street.tenant)  # known by the key: it is not the caller's word
            (<dict>members)["tenant_id"] = street.tenant
        session = desk.request.read(request, self.session_id)
        if not self.may_ask(asker, request) or (self.mine is not None and not self.mine(session)):
            return None
        if street.load.arrived(<const void *><PyObject *>reader, read):
            return None
        began = street.load.now
        street.tally.http_requests += 1
        decision = desk.decide_taken(request, None, None)
        effect = answer.read(decision, street.effect)
        if (effect is street.allow or effect is street.block) and street.waits is None \
                and (<dict>members).get("action_attestation_id") is None:
            traced = (<dict>members).get("enforcement_trace_id")
            if traced is None or type(traced) is str:
                template = self.template_of(decision, answer.read(decision, street.asked), traced is not None)
        self.ink.used = 0
        if template is None or street.results.frame(self.ink, decision, 0):
            agent = b"" if head.agent == NULL else PyBytes_FromStringAndSize(<const char *>head.agent, head.agent_bytes)
            return decision, asker.name, agent, members, body, began
        if traced is not None:
            trace = self.spell(traced)
        packed = PyBytes_FromStringAndSize(<const char *>self.ink.data, self.ink.used)
        id = answer.read(decision, street.id)
        if type(session) is str:
            call = (asker.name, session, desk.request.read(request, self.tool_name))
            if effect is street.allow:
                self.docket.let_through(call, id)
            self.docket.decided(call, id, effect is not street.allow)
        street.note(decision, effect is street.allow, asker.name, call, body, packed)
        began = street.load.read() - began
        street.tally.took(began)
        return self.filled(template, id, began, trace)

    cdef bint may_ask(self, Asker asker, object request) except -1:
        """Say whether this is a call that somebody may ask for, now."""
        cdef Form form = self.street.desk.request
        if not asker.asks or (asker.until != INFINITY and not <double>self.clock() < asker.until):
            return False
        if asker.tenant is not None and form.read(request, self.tenant_id) != asker.tenant:
            return False
        return asker.agent is None or form.read(request, self.agent_id) == asker.agent

    cdef Template template_of(self, object decision, object request, bint traced):
        """Return what a decision's envelope is filled into; None where it is no plain one."""
        cdef Form form = self.street.desk.request
        cdef object policy = self.policy_of.policy, made
        cdef PyObject *found
        cdef list known = None
        cdef tuple key
        cdef Py_ssize_t place
        if request is None:
            return None
        if policy is not self.policy:
            self.templates, self.template_count, self.policy = {}, 0, policy
        key = (form.read(request, self.tool_name), self.street.answer.read(decision, self.rules))
        found = PyDict_GetItemWithError(self.templates, key)
        if found != NULL:
            known = <list>found
            for place in range(len(known)):
                made = known[place]
                if self.fits(<Template>made, decision, request, traced):
                    if place:
                        known.insert(0, known.pop(place))
                    return <Template>made
        made = self.cut(decision, traced)
        if made is None:
            return None
        if PyBytes_GET_SIZE((<Template?>made).before) + sum(map(len, (<Template>made).between)) > SHOWN_CHARS_MAX:
            return <Template>made
        if self.template_count >= TEMPLATES_MAX:
            self.templates, self.template_count, known = {}, 0, None
        if known is None:
            known = self.templates[key] = []
        known.insert(0, made)
        self.template_count += 1
        if len(known) > TEMPLATES_EACH:
            known.pop()
            self.template_count -= 1
        return <Template>made

    cdef bint fits(self, Template one, object decision, object request, bint traced) except -1:
        """Say whether a decision shows what a template was made of."""
        cdef Form answer = self.street.answer, form = self.street.desk.request
        cdef Py_ssize_t place, count = self.shown_count
        cdef object value, known
        for place in range(count):
            value, known = answer.read(decision, self.places[place]), one.shown[place]
            if value is not known and value != known:
                return False
        value, known = form.read(request, self.environment), one.shown[count + 1]
        if value is not known and (type(value) is not str or value != known):
            return False
        return one.shown[count] == form.read(request, self.tool_name) and one.shown[count + 2] is traced

    cdef bytes filled(self, Template one, str id, double latency_s, bytes trace):
        """Return a whole answer."""
        cdef Ink ink = self.ink
        cdef bytes part
        cdef Py_ssize_t place, begin, count = len(one.between), size
        cdef int64_t us = llrint(1e6 * min(max(latency_s, 0.0), <double>LATENCY_MS_MAX / 1e3))
        assert text_is_ascii(id)
        size = PyBytes_GET_SIZE(one.before) + PyBytes_GET_SIZE(LATENCY) + (count - 1) * PyUnicode_GET_LENGTH(id)
        size += digits_of(us // 1000) + 5
        for part in one.between:
            size += PyBytes_GET_SIZE(part)
        if one.behind is not None:
            size += PyBytes_GET_SIZE(trace) + PyBytes_GET_SIZE(one.behind)
        ink.used = 0
        ink.put(PyBytes_AS_STRING(HEAD), PyBytes_GET_SIZE(HEAD))
        ink.put_number(size)
        ink.put(b"\r\n\r\n", 4)
        begin = ink.used
        ink.put(PyBytes_AS_STRING(one.before), PyBytes_GET_SIZE(one.before))
        if one.behind is not None:
            ink.put(PyBytes_AS_STRING(trace), PyBytes_GET_SIZE(trace))
            ink.put(PyBytes_AS_STRING(one.behind), PyBytes_GET_SIZE(one.behind))
        ink.put(PyBytes_AS_STRING(LATENCY), PyBytes_GET_SIZE(LATENCY))
        ink.put_number(us // 1000)
        put_thousandths(ink, us % 1000)
        for place in range(count):
            part = <bytes>one.between[place]
            if place:
                ink.put(PyUnicode_1BYTE_DATA(id), PyUnicode_GET_LENGTH(id))
            ink.put(PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
        assert ink.used - begin == size
        return PyBytes_FromStringAndSize(<const char *>ink.data, ink.used)


cdef int digits_of(int64_t number) noexcept nogil:
    """Return how many digits a number has."""
    cdef int found = 1
    while number >= 10:
        number //= 10
        found += 1
    return found


cdef int put_thousandths(Ink ink, int64_t number) except -1:
    """Write three digits behind a point, and a comma."""
    cdef uint8_t text[5]
    text[0], text[4] = 46, 44
    text[1], text[2], text[3] = 48 + number // 100, 48 + number // 10 % 10, 48 + number % 10
    return ink.put(text, 5)
