/* The decoder: numbers and bytes. */
#ifndef RAT_READ_PLAIN_H
#define RAT_READ_PLAIN_H

#include "read_room.h"

/* Numbers */

static inline PyObject *new_int(State *st, int64_t n) {
    if ((uint64_t)n < SMALL_INTS) return Py_NewRef(st->small_ints[n]);
    return PyLong_FromLongLong(n);
}

static PyObject *read_int(Reader *r, const uint8_t *start, unsigned tag) {
    unsigned power = (tag - TAG_U8) & 3;
    if (!take(r, start, (uint64_t)1 << power)) return NULL;
    uint64_t u = 0;
    switch (power) {
        case 0: u = *r->p; break;
        case 1: memcpy(&u, r->p, 2); break;
        case 2: memcpy(&u, r->p, 4); break;
        default: memcpy(&u, r->p, 8);
    }
    r->p += (size_t)1 << power;
    if (UNLIKELY(u >> 63)) return malformed(r, start, "int of 64 bits under tag %u", tag);
    return new_int(r->st, tag <= TAG_U64 ? (int64_t)u : -1 - (int64_t)u);
}

static PyObject *read_float(Reader *r, const uint8_t *start) {
    if (!take(r, start, 8)) return NULL;
    double d;
    memcpy(&d, r->p, 8);
    r->p += 8;
    return PyFloat_FromDouble(d);
}

static PyObject *read_big_int(Reader *r, const uint8_t *start) {
    uint64_t size;
    if (!read_varint(r, start, &size)) return NULL;
    if (size == 0) return malformed(r, start, "int of 0 bytes");
    if (!take(r, start, size)) return NULL;
    PyObject *content = PyBytes_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    if (content == NULL) return NULL;
    r->p += size;
    PyObject *value = PyObject_CallOneArg(r->st->read_big_int, content);
    Py_DECREF(content);
    return value;
}

/* Bytes */

static PyObject *data_view(Reader *r) {
    if (r->view == NULL)
        r->view = PyBytes_CheckExact(r->data) || is_row_of_bytes(r->data)
                      ? PyMemoryView_FromObject(r->data)
                      : PyObject_CallOneArg(r->st->byte_view, r->data);
    return r->view;
}

static NOINLINE PyObject *slice_data(Reader *r, size_t size) {
    PyObject *view = data_view(r);
    if (view == NULL) return NULL;
    Py_ssize_t at = r->p - r->begin;
    PyObject *part = PySequence_GetSlice(view, at, at + (Py_ssize_t)size);
    if (part == NULL || PyMemoryView_GET_BUFFER(part)->readonly) return part;
    PyObject *readonly = PyObject_CallMethod(part, "toreadonly", NULL);
    Py_DECREF(part);
    return readonly;
}

static PyObject *read_bytes(Reader *r, const uint8_t *start) {
    uint64_t size;
    if (!read_varint(r, start, &size) || !take(r, start, size)) return NULL;
    PyObject *value = r->zero_copy && size >= VIEW_FROM
                          ? slice_data(r, (size_t)size)
                          : PyBytes_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    r->p += size;
    return value;
}

static PyObject *read_bytearray(Reader *r, const uint8_t *start) {
    if (r->in_set) return malformed(r, start, "bytearray inside a set");
    uint64_t size;
    if (!read_varint(r, start, &size) || !take(r, start, size)) return NULL;
    PyObject *value = PyByteArray_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    r->p += size;
    return value;
}

static PyObject *read_open_bytes(Reader *r, const uint8_t *start) {
    const uint8_t *content = r->p;
    uint64_t size;
    size_t total = 0;
    for (;;) { /* once to judge, once to copy */
        if (!read_varint(r, start, &size)) return NULL;
        if (size == 0) break;
        if (!take(r, start, size)) return NULL;
        r->p += size;
        total += (size_t)size;
    }
    PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (value == NULL) return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(value);
    r->p = content;
    for (;;) {
        if (!read_varint(r, start, &size)) break; /* judged above: does not fail */
        if (size == 0) break;
        memcpy(to, r->p, (size_t)size);
        to += size;
        r->p += size;
    }
    return value;
}

#endif
