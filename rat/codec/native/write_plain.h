/* The encoder: ints, floats and bytes. */
#ifndef RAT_WRITE_PLAIN_H
#define RAT_WRITE_PLAIN_H

#include "write_room.h"

/* Ints */

static NOINLINE int write_big_int(Writer *w, PyObject *v) {
    PyObject *content = PyObject_CallOneArg(w->st->write_big_int, v);
    if (content == NULL) return -1;
    int done = put_head(w, TAG_BIG_INT, (uint64_t)PyBytes_GET_SIZE(content));
    if (done == 0) done = put_bytes(w, PyBytes_AS_STRING(content), (size_t)PyBytes_GET_SIZE(content));
    Py_DECREF(content);
    return done;
}

static inline int write_int(Writer *w, PyObject *v) {
    int64_t n;
    if (UNLIKELY(!int_fast(v, &n))) {
        int overflow;
        n = PyLong_AsLongLongAndOverflow(v, &overflow);
        if (overflow) return before_python(w) < 0 ? -1 : write_big_int(w, v);
    }
    if (room(w, 16) < 0) return -1;
    uint8_t *p = w->p;
    if ((uint64_t)n <= 63) {
        *p = (uint8_t)(TAG_SMALL_INT + n);
        w->p = p + 1;
        return 0;
    }
    unsigned tag = n < 0 ? TAG_N8 : TAG_U8;
    uint64_t u = (uint64_t)(n ^ (n >> 63)); /* n, or -1 - n */
    memcpy(p + 1, &u, 8);
    unsigned power = (u > 0xFF) + (u > 0xFFFF) + (u > 0xFFFFFFFF);
    *p = (uint8_t)(tag + power);
    w->p = p + 1 + (1u << power);
    return 0;
}

static NOINLINE int refuse_big_int(Writer *w, PyObject *v) {
    PyObject *bits = PyObject_CallMethod(v, "bit_length", NULL);
    if (bits == NULL) return -1;
    refuse(w, "int of %S bits, which the bincode profile cannot say", bits);
    Py_DECREF(bits);
    return -1;
}

static int write_bincode_int(Writer *w, PyObject *v) {
    int64_t n;
    if (UNLIKELY(!int_fast(v, &n))) {
        int overflow;
        n = PyLong_AsLongLongAndOverflow(v, &overflow);
        if (overflow) return refuse_big_int(w, v);
    }
    if (room(w, 16) < 0) return -1;
    *w->p++ = TAG_INT;
    w->p = put_varint(w->p, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
    return 0;
}

static inline int write_float(Writer *w, PyObject *v) {
    if (room(w, 16) < 0) return -1;
    double d = PyFloat_AS_DOUBLE(v);
    *w->p = TAG_FLOAT;
    memcpy(w->p + 1, &d, 8);
    w->p += 9;
    return 0;
}

/* Bytes */

/* Content that follows its head: copied, or kept as a segment of its own.  Steals nothing. */
static int write_payload(Writer *w, PyObject *owner, const void *content, Py_ssize_t size) {
    if (w->threshold == 0 || size < w->threshold || w->in_set) return put_bytes(w, content, (size_t)size);
    if (w->payload_count == w->payload_size) {
        size_t more = w->payload_size ? 2 * w->payload_size : 4;
        Payload *payloads = PyMem_Realloc(w->payloads, more * sizeof(Payload));
        if (payloads == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        w->payloads = payloads;
        w->payload_size = more;
    }
    PyObject *kept = PyBytes_CheckExact(owner) ? Py_NewRef(owner) : PyMemoryView_FromObject(owner);
    if (kept == NULL) return -1;
    w->payloads[w->payload_count++] = (Payload){(size_t)(w->p - w->begin), kept};
    w->external += (size_t)size;
    return 0;
}

static int write_bytes(Writer *w, PyObject *v, unsigned tag) {
    bool is_bytes = PyBytes_CheckExact(v);
    const char *content = is_bytes ? PyBytes_AS_STRING(v) : PyByteArray_AS_STRING(v);
    Py_ssize_t size = is_bytes ? PyBytes_GET_SIZE(v) : PyByteArray_GET_SIZE(v);
    if (put_head(w, tag, (uint64_t)size) < 0) return -1;
    return write_payload(w, v, content, size);
}

#endif
