"""Calls as the rows of an Arrow table, read through its C data interface: a column for each attribute.

No Arrow library is linked or loaded: whoever has a table hands over its buffers in capsules. A null is a value that was
not sent. What a row holds is made into values as JSON has them, texts only once while they repeat.
"""

from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_DecodeUTF8, PyUnicode_GET_LENGTH
from libc.math cimport isfinite
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcmp, memset

from thoth.native.answer cimport Answers
from thoth.native.batch cimport Batch, Batching
from thoth.native.cells cimport ALL_DONE, WANTS_PLAN, WANTS_ROOM, ArrowArray, ArrowArrayStream, ArrowSchema, Cells
from thoth.native.forms cimport Form
from thoth.native.table cimport Walk
from thoth.native.texts cimport text_is_ascii

cdef enum:
    KNOWN_CHARS_MAX = 64
    DEPTH_MAX = 60
    CELLS_MAX = 16           # tables of so many kinds keep their plans


class Unreadable(Exception):
    """A row holds something that is no value of a request."""


cdef class Source:
    """One column: where its values stand in a request."""

    def __dealloc__(self):
        cdef Py_ssize_t place
        for place in range(KNOWN):
            Py_XDECREF(self.known[place])

    cdef object text(self, const char *data, Py_ssize_t length):
        """Return a text; the same one again where it was met lately."""
        cdef Py_ssize_t place
        cdef uint32_t mixed = <uint32_t>length
        cdef object text
        if length > KNOWN_CHARS_MAX:
            return PyUnicode_DecodeUTF8(data, length, NULL)
        for place in range(length):
            mixed = (mixed ^ <uint8_t>data[place]) * 16777619
        place = (mixed ^ mixed >> 16) & (KNOWN - 1)
        if self.known[place] != NULL and PyUnicode_GET_LENGTH(<object>self.known[place]) == length \
                and memcmp(PyUnicode_DATA(<object>self.known[place]), data, length) == 0:
            return <object>self.known[place]
        text = PyUnicode_DecodeUTF8(data, length, NULL)
        if text_is_ascii(text):
            Py_INCREF(text)
            Py_XDECREF(self.known[place])
            self.known[place] = <PyObject *>text
        return text

    cdef object value(self, ArrowSchema *schema, ArrowArray *array, int64_t at):
        """Return the value at a place, None for a null."""
        cdef object index, word
        at += array.offset
        if array.null_count != 0 and array.n_buffers > 0 and array.buffers[0] != NULL \
                and not (<const uint8_t *>array.buffers[0])[at >> 3] >> (at & 7) & 1:
            return None
        if schema.dictionary == NULL:
            return self.plain(schema, array, at)
        index = self.plain(schema, array, at)
        if self.words is None or len(self.words) != array.dictionary.length:
            self.words = [absent] * array.dictionary.length
        word = self.words[index]
        if word is absent:
            word = self.words[index] = self.value(schema.dictionary, array.dictionary, index)
        return word

    cdef object plain(self, ArrowSchema *schema, ArrowArray *array, int64_t at):
        """Return the value at a place of the buffers."""
        cdef const char *format = schema.format
        cdef const void *data = array.buffers[1] if array.n_buffers > 1 else NULL
        cdef int64_t first, last, one
        cdef double number
        cdef list items
        cdef dict members
        if format[0] == b"n":
            return None
        if format[1] == 0:
            if format[0] == b"u":
                first, last = (<const int32_t *>data)[at], (<const int32_t *>data)[at + 1]
                return self.text(<const char *>array.buffers[2] + first, last - first)
            if format[0] == b"U":
                first, last = (<const int64_t *>data)[at], (<const int64_t *>data)[at + 1]
                return self.text(<const char *>array.buffers[2] + first, last - first)
            if format[0] == b"l":
                return (<const int64_t *>data)[at]
            if format[0] == b"i":
                return (<const int32_t *>data)[at]
            if format[0] == b"g" or format[0] == b"f":
                number = (<const double *>data)[at] if format[0] == b"g" else (<const float *>data)[at]
                if not isfinite(number):
                    raise Unreadable("a number that is not finite")
                return number
            if format[0] == b"b":
                return bool((<const uint8_t *>data)[at >> 3] >> (at & 7) & 1)
            if format[0] == b"c":
                return (<const int8_t *>data)[at]
            if format[0] == b"C":
                return (<const uint8_t *>data)[at]
            if format[0] == b"s":
                return (<const int16_t *>data)[at]
            if format[0] == b"S":
                return (<const uint16_t *>data)[at]
            if format[0] == b"I":
                return (<const uint32_t *>data)[at]
            return (<const uint64_t *>data)[at]
        if format[1] == b"s":
            members = {}
            for one in range(schema.n_children):
                member = self.value(schema.children[one], array.children[one], at)
                if member is not None:
                    members[schema.children[one].name.decode()] = member
            return members
        if format[1] == b"l":
            first, last = (<const int32_t *>data)[at], (<const int32_t *>data)[at + 1]
        else:
            first, last = (<const int64_t *>data)[at], (<const int64_t *>data)[at + 1]
        items = []
        for one in range(first, last):
            items.append(self.value(schema.children[0], array.children[0], one))
        return items


