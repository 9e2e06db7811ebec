/* The encoder: dicts.  Section 5. */
#ifndef RAT_WRITE_DICTS_H
#define RAT_WRITE_DICTS_H

#include "write_plain.h"
#include "write_tables.h"
#include "write_text.h"

/* What two bytes of the head and the slots of *count* short keys take. */
static inline size_t keys_room(Py_ssize_t count) { return 2 + (size_t)count * (1 + MAX_SHORT_KEY) + COPY_ROOM; }
static inline size_t values_room(Py_ssize_t count) { return (size_t)count * PLAIN_SIZE + COPY_ROOM; }

static NOINLINE int refuse_key(Writer *w, PyObject *key) {
    Py_INCREF(key);
    refuse_type(w, "key of type %U, where only str can stand", key);
    add_key(w, key);
    Py_DECREF(key);
    return -1;
}

/* The slot of a key that is long or not ASCII. */
static NOINLINE int write_other_key(Writer *w, PyObject *key, size_t hash, bool *in_table) {
    size_t size = (size_t)PyUnicode_GET_LENGTH(key);
    bool is_ascii = str_is_ascii(key);
    if (!is_ascii && utf8_size(w, key, &size) < 0) return add_key(w, key);
    if (room(w, size + 27) < 0) return -1;
    if (size <= MAX_SHORT_KEY) {
        *w->p++ = (uint8_t)(0xC0 + size);
        int entered = enter_key(w->t, key, hash);
        if (entered < 0) return -1;
        if (!entered) *in_table = false;
    } else {
        *w->p++ = 0xFF;
        w->p = put_varint(w->p, size);
        *in_table = false;
    }
    if (is_ascii) {
        memcpy(w->p, PyUnicode_1BYTE_DATA(key), size);
        w->p += size;
    } else {
        w->p = put_utf8(w->p, key);
    }
    return 0;
}

/* The number of the shape that the keys of pairs are; or -1 after the head was written; or -2.  The head is written on the
   chance that there is no such shape: a reference takes its place otherwise. */
