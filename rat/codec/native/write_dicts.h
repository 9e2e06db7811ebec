/* The encoder: dicts. */
#ifndef RAT_WRITE_DICTS_H
#define RAT_WRITE_DICTS_H

#include "write_text.h"
#include "write_tables.h"

/* Dicts: section 5 */

static NOINLINE int refuse_key(Writer *w, PyObject *key) {
    Py_INCREF(key);
    refuse_type(w, "key of type %U, where only str can stand", key);
    add_key(w, key);
    Py_DECREF(key);
    return -1;
}

/* The slot of a key that the table does not have; it is entered if it may. */
static inline int write_new_key(Writer *w, PyObject *key, size_t hash, bool *in_table) {
    WriteTables *t = w->t;
    size_t size = (size_t)PyUnicode_GET_LENGTH(key);
    bool is_ascii = str_is_ascii(key);
    if (!is_ascii && utf8_size(w, key, &size) < 0) return add_key(w, key);
    if (room(w, size + 27) < 0) return -1;
    if (LIKELY(size <= MAX_SHORT_KEY)) {
        *w->p++ = (uint8_t)(0xC0 + size);
        if (t->key_count < MAX_KEYS) {
            int number = t->key_count++;
            t->keys[number] = key;
            index_key(t, number, hash);
            if (t->owns_all) {
                Py_INCREF(key);
                t->owned++;
            }
        } else {
            *in_table = false;
        }
    } else {
        *w->p++ = 0xFF;
        w->p = put_varint(w->p, size);
        *in_table = false;
    }
    if (LIKELY(is_ascii)) {
        copy_word(w->p, (const uint8_t *)((PyASCIIObject *)key + 1), size);
        w->p += size;
    } else {
        w->p = put_utf8(w->p, key);
    }
    return 0;
}

/* The number of the shape that the dict has; or -1 after its head was written; or -2.  The head is written on the chance
   that there is no such shape: a reference takes its place otherwise. */
static NOINLINE int write_keys(Writer *w, PyObject *dict, Py_ssize_t count) {
    WriteTables *t = w->t;
    PyObject *keys[MAX_SHAPE_KEYS];
    bool all_known = true, in_table = true;
    DictWalk walk;
    PyObject *value;
    if (!walk_begin(&walk, dict)) {
        for (Py_ssize_t i = 0; i < count; i++) {
            walk_next(&walk, &keys[0], &value);
            if (UNLIKELY(!PyUnicode_CheckExact(keys[0]))) {
                refuse_key(w, keys[0]);
                return -2;
            }
        }
        walk_begin(&walk, dict);
    }
    if (room(w, 2 + 2 * (size_t)count) < 0) return -2;
    size_t start = (size_t)(w->p - w->begin);
    if (count <= TAG_SMALL_DICT_LAST - TAG_SMALL_DICT) {
        *w->p++ = (uint8_t)(TAG_SMALL_DICT + count);
    } else {
        *w->p++ = TAG_WIDE_DICT;
        *w->p++ = (uint8_t)count;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key;
        walk_next(&walk, &key, &value);
        size_t hash = (size_t)str_hash(key);
        int number = key_number(t, key, hash);
        if (number < 0) {
            all_known = false;
            if (write_new_key(w, key, hash, &in_table) < 0) return -2;
            keys[i] = key;
        } else {
            if (room(w, 2) < 0) return -2;
            if (number >= 128) *w->p++ = (uint8_t)(0x80 | number >> 8);
            *w->p++ = (uint8_t)number;
            keys[i] = t->keys[number];
        }
    }
    if (all_known) {
        int number = shape_number(t, keys, count);
        if (number >= 0) {
            w->p = w->begin + start;
            return number;
        }
    }
    if (in_table && t->shape_count < MAX_SHAPES) {
        int number = add_shape(t, keys, count);
        if (number < 0) return -2;
        t->next[t->last] = (uint8_t)number;
        t->last = (uint8_t)number;
    }
    return -1;
}

static inline int write_shape_tag(Writer *w, int number) {
    if (room(w, 2) < 0) return -1;
    if (number <= TAG_SHAPE_LAST - TAG_SHAPE) {
        *w->p++ = (uint8_t)(TAG_SHAPE + number);
    } else {
        *w->p++ = TAG_SHAPED_DICT;
        *w->p++ = (uint8_t)number;
    }
    return 0;
}

