/* The encoder's state, its refusals and the room it writes to.  Part of writer.c, as all write_*.h. */
#ifndef RAT_WRITE_ROOM_H
#define RAT_WRITE_ROOM_H

#include "codec.h"
#include "internals.h"

/* A dict that is being written.  Before Python code may run, each of them gets a copy of its items: what the code does
   to the dict no longer moves the ground. */
typedef struct Frame {
    struct Frame *up;
    PyObject *dict;
    PyObject *items;
} Frame;

typedef struct {
    size_t at; /* in the written bytes */
    PyObject *content;
} Payload;

typedef struct {
    uint8_t *p, *end, *begin;
    PyObject *bytes; /* owns begin; NULL while the message fits the first buffer, on the stack */
    State *st;
    WriteTables *t;
    PyObject *default_;
    int max_depth;
    bool bincode;
    bool in_set;
    Py_ssize_t threshold;
    Payload *payloads;
    size_t payload_count, payload_size;
    size_t external; /* bytes in payloads */
    Frame *frames;
    PyObject *message; /* a refusal on its way out, without an exception set */
    PyObject *steps;   /* the path to it, from the inside out */

} Writer;

static int write_value(Writer *w, PyObject *v, int depth);
static int write_rest(Writer *w, PyObject *v, int depth);
static int write_bincode_rest(Writer *w, PyObject *v, int depth);

/* Refusals: -1 with message set, or with an exception set. */

static NOINLINE int refuse(Writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    w->message = PyUnicode_FromFormatV(format, args);
    va_end(args);
    return -1;
}

static int before_python(Writer *w);

/* Steals step. */
static NOINLINE int add_step(Writer *w, PyObject *step) {
    if (w->message != NULL) {
        if (w->steps == NULL && before_python(w) == 0) w->steps = PyList_New(0);
        if (step == NULL || w->steps == NULL || PyList_Append(w->steps, step) < 0) Py_CLEAR(w->message);
    }
    Py_XDECREF(step);
    return -1;
}

static NOINLINE int add_index(Writer *w, Py_ssize_t index) {
    return w->message == NULL ? -1 : add_step(w, PyUnicode_FromFormat("[%zd]", index));
}

static NOINLINE int add_key(Writer *w, PyObject *key) {
    if (w->message == NULL) return -1;
    if (before_python(w) < 0) {
        Py_CLEAR(w->message);
        return -1;
    }
    return add_step(w, PyObject_CallOneArg(w->st->key_path, key));
}

/* "... of type NAME ..." */
static NOINLINE int refuse_type(Writer *w, const char *format, PyObject *v) {
    PyObject *name = PyType_GetName(Py_TYPE(v));
    if (name == NULL) return -1;
    refuse(w, format, name);
    Py_DECREF(name);
    return -1;
}

/* A ValueError of a helper is a refusal in its words. */
static NOINLINE int refuse_as_raised(Writer *w) {
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
    PyObject *value = take_exception();
    w->message = value == NULL ? NULL : PyObject_Str(value);
    Py_XDECREF(value);
    return -1;
}

static NOINLINE void raise_refusal(Writer *w, Py_ssize_t item) {
    PyObject *path = item < 0 ? PyUnicode_FromString("$") : PyUnicode_FromFormat("$[%zd]", item);
    if (path != NULL && w->steps != NULL) {
        for (Py_ssize_t i = PyList_GET_SIZE(w->steps) - 1; i >= 0 && path != NULL; i--) {
            PyUnicode_Append(&path, PyList_GET_ITEM(w->steps, i));
        }
    }
    raise_error(w->st, Py_NewRef(w->message), "path", path);
}

/* Room */

/* Messages up to this size let the next one begin with as much room. */
enum { EXPECTED_MOST = 1 << 20 };

