/* Cursor: one message, and where its values begin, found without making them.  What rat.codec.views stands on.

   It answers for sound messages, and for the forms that are common: NotImplemented is the answer to all else, and rat.codec.children
   says what is wrong or where it lies.  The tables hold places in the message, no objects, and only grow: what the
   message defines up to a value is their beginning, so that a place is three numbers. */
#include "codec.h"
#include "internals.h"

enum { MAX_LEVEL = 64 };

typedef struct {
    size_t at;
    size_t size;
} KeyPlace;

typedef struct {
    uint32_t at; /* first of its numbers in the arena */
    uint32_t count;
} Shape;

typedef struct {
    PyObject_HEAD
    PyObject *data;
    Py_buffer buffer;
    int key_count, key_room;
    int shape_count, shape_room;
    uint32_t arena_used, arena_size;
    KeyPlace *keys;
    Shape *shapes;
    uint16_t *arena; /* numbers of keys */
} Cursor;

/* Where a value begins, with the keys and shapes that are defined before it. */
typedef struct {
    Cursor *c;
    const uint8_t *p, *end;
    int keys, shapes;
} Place;

static bool skip(Place *w, uint64_t count, int level);

static bool grow(void *array, size_t size, int *room, int first) {
    int wanted = *room ? 2 * *room : first;
    void *grown = PyMem_Realloc(*(void **)array, (size_t)wanted * size);
    if (grown == NULL) {
        PyErr_NoMemory();
        return false;
    }
    *(void **)array = grown;
    *room = wanted;
    return true;
}

static inline bool read_varint(Place *w, uint64_t *number) {
    if (UNLIKELY(w->p >= w->end)) return false;
    unsigned first = *w->p++;
    *number = first;
    if (LIKELY(first <= 250)) return true;
    size_t size = (size_t)2 << (first - 251);
    if (first >= 254 || size > (size_t)(w->end - w->p)) return false;
    *number = 0;
    memcpy(number, w->p, size);
    w->p += size;
    return true;
}

static inline bool skip_bytes(Place *w, uint64_t size) {
    if (UNLIKELY(size > (uint64_t)(w->end - w->p))) return false;
    w->p += size;
    return true;
}

static inline bool read_count(Place *w, uint64_t *count) {
    return read_varint(w, count) && *count <= (uint64_t)(w->end - w->p);
}

static bool add_key(Place *w, size_t size) {
    Cursor *c = w->c;
    if (w->keys == c->key_count) {
        if (c->key_count == c->key_room && !grow(&c->keys, sizeof(KeyPlace), &c->key_room, FIRST_KEYS)) return false;
        c->keys[c->key_count++] = (KeyPlace){(size_t)(w->p - (const uint8_t *)c->buffer.buf), size};
    }
    w->keys++;
    return true;
}

static bool add_shape(Place *w, const uint16_t *numbers, unsigned count) {
    Cursor *c = w->c;
    if (w->shapes == c->shape_count) {
        if (c->shape_count == c->shape_room && !grow(&c->shapes, sizeof(Shape), &c->shape_room, FIRST_SHAPES)) return false;
        int room = (int)c->arena_size;
        while (c->arena_used + count > c->arena_size) {
            if (!grow(&c->arena, sizeof(uint16_t), &room, FIRST_ARENA)) return false;
            c->arena_size = (uint32_t)room;
        }
        memcpy(c->arena + c->arena_used, numbers, count * sizeof(uint16_t));
        c->shapes[c->shape_count++] = (Shape){c->arena_used, count};
        c->arena_used += count;
    }
    w->shapes++;
    return true;
}

static inline bool is_key(const Place *w, const KeyPlace *key, const char *name, size_t size) {
    return key->size == size && memcmp((const uint8_t *)w->c->buffer.buf + key->at, name, size) == 0;
}

