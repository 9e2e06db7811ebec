/* The decoder: dicts whose keys and shapes are in the tables (section 5). */
#ifndef RAT_READ_KEYED_H
#define RAT_READ_KEYED_H

#include "read_entries.h"

/* Values take the place of the Nones of dict, which nobody else has seen. */
static PyObject *fill_dict(Reader *r, PyObject *dict, Py_ssize_t count, int depth) {
#if RAT_INTERNALS
    bool is_tracked = PyObject_GC_IsTracked(dict);
    Py_ssize_t stride;
    PyObject **entry = dict_entries(dict, &stride);
    if (LIKELY(entry != NULL && ((PyDictObject *)dict)->ma_used == count && !is_tracked)) {
        bool has_containers = false;
        for (Py_ssize_t i = 0; i < count; i++, entry += stride) {
            PyObject *value = read_value(r, depth + 1);
            if (UNLIKELY(value == NULL)) {
                Py_DECREF(dict);
                return NULL;
            }
            PyObject *none = entry[1];
            entry[1] = value;
            Py_DECREF(none);
            has_containers |= PyType_IS_GC(Py_TYPE(value));
        }
        if (has_containers) PyObject_GC_Track(dict);
        return dict;
    }
#endif
    Py_ssize_t pos = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = read_value(r, depth + 1), *key, *none;
        int done = value != NULL && PyDict_Next(dict, &pos, &key, &none) ? PyDict_SetItem(dict, key, value) : -1;
        Py_XDECREF(value);
        if (UNLIKELY(done < 0)) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

/* The template of the last dict with the very same key objects; the second time that a sequence of keys is met, one is made.
   A reference of the caller's own: where CPython 3.11 allocates it may collect garbage, and what runs then decode as well. */
static PyObject *cached_template(State *st, PyObject **keys, Py_ssize_t count, int *made) {
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) hash = (hash ^ ((uintptr_t)keys[i] >> 4)) * 0x9E3779B97F4A7C15u;
    PyObject **cached = &st->templates[(hash >> 40) & (TEMPLATE_CACHE - 1)];
    PyObject *template = *cached;
    if (template != NULL && PyDict_GET_SIZE(template) == count) {
        DictWalk walk;
        Py_ssize_t i = 0;
        walk_begin(&walk, template);
        for (; i < count; i++) {
            PyObject *key, *value;
            walk_next(&walk, &key, &value);
            if (key != keys[i]) break;
        }
        if (i == count) return Py_NewRef(template);
    }
    uint32_t *seen = &st->seen[(hash >> 48) & (SEEN_CACHE - 1)];
    if (*seen != (uint32_t)hash) {
        *seen = (uint32_t)hash;
        return NULL;
    }
    *made = 1;
    template = new_template(keys, count);
    if (template == NULL) {
        *made = -1;
        return NULL;
    }
    if (PyDict_GET_SIZE(template) != count) { /* a key twice: the caller finds out by itself */
        *made = 0;
        Py_DECREF(template);
        return NULL;
    }
    PyObject *old = *cached;
    *cached = Py_NewRef(template);
    Py_XDECREF(old);
    return template;
}

