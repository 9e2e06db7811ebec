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

/* What takes the length of a short str at most is written without a look at the writer: p goes from one to the next in a register.
   NULL for all else, with nothing written.  It takes up to PLAIN_SIZE bytes; the room at p is PLAIN_ROOM. */
enum { PLAIN_SIZE = 2 + 63, PLAIN_ROOM = PLAIN_SIZE + COPY_ROOM };

static inline uint8_t *put_int(uint8_t *p, int64_t n) {
    if ((uint64_t)n <= 63) {
        *p = (uint8_t)(TAG_SMALL_INT + n);
        return p + 1;
    }
    unsigned tag = n < 0 ? TAG_N8 : TAG_U8;
    uint64_t u = (uint64_t)(n ^ (n >> 63)); /* n, or -1 - n */
    memcpy(p + 1, &u, 8);
    unsigned power = (u > 0xFF) + (u > 0xFFFF) + (u > 0xFFFFFFFF);
    *p = (uint8_t)(tag + power);
    return p + 1 + (1u << power);
}

static inline uint8_t *put_float(uint8_t *p, PyObject *v) {
    double d = PyFloat_AS_DOUBLE(v);
    *p = TAG_FLOAT;
    memcpy(p + 1, &d, 8);
    return p + 9;
}

static inline __attribute__((always_inline)) uint8_t *put_plain(uint8_t *p, PyObject *v) {
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyUnicode_Type) {
        size_t n = (size_t)PyUnicode_GET_LENGTH(v);
        if (UNLIKELY(n > 63 || !str_is_ascii(v))) return NULL;
        *p = (uint8_t)(TAG_ASCII + n);
        copy_text(p + 1, (const uint8_t *)((PyASCIIObject *)v + 1), n);
        return p + n + 1;
    }
    if (type == &PyLong_Type) {
        int64_t n;
        return LIKELY(int_small(v, &n) || int_fast(v, &n)) ? put_int(p, n) : NULL;
    }
    if (type == &PyDict_Type) return NULL;
    if (type == &PyFloat_Type) return put_float(p, v);
    if (v == Py_True || v == Py_False) {
        *p = (uint8_t)(TAG_FALSE + (v == Py_True));
        return p + 1;
    }
    if (v == Py_None) {
        *p = TAG_NONE;
        return p + 1;
    }
    return NULL;
}

static inline uint8_t *put_short_varint(uint8_t *p, uint64_t n) {
    unsigned power = (n > 250) + (n > 0xFFFF) + (n > 0xFFFFFFFF);
    *p = (uint8_t)(power ? 250 + power : n);
    memcpy(p + (power > 0), &n, 8);
    return p + (1u << power) + (power > 0);
}

static inline __attribute__((always_inline)) uint8_t *put_bincode_plain(uint8_t *p, PyObject *v) {
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyUnicode_Type) {
        size_t n = (size_t)PyUnicode_GET_LENGTH(v);
        if (UNLIKELY(n > 63 || !str_is_ascii(v))) return NULL;
        *p = TAG_STR;
        p[1] = (uint8_t)n;
        copy_text(p + 2, (const uint8_t *)((PyASCIIObject *)v + 1), n);
        return p + n + 2;
    }
    if (type == &PyLong_Type) {
        int64_t n;
        if (UNLIKELY(!int_small(v, &n) && !int_fast(v, &n))) return NULL;
        *p = TAG_INT;
        return put_short_varint(p + 1, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
    }
    if (type == &PyDict_Type) return NULL;
    if (type == &PyFloat_Type) return put_float(p, v);
    if (v == Py_True || v == Py_False) {
        *p = TAG_BOOL;
        p[1] = v == Py_True;
        return p + 2;
    }
    if (v == Py_None) {
        *p = TAG_NONE;
        return p + 1;
    }
    return NULL;
}

static NOINLINE int write_long(Writer *w, PyObject *v) {
    int overflow;
    int64_t n = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (overflow) return before_python(w) < 0 ? -1 : write_big_int(w, v);
    if (room(w, PLAIN_ROOM) < 0) return -1;
    w->p = put_int(w->p, n);
    return 0;
}

static NOINLINE int refuse_big_int(Writer *w, PyObject *v) {
    if (before_python(w) < 0) return -1;
    PyObject *bits = PyObject_CallMethod(v, "bit_length", NULL);
    if (bits == NULL) return -1;
    refuse(w, "int of %S bits, which the bincode profile cannot say", bits);
    Py_DECREF(bits);
    return -1;
}

static NOINLINE int write_bincode_long(Writer *w, PyObject *v) {
    int overflow;
    int64_t n = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (overflow) return refuse_big_int(w, v);
    if (put_head(w, TAG_INT, (uint64_t)n << 1 ^ (uint64_t)(n >> 63)) < 0) return -1;
    return 0;
}

/* Bytes */

/* What keeps *owner* as it is, which had *size* bytes when its head was written. */
static NOINLINE PyObject *view_of(Writer *w, PyObject *owner, Py_ssize_t size) {
    PyObject *view = before_python(w) < 0 ? NULL : PyMemoryView_FromObject(owner);
    if (view == NULL || PyMemoryView_GET_BUFFER(view)->len == size) return view;
    refuse(w, "%s of %zd bytes that has %zd after encoding", Py_TYPE(owner)->tp_name, size,
           PyMemoryView_GET_BUFFER(view)->len);
    Py_DECREF(view);
    return NULL;
}

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
    PyObject *kept = PyBytes_CheckExact(owner) ? Py_NewRef(owner) : view_of(w, owner, size);
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