/* The shape that followed the last one when that was written before is tried first, by the addresses of its keys. */
static inline bool has_keys(DictWalk walk, PyObject **keys, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key, *value;
        walk_next(&walk, &key, &value);
        if (key != keys[i]) return false;
    }
    return true;
}

static NOINLINE int refuse_changed(Writer *w, PyObject *dict, Py_ssize_t count) {
    return refuse(w, "dict of %zd entries that has %zd after encoding", count, PyDict_GET_SIZE(dict));
}

static int write_entries(Writer *w, PyObject *dict, int depth);

static NOINLINE int write_dict(Writer *w, PyObject *dict, int depth) {
    if (open_container(w, depth, "dict", false) < 0) return -1;
    Py_ssize_t count = PyDict_GET_SIZE(dict);
    if (UNLIKELY(count > MAX_SHAPE_KEYS)) return write_entries(w, dict, depth);
    if (count == 0) return put_byte(w, TAG_SMALL_DICT);
    WriteTables *t = w->t;
    DictWalk walk;
    walk_begin(&walk, dict);
    if (w->p - w->begin > FAR) prefetch_entries(walk, count, true);
    int guess = t->next[t->last];
    if (guess < t->shape_count && t->shapes[guess].count == count &&
        has_keys(walk, t->arena + t->shapes[guess].at, count)) {
        t->last = (uint8_t)guess;
        if (write_shape_tag(w, guess) < 0) return -1;
    } else {
        int number = write_keys(w, dict, count);
        if (number >= 0) {
            t->next[t->last] = (uint8_t)number;
            t->last = (uint8_t)number;
            if (write_shape_tag(w, number) < 0) return -1;
        } else if (number == -2) {
            return -1;
        }
    }
    if (w->p - w->begin > FAR) prefetch_tables(walk, count);
    Frame frame = {w->frames, dict, NULL};
    w->frames = &frame;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key, *value;
        if (UNLIKELY(frame.items != NULL)) {
            PyObject *item = PyList_GET_ITEM(frame.items, i);
            key = PyTuple_GET_ITEM(item, 0);
            value = PyTuple_GET_ITEM(item, 1);
        } else {
            walk_next(&walk, &key, &value);
        }
        if (UNLIKELY(write_any(w, value, depth + 1) < 0)) {
            if (w->message != NULL) {
                Py_INCREF(key);
                add_key(w, key);
                Py_DECREF(key);
            }
            w->frames = frame.up;
            Py_XDECREF(frame.items);
            return -1;
        }
    }
    w->frames = frame.up;
    if (UNLIKELY(frame.items != NULL)) {
        Py_DECREF(frame.items);
        if (PyDict_GET_SIZE(dict) != count) return refuse_changed(w, dict, count);
    }
    return 0;
}

/* Tag 7: every key in full. */
static int write_entries(Writer *w, PyObject *dict, int depth) {
    Py_ssize_t count = PyDict_GET_SIZE(dict);
    DictWalk walk;
    PyObject *key, *value;
    if (!walk_begin(&walk, dict)) {
        for (Py_ssize_t i = 0; i < count; i++) {
            walk_next(&walk, &key, &value);
            if (UNLIKELY(!PyUnicode_CheckExact(key))) return refuse_key(w, key);
        }
    }
    if (put_head(w, TAG_DICT, (uint64_t)count) < 0) return -1;
    Frame frame = {w->frames, dict, NULL};
    w->frames = &frame;
    walk_begin(&walk, dict);
    int done = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (UNLIKELY(frame.items != NULL)) {
            PyObject *item = PyList_GET_ITEM(frame.items, i);
            key = PyTuple_GET_ITEM(item, 0);
            value = PyTuple_GET_ITEM(item, 1);
        } else {
            walk_next(&walk, &key, &value);
        }
        if (UNLIKELY(write_text(w, key) < 0 || write_value(w, value, depth + 1) < 0)) {
            if (w->message != NULL) {
                Py_INCREF(key);
                add_key(w, key);
                Py_DECREF(key);
            }
            done = -1;
            break;
        }
    }
    w->frames = frame.up;
    if (UNLIKELY(frame.items != NULL)) {
        Py_DECREF(frame.items);
        if (done == 0 && PyDict_GET_SIZE(dict) != count) return refuse_changed(w, dict, count);
    }
    return done;
}

static int write_bincode_dict(Writer *w, PyObject *dict, int depth) {
    if (open_container(w, depth, "dict", false) < 0) return -1;
    return write_entries(w, dict, depth);
}

#endif
