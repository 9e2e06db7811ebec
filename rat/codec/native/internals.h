/* The places where the codec looks behind the public API, each with the public API beside it.

   RAT_INTERNALS is on for the versions whose layouts were read and tested (3.11 to 3.13, with the GIL); elsewhere, and with
   RAT_NO_INTERNALS, the public calls are used.  The bytes and the values are the same. */
#ifndef RAT_INTERNALS_H
#define RAT_INTERNALS_H

#include "codec.h"

#if !defined(RAT_NO_INTERNALS) && !defined(Py_GIL_DISABLED) && !defined(Py_TRACE_REFS) && \
    PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030E0000 && PYLONG_BITS_IN_DIGIT == 30
#define RAT_INTERNALS 1
#else
#define RAT_INTERNALS 0
#endif

/* Walking the entries of a dict: PyDict_Next finds its place anew for each of them. */
typedef struct {
#if RAT_INTERNALS
    PyObject **entry; /* key, value; NULL for a split table */
    Py_ssize_t stride;
#endif
    PyObject *dict;
    Py_ssize_t pos;
} DictWalk;

#if RAT_INTERNALS

/* The head of a keys object: Objects/dictobject.c, the same from 3.11 to 3.13 without the free-threading lock. */
typedef struct {
    Py_ssize_t refcnt;
    uint8_t log2_size;
    uint8_t log2_index_bytes;
    uint8_t kind; /* 0 general (hash, key, value), 1 unicode (key, value), 2 split */
    uint32_t version;
    Py_ssize_t usable;
    Py_ssize_t nentries;
    char indices[];
} DictKeys;

static inline PyObject **dict_entries(PyObject *dict, Py_ssize_t *stride) {
    PyDictObject *d = (PyDictObject *)dict;
    *stride = 0;
    if (UNLIKELY(d->ma_values != NULL)) return NULL;
    DictKeys *keys = (DictKeys *)d->ma_keys;
    PyObject **entries = (PyObject **)(keys->indices + ((size_t)1 << keys->log2_index_bytes));
    if (LIKELY(keys->kind != 0)) {
        *stride = 2;
        return entries;
    }
    *stride = 3;
    return entries + 1;
}

/* True if every key is known to be a str, and exactly that. */
static inline bool walk_begin(DictWalk *walk, PyObject *dict) {
    walk->dict = dict;
    walk->pos = 0;
    walk->entry = dict_entries(dict, &walk->stride);
    return walk->stride == 2;
}

/* The next entry, borrowed.  Asked for at most as many times as the dict has entries. */
static inline void walk_next(DictWalk *walk, PyObject **key, PyObject **value) {
    PyObject **entry = walk->entry;
    if (UNLIKELY(entry == NULL)) {
        PyDict_Next(walk->dict, &walk->pos, key, value);
        return;
    }
    while (UNLIKELY(entry[1] == NULL)) entry += walk->stride;
    *key = entry[0];
    *value = entry[1];
    walk->entry = entry + walk->stride;
}

#else

static inline bool walk_begin(DictWalk *walk, PyObject *dict) {
    walk->dict = dict;
    walk->pos = 0;
    return false;
}

static inline void walk_next(DictWalk *walk, PyObject **key, PyObject **value) {
    PyDict_Next(walk->dict, &walk->pos, key, value);
}

#endif

/* The value of an int of one digit, which most are: true if it was read. */
static inline bool int_small(PyObject *v, int64_t *value) {
#if RAT_INTERNALS && PY_VERSION_HEX >= 0x030C0000
    PyLongObject *n = (PyLongObject *)v;
    if (UNLIKELY(n->long_value.lv_tag >= 2 << 3)) return false;
    *value = (1 - (int64_t)(n->long_value.lv_tag & 3)) * (int64_t)n->long_value.ob_digit[0];
    return true;
#elif RAT_INTERNALS
    Py_ssize_t size = Py_SIZE(v);
    if (UNLIKELY((size_t)size + 1 > 2)) return false;
    *value = (int64_t)size * (int64_t)((PyLongObject *)v)->ob_digit[0];
    return true;
#else
    (void)v;
    (void)value;
    return false;
#endif
}