/* The slots of count keys; which of them name is, or -1. */
static bool read_slots(Place *w, unsigned count, const char *name, size_t name_size, int *found) {
    uint16_t numbers[MAX_SHAPE_KEYS];
    bool in_table = true;
    *found = -1;
    for (unsigned i = 0; i < count; i++) {
        if (UNLIKELY(w->p >= w->end)) return false;
        unsigned first = *w->p++;
        KeyPlace key;
        if (first < 0xC0) {
            unsigned number = first;
            if (first >= 0x80) {
                if (w->p >= w->end) return false;
                number = (first & 0x3F) << 8 | *w->p++;
            }
            if (number >= (unsigned)w->keys) return false;
            key = w->c->keys[number];
            numbers[i] = (uint16_t)number;
        } else {
            uint64_t size = first - 0xC0;
            if (first == 0xFF && !read_varint(w, &size)) return false;
            if (size > (uint64_t)(w->end - w->p)) return false;
            key = (KeyPlace){(size_t)(w->p - (const uint8_t *)w->c->buffer.buf), (size_t)size};
            numbers[i] = (uint16_t)w->keys;
            if (first == 0xFF || w->keys == MAX_KEYS)
                in_table = false;
            else if (!add_key(w, (size_t)size))
                return false;
            w->p += size;
        }
        if (name != NULL && is_key(w, &key, name, name_size)) *found = (int)i;
    }
    return !in_table || w->shapes == MAX_SHAPES || add_shape(w, numbers, count);
}

/* Lists with an index (section 6) */
typedef struct {
    const uint8_t *items, *entries, *end;
    uint64_t count;
    uint32_t size;
} Index;

/* From behind the tag.  entries is NULL for a list without an index. */
static bool read_index(Place *w, Index *index) {
    if (!read_count(w, &index->count) || w->end - w->p < 4) return false;
    memcpy(&index->size, w->p, 4);
    w->p += 4;
    index->items = w->p;
    index->entries = NULL;
    if (index->size == ENDLESS) return true;
    uint64_t blocks = (index->count + INDEX_STEP - 1) / INDEX_STEP, left = (uint64_t)(w->end - w->p);
    if (index->size + 4 * blocks > left) return false;
    index->entries = index->items + index->size;
    index->end = index->entries + 4 * blocks;
    return true;
}

static inline uint32_t entry_of(const Index *index, uint64_t block) {
    uint32_t entry;
    memcpy(&entry, index->entries + 4 * block, 4);
    return entry;
}

/* To the beginning of a block. */
static inline bool go_to_block(Place *w, const Index *index, uint64_t block) {
    uint32_t begin = block == 0 ? 0 : entry_of(index, block - 1) & ~ADDS_TO_TABLES;
    if (begin > index->size) return false;
    w->p = index->items + begin;
    return true;
}

/* Past the blocks before one that add to the tables; the others are not looked at. */
static bool read_additions(Place *w, const Index *index, uint64_t blocks, int level) {
    for (uint64_t block = 0; block < blocks; block++) {
        if (LIKELY((entry_of(index, block) & ADDS_TO_TABLES) == 0)) continue;
        uint64_t items = index->count - block * INDEX_STEP;
        if (!go_to_block(w, index, block) || !skip(w, items < INDEX_STEP ? items : INDEX_STEP, level + 1)) return false;
    }
    return true;
}

static bool skip_words(Place *w) {
    uint64_t count, total = 0;
    if (!read_count(w, &count)) return false;
    for (uint64_t i = 0; i < count; i++) total += w->p[i];
    w->p += count;
    return skip_bytes(w, total);
}

static bool skip_rare(Place *w, unsigned tag, int level, uint64_t *more) {
    uint64_t count;
    switch (tag) {
        case TAG_NONE:
        case TAG_FALSE:
        case TAG_TRUE: return true;
        case TAG_BOOL: return skip_bytes(w, 1);
        case TAG_INT: return read_varint(w, &count);
        case TAG_FLOAT: return skip_bytes(w, 8);
        case TAG_STR:
        case TAG_BYTES:
        case TAG_BIG_INT:
        case TAG_BYTEARRAY:
        case TAG_DECIMAL: return read_varint(w, &count) && skip_bytes(w, count);
        case TAG_LIST:
        case TAG_TUPLE:
        case TAG_SET:
        case TAG_FROZENSET: return read_count(w, more);
        case TAG_DICT:
            if (level >= MAX_LEVEL || !read_count(w, &count)) return false;
            while (count--) {
                uint64_t size;
                if (!read_varint(w, &size) || !skip_bytes(w, size) || !skip(w, 1, level + 1)) return false;
            }
            return true;
        case TAG_DATE: return skip_bytes(w, 4);
        case TAG_TIME: return skip_bytes(w, 7);
        case TAG_DATETIME: return skip_bytes(w, 11);
        case TAG_TIMEDELTA: return skip_bytes(w, 12);
        case TAG_UUID: return skip_bytes(w, 16);
        case TAG_F64_LIST:
        case TAG_I8_LIST:
        case TAG_I8_LIST + 1:
        case TAG_I8_LIST + 2:
        case TAG_I64_LIST: {
            unsigned power = tag == TAG_F64_LIST ? 3 : tag - TAG_I8_LIST;
            return read_count(w, &count) && skip_bytes(w, count << power);
        }
        case TAG_ASCII_LIST: return skip_words(w);
        case TAG_INDEXED_LIST: {
            Index index;
            if (level >= MAX_LEVEL || !read_index(w, &index)) return false;
            if (index.entries == NULL) {
                *more = index.count;
                return true;
            }
            if (!read_additions(w, &index, (index.count + INDEX_STEP - 1) / INDEX_STEP, level)) return false;
            w->p = index.end;
            return true;
        }
        case TAG_WIDE_DICT: {
            int found;
            if (w->p >= w->end) return false;
            *more = *w->p++;
            return *more >= 1 && *more <= MAX_SHAPE_KEYS && read_slots(w, (unsigned)*more, NULL, 0, &found);
        }
    }
    if (tag >= TAG_U8 && tag <= TAG_N64) return skip_bytes(w, (uint64_t)1 << ((tag - TAG_U8) & 3));
    return false; /* zones, arrays, and what is open: rat.codec.scan */
}

