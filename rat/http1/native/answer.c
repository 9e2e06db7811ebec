/* Writes plain answers: rat.http1.fastlane.LaneWriter.complete, for answers whose parts have been written before.

   What has a part that is not known goes to that method, which writes it and then knows the part. */
#include "lane.h"

enum { JOIN_BELOW = 64 * 1024 };

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    State *st;
    PyObject *module;
    PyObject *complete;     /* the method of the LaneWriter */
    PyObject *starts;       /* its dict: status to status line, Date and Server */
    PyObject *lines;        /* its dict: field to its line */
    PyObject *blocks;       /* its dict: tuple of fields to their lines */
    PyObject *date;         /* of which starts holds the lines */
} Writer;

static const char LENGTH[] = "Content-Length: ";
enum { LENGTH_SIZE = sizeof LENGTH - 1, MOST_LINES = 16 };

/* The field lines of an answer, in up to MOST_LINES parts.  Borrowed, but for the one that is kept in *owned*: to look for
   what is_plain runs no Python code, and the dicts have no other keys (LaneWriter). */
typedef struct {
    PyObject *parts[MOST_LINES], *owned;
    Py_ssize_t count, size;
} Lines;

/* A field of bytes, and of no class that derives from them: its hash could do anything. */
static bool is_plain(PyObject *field) {
    return PyTuple_CheckExact(field) && PyTuple_GET_SIZE(field) == 2 && PyBytes_CheckExact(PyTuple_GET_ITEM(field, 0)) &&
           PyBytes_CheckExact(PyTuple_GET_ITEM(field, 1));
}

static bool add_lines(Lines *lines, PyObject *part) {
    if (part == NULL || !PyBytes_CheckExact(part)) return false;
    lines->parts[lines->count++] = part;
    lines->size += PyBytes_GET_SIZE(part);
    return true;
}

/* Whether all lines of *fields* are known; an exception may be set where not. */
static bool find_lines(Writer *self, PyObject *fields, Lines *lines) {
    if (PyList_CheckExact(fields)) {
        if (PyList_GET_SIZE(fields) > MOST_LINES) return false;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(fields); i++) {
            PyObject *field = PyList_GET_ITEM(fields, i);
            if (!is_plain(field) || !add_lines(lines, PyDict_GetItemWithError(self->lines, field))) return false;
        }
        return true;
    }
    if (!PyTuple_Check(fields)) return false;
    if (PyTuple_GET_SIZE(fields) == 0) return true;
    if (PyTuple_CheckExact(fields)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++)
            if (!is_plain(PyTuple_GET_ITEM(fields, i))) return false;
        return add_lines(lines, PyDict_GetItemWithError(self->blocks, fields));
    }
    /* KeptFields, or what is like it */
    lines->owned = PyObject_GetAttr(fields, self->st->written);
    return add_lines(lines, lines->owned);
}

static char *put(char *p, const char *from, Py_ssize_t size) {
    memcpy(p, from, size);
    return p + size;
}

static PyObject *join(PyObject *start, const Lines *lines, PyObject *content) {
    Py_ssize_t size = PyBytes_GET_SIZE(content), rest = size;
    char digits[8];
    int first = sizeof digits;
    do digits[--first] = '0' + rest % 10;
    while ((rest /= 10) > 0);
    Py_ssize_t digit_count = (Py_ssize_t)sizeof digits - first;
    PyObject *wire = PyBytes_FromStringAndSize(
        NULL, PyBytes_GET_SIZE(start) + lines->size + LENGTH_SIZE + digit_count + 4 + size);
    if (wire == NULL) return NULL;
    char *p = put(PyBytes_AS_STRING(wire), PyBytes_AS_STRING(start), PyBytes_GET_SIZE(start));
    for (Py_ssize_t i = 0; i < lines->count; i++)
        p = put(p, PyBytes_AS_STRING(lines->parts[i]), PyBytes_GET_SIZE(lines->parts[i]));
    p = put(p, LENGTH, LENGTH_SIZE);
    p = put(p, digits + first, digit_count);
    p = put(p, "\r\n\r\n", 4);
    put(p, PyBytes_AS_STRING(content), size);
    return wire;
}

/* The answer of parts that are known, or NULL, with or without an exception. */
static PyObject *from_known_parts(Writer *self, PyObject *status, PyObject *fields, PyObject *content) {
    if (!PyBytes_CheckExact(content) || PyBytes_GET_SIZE(content) >= JOIN_BELOW) return NULL;
    if (!PyLong_CheckExact(status)) return NULL;
    Lines lines = {.count = 0};
    PyObject *wire = NULL, *start;
    /* The start last: what is like KeptFields may run anything. */
    if (find_lines(self, fields, &lines) && (start = PyDict_GetItemWithError(self->starts, status)) != NULL)
        wire = join(start, &lines, content);
    Py_XDECREF(lines.owned);
    return wire;
}

PyObject *write_answer(PyObject *writer, PyObject *const args[4]) {
    Writer *self = (Writer *)writer;
    if (args[3] == self->date) {
        PyObject *wire = from_known_parts(self, args[0], args[1], args[2]);
        if (wire != NULL || PyErr_Occurred()) {
            if (wire == NULL && !PyErr_ExceptionMatches(PyExc_MemoryError)) /* odd fields are the method's to judge */
                PyErr_Clear();
            else
                return wire;
        }
    }
    PyObject *wire = PyObject_Vectorcall(self->complete, args, 4, NULL);
    if (wire != NULL) Py_XSETREF(self->date, Py_NewRef(args[3]));
    return wire;
}

static PyObject *writer_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names) {
    if (PyVectorcall_NARGS(flags) != 4 || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "a writer of answers takes status, fields, content and date");
        return NULL;
    }
    return write_answer(callable, args);
}

#define WRITER_HOLDS(DO) DO(module) DO(complete) DO(starts) DO(lines) DO(blocks) DO(date)
RAT_OBJECT(writer, Writer, WRITER_HOLDS)

static PyMemberDef writer_members[] = {RAT_CALLABLE_MEMBER(Writer), {NULL, 0, 0, 0, NULL}};
static PyType_Slot writer_slots[] = {RAT_CALLABLE_SLOTS(writer), {0, NULL}};
PyType_Spec writer_spec = {
    .name = "rat.http1._lane.AnswerWriter",
    .basicsize = sizeof(Writer),
    .flags = RAT_CALLABLE_FLAGS,
    .slots = writer_slots,
};

PyObject *answer_writer(PyObject *module, PyObject *args) {
    State *st = PyModule_GetState(module);
    PyObject *complete, *starts, *lines, *blocks;
    if (!PyArg_ParseTuple(args, "OO!O!O!:answer_writer", &complete, &PyDict_Type, &starts, &PyDict_Type, &lines,
                          &PyDict_Type, &blocks))
        return NULL;
    Writer *self = (Writer *)st->writer_type->tp_alloc(st->writer_type, 0);
    if (self == NULL) return NULL;
    self->call = writer_call;
    self->st = st;
    self->module = Py_NewRef(module);
    self->complete = Py_NewRef(complete);
    self->starts = Py_NewRef(starts);
    self->lines = Py_NewRef(lines);
    self->blocks = Py_NewRef(blocks);
    return (PyObject *)self;
}