/* The value of an int of up to 63 bits, without a call: true if it was read.  No branch on the number of digits: in a
   list of ints of mixed size none would be foreseen. */
static inline bool int_fast(PyObject *v, int64_t *value) {
#if RAT_INTERNALS
    PyLongObject *n = (PyLongObject *)v;
#if PY_VERSION_HEX >= 0x030C0000
    size_t count = n->long_value.lv_tag >> 3;
    int64_t negative = -(int64_t)((n->long_value.lv_tag & 3) == 2);
    const digit *d = n->long_value.ob_digit;
#else
    Py_ssize_t size = Py_SIZE(n);
    int64_t negative = -(int64_t)(size < 0);
    size_t count = (size_t)((size ^ negative) - negative);
    const digit *d = n->ob_digit;
#endif
    if (UNLIKELY(count > 3)) return false;
    uint64_t low = d[0] & -(uint64_t)(count > 0);
    uint64_t middle = d[count > 1] & -(uint64_t)(count > 1);
    uint64_t high = d[count > 2 ? 2 : 0] & -(uint64_t)(count > 2);
    if (UNLIKELY(high > 7)) return false;
    uint64_t magnitude = low | middle << 30 | high << 60;
    *value = (int64_t)((magnitude ^ (uint64_t)negative) - (uint64_t)negative);
    return true;
#else
    (void)v;
    (void)value;
    return false;
#endif
}

/* key, value, key, value, ...: the entries of a dict where they lie; NULL if there are holes between them, or keys of
   other types than str, or a place of its own for the values.  An own walk: PyDict_Next finds its place anew for each entry. */
static inline PyObject **dict_pairs(PyObject *dict, Py_ssize_t count) {
#if RAT_INTERNALS
    PyDictObject *d = (PyDictObject *)dict;
    if (UNLIKELY(d->ma_values != NULL)) return NULL;
    DictKeys *keys = (DictKeys *)d->ma_keys;
    if (UNLIKELY(keys->kind != 1 || keys->nentries != count)) return NULL;
    return (PyObject **)(keys->indices + ((size_t)1 << keys->log2_index_bytes));
#else
    (void)dict;
    (void)count;
    return NULL;
#endif
}

#if RAT_INTERNALS
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

/* Objects lie all over the memory: what a dict refers to is asked for before it is needed. */
static inline void prefetch_pairs(PyObject **pairs, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < 2 * count; i++) PREFETCH(pairs[i]);
}

static inline void prefetch_container(PyObject *v) {
#if RAT_INTERNALS
    if (PyDict_CheckExact(v)) {
        char *keys = (char *)((PyDictObject *)v)->ma_keys;
        PREFETCH(keys);
        PREFETCH(keys + 64);
        PREFETCH(keys + 128);
    } else if (PyList_CheckExact(v)) {
        PREFETCH(((PyListObject *)v)->ob_item);
    }
#else
    (void)v;
#endif
}

/* The second step for the values of a dict, whose heads were asked for by prefetch_pairs. */
static inline void prefetch_containers(PyObject **pairs, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) prefetch_container(pairs[2 * i + 1]);
}

/* Bytes of a str that was made by PyUnicode_New, without the checks of the public macros. */
static inline Py_hash_t str_hash(PyObject *s) {
#if RAT_INTERNALS
    Py_hash_t hash = ((PyASCIIObject *)s)->hash;
    if (LIKELY(hash != -1)) return hash;
#endif
    return PyObject_Hash(s); /* cannot fail for an exact str */
}