/* Both arrays double up to their bounds.  -1 with MemoryError, and nothing changed. */
static NOINLINE int grow_keys(ReadTables *t) {
    int room = t->key_room ? 2 * t->key_room : FIRST_KEYS;
    PyObject **keys = PyMem_Realloc(t->keys, (size_t)room * sizeof(PyObject *));
    if (keys == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    t->keys = keys;
    t->key_room = room;
    return 0;
}

static NOINLINE int grow_shapes(ReadTables *t) {
    int room = t->shape_room ? 2 * t->shape_room : FIRST_SHAPES;
    ReadShape *shapes = PyMem_Realloc(t->shapes, (size_t)room * sizeof(ReadShape));
    if (shapes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    t->shapes = shapes;
    t->shape_room = room;
    return 0;
}

static bool read_key_slot(Reader *r, PyObject **key, bool *in_table, bool *are_kept) {
    ReadTables *t = r->t;
    const uint8_t *place = r->p;
    if (!take(r, place, 1)) return false;
    unsigned first = *r->p++;
    if (first < 0xC0) {
        unsigned number = first;
        if (first >= 0x80) {
            if (!take(r, place, 1)) return false;
            number = (first & 0x3F) << 8 | *r->p++;
        }
        if (UNLIKELY(number >= (unsigned)t->key_count)) {
            malformed(r, place, "key %u of %d", number, t->key_count);
            return false;
        }
        *key = Py_NewRef(t->keys[number]);
        return true;
    }
    if (UNLIKELY(first == 0xFF)) {
        uint64_t size;
        if (!read_varint(r, place, &size) || !take(r, place, size)) return false;
        *key = new_key(r, place, r->p, (size_t)size, are_kept);
        r->p += size;
        *in_table = false;
        return *key != NULL;
    }
    size_t size = first - 0xC0;
    if (!take(r, place, size)) return false;
    *key = new_key(r, place, r->p, size, are_kept);
    if (UNLIKELY(*key == NULL)) return false;
    r->p += size;
    if (UNLIKELY(t->key_count == t->key_room)) {
        if (t->key_room == MAX_KEYS) {
            *in_table = false;
            return true;
        }
        if (grow_keys(t) < 0) {
            Py_DECREF(*key);
            return false;
        }
    }
    t->keys[t->key_count++] = Py_NewRef(*key);
    return true;
}

static int add_shape(ReadTables *t, PyObject **keys, Py_ssize_t count) {
    if (t->arena_size - t->arena_used < (uint32_t)count) {
        uint32_t size = t->arena_size ? 2 * t->arena_size : FIRST_ARENA;
        while (size - t->arena_used < (uint32_t)count) size *= 2;
        PyObject **arena = PyMem_Realloc(t->arena, size * sizeof(PyObject *));
        if (arena == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        t->arena = arena;
        t->arena_size = size;
    }
    if (UNLIKELY(t->shape_count == t->shape_room) && grow_shapes(t) < 0) return -1;
    memcpy(t->arena + t->arena_used, keys, (size_t)count * sizeof(PyObject *));
    t->shapes[t->shape_count++] = (ReadShape){t->arena_used, (uint16_t)count, NULL};
    t->arena_used += (uint32_t)count;
    return 0;
}

/* The empty dict of the keys that stand here: everything before the values. */
static NOINLINE PyObject *read_keys(Reader *r, const uint8_t *start, Py_ssize_t count, PyObject **keys) {
    ReadTables *t = r->t;
    PyObject *dict = NULL, *template = NULL;
    bool in_table = true, are_kept = true;
    Py_ssize_t have = 0;
    while (have < count) {
        if (UNLIKELY(!read_key_slot(r, &keys[have], &in_table, &are_kept))) goto fail;
        have++;
    }
    int made = 0;
    /* keys that are made anew each time have no template, or it would be made in vain */
    if (are_kept) template = cached_template(r->st, keys, count, &made);
    if (made < 0) goto fail;
    dict = template != NULL ? PyDict_Copy(template) : new_template(keys, count);
    if (dict == NULL) goto fail;
    if (UNLIKELY(PyDict_GET_SIZE(dict) != count)) {
        malformed(r, start, "dict with the same key twice");
        goto fail;
    }
    if (in_table && t->shape_count < MAX_SHAPES) {
        if (add_shape(t, keys, count) < 0) goto fail;
        t->shapes[t->shape_count - 1].template = template;
        template = NULL;
    }
    if (!spend(r, start, (uint64_t)count)) goto fail;
    if (UNLIKELY((size_t)count > left(r))) {
        too_many(r, start, (uint64_t)count, "values");
        goto fail;
    }
    for (Py_ssize_t i = 0; i < have; i++) Py_DECREF(keys[i]); /* the dict has them */
    Py_XDECREF(template);
    return dict;
fail:
    Py_XDECREF(template);
    for (Py_ssize_t i = 0; i < have; i++) Py_DECREF(keys[i]);
    Py_XDECREF(dict);
    return NULL;
}

static PyObject *read_wide_keyed(Reader *r, const uint8_t *start, Py_ssize_t count, int depth) {
    PyObject *keys[MAX_SHAPE_KEYS];
    PyObject *dict = read_keys(r, start, count, keys);
    return dict == NULL ? NULL : fill_dict(r, dict, count, depth);
}

static PyObject *read_narrow_keyed(Reader *r, const uint8_t *start, Py_ssize_t count, int depth) {
    PyObject *keys[TAG_SMALL_DICT_LAST - TAG_SMALL_DICT];
    PyObject *dict = read_keys(r, start, count, keys);
    return dict == NULL ? NULL : fill_dict(r, dict, count, depth);
}

static PyObject *read_keyed(Reader *r, const uint8_t *start, Py_ssize_t count, int depth) {
    if (!open_container(r, start, depth, "dict", false)) return NULL;
    if (count == 0) return spend(r, start, 0) ? PyDict_New() : NULL;
    return count > TAG_SMALL_DICT_LAST - TAG_SMALL_DICT ? read_wide_keyed(r, start, count, depth)
                                                        : read_narrow_keyed(r, start, count, depth);
}

static PyObject *read_shaped(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    ReadTables *t = r->t;
    unsigned number = tag - TAG_SHAPE;
    if (tag == TAG_SHAPED_DICT) {
        if (!take(r, start, 1)) return NULL;
        number = *r->p++;
    }
    if (UNLIKELY(number >= (unsigned)t->shape_count))
        return malformed(r, start, "shape %u of %d", number, t->shape_count);
    ReadShape *shape = &t->shapes[number];
    Py_ssize_t count = shape->count;
    if (!open_container(r, start, depth, "dict", false) || !spend(r, start, (uint64_t)count)) return NULL;
    if (UNLIKELY((size_t)count > left(r))) return too_many(r, start, (uint64_t)count, "values");
    if (UNLIKELY(shape->template == NULL)) {
        shape->template = new_template(t->arena + shape->at, count);
        if (shape->template == NULL) return NULL;
    }
    PyObject *dict = PyDict_Copy(shape->template);
    if (UNLIKELY(dict == NULL)) return NULL;
    return fill_dict(r, dict, count, depth);
}

#endif
