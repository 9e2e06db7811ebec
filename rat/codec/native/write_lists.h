/* The encoder: lists, packed or with an index, tuples and sets. */
#ifndef RAT_WRITE_LISTS_H
#define RAT_WRITE_LISTS_H

#include "write_dicts.h"
#include "write_plain.h"
#include "write_text.h"

static inline __attribute__((always_inline)) int write_each(Writer *w, PyObject *list, Py_ssize_t count, int depth,
                                                           bool bincode) {
    uint8_t *p = w->p;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (UNLIKELY(i >= PyList_GET_SIZE(list))) break;
        PyObject *item = PyList_GET_ITEM(list, i);
        if (UNLIKELY(w->end - p < PLAIN_ROOM)) {
            w->p = p;
            if (grow(w, PLAIN_ROOM) < 0) return -1;
            p = w->p;
        }
        uint8_t *after = bincode ? put_bincode_plain(p, item) : put_plain(p, item);
        if (LIKELY(after != NULL)) {
            p = after;
            continue;
        }
        w->p = p;
        Py_INCREF(item);
        int done = bincode ? write_bincode_rest(w, item, depth) : write_rest(w, item, depth);
        Py_DECREF(item);
        if (UNLIKELY(done < 0)) return add_index(w, i);
        p = w->p;
    }
    w->p = p;
    if (UNLIKELY(PyList_GET_SIZE(list) != count))
        return refuse(w, "list of %zd items that has %zd after encoding", count, PyList_GET_SIZE(list));
    return 0;
}

static int write_items(Writer *w, PyObject *list, Py_ssize_t count, int depth) {
    return write_each(w, list, count, depth, false);
}

/* Section 6.  The index is kept aside until the items are written. */
static int write_indexed(Writer *w, PyObject *list, Py_ssize_t count, int depth) {
    WriteTables *t = w->t;
    size_t blocks = ((size_t)count + INDEX_STEP - 1) / INDEX_STEP;
    if (put_head(w, TAG_INDEXED_LIST, (uint64_t)count) < 0 || room(w, 4) < 0) return -1;
    size_t place = (size_t)(w->p - w->begin);
    w->p += 4;
    size_t start = place + 4 + w->external;
    uint32_t *index = PyMem_Malloc(blocks * 4);
    if (index == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int known = t->key_count + t->shape_count;
    Py_ssize_t i = 0;
    for (size_t block = 0; block < blocks; block++) {
        Py_ssize_t end = count - i > INDEX_STEP ? i + INDEX_STEP : count;
        for (; i < end; i++) {
            if (UNLIKELY(i >= PyList_GET_SIZE(list))) goto changed;
            PyObject **items = ((PyListObject *)list)->ob_item, *item = items[i];
            bool is_ahead = i + AHEAD < count && i + AHEAD < PyList_GET_SIZE(list);
            if (LIKELY(is_ahead)) PREFETCH(items[i + AHEAD]);
            int done = room(w, PLAIN_ROOM);
            if (Py_TYPE(item) == &PyUnicode_Type) {
                size_t n = (size_t)PyUnicode_GET_LENGTH(item);
                if (LIKELY(n <= 63 && done == 0 && str_is_ascii(item))) {
                    *w->p = (uint8_t)(TAG_ASCII + n);
                    copy_word(w->p + 1, (const uint8_t *)((PyASCIIObject *)item + 1), n);
                    w->p += n + 1;
                    continue;
                }
                if (done == 0) done = write_long_str(w, item);
            } else if (LIKELY(done == 0)) {
                if (is_ahead) prefetch_container(items[i + AHEAD / 2]);
                Py_INCREF(item);
                done = LIKELY(Py_TYPE(item) == &PyDict_Type) ? write_dict(w, item, depth) : write_value(w, item, depth);
                Py_DECREF(item);
            }
            if (UNLIKELY(done < 0)) {
                PyMem_Free(index);
                return add_index(w, i);
            }
        }
        int before = known;
        known = t->key_count + t->shape_count;
        index[block] = (uint32_t)((size_t)(w->p - w->begin) + w->external - start) | (known != before ? ADDS_TO_TABLES : 0);
    }
    if (UNLIKELY(PyList_GET_SIZE(list) != count)) goto changed;
    size_t size = (size_t)(w->p - w->begin) + w->external - start;
    uint32_t length = size >= INDEXED_SIZE ? ENDLESS : (uint32_t)size;
    memcpy(w->begin + place, &length, 4);
    int done = length == ENDLESS ? 0 : put_bytes(w, index, blocks * 4);
    PyMem_Free(index);
    return done;
changed:
    PyMem_Free(index);
    return refuse(w, "list of %zd items that has %zd after encoding", count, PyList_GET_SIZE(list));
}

/* The packed lists: 1 written, 0 not of that kind (and nothing written), -1 failed. */

static int write_floats(Writer *w, PyObject **items, Py_ssize_t count) {
    if (room(w, 10 + 8 * (size_t)count) < 0) return -1;
    uint8_t *begin = w->p;
    *begin = TAG_F64_LIST;
    uint8_t *p = put_varint(begin + 1, (uint64_t)count);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < count) PREFETCH(items[i + AHEAD]);
        if (UNLIKELY(Py_TYPE(items[i]) != &PyFloat_Type)) return 0;
        double d = PyFloat_AS_DOUBLE(items[i]);
        memcpy(p, &d, 8);
        p += 8;
    }
    w->p = p;
    return 1;
}