/* A new ASCII str of n > 1 characters, to be filled. */
static inline PyObject *str_new(PyObject *model, size_t n) {
#if RAT_INTERNALS && !defined(Py_REF_DEBUG)
    PyASCIIObject *s = PyObject_Malloc(sizeof(PyASCIIObject) + n + 1);
    if (UNLIKELY(s == NULL)) return PyErr_NoMemory();
    memcpy(s, model, sizeof(PyASCIIObject));
    s->ob_base.ob_refcnt = 1;
    s->length = (Py_ssize_t)n;
    s->hash = -1;
    ((uint8_t *)(s + 1))[n] = 0;
    return (PyObject *)s;
#else
    (void)model;
    return PyUnicode_New((Py_ssize_t)n, 127);
#endif
}

/* One look at both bits.  A str that is not ready yet, of Python 3.11, has neither, and is made ready here. */
static inline bool str_is_ascii(PyObject *s) {
    PyASCIIObject *head = (PyASCIIObject *)s, both = {.state = {.ascii = 1, .compact = 1}};
    uint32_t bits, wanted;
    _Static_assert(sizeof head->state == sizeof bits, "the state of a str has 32 bits");
    memcpy(&bits, &head->state, sizeof bits);
    memcpy(&wanted, &both.state, sizeof wanted);
    if (LIKELY((bits & wanted) == wanted)) return true;
#if PY_VERSION_HEX < 0x030C0000
    if (UNLIKELY(PyUnicode_READY(s) < 0)) PyErr_Clear();
    return PyUnicode_IS_COMPACT_ASCII(s);
#else
    return false;
#endif
}

/* memcpy for the short: no call for what most keys and words are. */
static inline void copy_bytes(uint8_t *to, const uint8_t *from, size_t n) {
    if (n <= 16) {
        if (n >= 8) {
            uint64_t a, b;
            memcpy(&a, from, 8);
            memcpy(&b, from + n - 8, 8);
            memcpy(to, &a, 8);
            memcpy(to + n - 8, &b, 8);
        } else if (n >= 4) {
            uint32_t a, b;
            memcpy(&a, from, 4);
            memcpy(&b, from + n - 4, 4);
            memcpy(to, &a, 4);
            memcpy(to + n - 4, &b, 4);
        } else if (n) {
            uint8_t a = from[0], b = from[n >> 1], c = from[n - 1];
            to[0] = a;
            to[n >> 1] = b;
            to[n - 1] = c;
        }
    } else if (n <= 32) {
        uint64_t a[2], b[2];
        memcpy(a, from, 16);
        memcpy(b, from + n - 16, 16);
        memcpy(to, a, 16);
        memcpy(to + n - 16, b, 16);
    } else {
        memcpy(to, from, n);
    }
}

/* The same where `to` has room for COPY_ROOM bytes more.  Words of mixed length would make the branches above guess wrong: up
   to 32 bytes go in one move, up to 16 where most are as short, which reads behind the source but never over the end of its
   page. */
enum { COPY_ROOM = 32 };

static inline __attribute__((always_inline)) void copy_within(uint8_t *to, const uint8_t *from, size_t n, size_t most) {
#if RAT_INTERNALS && !defined(__SANITIZE_ADDRESS__)
    if (LIKELY(((uintptr_t)from & 4095) <= 4096 - most && n <= most)) {
        memcpy(to, from, most);
        return;
    }
#else
    (void)most;
#endif
    copy_bytes(to, from, n);
}

static inline void copy_text(uint8_t *to, const uint8_t *from, size_t n) {
#if RAT_INTERNALS && !defined(__SANITIZE_ADDRESS__)
    if (LIKELY(((uintptr_t)from & 4095) <= 4096 - 32)) {
        memcpy(to, from, 32);
        if (UNLIKELY(n > 32)) memcpy(to + 32, from + 32, n - 32);
        return;
    }
#endif
    copy_bytes(to, from, n);
}
static inline void copy_word(uint8_t *to, const uint8_t *from, size_t n) { copy_within(to, from, n, 16); }

#endif
