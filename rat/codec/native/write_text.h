/* The encoder: str. */
#ifndef RAT_WRITE_TEXT_H
#define RAT_WRITE_TEXT_H

#include "write_room.h"

/* Text.  Written from the characters themselves: PyUnicode_AsUTF8 would leave a copy on the str for good. */

static NOINLINE int refuse_surrogate(Writer *w, unsigned c) {
    char digits[12]; /* PyUnicode_FromFormat has no %X before Python 3.12 */
    PyOS_snprintf(digits, sizeof digits, "%04X", c);
    return refuse(w, "lone surrogate U+%s in a str", digits);
}

static int utf8_size(Writer *w, PyObject *s, size_t *size) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    size_t total = (size_t)n;
    switch (PyUnicode_KIND(s)) {
        case PyUnicode_1BYTE_KIND: {
            const Py_UCS1 *c = PyUnicode_1BYTE_DATA(s);
            if (!PyUnicode_IS_ASCII(s))
                for (Py_ssize_t i = 0; i < n; i++) total += c[i] >> 7;
            break;
        }
        case PyUnicode_2BYTE_KIND: {
            const Py_UCS2 *c = PyUnicode_2BYTE_DATA(s);
            unsigned surrogate = 0;
            for (Py_ssize_t i = 0; i < n; i++) {
                total += (c[i] > 0x7F) + (c[i] > 0x7FF);
                surrogate |= (c[i] & 0xF800) == 0xD800;
            }
            if (surrogate)
                for (Py_ssize_t i = 0; i < n; i++)
                    if ((c[i] & 0xF800) == 0xD800) return refuse_surrogate(w, c[i]);
            break;
        }
        default: {
            const Py_UCS4 *c = PyUnicode_4BYTE_DATA(s);
            for (Py_ssize_t i = 0; i < n; i++) {
                if ((c[i] & 0xFFFFF800) == 0xD800) return refuse_surrogate(w, c[i]);
                total += (c[i] > 0x7F) + (c[i] > 0x7FF) + (c[i] > 0xFFFF);
            }
        }
    }
    *size = total;
    return 0;
}

/* The room behind p is a byte more than what is written.  Up to U+FFFF no branch depends on the character: in text of more
   than one script none would be foreseen. */
static inline uint8_t *put_narrow(uint8_t *p, uint32_t c) {
    uint32_t two = 0x80C0u | c >> 6 | (c & 0x3F) << 8;
    uint32_t three = 0x8080E0u | c >> 12 | (c & 0xFC0) << 2 | (c & 0x3F) << 16;
    uint32_t bytes = c > 0x7FF ? three : c > 0x7F ? two : c;
    memcpy(p, &bytes, 4);
    return p + 1 + (c > 0x7F) + (c > 0x7FF);
}

static inline uint8_t *put_character(uint8_t *p, Py_UCS4 c) {
    if (LIKELY(c < 0x10000)) return put_narrow(p, c);
    uint32_t bytes = 0x808080F0u | c >> 18 | (c >> 4 & 0x3F00) | (c & 0xFC0) << 10 | (c & 0x3F) << 24;
    memcpy(p, &bytes, 4);
    return p + 4;
}

static uint8_t *put_utf8(uint8_t *p, PyObject *s) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    switch (PyUnicode_KIND(s)) {
        case PyUnicode_1BYTE_KIND: {
            const Py_UCS1 *c = PyUnicode_1BYTE_DATA(s);
            for (Py_ssize_t i = 0; i < n; i++) p = put_narrow(p, c[i]);
            return p;
        }
        case PyUnicode_2BYTE_KIND: {
            const Py_UCS2 *c = PyUnicode_2BYTE_DATA(s);
            for (Py_ssize_t i = 0; i < n; i++) p = put_narrow(p, c[i]);
            return p;
        }
        default: {
            const Py_UCS4 *c = PyUnicode_4BYTE_DATA(s);
            for (Py_ssize_t i = 0; i < n; i++) p = put_character(p, c[i]);
            return p;
        }
    }
}

/* A str of up to 62 characters that is not ASCII takes up to 248 bytes: the length goes before it when it is known. */
enum { SHORT_WIDE = 62, SHORT_WIDE_ROOM = 2 + 4 * SHORT_WIDE + 4 };

/* With that room at p.  NULL for one that is refused. */
static inline uint8_t *put_short_wide(Writer *w, uint8_t *p, PyObject *s) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    uint8_t *content = p + 1;
    if (LIKELY(PyUnicode_KIND(s) == PyUnicode_2BYTE_KIND)) {
        const Py_UCS2 *c = PyUnicode_2BYTE_DATA(s);
        unsigned surrogate = 0;
        uint8_t *to = content;
        for (Py_ssize_t i = 0; i < n; i++) {
            surrogate |= (c[i] & 0xF800) == 0xD800;
            to = put_narrow(to, c[i]);
        }
        if (UNLIKELY(surrogate)) {
            utf8_size(w, s, &(size_t){0});
            return NULL;
        }
        *p = (uint8_t)(to - content);
        return to;
    }
    if (PyUnicode_KIND(s) != PyUnicode_1BYTE_KIND && utf8_size(w, s, &(size_t){0}) < 0) return NULL;
    uint8_t *end = put_utf8(content, s);
    *p = (uint8_t)(end - content);
    return end;
}

/* varint length and UTF-8 */
static int write_text(Writer *w, PyObject *s) {
    if (str_is_ascii(s)) {
        size_t n = (size_t)PyUnicode_GET_LENGTH(s);
        if (room(w, n + 9 + COPY_ROOM) < 0) return -1;
        w->p = put_varint(w->p, n);
        copy_text(w->p, PyUnicode_1BYTE_DATA(s), n);
        w->p += n;
        return 0;
    }
    size_t size;
    if (utf8_size(w, s, &size) < 0) return -1;
    if (room(w, size + 10) < 0) return -1;
    w->p = put_utf8(put_varint(w->p, size), s);
    return 0;
}

/* A str that is long or not ASCII. */
static NOINLINE int write_long_str(Writer *w, PyObject *s) {
    if (room(w, SHORT_WIDE_ROOM) < 0) return -1;
    *w->p = TAG_STR;
    if (LIKELY(PyUnicode_GET_LENGTH(s) <= SHORT_WIDE && !str_is_ascii(s))) {
        uint8_t *after = put_short_wide(w, w->p + 1, s);
        if (UNLIKELY(after == NULL)) return -1;
        w->p = after;
        return 0;
    }
    w->p++;
    return write_text(w, s);
}

#endif