/* Past count values.  Each takes a byte of the message: pending cannot overflow. */
static bool skip(Place *w, uint64_t pending, int level) {
    if (level > MAX_LEVEL) return false;
    while (pending) {
        pending--;
        if (UNLIKELY(w->p >= w->end)) return false;
        unsigned tag = *w->p++;
        uint64_t more = 0;
        if (tag >= TAG_ASCII) {
            if (tag < TAG_SMALL_INT) {
                if (!skip_bytes(w, tag - TAG_ASCII)) return false;
            } else if (tag >= TAG_SMALL_DICT) {
                int found;
                more = tag - TAG_SMALL_DICT;
                if (tag > TAG_SMALL_DICT_LAST || (more && !read_slots(w, (unsigned)more, NULL, 0, &found))) return false;
            } else if (tag >= TAG_SMALL_LIST) {
                more = tag - TAG_SMALL_LIST;
            }
        } else if (tag >= TAG_SHAPED_DICT) {
            unsigned number = tag - TAG_SHAPE;
            if (tag == TAG_SHAPED_DICT) {
                if (w->p >= w->end) return false;
                number = *w->p++;
            }
            if (number >= (unsigned)w->shapes) return false;
            more = w->c->shapes[number].count;
        } else if (!skip_rare(w, tag, level, &more)) {
            return false;
        }
        pending += more;
    }
    return true;
}

static bool item_number(uint64_t count, Py_ssize_t index, uint64_t *number) {
    if (index < 0) index += (Py_ssize_t)count;
    *number = (uint64_t)index;
    return index >= 0 && *number < count;
}

static PyObject *packed_item(Place *w, unsigned tag, Py_ssize_t index) {
    uint64_t count, number;
    if (!read_count(w, &count) || !item_number(count, index, &number)) return NULL;
    if (tag == TAG_ASCII_LIST) {
        const uint8_t *lengths = w->p;
        uint64_t before = 0;
        for (uint64_t i = 0; i < number; i++) before += lengths[i];
        w->p += count;
        size_t size = lengths[number];
        if (!skip_bytes(w, before) || size > (uint64_t)(w->end - w->p)) return NULL;
        for (size_t i = 0; i < size; i++)
            if (w->p[i] >= 0x80) return NULL;
        return PyUnicode_DecodeLatin1((const char *)w->p, (Py_ssize_t)size, NULL);
    }
    unsigned power = tag == TAG_F64_LIST ? 3 : tag - TAG_I8_LIST;
    if (count > (uint64_t)(w->end - w->p) >> power) return NULL;
    const uint8_t *p = w->p + (number << power);
    if (tag == TAG_F64_LIST) {
        double d;
        memcpy(&d, p, 8);
        return PyFloat_FromDouble(d);
    }
    uint64_t u = 0;
    memcpy(&u, p, (size_t)1 << power);
    unsigned unused = 64 - (8u << power);
    return PyLong_FromLongLong((int64_t)(u << unused) >> unused);
}

