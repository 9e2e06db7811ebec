/* The encoder's tables of keys and shapes: section 5.  What is asked for each key and dict; the rest is write_tables.c. */
#ifndef RAT_WRITE_TABLES_H
#define RAT_WRITE_TABLES_H

#include "codec.h"
#include "internals.h"

/* The number of a key that the filter lets through, or -1. */
int find_key(WriteTables *t, PyObject *key, size_t hash);
/* 1 if key was entered, 0 if the table is full, -1 with MemoryError. */
int enter_key(WriteTables *t, PyObject *key, size_t hash);
/* More room for shapes, and count keys in the arena.  -1 with MemoryError. */
int grow_shapes(WriteTables *t);
int grow_arena(WriteTables *t, Py_ssize_t count);
void index_shapes(WriteTables *t);

static inline size_t key_bit(const WriteTables *t, size_t hash) { return hash >> 11 & t->filter_mask; }

static inline void put_key(WriteTables *t, PyObject *key, size_t bit) {
    int number = t->key_count++;
    t->keys[number] = key;
    t->key_bit[number] = (uint16_t)bit;
    if (UNLIKELY(t->owns_all)) {
        Py_INCREF(key);
        t->owned++;
    }
}

/* Room for the keys of a dict at the end of the arena. */
static inline PyObject **shape_keys(WriteTables *t, Py_ssize_t count) {
    if (UNLIKELY(t->arena_size - t->arena_used < (uint32_t)count) && grow_arena(t, count) < 0) return NULL;
    return t->arena + t->arena_used;
}

static inline size_t shape_hash(const WriteTables *t, PyObject **keys, Py_ssize_t count) {
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) hash = (hash ^ ((uintptr_t)keys[i] >> 4)) * 0x9E3779B97F4A7C15u;
    return (size_t)(hash >> 40) & (size_t)(4 * t->shape_room - 1);
}

static inline int shape_number(WriteTables *t, PyObject **keys, Py_ssize_t count) {
    if (UNLIKELY(t->shapes_indexed < t->shape_count)) index_shapes(t);
    size_t mask = (size_t)(4 * t->shape_room - 1);
    for (size_t slot = shape_hash(t, keys, count);; slot = (slot + 1) & mask) {
        int number = (int)t->shape_index[slot] - 1;
        if (number < 0) return -1;
        WriteShape *shape = &t->shapes[number];
        if (shape->count == count && memcmp(t->arena + shape->at, keys, (size_t)count * sizeof(PyObject *)) == 0)
            return number;
    }
}

static inline void follow_shape(WriteTables *t, int number) {
    t->next[t->last] = (uint8_t)number;
    t->last = (uint8_t)number;
}

/* The keys at the end of the arena become a shape, if there is room for one. */
static inline int enter_shape(WriteTables *t, Py_ssize_t count) {
    if (UNLIKELY(t->shape_count == t->shape_room)) {
        if (t->shape_room == MAX_SHAPES) return 0;
        if (grow_shapes(t) < 0) return -1;
    }
    int number = t->shape_count++;
    t->shapes[number] = (WriteShape){t->arena_used, 0, (uint16_t)count};
    t->arena_used += (uint32_t)count;
    t->next[number] = 0;
    follow_shape(t, number);
    return 0;
}

#endif
