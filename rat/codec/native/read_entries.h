/* The decoder: dicts that write their keys in full (tag 7), or are open. */
#ifndef RAT_READ_ENTRIES_H
#define RAT_READ_ENTRIES_H

#include "read_text.h"

/* A dict of the keys, in order, with None for every value: what is cloned for each dict of the shape.  A key that comes
   twice makes it shorter. */
static PyObject *new_template(PyObject **keys, Py_ssize_t count) {
    PyObject *dict = PyDict_New();
    if (dict == NULL) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (UNLIKELY(PyDict_SetItem(dict, keys[i], Py_None) < 0)) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

/* count entries, into dict, which is released where that fails. */
static PyObject *read_entries(Reader *r, PyObject *dict, uint64_t count, int depth) {
    for (uint64_t i = 0; i < count; i++) {
        PyObject *key = read_plain_key(r);
        PyObject *value = key == NULL ? NULL : read_value(r, depth + 1);
        int done = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (UNLIKELY(done < 0)) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

/* Dicts that write their keys each time mostly have those of one before.  The template for a count and a first key is
   made when a sequence of keys is met the second time; its clone is filled as long as the keys are the same. */
static size_t plain_slot(const Reader *r, uint64_t count) {
    size_t size = left(r) > 1 ? r->p[0] : 0, last = size < left(r) ? r->p[size] : 0;
    return ((size_t)count * 7 + size * 5 + last) & (PLAIN_CACHE - 1);
}

#if RAT_INTERNALS
static void keep_plain(State *st, size_t slot, PyObject *dict, Py_ssize_t count) {
    PyObject **pairs = dict_pairs(dict, count), *keys[PLAIN_MOST];
    if (pairs == NULL) return;
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        keys[i] = pairs[2 * i];
        if (!str_is_ascii(keys[i]) || PyUnicode_GET_LENGTH(keys[i]) > MAX_SHORT_KEY) return;
        hash = (hash ^ (uint64_t)str_hash(keys[i])) * 0x9E3779B97F4A7C15u;
    }
    if (st->plain_seen[slot] != (uint32_t)(hash >> 32)) {
        st->plain_seen[slot] = (uint32_t)(hash >> 32);
        return;
    }
    PyObject *template = new_template(keys, count);
    if (template == NULL)
        PyErr_Clear();
    else
        Py_XSETREF(st->plain[slot], template);
}

/* Of a clone whose first have values are read: the rest has other keys. */
static NOINLINE PyObject *read_unlike(Reader *r, PyObject *clone, PyObject **pairs, Py_ssize_t have, Py_ssize_t count, int depth) {
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < have; i++)
        if (PyDict_SetItem(dict, pairs[2 * i], pairs[2 * i + 1]) < 0) Py_CLEAR(dict);
    Py_DECREF(clone);
    return dict == NULL ? NULL : read_entries(r, dict, (uint64_t)(count - have), depth);
}

static PyObject *read_alike(Reader *r, PyObject *template, Py_ssize_t count, int depth, bool *is_alike) {
    Py_INCREF(template); /* see cached_template */
    PyObject *dict = PyDict_Copy(template);
    Py_DECREF(template);
    if (dict == NULL) return NULL;
    PyObject **pairs = dict_pairs(dict, count);
    *is_alike = pairs != NULL && !PyObject_GC_IsTracked(dict);
    if (!*is_alike) {
        Py_DECREF(dict);
        dict = PyDict_New();
        return dict == NULL ? NULL : read_entries(r, dict, (uint64_t)count, depth);
    }
    bool has_containers = false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyASCIIObject *key = (PyASCIIObject *)pairs[2 * i];
        size_t size = (size_t)key->length;
        if (UNLIKELY(size >= left(r) || *r->p != size || memcmp(r->p + 1, key + 1, size) != 0)) {
            *is_alike = false;
            return read_unlike(r, dict, pairs, i, count, depth);
        }
        r->p += size + 1;
        PyObject *value = read_value(r, depth + 1);
        if (UNLIKELY(value == NULL)) {
            Py_DECREF(dict);
            return NULL;
        }
        PyObject *none = pairs[2 * i + 1];
        pairs[2 * i + 1] = value;
        Py_DECREF(none);
        has_containers |= PyType_IS_GC(Py_TYPE(value));
    }
    if (has_containers) PyObject_GC_Track(dict);
    return dict;
}
#endif

static PyObject *read_plain_dict(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "dict", false)) return NULL;
    uint64_t count;
    if (!read_count(r, start, 2, &count) || !spend(r, start, count)) return NULL;
    bool may_repeat = RAT_INTERNALS && count > 0 && count <= PLAIN_MOST;
    size_t slot = may_repeat ? plain_slot(r, count) : 0;
    State *st = r->st;
#if RAT_INTERNALS
    if (may_repeat && st->plain[slot] != NULL && PyDict_GET_SIZE(st->plain[slot]) == (Py_ssize_t)count) {
        bool is_alike;
        PyObject *dict = read_alike(r, st->plain[slot], (Py_ssize_t)count, depth, &is_alike);
        if (dict != NULL && !is_alike) keep_plain(st, slot, dict, (Py_ssize_t)count);
        return dict;
    }
#endif
    PyObject *dict = PyDict_New();
    if (dict != NULL) dict = read_entries(r, dict, count, depth);
#if RAT_INTERNALS
    if (dict != NULL && may_repeat) keep_plain(st, slot, dict, (Py_ssize_t)count);
#endif
    return dict;
}

static PyObject *read_open_dict(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "dict", false)) return NULL;
    PyObject *dict = PyDict_New();
    if (dict == NULL) return NULL;
    while (!is_closed(r)) {
        if (!spend(r, start, 1)) goto fail;
        if (r->p < r->end && *r->p != TAG_STR && (*r->p < TAG_ASCII || *r->p >= TAG_SMALL_INT)) {
            malformed(r, r->p, "key under tag %d, where only str can stand", *r->p);
            goto fail;
        }
        PyObject *key = read_value(r, depth + 1);
        PyObject *value = key == NULL ? NULL : read_value(r, depth + 1);
        int done = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (done < 0) goto fail;
    }
    return dict;
fail:
    Py_DECREF(dict);
    return NULL;
}

#endif