static NOINLINE int write_keys(Writer *w, PyObject **pairs, Py_ssize_t count) {
    WriteTables *t = w->t;
    bool all_known = true, in_table = true;
    PyObject **keys = shape_keys(t, count);
    if (UNLIKELY(keys == NULL) || room(w, keys_room(count)) < 0) return -2;
    size_t start = (size_t)(w->p - w->begin);
    uint64_t *filter = t->filter;
    size_t mask = t->filter_mask;
    uint8_t *p = w->p; /* not through w: a byte that is written could be a part of it, for all the compiler knows */
    if (count <= TAG_SMALL_DICT_LAST - TAG_SMALL_DICT) {
        *p++ = (uint8_t)(TAG_SMALL_DICT + count);
    } else {
        *p++ = TAG_WIDE_DICT;
        *p++ = (uint8_t)count;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = pairs[2 * i];
        size_t hash = (size_t)str_hash(key), bit = hash >> 11 & mask;
        uint64_t *word = filter + bit / 64, one = (uint64_t)1 << bit % 64;
        if (UNLIKELY(*word & one)) {
            int number = find_key(t, key, hash);
            if (number >= 0) {
                if (number >= 128) *p++ = (uint8_t)(0x80 | number >> 8);
                *p++ = (uint8_t)number;
                keys[i] = t->keys[number];
                continue;
            }
        }
        all_known = false;
        keys[i] = key;
        size_t size = (size_t)PyUnicode_GET_LENGTH(key);
        if (LIKELY(size <= MAX_SHORT_KEY && str_is_ascii(key))) {
            *p = (uint8_t)(0xC0 + size);
            copy_text(p + 1, (const uint8_t *)((PyASCIIObject *)key + 1), size);
            p += size + 1;
            if (LIKELY(t->key_count < t->key_room)) {
                *word |= one;
                put_key(t, key, bit);
                continue;
            }
            if (t->key_room == MAX_KEYS) {
                in_table = false;
                continue;
            }
            if (UNLIKELY(enter_key(t, key, hash) < 0)) return -2;
        } else {
            w->p = p;
            if (write_other_key(w, key, hash, &in_table) < 0 || room(w, keys_room(count - i)) < 0) return -2;
            p = w->p;
        }
        filter = t->filter;
        mask = t->filter_mask;
    }
    w->p = p;
    if (all_known) {
        int number = shape_number(t, keys, count);
        if (number >= 0) {
            w->p = w->begin + start;
            return number;
        }
    }
    return in_table && enter_shape(t, count) < 0 ? -2 : -1;
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
static inline bool is_shape(WriteTables *t, int guess, PyObject **pairs, Py_ssize_t count) {
    if (guess >= t->shape_count || t->shapes[guess].count != count) return false;
    PyObject **keys = t->arena + t->shapes[guess].at;
    for (Py_ssize_t i = 0; i < count; i++)
        if (pairs[2 * i] != keys[i]) return false;
    return true;
}

/* Everything before the values. */
static inline int write_dict_head(Writer *w, PyObject **pairs, Py_ssize_t count) {
    WriteTables *t = w->t;
    int number = t->next[t->last];
    if (is_shape(t, number, pairs, count)) {
        t->last = (uint8_t)number;
        return write_shape_tag(w, number);
    }
    number = write_keys(w, pairs, count);
    if (number < 0) return number + 1;
    follow_shape(t, number);
    return write_shape_tag(w, number);
}

static NOINLINE int refuse_changed(Writer *w, PyObject *dict, Py_ssize_t count) {
    return refuse(w, "dict of %zd entries that has %zd after encoding", count, PyDict_GET_SIZE(dict));
}

/* After a value that was refused: its key goes into the path. */
static NOINLINE int refuse_value(Writer *w, Frame *frame, PyObject *key) {
    if (w->message != NULL) {
        Py_INCREF(key);
        add_key(w, key);
        Py_DECREF(key);
    }
    w->frames = frame->up;
    Py_XDECREF(frame->items);
    return -1;
}

/* The entries from first on, of the copy that was made because Python code ran. */
static NOINLINE int write_copies(Writer *w, Frame *frame, Py_ssize_t first, Py_ssize_t count, int depth, bool with_keys) {
    for (Py_ssize_t i = first; i < count; i++) {
        PyObject *item = PyList_GET_ITEM(frame->items, i), *key = PyTuple_GET_ITEM(item, 0);
        if ((with_keys && write_text(w, key) < 0) || write_value(w, PyTuple_GET_ITEM(item, 1), depth + 1) < 0)
            return refuse_value(w, frame, key);
    }
    w->frames = frame->up;
    Py_DECREF(frame->items);
    return PyDict_GET_SIZE(frame->dict) == count ? 0 : refuse_changed(w, frame->dict, count);
}

/* Tag 7: every key in full. */
static inline __attribute__((always_inline)) int write_entries(Writer *w, PyObject *dict, PyObject **pairs, Py_ssize_t count,
                                                              int depth, bool bincode) {
    if (put_head(w, TAG_DICT, (uint64_t)count) < 0 || room(w, 2 * PLAIN_ROOM) < 0) return -1;
    if (w->p - w->begin > FAR) prefetch_pairs(pairs, count);
    Frame frame = {w->frames, dict, NULL};
    w->frames = &frame;
    uint8_t *p = w->p;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = pairs[2 * i], *value = pairs[2 * i + 1];
        if (UNLIKELY(w->end - p < 2 * PLAIN_ROOM)) {
            w->p = p;
            if (grow(w, 2 * PLAIN_ROOM) < 0) return refuse_value(w, &frame, key);
            p = w->p;
        }
        size_t size = (size_t)PyUnicode_GET_LENGTH(key);
        if (LIKELY(size <= 63 && str_is_ascii(key))) {
            *p = (uint8_t)size;
            copy_text(p + 1, (const uint8_t *)((PyASCIIObject *)key + 1), size);
            p += size + 1;
        } else {
            w->p = p;
            if (write_text(w, key) < 0 || room(w, PLAIN_ROOM) < 0) return refuse_value(w, &frame, key);
            p = w->p;
        }
        uint8_t *after = bincode ? put_bincode_plain(p, value) : put_plain(p, value);
        if (LIKELY(after != NULL)) {
            p = after;
            continue;
        }
        w->p = p;
        int done = bincode ? write_bincode_rest(w, value, depth + 1) : write_rest(w, value, depth + 1);
        if (UNLIKELY(done < 0)) return refuse_value(w, &frame, key);
        if (UNLIKELY(frame.items != NULL)) return write_copies(w, &frame, i + 1, count, depth, true);
        p = w->p;
    }
    w->p = p;
    w->frames = frame.up;
    return 0;
}

