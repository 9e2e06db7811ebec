/* The encoder: one value to its bytes.  Section 9 of docs/wire-format.md says which form each value takes.

   One translation unit in several files, so that what is written most often is inlined. */
#include "write_dicts.h"
#include "write_lists.h"
#include "write_rare.h"

static int write_bincode_rest(Writer *w, PyObject *v, int depth) {
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyDict_Type) return write_bincode_dict(w, v, depth);
    if (type == &PyList_Type) return write_bincode_list(w, v, depth);
    if (type == &PyUnicode_Type) return put_byte(w, TAG_STR) < 0 ? -1 : write_text(w, v);
    if (type == &PyBytes_Type) return write_bytes(w, v, TAG_BYTES);
    if (type == &PyLong_Type) return write_bincode_long(w, v);
    return write_other(w, v, depth);
}

/* What put_plain did not write. */
static int write_rest(Writer *w, PyObject *v, int depth) {
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyDict_Type) return write_dict(w, v, depth);
    if (type == &PyList_Type) return write_list(w, v, depth);
    if (type == &PyUnicode_Type) return write_long_str(w, v);
    if (type == &PyBytes_Type) return write_bytes(w, v, TAG_BYTES);
    if (type == &PyLong_Type) return write_long(w, v);
    return write_other(w, v, depth);
}

static int write_value(Writer *w, PyObject *v, int depth) {
    if (room(w, PLAIN_ROOM) < 0) return -1;
    uint8_t *after = UNLIKELY(w->bincode) ? put_bincode_plain(w->p, v) : put_plain(w->p, v);
    if (after == NULL) return UNLIKELY(w->bincode) ? write_bincode_rest(w, v, depth) : write_rest(w, v, depth);
    w->p = after;
    return 0;
}

/* Messages */

static PyObject *take_bytes(Writer *w) {
    Py_ssize_t used = w->p - w->begin;
    if (w->bytes == NULL) return PyBytes_FromStringAndSize((char *)w->begin, used);
    PyObject *bytes = w->bytes;
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    w->bytes = NULL;
    w->st->expected = used < EXPECTED_MOST ? (size_t)used + (size_t)used / 32 : 0;
    if (size - used <= used / 16) { /* not worth a realloc */
        Py_SET_SIZE(bytes, used);
        PyBytes_AS_STRING(bytes)[used] = 0;
        return bytes;
    }
    if (_PyBytes_Resize(&bytes, used) < 0) return NULL;
    return bytes;
}

static int append_bytes(PyObject *list, const uint8_t *from, size_t size) {
    if (size == 0) return 0;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)from, (Py_ssize_t)size);
    if (bytes == NULL) return -1;
    int done = PyList_Append(list, bytes);
    Py_DECREF(bytes);
    return done;
}

static PyObject *take_segments(Writer *w) {
    PyObject *list = PyList_New(0);
    if (list == NULL) return NULL;
    size_t at = 0, used = (size_t)(w->p - w->begin);
    for (size_t i = 0; i < w->payload_count; i++) {
        Payload *payload = &w->payloads[i];
        if (append_bytes(list, w->begin + at, payload->at - at) < 0 || PyList_Append(list, payload->content) < 0) goto fail;
        at = payload->at;
    }
    if (append_bytes(list, w->begin + at, used - at) < 0) goto fail;
    return list;
fail:
    Py_DECREF(list);
    return NULL;
}

PyObject *write_message(State *st, WriteTables *t, const WriteOptions *options, PyObject *obj, Py_ssize_t item) {
    uint8_t first[4096];
    Writer w = {
        .p = first,
        .begin = first,
        .end = first + sizeof first,
        .st = st,
        .t = t,
        .default_ = options->default_,
        .max_depth = options->max_depth,
        .bincode = options->bincode,
        .threshold = options->threshold,
    };
    if (options->reset_first) *w.p++ = TAG_RESET;
    PyObject *result = NULL;
    if (LIKELY(write_value(&w, obj, 0) == 0)) {
        result = options->threshold ? take_segments(&w) : take_bytes(&w);
    } else if (w.message != NULL) {
        raise_refusal(&w, item);
    }
    for (size_t i = 0; i < w.payload_count; i++) Py_DECREF(w.payloads[i].content);
    PyMem_Free(w.payloads);
    Py_XDECREF(w.bytes);
    Py_XDECREF(w.message);
    Py_XDECREF(w.steps);
    return result;
}