/* Written as i64, narrowed afterwards where all fit: one look at each object. */
static int write_ints(Writer *w, PyObject **items, Py_ssize_t count) {
    if (room(w, 10 + 8 * (size_t)count) < 0) return -1;
    uint8_t *content = put_varint(w->p + 1, (uint64_t)count);
    uint8_t *p = content;
    uint64_t all = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < count) PREFETCH(items[i + AHEAD]);
        if (UNLIKELY(Py_TYPE(items[i]) != &PyLong_Type)) return 0;
        int64_t n;
        if (UNLIKELY(!int_fast(items[i], &n))) {
            int overflow;
            n = PyLong_AsLongLongAndOverflow(items[i], &overflow);
            if (overflow) return 0;
        }
        all |= (uint64_t)(n ^ (n >> 63));
        memcpy(p, &n, 8);
        p += 8;
    }
    unsigned power = (all > 0x7F) + (all > 0x7FFF) + (all > 0x7FFFFFFF);
    *w->p = (uint8_t)(TAG_I8_LIST + power);
    /* forward in place: an element is never written past the place it was read from */
    if (power == 0) {
        for (Py_ssize_t i = 0; i < count; i++) content[i] = content[8 * i];
    } else if (power == 1) {
        for (Py_ssize_t i = 0; i < count; i++) {
            uint16_t n;
            memcpy(&n, content + 8 * i, 2);
            memcpy(content + 2 * i, &n, 2);
        }
    } else if (power == 2) {
        for (Py_ssize_t i = 0; i < count; i++) {
            uint32_t n;
            memcpy(&n, content + 8 * i, 4);
            memcpy(content + 4 * i, &n, 4);
        }
    }
    w->p = content + ((size_t)count << power);
    return 1;
}

/* The characters follow the lengths in one pass: where the lengths end is known from the count. */
static int write_words(Writer *w, PyObject **items, Py_ssize_t count) {
    if (room(w, 10 + (size_t)count + 255 + COPY_ROOM) < 0) return -1;
    size_t start = (size_t)(w->p - w->begin);
    *w->p = TAG_ASCII_LIST;
    uint8_t *lengths = put_varint(w->p + 1, (uint64_t)count);
    uint8_t *p = lengths + count, *last = w->end - 255 - COPY_ROOM;
    Py_ssize_t ahead = count > AHEAD ? AHEAD : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *s = items[i];
        if (UNLIKELY(i + ahead >= count)) ahead = 0;
        PREFETCH(items[i + ahead]);
        if (UNLIKELY(Py_TYPE(s) != &PyUnicode_Type || !str_is_ascii(s))) goto other;
        size_t n = (size_t)PyUnicode_GET_LENGTH(s);
        if (UNLIKELY(n > 255)) goto other;
        if (UNLIKELY(p > last)) {
            size_t place = (size_t)(lengths - w->begin);
            w->p = p; /* written: growing keeps it */
            if (grow(w, 255 + COPY_ROOM + 8 * (size_t)(count - i)) < 0) return -1;
            p = w->p;
            last = w->end - 255 - COPY_ROOM;
            lengths = w->begin + place;
        }
        lengths[i] = (uint8_t)n;
        copy_word(p, (const uint8_t *)((PyASCIIObject *)s + 1), n);
        p += n;
    }
    w->p = p;
    return 1;