cdef object absent = object()


cdef int check(ArrowSchema *schema, str name, int depth) except -1:
    """Refuse a type that no value of a request is of.

    Raises:
        TypeError: naming the column.
    """
    cdef int64_t one
    cdef bytes format = schema.format
    if depth > DEPTH_MAX:
        raise TypeError(f"the column `{name}` is nested too deep")
    if schema.dictionary != NULL:
        if len(format) != 1 or format not in b"cCsSiIlL":
            raise TypeError(f"the column `{name}` has a dictionary of the Arrow type `{format.decode()}`")
        return check(schema.dictionary, name, depth + 1)
    if not (len(format) == 1 and format in b"nuUlLiIsScCgfb") and format not in (b"+s", b"+l", b"+L"):
        raise TypeError(
            f"the column `{name}` is of the Arrow type `{format.decode()}`; "
            "use texts, integers, floats, booleans, and lists or structs of these"
        )
    for one in range(schema.n_children):
        check(schema.children[one], name, depth + 1)
    return 0


cdef class Arrow:
    """Takes the rows of a table in; `path_of` says where in a request a column's values stand, by its name."""

    def __init__(self, Batching batching not None, path_of, fault):
        self.batching, self.path_of, self.fault = batching, path_of, fault
        self.sources, self.objects = [], {}

    def take(self, table):
        """Decide each row of what offers `__arrow_c_stream__` or `__arrow_c_array__`.

        Raises:
            TypeError: it offers neither, or a column is of a type that no value of a request is of.
            OSError: the stream fails.
        """
        try:
            self.take_table(table)
        finally:
            self.lay_down()

    cdef int take_table(self, table) except -1:
        cdef ArrowArrayStream *stream
        cdef ArrowSchema schema
        cdef ArrowArray array
        if hasattr(table, "__arrow_c_stream__"):
            capsule = table.__arrow_c_stream__()
            stream = <ArrowArrayStream *>PyCapsule_GetPointer(capsule, b"arrow_array_stream")
            memset(&schema, 0, sizeof(schema))
            if stream.get_schema(stream, &schema) != 0:
                raise OSError(message(stream))
            try:
                self.lay_out(&schema)
                while True:
                    memset(&array, 0, sizeof(array))
                    if stream.get_next(stream, &array) != 0:
                        raise OSError(message(stream))
                    if array.release == NULL:
                        break
                    try:
                        self.take_batch(&schema, &array)
                    finally:
                        array.release(&array)
            finally:
                if schema.release != NULL:
                    schema.release(&schema)
        elif hasattr(table, "__arrow_c_array__"):
            # The capsules release what they hold when they go.
            schema_capsule, capsule = table.__arrow_c_array__()
            self.lay_out(<ArrowSchema *>PyCapsule_GetPointer(schema_capsule, b"arrow_schema"))
            self.take_batch(
                <ArrowSchema *>PyCapsule_GetPointer(schema_capsule, b"arrow_schema"),
                <ArrowArray *>PyCapsule_GetPointer(capsule, b"arrow_array"),
            )
        else:
            raise TypeError("this is no Arrow table: it has neither `__arrow_c_stream__` nor `__arrow_c_array__`")
        return 0

    cdef int lay_out(self, ArrowSchema *schema) except -1:
        cdef Form form = self.batching.answers.request
        cdef Source source
        cdef int64_t one
        cdef str name
        cdef set taken = set()
        if schema.format == NULL or <bytes>schema.format != b"+s":
            raise TypeError("the rows of a table are structs, one member for each column")
        for one in range(schema.n_children):
            name = schema.children[one].name.decode()
            check(schema.children[one], name, 0)
            path = self.path_of(name)
            if path in taken or path[:1] in taken:
                raise TypeError(f"the column `{name}` stands for what another column says")
            taken.add(path)
            source = Source()
            source.name, source.field, source.place = name, path[0], form.place(path[0])
            source.member = path[1] if len(path) > 1 else None
            self.sources.append(source)
        for path in taken:
            if len(path) > 1 and path[:1] in taken:
                raise TypeError(f"`{'.'.join(path)}` has a column of its own, and stands in another")
        self.paths = tuple([
            (source.field,) if source.member is None else (source.field, source.member) for source in self.sources
        ])
        self.take_up()
        return 0

    cdef int take_up(self) except -1:
        """Take the cells of columns of these names, with the plans that were made for them."""
        cdef Answers answers = self.batching.answers
        cdef object cells = answers.cells.pop(self.paths, None)  # nobody else has them meanwhile
        if cells is None:
            cells = Cells(answers, self.batching.entry.intake.bounds.chars)
            if not (<Cells>cells).begin(list(self.paths)):
                return 0
        self.cells = <Cells>cells
        self.cells.answers = answers
        self.cells.now, self.cells.deciders = self.batching.now, self.batching.deciders
        return 0

    cdef int lay_down(self) except -1:
        """Leave the cells for whoever comes next."""
        cdef Answers answers = self.batching.answers
        if self.cells is not None:
            if len(answers.cells) >= CELLS_MAX:
                answers.cells.clear()
            self.cells.answers = None
            answers.cells[self.paths] = self.cells
            self.cells = None
        return 0

    cdef int take_batch(self, ArrowSchema *schema, ArrowArray *array) except -1:
        cdef int64_t row
        cdef Source source
        for one in self.sources:
            (<Source>one).words = None
        self.batching.batch.reserve(array.length)
        if self.cells is None:
            for row in range(array.length):
                self.take_row(schema, array, row)
            return 0
        self.batching.batch.reserve_rules(array.length)
        self.cells.open(schema, array)
        try:
            self.take_cells(schema, array)
        finally:
            self.cells.close()
        return 0

    cdef int take_cells(self, ArrowSchema *schema, ArrowArray *array) except -1:
        """Decide rows where they lie, and those in full of which that cannot be done."""
        cdef int64_t row = 0, last = array.length, odd = 0
        cdef int want = ALL_DONE
        cdef Cells cells = self.cells
        cdef Walk walk = cells.walk
        cdef Batch batch = self.batching.batch
        while row < last:
            # Where every few rows need Python it is not worth letting go of it.
            if last - row >= GIL_ROWS_MIN and odd * 32 <= row:
                with nogil:
                    row = cells.run(walk, batch, row, last, &want)
            else:
                row = cells.run(walk, batch, row, last, &want)
            if row == last:
                break
            if want == WANTS_PLAN:
                cells.plan()
                continue
            if want == WANTS_ROOM:
                self.batching.note(&cells.verdict)
            else:
                odd += 1
                self.take_row(schema, array, row)
            row += 1
        return 0

    cdef int take_row(self, ArrowSchema *schema, ArrowArray *array, int64_t row) except -1:
        cdef Form form = self.batching.answers.request
        cdef object request = self.batching.scratch, value
        cdef Source source
        cdef Py_ssize_t one, text = form.place("tool_name"), members = form.place("tool_args")
        cdef dict given
        try:
            for one in range(len(self.sources)):
                source = <Source>self.sources[one]
                value = source.value(schema.children[one], array.children[one], row + array.offset)
                if source.member is None:
                    form.write(request, source.place, value)
                    continue
                found = self.objects.get(source.place)
                if found is None:
                    found = self.objects[source.place] = {}
                if value is None:
                    (<dict>found).pop(source.member, None)
                else:
                    (<dict>found)[source.member] = value
        except (Unreadable, UnicodeDecodeError) as error:
            self.batching.forget()
            return self.batching.add_in_full(self.fault(str(error)))
        for place, found in self.objects.items():
            if found or place == members:
                form.write(request, place, found)
        if form.read(request, members) is None:
            form.write(request, members, {})
        if self.batching.fit(request, text, members) and self.batching.add_taken():
            return self.batching.forget()
        given = {}
        for one in range(form.count):
            value = form.read(request, one)
            if value is not None:
                given[form.names[one]] = value
        self.batching.forget()
        return self.batching.add_in_full(given)


cdef str message(ArrowArrayStream *stream):
    cdef const char *told = stream.get_last_error(stream)
    return "the Arrow stream failed" if told == NULL else told.decode("utf-8", "replace")