/* To the item of a list or tuple whose tag is behind; *made is an item that has no place of its own. */
static bool go_to_item(Place *w, unsigned tag, Py_ssize_t index, PyObject **made) {
    uint64_t count, number;
    if (tag >= TAG_SMALL_LIST && tag < TAG_SMALL_DICT)
        return item_number(tag - TAG_SMALL_LIST, index, &number) && skip(w, number, 0);
    if (tag == TAG_LIST || tag == TAG_TUPLE)
        return read_count(w, &count) && item_number(count, index, &number) && skip(w, number, 0);
    if (tag == TAG_INDEXED_LIST) {
        Index list;
        if (!read_index(w, &list) || !item_number(list.count, index, &number)) return false;
        if (list.entries == NULL) return skip(w, number, 0);
        uint64_t block = number / INDEX_STEP;
        return read_additions(w, &list, block, 0) && go_to_block(w, &list, block) && skip(w, number % INDEX_STEP, 0);
    }
    if (tag >= TAG_F64_LIST && tag <= TAG_ASCII_LIST) *made = packed_item(w, tag, index);
    return *made != NULL;
}

/* To the value of name in a dict whose tag is behind. */
static bool go_to_value(Place *w, unsigned tag, const char *name, size_t size) {
    int found = -1;
    if (tag >= TAG_SHAPED_DICT && tag < TAG_ASCII) {
        unsigned number = tag - TAG_SHAPE;
        if (tag == TAG_SHAPED_DICT) {
            if (w->p >= w->end) return false;
            number = *w->p++;
        }
        if (number >= (unsigned)w->shapes) return false;
        Shape shape = w->c->shapes[number];
        for (uint32_t i = 0; i < shape.count && found < 0; i++)
            if (is_key(w, &w->c->keys[w->c->arena[shape.at + i]], name, size)) found = (int)i;
    } else if (tag == TAG_DICT) { /* every key: of two that are the same, the last one counts */
        uint64_t count;
        Place last = *w;
        bool is_there = false;
        if (!read_count(w, &count)) return false;
        while (count--) {
            uint64_t length;
            if (!read_varint(w, &length) || length > (uint64_t)(w->end - w->p)) return false;
            bool is_this = length == size && memcmp(w->p, name, size) == 0;
            w->p += length;
            if (is_this) {
                is_there = true;
                last = *w;
            }
            if (!skip(w, 1, 0)) return false;
        }
        *w = last;
        return is_there;
    } else if (tag == TAG_WIDE_DICT || (tag > TAG_SMALL_DICT && tag <= TAG_SMALL_DICT_LAST)) {
        unsigned count = tag - TAG_SMALL_DICT;
        if (tag == TAG_WIDE_DICT) {
            if (w->p >= w->end) return false;
            count = *w->p++;
            if (count < 1 || count > MAX_SHAPE_KEYS) return false;
        }
        if (!read_slots(w, count, name, size, &found)) return false;
    }
    return found >= 0 && skip(w, (uint64_t)found, 0);
}

/* One step: false if the answer is not for here, with or without an exception. */
static bool go_to(Place *w, PyObject *step, PyObject **made) {
    if (w->p >= w->end || *made != NULL) return false;
    unsigned tag = *w->p++;
    if (PyLong_CheckExact(step)) {
        Py_ssize_t index = PyLong_AsSsize_t(step);
        return !(index == -1 && PyErr_Occurred()) && go_to_item(w, tag, index, made);
    }
    if (!PyUnicode_CheckExact(step)) return false;
    if (str_is_ascii(step)) return go_to_value(w, tag, (const char *)PyUnicode_1BYTE_DATA(step), (size_t)PyUnicode_GET_LENGTH(step));
    PyObject *name = PyUnicode_AsUTF8String(step);
    bool is_there = name != NULL && go_to_value(w, tag, PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
    Py_XDECREF(name);
    return is_there;
}

static bool is_container(unsigned tag) {
    return (tag >= TAG_SMALL_LIST && tag <= TAG_SMALL_DICT_LAST) || (tag >= TAG_SHAPED_DICT && tag < TAG_ASCII) ||
           (tag >= TAG_F64_LIST && tag <= TAG_INDEXED_LIST) || tag == TAG_LIST || tag == TAG_DICT || tag == TAG_TUPLE ||
           tag == TAG_OPEN_LIST || tag == TAG_OPEN_DICT || tag == TAG_WIDE_DICT;
}

static bool read_place(Cursor *c, PyObject *from, Place *w) {
    Py_ssize_t at = 0, keys = 0, shapes = 0;
    if (!PyArg_ParseTuple(from, "nnn", &at, &keys, &shapes)) return false;
    if (at < 0 || at > c->buffer.len || keys < 0 || keys > c->key_count || shapes < 0 || shapes > c->shape_count) {
        PyErr_SetString(PyExc_ValueError, "place that this cursor never gave");
        return false;
    }
    const uint8_t *begin = c->buffer.buf;
    *w = (Place){c, begin + at, begin + c->buffer.len, (int)keys, (int)shapes};
    return true;
}

static PyObject *cursor_find(PyObject *op, PyObject *const *args, Py_ssize_t count) {
    Cursor *c = (Cursor *)op;
    Place w;
    if (count != 3 || !PyTuple_CheckExact(args[0]) || !PyTuple_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "find(place, steps, zero_copy) with two tuples");
        return NULL;
    }
    if (!read_place(c, args[0], &w)) return NULL;
    PyObject *made = NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); i++)
        if (!go_to(&w, PyTuple_GET_ITEM(args[1], i), &made)) goto elsewhere;
    if (made == NULL) {
        if (w.p >= w.end || *w.p >= 251) goto elsewhere;
        const uint8_t *begin = c->buffer.buf;
        if (is_container(*w.p)) {
            made = Py_BuildValue("nnn", (Py_ssize_t)(w.p - begin), (Py_ssize_t)w.keys, (Py_ssize_t)w.shapes);
        } else {
            int zero_copy = PyObject_IsTrue(args[2]);
            if (zero_copy < 0) return NULL;
            made = read_at(PyType_GetModuleState(Py_TYPE(op)), c->data, &c->buffer, w.p - begin, zero_copy);
        }
    }
    return made;
