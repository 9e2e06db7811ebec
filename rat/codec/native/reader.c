/* The decoder: bytes to one value.  Every count and length is held against the bytes that are there before anything is made. */
#include "read_keyed.h"
#include "read_lists.h"
#include "read_plain.h"

/* What Python reads: the datetime family, UUID, Decimal, typed arrays */
static NOINLINE PyObject *read_scalar(Reader *r, const uint8_t *start, unsigned tag) {
    PyObject *view = data_view(r);
    if (view == NULL) return NULL;
    PyObject *answer = PyObject_CallFunction(r->st->read_scalar, "OniOO", view, (Py_ssize_t)(r->p - r->begin), (int)tag,
                                             r->zero_copy ? Py_True : Py_False, r->in_set ? Py_True : Py_False);
    if (answer == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(r->st->codec_error)) return NULL;
        return malformed_as_said(r, start);
    }
    PyObject *value = NULL;
    Py_ssize_t at = PyLong_AsSsize_t(PyTuple_GET_ITEM(answer, 1));
    if (at >= 0) {
        r->p = r->begin + at;
        value = Py_NewRef(PyTuple_GET_ITEM(answer, 0));
    }
    Py_DECREF(answer);
    return value;
}

/* Tags 0-7 in their bincode meaning */
static PyObject *read_bincode(Reader *r, uint64_t tag, const uint8_t *start, int depth) {
    uint64_t number;
    switch (tag) {
        case TAG_NONE: return Py_NewRef(Py_None);
        case TAG_BOOL:
            if (!take(r, start, 1)) return NULL;
            if (*r->p > 1) return malformed(r, start, "bool of %d", *r->p);
            return PyBool_FromLong(*r->p++);
        case TAG_INT:
            if (!read_varint(r, start, &number)) return NULL;
            return new_int(r->st, (int64_t)(number >> 1) ^ -(int64_t)(number & 1));
        case TAG_FLOAT: return read_float(r, start);
        case TAG_STR: {
            if (!read_varint(r, start, &number) || !take(r, start, number)) return NULL;
            const uint8_t *c = r->p;
            r->p += number;
            return new_text(r, start, c, (size_t)number);
        }
        case TAG_BYTES: return read_bytes(r, start);
        case TAG_LIST:
            if (!read_count(r, start, 1, &number)) return NULL;
            return read_items(r, start, number, depth, "list", false);
        case TAG_DICT: return read_plain_dict(r, start, depth);
        default:
            return malformed(r, start, "tag %llu, where a bincode tag of 0 to 7 must stand", (unsigned long long)tag);
    }
}

static NOINLINE PyObject *read_varint_tag(Reader *r, const uint8_t *start, int depth) {
    uint64_t tag;
    r->p = start;
    if (!read_varint(r, start, &tag)) return NULL;
    return read_bincode(r, tag, start, depth);
}

static PyObject *read_extension(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    switch (tag) {
        case TAG_FALSE: return Py_NewRef(Py_False);
        case TAG_TRUE: return Py_NewRef(Py_True);
        case TAG_BIG_INT: return read_big_int(r, start);
        case TAG_BYTEARRAY: return read_bytearray(r, start);
        case TAG_TUPLE: return read_tuple(r, start, depth);
        case TAG_SET:
        case TAG_FROZENSET: return read_set(r, start, tag, depth);
        case TAG_INDEXED_LIST: return read_indexed(r, start, depth);
        case TAG_OPEN_LIST: return read_open_list(r, start, depth);
        case TAG_OPEN_DICT: return read_open_dict(r, start, depth);
        case TAG_OPEN_BYTES: return read_open_bytes(r, start);
        case TAG_WIDE_DICT: {
            if (!open_container(r, start, depth, "dict", false)) return NULL;
            if (!take(r, start, 1)) return NULL;
            unsigned count = *r->p++;
            if (count < 1 || count > MAX_SHAPE_KEYS)
                return malformed(r, start, "dict of %u keys, where 1 to %d can stand", count, MAX_SHAPE_KEYS);
            return read_keyed(r, start, (Py_ssize_t)count, depth);
        }
    }
    if (tag >= TAG_U8 && tag <= TAG_N64) return read_int(r, start, tag);
    if (tag >= TAG_F64_LIST && tag <= TAG_ASCII_LIST) return read_packed(r, start, tag, depth);
    if (tag >= TAG_DATE && tag <= TAG_ARRAY) return read_scalar(r, start, tag);
    return malformed(r, start, "tag %u, which begins no value", tag);
}

