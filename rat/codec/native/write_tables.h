/* The encoder's tables of keys and shapes: section 5. */
#ifndef RAT_WRITE_TABLES_H
#define RAT_WRITE_TABLES_H

#include "write_room.h"

static NOINLINE bool same_text(PyObject *one, PyObject *other) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    return PyUnicode_GET_LENGTH(other) == length && PyUnicode_KIND(one) == PyUnicode_KIND(other) &&
           memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)length * PyUnicode_KIND(one)) == 0;
}

static inline size_t key_bit(size_t hash) { return hash >> 11 & (KEY_BITS - 1); }

/* The number of key, or -1. */
static inline int key_number(WriteTables *t, PyObject *key, size_t hash) {
    size_t bit = key_bit(hash);
    if ((t->filter[bit / 64] >> bit % 64 & 1) == 0) return -1;
    for (size_t i = hash & (KEY_SLOTS - 1);; i = (i + 1) & (KEY_SLOTS - 1)) {
        uint32_t entry = t->key_index[i];
        if (entry == 0) return -1;
        if ((entry ^ (uint32_t)hash) & 0xFFFF0000u) continue;
        int number = (int)(entry & 0xFFFF) - 1;
        PyObject *known = t->keys[number];
        if (known == key || ((size_t)str_hash(known) == hash && same_text(known, key))) return number;
    }
}

static inline void index_key(WriteTables *t, int number, size_t hash) {
    size_t slot = hash & (KEY_SLOTS - 1), bit = key_bit(hash);
    t->filter[bit / 64] |= (uint64_t)1 << bit % 64;
    t->key_bit[number] = (uint16_t)bit;
    while (t->key_index[slot]) slot = (slot + 1) & (KEY_SLOTS - 1);
    t->key_index[slot] = (uint32_t)(hash & 0xFFFF0000u) | (uint32_t)(number + 1);
    t->key_slot[number] = (uint16_t)slot;
}

static size_t shape_hash(PyObject **keys, Py_ssize_t count) {
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) hash = (hash ^ ((uintptr_t)keys[i] >> 4)) * 0x9E3779B97F4A7C15u;
    return (size_t)(hash >> 40) & (SHAPE_SLOTS - 1);
}

static void index_shape(WriteTables *t, int number) {
    WriteShape *shape = &t->shapes[number];
    size_t slot = shape_hash(t->arena + shape->at, shape->count);
    while (t->shape_index[slot]) slot = (slot + 1) & (SHAPE_SLOTS - 1);
    t->shape_index[slot] = (uint16_t)(number + 1);
    shape->slot = (uint16_t)slot;
}

static int shape_number(WriteTables *t, PyObject **keys, Py_ssize_t count) {
    while (t->indexed < t->shape_count) index_shape(t, t->indexed++);
    for (size_t slot = shape_hash(keys, count);; slot = (slot + 1) & (SHAPE_SLOTS - 1)) {
        int number = (int)t->shape_index[slot] - 1;
        if (number < 0) return -1;
        WriteShape *shape = &t->shapes[number];
        if (shape->count == count && memcmp(t->arena + shape->at, keys, (size_t)count * sizeof(PyObject *)) == 0)
            return number;
    }
}

static int add_shape(WriteTables *t, PyObject **keys, Py_ssize_t count) {
    if (t->arena_size - t->arena_used < (uint32_t)count) {
        uint32_t size = t->arena_size ? 2 * t->arena_size : 256;
        PyObject **arena = PyMem_Realloc(t->arena, size * sizeof(PyObject *));
        if (arena == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        t->arena = arena;
        t->arena_size = size;
    }
    memcpy(t->arena + t->arena_used, keys, (size_t)count * sizeof(PyObject *));
    int number = t->shape_count++;
    t->shapes[number] = (WriteShape){t->arena_used, 0, (uint16_t)count};
    t->arena_used += (uint32_t)count;
    t->next[number] = 0;
    return number;
}


/* Tables */

WriteTables *write_tables_new(bool outlives) {
    WriteTables *t = PyMem_Calloc(1, sizeof(WriteTables));
    if (t == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    t->outlives = t->owns_all = outlives;
    return t;
}

static void release_keys(WriteTables *t, int from) {
    while (t->owned > from) Py_DECREF(t->keys[--t->owned]);
}

void write_tables_clear(WriteTables *t) {
    if (t->key_count > 256) {
        memset(t->key_index, 0, sizeof t->key_index);
        memset(t->filter, 0, sizeof t->filter);
    } else {
        for (int i = 0; i < t->key_count; i++) {
            t->key_index[t->key_slot[i]] = 0;
            t->filter[t->key_bit[i] / 64] = 0;
        }
    }
    for (int i = 0; i < t->indexed; i++) t->shape_index[t->shapes[i].slot] = 0;
    t->key_count = t->shape_count = t->indexed = 0;
    t->arena_used = 0;
    t->last = t->next[0] = 0;
    t->owns_all = t->outlives;
    release_keys(t, 0);
}

/* Back to the first keys and shapes: after a refused message of an Encoder. */
void write_tables_cut(WriteTables *t, int keys, int shapes) {
    if (t->key_count == keys && t->shape_count == shapes) return;
    memset(t->key_index, 0, sizeof t->key_index);
    memset(t->filter, 0, sizeof t->filter);
    memset(t->shape_index, 0, sizeof t->shape_index);
    t->key_count = keys;
    t->shape_count = shapes;
    t->arena_used = shapes ? t->shapes[shapes - 1].at + t->shapes[shapes - 1].count : 0;
    t->last = 0;
    memset(t->next, 0, sizeof t->next);
    for (int i = 0; i < keys; i++) index_key(t, i, (size_t)str_hash(t->keys[i]));
    t->indexed = 0;
    release_keys(t, keys);
}

void write_tables_free(WriteTables *t) {
    if (t == NULL) return;
    write_tables_clear(t);
    PyMem_Free(t->arena);
    PyMem_Free(t);
}

#endif
