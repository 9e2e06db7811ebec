/* The decoder: str, and keys, which are kept for the next message. */
#ifndef RAT_READ_TEXT_H
#define RAT_READ_TEXT_H

#include "read_room.h"

static inline bool is_ascii(const uint8_t *c, size_t n) {
    uint64_t high = 0;
    if (n >= 8) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            uint64_t word;
            memcpy(&word, c + i, 8);
            high |= word;
        }
        uint64_t word;
        memcpy(&word, c + n - 8, 8);
        high |= word;
    } else {
        for (size_t i = 0; i < n; i++) high |= (uint64_t)c[i] << 56 | (uint64_t)c[i];
        return (high & 0x80) == 0;
    }
    return (high & 0x8080808080808080u) == 0;
}

static inline PyObject *new_ascii(Reader *r, const uint8_t *c, size_t n) {
    if (UNLIKELY(n == 0)) return Py_NewRef(r->st->empty_str);
    PyObject *s = str_new(r->st->model_str, n);
    if (UNLIKELY(s == NULL)) return NULL;
    copy_bytes((uint8_t *)((PyASCIIObject *)s + 1), c, n);
    return s;
}

/* The place that UnicodeDecodeError names. */
static NOINLINE PyObject *not_utf8(Reader *r, const uint8_t *place, const uint8_t *c, size_t n) {
    PyObject *s = PyUnicode_DecodeUTF8((const char *)c, (Py_ssize_t)n, NULL);
    if (s != NULL) return s;
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return NULL;
    PyObject *value = take_exception();
    Py_ssize_t at = 0;
    if (value != NULL) PyUnicodeDecodeError_GetStart(value, &at);
    Py_XDECREF(value);
    return malformed(r, place, "byte %zd of a str is no UTF-8", at);
}

/* Short text goes through 16-bit characters on the stack: one pass to judge and widen, one to fill the str. */
enum { SHORT_TEXT = 384 };

static PyObject *new_wide_text(Reader *r, const uint8_t *place, const uint8_t *c, size_t n) {
    if (n > SHORT_TEXT) return not_utf8(r, place, c, n);
    uint16_t wide[SHORT_TEXT];
    size_t count = 0;
    unsigned most = 0;
    const uint8_t *p = c, *end = c + n;
    while (p < end) {
        unsigned a = *p;
        if (a < 0x80) {
            p += 1;
        } else if (a < 0xE0) {
            if (a < 0xC2 || end - p < 2 || (p[1] & 0xC0) != 0x80) return not_utf8(r, place, c, n);
            a = (a & 0x1F) << 6 | (p[1] & 0x3F);
            p += 2;
        } else if (a < 0xF0) {
            if (end - p < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return not_utf8(r, place, c, n);
            a = (a & 0x0F) << 12 | (unsigned)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
            if (a < 0x800 || (a & 0xF800) == 0xD800) return not_utf8(r, place, c, n);
            p += 3;
        } else {
            return not_utf8(r, place, c, n); /* beyond the 16 bits, or wrong: the public decoder knows */
        }
        most |= a;
        wide[count++] = (uint16_t)a;
    }
    if (most < 0x100) {
        PyObject *s = PyUnicode_New((Py_ssize_t)count, 0xFF);
        if (s == NULL) return NULL;
        Py_UCS1 *to = PyUnicode_1BYTE_DATA(s);
        for (size_t i = 0; i < count; i++) to[i] = (Py_UCS1)wide[i];
        return s;
    }
    PyObject *s = PyUnicode_New((Py_ssize_t)count, 0xFFFF);
    if (s == NULL) return NULL;
    memcpy(PyUnicode_2BYTE_DATA(s), wide, 2 * count);
    return s;
}

static inline PyObject *new_text(Reader *r, const uint8_t *place, const uint8_t *c, size_t n) {
    if (is_ascii(c, n) && n != 1) return new_ascii(r, c, n);
    if (n == 1) return not_utf8(r, place, c, n);
    return new_wide_text(r, place, c, n);
}

static NOINLINE PyObject *not_ascii(Reader *r, const uint8_t *start, const uint8_t *c) {
    Py_ssize_t at = 0;
    while (c[at] < 0x80) at++;
    return malformed(r, start, "byte %zd of a short str is no ASCII", at);
}

static inline PyObject *read_short(Reader *r, const uint8_t *start, size_t n) {
    if (!take(r, start, n)) return NULL;
    const uint8_t *c = r->p;
    if (UNLIKELY(!is_ascii(c, n))) return not_ascii(r, start, c);
    r->p += n;
    if (n == 1) return PyUnicode_FromOrdinal(*c);
    return new_ascii(r, c, n);
}

/* A key: the same str for the same short bytes, as long as the place in the cache is not taken by another. */
static PyObject *new_key(Reader *r, const uint8_t *place, const uint8_t *c, size_t n, bool *is_kept) {
    if (n == 0 || n > MAX_SHORT_KEY || !is_ascii(c, n)) {
        *is_kept = false;
        return new_text(r, place, c, n);
    }
    uint64_t hash = n, word = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, c + i, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    if (i < n) {
        if (n >= 8) {
            memcpy(&word, c + n - 8, 8); /* overlaps what is in already */
        } else {
            word = 0;
            for (size_t j = 0; j < n; j++) word = word << 8 | c[j];
        }
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    }
    State *st = r->st;
    size_t slot = (hash >> 40) & (KEY_CACHE - 1);
    uint32_t tag = (uint32_t)(hash >> 16);
    PyObject *key = st->key_cache[slot];
    if (st->key_tag[slot] == tag && key != NULL && (size_t)PyUnicode_GET_LENGTH(key) == n &&
        memcmp((uint8_t *)((PyASCIIObject *)key + 1), c, n) == 0)
        return Py_NewRef(key);
    key = n == 1 ? PyUnicode_FromOrdinal(*c) : new_ascii(r, c, n);
    if (key == NULL) return NULL;
    if (st->key_seen[slot] != tag) {
        *is_kept = false;
        st->key_seen[slot] = tag;
        return key;
    }
    PyObject *old = st->key_cache[slot];
    st->key_cache[slot] = Py_NewRef(key);
    st->key_tag[slot] = tag;
    Py_XDECREF(old);
    return key;
}

static PyObject *read_plain_key(Reader *r) {
    const uint8_t *place = r->p;
    uint64_t size;
    if (!read_varint(r, place, &size) || !take(r, place, size)) return NULL;
    bool is_kept;
    PyObject *key = new_key(r, place, r->p, (size_t)size, &is_kept);
    r->p += size;
    return key;
}

#endif