static PyObject *read_value(Reader *r, int depth) {
    const uint8_t *start = r->p;
    if (UNLIKELY(start >= r->end)) return malformed(r, start, "the input ends where a value must stand");
    unsigned tag = *start;
    if (UNLIKELY(tag >= 251)) return read_varint_tag(r, start, depth);
    r->p = start + 1;
    if (r->bincode) return read_bincode(r, tag, start, depth);
    if (tag >= TAG_ASCII) {
        if (tag < TAG_SMALL_INT) return read_short(r, start, tag - TAG_ASCII);
        if (tag < TAG_SMALL_LIST) return Py_NewRef(r->st->small_ints[tag - TAG_SMALL_INT]);
        if (tag < TAG_SMALL_DICT) return read_items(r, start, tag - TAG_SMALL_LIST, depth, "list", false);
        if (tag <= TAG_SMALL_DICT_LAST) return read_keyed(r, start, (Py_ssize_t)(tag - TAG_SMALL_DICT), depth);
        return malformed(r, start, "tag %u, which begins no value", tag);
    }
    if (tag >= TAG_SHAPED_DICT) return read_shaped(r, start, tag, depth);
    if (tag <= TAG_DICT) return read_bincode(r, tag, start, depth);
    return read_extension(r, start, tag, depth);
}

/* Tables */

ReadTables *read_tables_new(void) {
    ReadTables *t = PyMem_Calloc(1, sizeof(ReadTables));
    if (t == NULL) PyErr_NoMemory();
    return t;
}

size_t read_tables_size(const ReadTables *t) {
    return sizeof(ReadTables) + ((size_t)t->key_room + t->arena_size) * sizeof(PyObject *) +
           (size_t)t->shape_room * sizeof(ReadShape);
}

void read_tables_clear(ReadTables *t) {
    int keys = t->key_count, shapes = t->shape_count;
    t->key_count = t->shape_count = 0;
    t->arena_used = 0;
    for (int i = 0; i < shapes; i++) Py_CLEAR(t->shapes[i].template);
    for (int i = 0; i < keys; i++) Py_DECREF(t->keys[i]);
}

void read_tables_free(ReadTables *t) {
    if (t == NULL) return;
    read_tables_clear(t);
    PyMem_Free(t->arena);
    PyMem_Free(t->keys);
    PyMem_Free(t->shapes);
    PyMem_Free(t);
}

/* Messages */

static NOINLINE PyObject *bytes_left(Reader *r) {
    return malformed(r, r->p, "%zd bytes after the value", (Py_ssize_t)(r->end - r->p));
}

PyObject *read_message(State *st, ReadTables *t, const ReadOptions *options, PyObject *data, bool is_lost) {
    Py_buffer buffer;
    bool is_bytes = PyBytes_CheckExact(data);
    Reader r = {
        .st = st,
        .t = t,
        .data = data,
        .items_left = options->max_items,
        .max_depth = options->max_depth,
        .bincode = options->bincode,
        .zero_copy = options->zero_copy,
    };
    if (LIKELY(is_bytes)) {
        r.begin = (const uint8_t *)PyBytes_AS_STRING(data);
        r.end = r.begin + PyBytes_GET_SIZE(data);
    } else {
        if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0) {
            /* the reference's words for what is no buffer, or no contiguous one */
            PyErr_Clear();
            PyObject *view = PyObject_CallOneArg(st->byte_view, data);
            if (view == NULL) return NULL;
            Py_DECREF(view);
            if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0) return NULL;
        }
        r.begin = buffer.buf;
        r.end = r.begin + buffer.len;
    }
    r.p = r.begin;
    PyObject *value = NULL;
    bool begins_anew = r.p < r.end && *r.p == TAG_RESET && !r.bincode;
    if (is_lost && !begins_anew) {
        malformed(&r, r.p, "message after a refused one, without a reset");
    } else {
        if (begins_anew) {
            read_tables_clear(t);
            r.p++;
        }
        value = read_value(&r, 0);
        if (value != NULL && UNLIKELY(r.p != r.end)) {
            Py_DECREF(value);
            value = bytes_left(&r);
        }
    }
    Py_XDECREF(r.view);
    if (!is_bytes) PyBuffer_Release(&buffer);
    return value;
}

PyObject *read_at(State *st, PyObject *data, const Py_buffer *buffer, Py_ssize_t at, bool zero_copy) {
    const uint8_t *begin = buffer->buf;
    ReadTables none = {0};
    Reader r = {
        .p = begin + at,
        .end = begin + buffer->len,
        .begin = begin,
        .st = st,
        .t = &none,
        .data = data,
        .items_left = UNLIMITED,
        .max_depth = 64,
        .zero_copy = zero_copy,
    };
    PyObject *value = read_value(&r, 0);
    Py_XDECREF(r.view);
    read_tables_clear(&none);
    PyMem_Free(none.arena);
    PyMem_Free(none.keys);
    PyMem_Free(none.shapes);
    return value;
}
