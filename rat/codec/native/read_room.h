/* The decoder's state, its refusals, and counts held against what is there.  Part of reader.c, as all read_*.h. */
#ifndef RAT_READ_ROOM_H
#define RAT_READ_ROOM_H

#include "codec.h"
#include "internals.h"

typedef struct {
    const uint8_t *p, *end, *begin;
    State *st;
    ReadTables *t;
    PyObject *data;  /* what the caller gave */
    PyObject *view;  /* a memoryview of its bytes, made when first asked for */
    Py_ssize_t items_left; /* or UNLIMITED */
    size_t owed;     /* items of lists around this value that are still to come */
    int max_depth;
    bool bincode, zero_copy, in_set;
} Reader;

static PyObject *read_value(Reader *r, int depth);
static PyObject *read_bincode(Reader *r, uint64_t tag, const uint8_t *start, int depth);

static PyObject *raise_refusal(State *st, Py_ssize_t offset, const char *format, va_list args) {
    PyObject *message = PyUnicode_FromFormatV(format, args);
    raise_error(st, message, "offset", message == NULL ? NULL : PyLong_FromSsize_t(offset));
    return NULL;
}

/* A CodecError with the offset of place. */
static NOINLINE PyObject *malformed(Reader *r, const uint8_t *place, const char *format, ...) {
    va_list args;
    va_start(args, format);
    raise_refusal(r->st, (Py_ssize_t)(place - r->begin), format, args);
    va_end(args);
    return NULL;
}

/* The exception that is set, as a CodecError at *place* with the same text. */
static NOINLINE PyObject *malformed_as_said(Reader *r, const uint8_t *place) {
    PyObject *value = take_exception();
    if (value != NULL) malformed(r, place, "%S", value);
    Py_XDECREF(value);
    return NULL;
}

PyObject *raise_codec_error(State *st, Py_ssize_t offset, const char *format, ...) {
    va_list args;
    va_start(args, format);
    raise_refusal(st, offset, format, args);
    va_end(args);
    return NULL;
}

static NOINLINE void *lacking(Reader *r, const uint8_t *place, uint64_t size) {
    return malformed(r, place, "%llu bytes claimed, %zd left", (unsigned long long)size,
                     (Py_ssize_t)(r->end - r->p));
}

static inline size_t left(const Reader *r) { return (size_t)(r->end - r->p); }

static inline bool take(Reader *r, const uint8_t *place, uint64_t size) {
    if (LIKELY(size <= left(r))) return true;
    lacking(r, place, size);
    return false;
}

static NOINLINE bool read_wide_varint(Reader *r, const uint8_t *place, uint8_t first, uint64_t *number) {
    if (first >= 254) {
        malformed(r, place, "varint that begins with %d", first);
        return false;
    }
    size_t size = (size_t)2 << (first - 251);
    if (!take(r, place, size)) return false;
    *number = 0;
    memcpy(number, r->p, size);
    r->p += size;
    return true;
}

static inline bool read_varint(Reader *r, const uint8_t *place, uint64_t *number) {
    if (!take(r, place, 1)) return false;
    uint8_t first = *r->p++;
    if (LIKELY(first <= 250)) {
        *number = first;
        return true;
    }
    return read_wide_varint(r, place, first, number);
}

static NOINLINE void *too_many(Reader *r, const uint8_t *start, uint64_t count, const char *what) {
    return malformed(r, start, "%llu %s claimed, %zd bytes left", (unsigned long long)count, what,
                     (Py_ssize_t)(r->end - r->p));
}

static inline bool read_count(Reader *r, const uint8_t *start, size_t size, uint64_t *count) {
    if (!read_varint(r, start, count)) return false;
    if (LIKELY(*count <= left(r) / size)) return true;
    too_many(r, start, *count, "items");
    return false;
}

static inline bool spend(Reader *r, const uint8_t *start, uint64_t count) {
    if (LIKELY(r->items_left == UNLIMITED)) return true;
    if ((Py_ssize_t)count > r->items_left) { /* count is at most the size of the input */
        malformed(r, start, "more items than max_items allows");
        return false;
    }
    r->items_left -= (Py_ssize_t)count;
    return true;
}

static inline bool open_container(Reader *r, const uint8_t *start, int depth, const char *kind, bool hashable) {
    if (UNLIKELY(depth >= r->max_depth)) {
        malformed(r, start, "deeper than %d levels", r->max_depth);
        return false;
    }
    if (UNLIKELY(r->in_set) && !hashable) {
        malformed(r, start, "%s inside a set", kind);
        return false;
    }
    return true;
}

static bool is_closed(Reader *r) {
    if (r->p == r->end || *r->p != TAG_CLOSE) return false;
    r->p++;
    return true;
}

#endif