elsewhere:
    Py_XDECREF(made);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError)) return NULL;
    PyErr_Clear();
    return Py_NewRef(Py_NotImplemented);
}

/* The first keys and shapes as rat.codec.reader has them: a list of str, and one of tuples of them. */
static PyObject *cursor_tables(PyObject *op, PyObject *from) {
    Cursor *c = (Cursor *)op;
    Place w;
    if (!PyTuple_CheckExact(from)) {
        PyErr_SetString(PyExc_TypeError, "tables(place) with a tuple");
        return NULL;
    }
    if (!read_place(c, from, &w)) return NULL;
    PyObject *keys = PyList_New(w.keys), *shapes = PyList_New(w.shapes);
    if (keys == NULL || shapes == NULL) goto fail;
    for (int i = 0; i < w.keys; i++) {
        PyObject *key = PyUnicode_DecodeUTF8((const char *)c->buffer.buf + c->keys[i].at, (Py_ssize_t)c->keys[i].size, NULL);
        if (key == NULL) {
            if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                PyErr_Clear();
                raise_codec_error(PyType_GetModuleState(Py_TYPE(op)), (Py_ssize_t)c->keys[i].at, "key that is no UTF-8");
            }
            goto fail;
        }
        PyList_SET_ITEM(keys, i, key);
    }
    for (int i = 0; i < w.shapes; i++) {
        PyObject *shape = PyTuple_New(c->shapes[i].count);
        if (shape == NULL) goto fail;
        for (uint32_t j = 0; j < c->shapes[i].count; j++)
            PyTuple_SET_ITEM(shape, j, Py_NewRef(PyList_GET_ITEM(keys, c->arena[c->shapes[i].at + j])));
        PyList_SET_ITEM(shapes, i, shape);
    }
    return Py_BuildValue("NN", keys, shapes);
fail:
    Py_XDECREF(keys);
    Py_XDECREF(shapes);
    return NULL;
}

static PyObject *cursor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *data;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError, "Cursor() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O:Cursor", &data)) return NULL;
    Cursor *self = (Cursor *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    if (PyObject_GetBuffer(data, &self->buffer, PyBUF_SIMPLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->data = Py_NewRef(data);
    return (PyObject *)self;
}

static int cursor_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((Cursor *)op)->data);
    Py_VISIT(((Cursor *)op)->buffer.obj);
    return 0;
}

static void cursor_dealloc(PyObject *op) {
    Cursor *self = (Cursor *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->buffer.obj != NULL) PyBuffer_Release(&self->buffer);
    Py_CLEAR(self->data);
    PyMem_Free(self->keys);
    PyMem_Free(self->shapes);
    PyMem_Free(self->arena);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"find", FASTCALL(cursor_find),
     PyDoc_STR("From a place along the steps: a place (a tuple) for a container, else the value; NotImplemented if it is not for here.")},
    {"tables", cursor_tables, METH_O, PyDoc_STR("The keys and shapes that are defined before a place.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Where the values of one message begin.\n\nThe message must not change while it is used.")},
    {Py_tp_new, cursor_new},
    {Py_tp_dealloc, cursor_dealloc},
    {Py_tp_traverse, cursor_traverse},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec cursor_spec = {
    .name = "rat.codec.native._codec.Cursor",
    .basicsize = sizeof(Cursor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
