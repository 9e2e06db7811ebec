/* The decoder: lists, packed, open or with an index, tuples and sets. */
#ifndef RAT_READ_LISTS_H
#define RAT_READ_LISTS_H

#include "read_plain.h"
#include "read_text.h"

/* Room for count items is made at once unless lists around this one claim so much that the input cannot hold all: such a
   message is refused in the end, and must not cost memory until then. */
static inline PyObject *new_list(Reader *r, uint64_t count) {
    return PyList_New(count > 64 && count + r->owed > left(r) ? 0 : (Py_ssize_t)count);
}

static inline int put_item(PyObject *list, Py_ssize_t i, PyObject *item) {
    if (LIKELY(i < PyList_GET_SIZE(list) && PyList_GET_ITEM(list, i) == NULL)) {
        PyList_SET_ITEM(list, i, item);
        return 0;
    }
    int done = PyList_Append(list, item);
    Py_DECREF(item);
    return done;
}

static PyObject *read_items(Reader *r, const uint8_t *start, uint64_t count, int depth, const char *kind, bool hashable) {
    if (!open_container(r, start, depth, kind, hashable)) return NULL;
    if (UNLIKELY(count > left(r))) return too_many(r, start, count, "items");
    if (!spend(r, start, count)) return NULL;
    PyObject *list = new_list(r, count);
    if (UNLIKELY(list == NULL)) return NULL;
    size_t owed = r->owed;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count; i++) {
        r->owed = owed + (size_t)count - (size_t)i - 1;
        PyObject *item = read_value(r, depth + 1);
        if (UNLIKELY(item == NULL) || UNLIKELY(put_item(list, i, item) < 0)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    r->owed = owed;
    return list;
}

static PyObject *read_indexed(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "list", false)) return NULL;
    uint64_t count;
    if (!read_count(r, start, 1, &count) || !take(r, start, 4)) return NULL;
    uint32_t size;
    memcpy(&size, r->p, 4);
    r->p += 4;
    const uint8_t *items = r->p;
    uint64_t blocks = size == ENDLESS ? 0 : (count + INDEX_STEP - 1) / INDEX_STEP;
    uint64_t body = size == ENDLESS || size < count ? count : size;
    if (body + 4 * blocks > left(r))
        return malformed(r, start, "list of %llu bytes with %llu entries of index, %zd bytes left", (unsigned long long)size,
                         (unsigned long long)blocks, (Py_ssize_t)left(r));
    if (!spend(r, start, count)) return NULL;
    PyObject *list = new_list(r, count);
    if (UNLIKELY(list == NULL)) return NULL;
    ReadTables *t = r->t;
    const uint8_t *entry = items + size;
    size_t owed = r->owed;
    uint64_t wrong = 0;
    int known = t->key_count + t->shape_count;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count;) {
        r->owed = owed + (size_t)count - (size_t)i - 1;
        PyObject *item = read_value(r, depth + 1);
        if (UNLIKELY(item == NULL) || UNLIKELY(put_item(list, i, item) < 0)) goto fail;
        i++;
        if ((i % INDEX_STEP == 0 || i == (Py_ssize_t)count) && size != ENDLESS) {
            int before = known;
            known = t->key_count + t->shape_count;
            uint32_t claimed;
            memcpy(&claimed, entry, 4);
            entry += 4;
            wrong |= claimed ^ ((uint64_t)(r->p - items) | (known != before ? ADDS_TO_TABLES : 0));
        }
    }
    r->owed = owed;
    if (size != ENDLESS) {
        if (UNLIKELY((uint64_t)(r->p - items) != size)) {
            malformed(r, start, "list of %zd bytes that claims %llu", (Py_ssize_t)(r->p - items), (unsigned long long)size);
            goto fail;
        }
        if (UNLIKELY(wrong)) {
            malformed(r, start, "list with an index that does not fit it");
            goto fail;
        }
        r->p = entry;
    }
    return list;
fail:
    Py_DECREF(list);
    return NULL;
}

static PyObject *read_words(Reader *r, const uint8_t *start) {
    uint64_t count;
    if (!read_count(r, start, 1, &count) || !spend(r, start, count)) return NULL;
    const uint8_t *lengths = r->p;
    r->p += count;
    uint64_t total = 0;
    for (uint64_t i = 0; i < count; i++) total += lengths[i];
    if (!take(r, start, total)) return NULL;
    if (!is_ascii(r->p, (size_t)total)) return not_ascii(r, start, r->p);
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL) return NULL;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count; i++) {
        size_t n = lengths[i];
        PyObject *s = n == 1 ? PyUnicode_FromOrdinal(*r->p) : new_ascii(r, r->p, n);
        if (UNLIKELY(s == NULL)) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, s);
        r->p += n;
    }
    return list;
}

static PyObject *read_packed(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    if (!open_container(r, start, depth, "list", false)) return NULL;
    if (tag == TAG_ASCII_LIST) return read_words(r, start);
    size_t size = tag == TAG_F64_LIST ? 8 : (size_t)1 << (tag - TAG_I8_LIST);
    uint64_t count;
    if (!read_count(r, start, size, &count) || !spend(r, start, count)) return NULL;
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL) return NULL;
    const uint8_t *p = r->p;
    State *st = r->st;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count; i++, p += size) {
        PyObject *item;
        if (tag == TAG_F64_LIST) {
            double d;
            memcpy(&d, p, 8);
            item = PyFloat_FromDouble(d);
        } else {
            int64_t n;
            if (size == 8) {
                memcpy(&n, p, 8);
            } else if (size == 4) {
                int32_t narrow;
                memcpy(&narrow, p, 4);
                n = narrow;
            } else if (size == 2) {
                int16_t narrow;
                memcpy(&narrow, p, 2);
                n = narrow;
            } else {
                n = (int8_t)*p;
            }
            item = new_int(st, n);
        }
        if (UNLIKELY(item == NULL)) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, item);
    }
    r->p = p;
    return list;
}

static PyObject *read_open_list(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "list", false)) return NULL;
    PyObject *list = PyList_New(0);
    if (list == NULL) return NULL;
    while (!is_closed(r)) {
        PyObject *item = spend(r, start, 1) ? read_value(r, depth + 1) : NULL;
        int done = item == NULL ? -1 : PyList_Append(list, item);
        Py_XDECREF(item);
        if (done < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *read_tuple(Reader *r, const uint8_t *start, int depth) {
    uint64_t count;
    if (!read_count(r, start, 1, &count)) return NULL;
    PyObject *list = read_items(r, start, count, depth, "tuple", true);
    if (list == NULL) return NULL;
    PyObject *tuple = PyList_AsTuple(list);
    Py_DECREF(list);
    return tuple;
}

static PyObject *read_set(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    bool is_set = tag == TAG_SET;
    if (!open_container(r, start, depth, is_set ? "set" : "frozenset", !is_set)) return NULL;
    bool was_in_set = r->in_set;
    r->in_set = true;
    uint64_t count;
    PyObject *list = read_count(r, start, 1, &count) ? read_items(r, start, count, depth, "frozenset", true) : NULL;
    r->in_set = was_in_set;
    if (list == NULL) return NULL;
    PyObject *set = is_set ? PySet_New(list) : PyFrozenSet_New(list);
    Py_DECREF(list);
    if (set == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) malformed_as_said(r, start);
    return set;
}

#endif