static NOINLINE int grow(Writer *w, size_t n) {
    size_t used = (size_t)(w->p - w->begin);
    if (n > (size_t)PY_SSIZE_T_MAX / 4 - used) {
        PyErr_NoMemory();
        return -1;
    }
    size_t have = (size_t)(w->end - w->begin);
    size_t size = used + n + 32;
    if (size < 2 * have) size = have > (8u << 20) ? have + have / 2 + n : 2 * have;
    if (size < 4096) size = 4096;
    if (w->bytes == NULL) {
        if (size < w->st->expected && n < size) size = w->st->expected;
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        if (bytes == NULL) return -1;
        memcpy(PyBytes_AS_STRING(bytes), w->begin, used);
        w->bytes = bytes;
    } else if (_PyBytes_Resize(&w->bytes, (Py_ssize_t)size) < 0) {
        w->begin = w->p = w->end = NULL;
        return -1;
    }
    w->begin = (uint8_t *)PyBytes_AS_STRING(w->bytes);
    w->p = w->begin + used;
    w->end = w->begin + size;
    return 0;
}

static inline int room(Writer *w, size_t n) {
    return LIKELY((size_t)(w->end - w->p) >= n) ? 0 : grow(w, n);
}

static inline int put_byte(Writer *w, unsigned byte) {
    if (UNLIKELY(w->p == w->end) && grow(w, 1) < 0) return -1;
    *w->p++ = (uint8_t)byte;
    return 0;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t n) {
    if (LIKELY(n <= 250)) {
        *p = (uint8_t)n;
        return p + 1;
    }
    if (n <= 0xFFFF) {
        *p = 251;
        memcpy(p + 1, &n, 2);
        return p + 3;
    }
    if (n <= 0xFFFFFFFF) {
        *p = 252;
        memcpy(p + 1, &n, 4);
        return p + 5;
    }
    *p = 253;
    memcpy(p + 1, &n, 8);
    return p + 9;
}

static inline int put_head(Writer *w, unsigned tag, uint64_t count) {
    if (room(w, 10) < 0) return -1;
    *w->p++ = (uint8_t)tag;
    w->p = put_varint(w->p, count);
    return 0;
}

static int put_bytes(Writer *w, const void *from, size_t n) {
    if (room(w, n) < 0) return -1;
    memcpy(w->p, from, n);
    w->p += n;
    return 0;
}

/* Containers */

static inline int open_container(Writer *w, int depth, const char *kind, bool hashable) {
    if (UNLIKELY(depth >= w->max_depth)) return refuse(w, "deeper than %d levels", w->max_depth);
    if (UNLIKELY(w->in_set) && !hashable) return refuse(w, "%s inside a set", kind);
    return 0;
}

/* Python code is about to run: dicts that are being written could change under it.  Until all are copied none does, though
   CPython 3.11 would collect garbage where it allocates: an outer dict could let go of an inner one. */
static NOINLINE int snapshot_frames(Writer *w) {
#if PY_VERSION_HEX < 0x030C0000
    int collects = PyGC_Disable();
#endif
    int done = 0;
    for (Frame *frame = w->frames; done == 0 && frame != NULL && frame->items == NULL; frame = frame->up)
        if ((frame->items = PyDict_Items(frame->dict)) == NULL) done = -1;
#if PY_VERSION_HEX < 0x030C0000
    if (collects) PyGC_Enable();
#endif
    return done;
}

static void own_keys(WriteTables *t) {
    t->owns_all = true;
    while (t->owned < t->key_count) Py_INCREF(t->keys[t->owned++]);
}

/* To be called before anything that may run Python code: on 3.11 that is also the making of an object that is collected. */
static int before_python(Writer *w) {
    if (!w->t->owns_all) own_keys(w->t);
    return w->frames == NULL ? 0 : snapshot_frames(w);
}

/* How many items ahead of the one that is written memory is asked for; and from how many bytes on that pays for dicts: what
   a shorter message is made of is in the cache, mostly. */
enum { AHEAD = 12, FAR = 16384 };

#endif