other:
    w->p = w->begin + start;
    return 0;
}

static NOINLINE int write_list(Writer *w, PyObject *list, int depth) {
    if (open_container(w, depth, "list", false) < 0) return -1;
    Py_ssize_t count = PyList_GET_SIZE(list);
    if (count >= PACK_FROM) {
        PyObject **items = ((PyListObject *)list)->ob_item;
        PyTypeObject *first = Py_TYPE(items[0]);
        /* the last one is asked beforehand: most lists that are mixed show it there */
        if (Py_TYPE(items[count - 1]) == first) {
            int done = first == &PyUnicode_Type ? write_words(w, items, count)
                       : first == &PyFloat_Type ? write_floats(w, items, count)
                       : first == &PyLong_Type  ? write_ints(w, items, count)
                                                : 0;
            if (done != 0) return done < 0 ? -1 : 0;
        }
    }
    if (count > 31) return write_indexed(w, list, count, depth + 1);
    if (put_byte(w, TAG_SMALL_LIST + (unsigned)count) < 0) return -1;
    return write_items(w, list, count, depth + 1);
}

static int write_bincode_list(Writer *w, PyObject *list, int depth) {
    if (open_container(w, depth, "list", false) < 0) return -1;
    Py_ssize_t count = PyList_GET_SIZE(list);
    if (put_head(w, TAG_LIST, (uint64_t)count) < 0) return -1;
    return write_each(w, list, count, depth + 1, true);
}

static int write_tuple(Writer *w, PyObject *tuple, int depth) {
    if (open_container(w, depth, "tuple", true) < 0) return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (put_head(w, TAG_TUPLE, (uint64_t)count) < 0) return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (write_value(w, PyTuple_GET_ITEM(tuple, i), depth + 1) < 0) return add_index(w, i);
    }
    return 0;
}

typedef struct {
    const uint8_t *content;
    size_t size;
} Piece;

static int compare_pieces(const void *one, const void *other) {
    const Piece *a = one, *b = other;
    int order = memcmp(a->content, b->content, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* The items go to the end of the buffer first; sorted, they take the place where they stood. */
static int write_set(Writer *w, PyObject *set, int depth, unsigned tag) {
    if (open_container(w, depth, tag == TAG_SET ? "set" : "frozenset", tag == TAG_FROZENSET) < 0) return -1;
    if (before_python(w) < 0) return -1;
    PyObject *items = PySequence_List(set);
    if (items == NULL) return -1;
    size_t count = (size_t)PyList_GET_SIZE(items);
    Piece *pieces = PyMem_Malloc((count + 1) * sizeof(Piece));
    uint8_t *copy = NULL;
    int done = -1;
    bool was_in_set = w->in_set;
    if (pieces == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    if (put_head(w, tag, count) < 0) goto end;
    size_t start = (size_t)(w->p - w->begin), before = start;
    w->in_set = true;
    for (size_t i = 0; i < count; i++) {
        if (write_value(w, PyList_GET_ITEM(items, (Py_ssize_t)i), depth + 1) < 0) {
            if (w->message != NULL) add_step(w, PyUnicode_FromString("[*]"));
            goto end;
        }
        size_t now = (size_t)(w->p - w->begin);
        pieces[i].size = now - before;
        before = now;
    }
    if (count > 1) {
        copy = PyMem_Malloc(before - start);
        if (copy == NULL) {
            PyErr_NoMemory();
            goto end;
        }
        memcpy(copy, w->begin + start, before - start);
        const uint8_t *from = copy;
        for (size_t i = 0; i < count; i++) {
            pieces[i].content = from;
            from += pieces[i].size;
        }
        qsort(pieces, count, sizeof(Piece), compare_pieces);
        uint8_t *to = w->begin + start;
        for (size_t i = 0; i < count; i++) {
            memcpy(to, pieces[i].content, pieces[i].size);
            to += pieces[i].size;
        }
    }
    done = 0;
end:
    w->in_set = was_in_set;
    PyMem_Free(copy);
    PyMem_Free(pieces);
    Py_DECREF(items);
    return done;
}

#endif