static NOINLINE int write_wide(Writer *w, PyObject *dict, PyObject **pairs, Py_ssize_t count, int depth) {
    return write_entries(w, dict, pairs, count, depth, false);
}

static NOINLINE int write_bincode_pairs(Writer *w, PyObject *dict, PyObject **pairs, Py_ssize_t count, int depth) {
    return write_entries(w, dict, pairs, count, depth, true);
}

static NOINLINE int write_pairs(Writer *w, PyObject *dict, PyObject **pairs, Py_ssize_t count, int depth) {
    if (UNLIKELY(count > MAX_SHAPE_KEYS)) return write_wide(w, dict, pairs, count, depth);
    bool is_far = w->p - w->begin > FAR;
    if (is_far) prefetch_pairs(pairs, count);
    if (write_dict_head(w, pairs, count) < 0 || room(w, values_room(count)) < 0) return -1;
    if (is_far) prefetch_containers(pairs, count);
    Frame frame = {w->frames, dict, NULL};
    w->frames = &frame;
    uint8_t *p = w->p;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = pairs[2 * i + 1];
        uint8_t *after = put_plain(p, value);
        if (after != NULL) {
            p = after;
            continue;
        }
        w->p = p;
        if (UNLIKELY(write_rest(w, value, depth + 1) < 0 || room(w, values_room(count - i)) < 0))
            return refuse_value(w, &frame, frame.items ? PyTuple_GET_ITEM(PyList_GET_ITEM(frame.items, i), 0) : pairs[2 * i]);
        if (UNLIKELY(frame.items != NULL)) return write_copies(w, &frame, i + 1, count, depth, false);
        p = w->p;
    }
    w->p = p;
    w->frames = frame.up;
    return 0;
}

/* A dict whose entries do not lie as dict_pairs wants them. */
static NOINLINE int write_scattered(Writer *w, PyObject *dict, Py_ssize_t count, int depth) {
    PyObject **pairs = PyMem_Malloc(2 * (size_t)count * sizeof(PyObject *)), **to = pairs, *key, *value;
    if (pairs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int done = 0;
    for (Py_ssize_t pos = 0; done == 0 && PyDict_Next(dict, &pos, &key, &value); *to++ = key, *to++ = value)
        if (UNLIKELY(!PyUnicode_CheckExact(key))) done = refuse_key(w, key);
    if (done == 0)
        done = w->bincode ? write_bincode_pairs(w, dict, pairs, count, depth) : write_pairs(w, dict, pairs, count, depth);
    PyMem_Free(pairs);
    return done;
}

static inline int write_dict(Writer *w, PyObject *dict, int depth) {
    if (open_container(w, depth, "dict", false) < 0) return -1;
    Py_ssize_t count = PyDict_GET_SIZE(dict);
    if (UNLIKELY(count == 0)) return put_byte(w, TAG_SMALL_DICT);
    PyObject **pairs = dict_pairs(dict, count);
    return LIKELY(pairs != NULL) ? write_pairs(w, dict, pairs, count, depth) : write_scattered(w, dict, count, depth);
}

static int write_bincode_dict(Writer *w, PyObject *dict, int depth) {
    if (open_container(w, depth, "dict", false) < 0) return -1;
    Py_ssize_t count = PyDict_GET_SIZE(dict);
    if (UNLIKELY(count == 0)) return put_head(w, TAG_DICT, 0);
    PyObject **pairs = dict_pairs(dict, count);
    return LIKELY(pairs != NULL) ? write_bincode_pairs(w, dict, pairs, count, depth) : write_scattered(w, dict, count, depth);
}

#endif
