/* The encoder's tables: how they come, grow, are cleared and go. */
#include "write_tables.h"

static size_t keys_size(int room) {
    size_t each = sizeof(PyObject *) + FILTER_BITS / 8 + 2 * sizeof(uint32_t) + 2 * sizeof(uint16_t);
    return (size_t)room * each;
}

static size_t shapes_size(int room) { return (size_t)room * (sizeof(WriteShape) + 4 * sizeof(uint16_t) + sizeof(uint8_t)); }

/* The arrays of keys, cleared and in one piece; t is as it was without memory for them. */
static int make_keys(WriteTables *t, int room) {
    char *at = PyMem_Calloc(1, keys_size(room));
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    size_t n = (size_t)room;
    t->key_room = room;
    t->filter_mask = n * FILTER_BITS - 1;
    t->keys_indexed = 0;
    t->keys = (PyObject **)at;
    t->filter = (uint64_t *)(at += n * sizeof(PyObject *));
    t->key_index = (uint32_t *)(at += n * (FILTER_BITS / 8));
    t->key_slot = (uint16_t *)(at += 2 * n * sizeof(uint32_t));
    t->key_bit = (uint16_t *)(at + n * sizeof(uint16_t));
    return 0;
}

static int make_shapes(WriteTables *t, int room) {
    char *at = PyMem_Calloc(1, shapes_size(room));
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    size_t n = (size_t)room;
    t->shape_room = room;
    t->shapes_indexed = 0;
    t->shapes = (WriteShape *)at;
    t->shape_index = (uint16_t *)(at += n * sizeof(WriteShape));
    t->next = (uint8_t *)(at + 4 * n * sizeof(uint16_t));
    return 0;
}

static void filter_key(WriteTables *t, int number) {
    size_t bit = key_bit(t, (size_t)str_hash(t->keys[number]));
    t->filter[bit / 64] |= (uint64_t)1 << bit % 64;
    t->key_bit[number] = (uint16_t)bit;
}

static NOINLINE int grow_keys(WriteTables *t) {
    PyObject **old = t->keys;
    if (make_keys(t, 2 * t->key_room) < 0) return -1;
    memcpy(t->keys, old, (size_t)t->key_count * sizeof(PyObject *));
    for (int i = 0; i < t->key_count; i++) filter_key(t, i);
    PyMem_Free(old);
    return 0;
}

NOINLINE int grow_shapes(WriteTables *t) {
    WriteShape *old = t->shapes;
    uint8_t *next = t->next;
    if (make_shapes(t, 2 * t->shape_room) < 0) return -1;
    memcpy(t->shapes, old, (size_t)t->shape_count * sizeof(WriteShape));
    memcpy(t->next, next, (size_t)t->shape_count);
    PyMem_Free(old);
    return 0;
}

NOINLINE int grow_arena(WriteTables *t, Py_ssize_t count) {
    uint32_t size = t->arena_size ? 2 * t->arena_size : FIRST_ARENA;
    while (size - t->arena_used < (uint32_t)count) size *= 2;
    PyObject **arena = PyMem_Realloc(t->arena, size * sizeof(PyObject *));
    if (arena == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    t->arena = arena;
    t->arena_size = size;
    return 0;
}

static NOINLINE void index_keys(WriteTables *t) {
    size_t mask = (size_t)(2 * t->key_room - 1);
    for (int number = t->keys_indexed; number < t->key_count; number++) {
        size_t hash = (size_t)str_hash(t->keys[number]), slot = hash & mask;
        while (t->key_index[slot]) slot = (slot + 1) & mask;
        t->key_index[slot] = (uint32_t)(hash & 0xFFFF0000u) | (uint32_t)(number + 1);
        t->key_slot[number] = (uint16_t)slot;
    }
    t->keys_indexed = t->key_count;
}

static bool same_text(PyObject *one, PyObject *other) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    return PyUnicode_GET_LENGTH(other) == length && PyUnicode_KIND(one) == PyUnicode_KIND(other) &&
           memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)length * PyUnicode_KIND(one)) == 0;
}

int find_key(WriteTables *t, PyObject *key, size_t hash) {
    if (UNLIKELY(t->keys_indexed < t->key_count)) index_keys(t);
    size_t mask = (size_t)(2 * t->key_room - 1);
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t entry = t->key_index[i];
        if (entry == 0) return -1;
        if ((entry ^ (uint32_t)hash) & 0xFFFF0000u) continue;
        int number = (int)(entry & 0xFFFF) - 1;
        PyObject *known = t->keys[number];
        if (known == key || ((size_t)str_hash(known) == hash && same_text(known, key))) return number;
    }
}

int enter_key(WriteTables *t, PyObject *key, size_t hash) {
    if (t->key_count == t->key_room) {
        if (t->key_room == MAX_KEYS) return 0;
        if (grow_keys(t) < 0) return -1;
    }
    size_t bit = key_bit(t, hash);
    t->filter[bit / 64] |= (uint64_t)1 << bit % 64;
    put_key(t, key, bit);
    return 1;
}

NOINLINE void index_shapes(WriteTables *t) {
    size_t mask = (size_t)(4 * t->shape_room - 1);
    for (int number = t->shapes_indexed; number < t->shape_count; number++) {
        WriteShape *shape = &t->shapes[number];
        size_t slot = shape_hash(t, t->arena + shape->at, shape->count);
        while (t->shape_index[slot]) slot = (slot + 1) & mask;
        t->shape_index[slot] = (uint16_t)(number + 1);
        shape->slot = (uint16_t)slot;
    }
    t->shapes_indexed = t->shape_count;
}

WriteTables *write_tables_new(bool outlives) {
    WriteTables *t = PyMem_Calloc(1, sizeof(WriteTables));
    if (t == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    t->outlives = t->owns_all = outlives;
    if (make_keys(t, outlives ? FIRST_KEYS : MAX_KEYS) == 0 && make_shapes(t, outlives ? FIRST_SHAPES : MAX_SHAPES) == 0) return t;
    write_tables_free(t);
    return NULL;
}

size_t write_tables_size(const WriteTables *t) {
    return sizeof(WriteTables) + keys_size(t->key_room) + shapes_size(t->shape_room) + t->arena_size * sizeof(PyObject *);
}

static void release_keys(WriteTables *t, int from) {
    while (t->owned > from) Py_DECREF(t->keys[--t->owned]);
}

static void clear_filter(WriteTables *t) { memset(t->filter, 0, (size_t)t->key_room * FILTER_BITS / 8); }
static void clear_index(WriteTables *t) { memset(t->key_index, 0, 2 * (size_t)t->key_room * sizeof(uint32_t)); }

void write_tables_clear(WriteTables *t) {
    if (t->key_count > t->key_room / 8)
        clear_filter(t);
    else
        for (int i = 0; i < t->key_count; i++) t->filter[t->key_bit[i] / 64] = 0;
    if (t->keys_indexed > t->key_room / 4)
        clear_index(t);
    else
        for (int i = 0; i < t->keys_indexed; i++) t->key_index[t->key_slot[i]] = 0;
    for (int i = 0; i < t->shapes_indexed; i++) t->shape_index[t->shapes[i].slot] = 0;
    t->key_count = t->shape_count = t->keys_indexed = t->shapes_indexed = 0;
    t->arena_used = 0;
    t->last = 0;
    if (t->next != NULL) t->next[0] = 0;
    t->owns_all = t->outlives;
    release_keys(t, 0);
}

/* Back to the first keys and shapes: after a refused message of an Encoder. */
void write_tables_cut(WriteTables *t, int keys, int shapes) {
    if (t->key_count == keys && t->shape_count == shapes) return;
    clear_filter(t);
    clear_index(t);
    memset(t->shape_index, 0, 4 * (size_t)t->shape_room * sizeof(uint16_t));
    memset(t->next, 0, (size_t)t->shape_room);
    t->key_count = keys;
    t->shape_count = shapes;
    t->arena_used = shapes ? t->shapes[shapes - 1].at + t->shapes[shapes - 1].count : 0;
    t->last = 0;
    t->keys_indexed = t->shapes_indexed = 0;
    for (int i = 0; i < keys; i++) filter_key(t, i);
    release_keys(t, keys);
}

void write_tables_free(WriteTables *t) {
    if (t == NULL) return;
    write_tables_clear(t);
    PyMem_Free(t->arena);
    PyMem_Free(t->keys);
    PyMem_Free(t->shapes);
    PyMem_Free(t);
}
