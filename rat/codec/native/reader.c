/* The decoder: bytes to one value.  Every count and length is held against the bytes that are there before anything is made. */
#include "codec.h"
#include "internals.h"

typedef struct {
    const uint8_t *p, *end, *begin;
    State *st;
    ReadTables *t;
    PyObject *data;  /* what the caller gave */
    PyObject *view;  /* a memoryview of its bytes, made when first asked for */
    Py_ssize_t items_left; /* or UNLIMITED */
    size_t owed;     /* items of lists around this value that are still to come */
    int max_depth;
    bool bincode, zero_copy, in_set;
} Reader;

static PyObject *read_value(Reader *r, int depth);
static PyObject *read_bincode(Reader *r, uint64_t tag, const uint8_t *start, int depth);

static PyObject *raise_refusal(State *st, Py_ssize_t offset, const char *format, va_list args) {
    PyObject *message = PyUnicode_FromFormatV(format, args);
    if (message == NULL) return NULL;
    PyObject *error = NULL;
    PyObject *arguments = PyTuple_Pack(1, message);
    PyObject *names = arguments == NULL ? NULL : Py_BuildValue("{s:n}", "offset", offset);
    if (names != NULL) error = PyObject_Call(st->codec_error, arguments, names);
    if (error != NULL) PyErr_SetObject(st->codec_error, error);
    Py_XDECREF(error);
    Py_XDECREF(names);
    Py_XDECREF(arguments);
    Py_DECREF(message);
    return NULL;
}

/* A CodecError with the offset of place. */
static NOINLINE PyObject *malformed(Reader *r, const uint8_t *place, const char *format, ...) {
    va_list args;
    va_start(args, format);
    raise_refusal(r->st, (Py_ssize_t)(place - r->begin), format, args);
    va_end(args);
    return NULL;
}

PyObject *raise_codec_error(State *st, Py_ssize_t offset, const char *format, ...) {
    va_list args;
    va_start(args, format);
    raise_refusal(st, offset, format, args);
    va_end(args);
    return NULL;
}

static NOINLINE void *lacking(Reader *r, const uint8_t *place, uint64_t size) {
    return malformed(r, place, "%llu bytes claimed, %zd left", (unsigned long long)size,
                     (Py_ssize_t)(r->end - r->p));
}

static inline size_t left(const Reader *r) { return (size_t)(r->end - r->p); }

static inline bool take(Reader *r, const uint8_t *place, uint64_t size) {
    if (LIKELY(size <= left(r))) return true;
    lacking(r, place, size);
    return false;
}

static NOINLINE bool read_wide_varint(Reader *r, const uint8_t *place, uint8_t first, uint64_t *number) {
    if (first >= 254) {
        malformed(r, place, "varint that begins with %d", first);
        return false;
    }
    size_t size = (size_t)2 << (first - 251);
    if (!take(r, place, size)) return false;
    *number = 0;
    memcpy(number, r->p, size);
    r->p += size;
    return true;
}

static inline bool read_varint(Reader *r, const uint8_t *place, uint64_t *number) {
    if (!take(r, place, 1)) return false;
    uint8_t first = *r->p++;
    if (LIKELY(first <= 250)) {
        *number = first;
        return true;
    }
    return read_wide_varint(r, place, first, number);
}

static NOINLINE void *too_many(Reader *r, const uint8_t *start, uint64_t count, const char *what) {
    return malformed(r, start, "%llu %s claimed, %zd bytes left", (unsigned long long)count, what,
                     (Py_ssize_t)(r->end - r->p));
}

static inline bool read_count(Reader *r, const uint8_t *start, size_t size, uint64_t *count) {
    if (!read_varint(r, start, count)) return false;
    if (LIKELY(*count <= left(r) / size)) return true;
    too_many(r, start, *count, "items");
    return false;
}

static inline bool spend(Reader *r, const uint8_t *start, uint64_t count) {
    if (LIKELY(r->items_left == UNLIMITED)) return true;
    if ((Py_ssize_t)count > r->items_left) { /* count is at most the size of the input */
        malformed(r, start, "more items than max_items allows");
        return false;
    }
    r->items_left -= (Py_ssize_t)count;
    return true;
}

static inline bool open_container(Reader *r, const uint8_t *start, int depth, const char *kind, bool hashable) {
    if (UNLIKELY(depth >= r->max_depth)) {
        malformed(r, start, "deeper than %d levels", r->max_depth);
        return false;
    }
    if (UNLIKELY(r->in_set) && !hashable) {
        malformed(r, start, "%s inside a set", kind);
        return false;
    }
    return true;
}

/* Text */

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
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_ssize_t at = 0;
    if (value != NULL) PyUnicodeDecodeError_GetStart(value, &at);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
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

/* Numbers */

static inline PyObject *new_int(State *st, int64_t n) {
    if ((uint64_t)n < SMALL_INTS) return Py_NewRef(st->small_ints[n]);
    return PyLong_FromLongLong(n);
}

static PyObject *read_int(Reader *r, const uint8_t *start, unsigned tag) {
    unsigned power = (tag - TAG_U8) & 3;
    if (!take(r, start, (uint64_t)1 << power)) return NULL;
    uint64_t u = 0;
    switch (power) {
        case 0: u = *r->p; break;
        case 1: memcpy(&u, r->p, 2); break;
        case 2: memcpy(&u, r->p, 4); break;
        default: memcpy(&u, r->p, 8);
    }
    r->p += (size_t)1 << power;
    if (UNLIKELY(u >> 63)) return malformed(r, start, "int of 64 bits under tag %u", tag);
    return new_int(r->st, tag <= TAG_U64 ? (int64_t)u : -1 - (int64_t)u);
}

static PyObject *read_float(Reader *r, const uint8_t *start) {
    if (!take(r, start, 8)) return NULL;
    double d;
    memcpy(&d, r->p, 8);
    r->p += 8;
    return PyFloat_FromDouble(d);
}

static PyObject *read_big_int(Reader *r, const uint8_t *start) {
    uint64_t size;
    if (!read_varint(r, start, &size)) return NULL;
    if (size == 0) return malformed(r, start, "int of 0 bytes");
    if (!take(r, start, size)) return NULL;
    PyObject *content = PyBytes_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    if (content == NULL) return NULL;
    r->p += size;
    PyObject *value = PyObject_CallOneArg(r->st->read_big_int, content);
    Py_DECREF(content);
    return value;
}

/* Bytes */

static PyObject *data_view(Reader *r) {
    if (r->view == NULL)
        r->view = PyBytes_CheckExact(r->data) ? PyMemoryView_FromObject(r->data)
                                              : PyObject_CallOneArg(r->st->byte_view, r->data);
    return r->view;
}

static NOINLINE PyObject *slice_data(Reader *r, size_t size) {
    PyObject *view = data_view(r);
    if (view == NULL) return NULL;
    Py_ssize_t at = r->p - r->begin;
    PyObject *part = PySequence_GetSlice(view, at, at + (Py_ssize_t)size);
    if (part == NULL || PyMemoryView_GET_BUFFER(part)->readonly) return part;
    PyObject *readonly = PyObject_CallMethod(part, "toreadonly", NULL);
    Py_DECREF(part);
    return readonly;
}

static PyObject *read_bytes(Reader *r, const uint8_t *start) {
    uint64_t size;
    if (!read_varint(r, start, &size) || !take(r, start, size)) return NULL;
    PyObject *value = r->zero_copy && size >= VIEW_FROM
                          ? slice_data(r, (size_t)size)
                          : PyBytes_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    r->p += size;
    return value;
}

static PyObject *read_bytearray(Reader *r, const uint8_t *start) {
    if (r->in_set) return malformed(r, start, "bytearray inside a set");
    uint64_t size;
    if (!read_varint(r, start, &size) || !take(r, start, size)) return NULL;
    PyObject *value = PyByteArray_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    r->p += size;
    return value;
}

static PyObject *read_open_bytes(Reader *r, const uint8_t *start) {
    const uint8_t *content = r->p;
    uint64_t size;
    size_t total = 0;
    for (;;) { /* once to judge, once to copy */
        if (!read_varint(r, start, &size)) return NULL;
        if (size == 0) break;
        if (!take(r, start, size)) return NULL;
        r->p += size;
        total += (size_t)size;
    }
    PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (value == NULL) return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(value);
    r->p = content;
    for (;;) {
        if (!read_varint(r, start, &size)) break; /* judged above: does not fail */
        if (size == 0) break;
        memcpy(to, r->p, (size_t)size);
        to += size;
        r->p += size;
    }
    return value;
}

/* Lists */

/* Room for count items is made at once unless lists around this one claim so much that the input cannot hold all: such a
   message is refused in the end, and must not cost memory until then. */
static inline PyObject *new_list(Reader *r, uint64_t count) {
    return PyList_New(count > 64 && count + r->owed > left(r) ? 0 : (Py_ssize_t)count);
}

static inline int put_item(PyObject *list, Py_ssize_t i, PyObject *item) {
    if (LIKELY(i < PyList_GET_SIZE(list) && PyList_GET_ITEM(list, i) == NULL)) {
        PyList_SET_ITEM(list, i, item);
        return 0;
    }
    int done = PyList_Append(list, item);
    Py_DECREF(item);
    return done;
}

static PyObject *read_items(Reader *r, const uint8_t *start, uint64_t count, int depth, const char *kind, bool hashable) {
    if (!open_container(r, start, depth, kind, hashable)) return NULL;
    if (UNLIKELY(count > left(r))) return too_many(r, start, count, "items");
    if (!spend(r, start, count)) return NULL;
    PyObject *list = new_list(r, count);
    if (UNLIKELY(list == NULL)) return NULL;
    size_t owed = r->owed;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count; i++) {
        r->owed = owed + (size_t)count - (size_t)i - 1;
        PyObject *item = read_value(r, depth + 1);
        if (UNLIKELY(item == NULL) || UNLIKELY(put_item(list, i, item) < 0)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    r->owed = owed;
    return list;
}

static PyObject *read_indexed(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "list", false)) return NULL;
    uint64_t count;
    if (!read_count(r, start, 1, &count) || !take(r, start, 4)) return NULL;
    uint32_t size;
    memcpy(&size, r->p, 4);
    r->p += 4;
    const uint8_t *items = r->p;
    uint64_t blocks = size == ENDLESS ? 0 : (count + INDEX_STEP - 1) / INDEX_STEP;
    uint64_t body = size == ENDLESS || size < count ? count : size;
    if (body + 4 * blocks > left(r))
        return malformed(r, start, "list of %llu bytes with %llu entries of index, %zd bytes left", (unsigned long long)size,
                         (unsigned long long)blocks, (Py_ssize_t)left(r));
    if (!spend(r, start, count)) return NULL;
    PyObject *list = new_list(r, count);
    if (UNLIKELY(list == NULL)) return NULL;
    ReadTables *t = r->t;
    const uint8_t *entry = items + size;
    size_t owed = r->owed;
    uint64_t wrong = 0;
    int known = t->key_count + t->shape_count;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count;) {
        r->owed = owed + (size_t)count - (size_t)i - 1;
        PyObject *item = read_value(r, depth + 1);
        if (UNLIKELY(item == NULL) || UNLIKELY(put_item(list, i, item) < 0)) goto fail;
        i++;
        if ((i % INDEX_STEP == 0 || i == (Py_ssize_t)count) && size != ENDLESS) {
            int before = known;
            known = t->key_count + t->shape_count;
            uint32_t claimed;
            memcpy(&claimed, entry, 4);
            entry += 4;
            wrong |= claimed ^ ((uint64_t)(r->p - items) | (known != before ? ADDS_TO_TABLES : 0));
        }
    }
    r->owed = owed;
    if (size != ENDLESS) {
        if (UNLIKELY((uint64_t)(r->p - items) != size)) {
            malformed(r, start, "list of %zd bytes that claims %llu", (Py_ssize_t)(r->p - items), (unsigned long long)size);
            goto fail;
        }
        if (UNLIKELY(wrong)) {
            malformed(r, start, "list with an index that does not fit it");
            goto fail;
        }
        r->p = entry;
    }
    return list;
fail:
    Py_DECREF(list);
    return NULL;
}

static PyObject *read_words(Reader *r, const uint8_t *start) {
    uint64_t count;
    if (!read_count(r, start, 1, &count) || !spend(r, start, count)) return NULL;
    const uint8_t *lengths = r->p;
    r->p += count;
    uint64_t total = 0;
    for (uint64_t i = 0; i < count; i++) total += lengths[i];
    if (!take(r, start, total)) return NULL;
    if (!is_ascii(r->p, (size_t)total)) return not_ascii(r, start, r->p);
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL) return NULL;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count; i++) {
        size_t n = lengths[i];
        PyObject *s = n == 1 ? PyUnicode_FromOrdinal(*r->p) : new_ascii(r, r->p, n);
        if (UNLIKELY(s == NULL)) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, s);
        r->p += n;
    }
    return list;
}

static PyObject *read_packed(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    if (!open_container(r, start, depth, "list", false)) return NULL;
    if (tag == TAG_ASCII_LIST) return read_words(r, start);
    size_t size = tag == TAG_F64_LIST ? 8 : (size_t)1 << (tag - TAG_I8_LIST);
    uint64_t count;
    if (!read_count(r, start, size, &count) || !spend(r, start, count)) return NULL;
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL) return NULL;
    const uint8_t *p = r->p;
    State *st = r->st;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)count; i++, p += size) {
        PyObject *item;
        if (tag == TAG_F64_LIST) {
            double d;
            memcpy(&d, p, 8);
            item = PyFloat_FromDouble(d);
        } else {
            int64_t n;
            if (size == 8) {
                memcpy(&n, p, 8);
            } else if (size == 4) {
                int32_t narrow;
                memcpy(&narrow, p, 4);
                n = narrow;
            } else if (size == 2) {
                int16_t narrow;
                memcpy(&narrow, p, 2);
                n = narrow;
            } else {
                n = (int8_t)*p;
            }
            item = new_int(st, n);
        }
        if (UNLIKELY(item == NULL)) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, item);
    }
    r->p = p;
    return list;
}

static bool is_closed(Reader *r) {
    if (r->p == r->end || *r->p != TAG_CLOSE) return false;
    r->p++;
    return true;
}

static PyObject *read_open_list(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "list", false)) return NULL;
    PyObject *list = PyList_New(0);
    if (list == NULL) return NULL;
    while (!is_closed(r)) {
        PyObject *item = spend(r, start, 1) ? read_value(r, depth + 1) : NULL;
        int done = item == NULL ? -1 : PyList_Append(list, item);
        Py_XDECREF(item);
        if (done < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *read_tuple(Reader *r, const uint8_t *start, int depth) {
    uint64_t count;
    if (!read_count(r, start, 1, &count)) return NULL;
    PyObject *list = read_items(r, start, count, depth, "tuple", true);
    if (list == NULL) return NULL;
    PyObject *tuple = PyList_AsTuple(list);
    Py_DECREF(list);
    return tuple;
}

static PyObject *read_set(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    bool is_set = tag == TAG_SET;
    if (!open_container(r, start, depth, is_set ? "set" : "frozenset", !is_set)) return NULL;
    bool was_in_set = r->in_set;
    r->in_set = true;
    uint64_t count;
    PyObject *list = read_count(r, start, 1, &count) ? read_items(r, start, count, depth, "frozenset", true) : NULL;
    r->in_set = was_in_set;
    if (list == NULL) return NULL;
    PyObject *set = is_set ? PySet_New(list) : PyFrozenSet_New(list);
    Py_DECREF(list);
    if (set == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (value != NULL) malformed(r, start, "%S", value);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
    return set;
}

/* Dicts: section 5 */

/* A dict of the keys, in order, with None for every value: what is cloned for each dict of the shape.  A key that comes
   twice makes it shorter. */
static PyObject *new_template(PyObject **keys, Py_ssize_t count) {
    PyObject *dict = PyDict_New();
    if (dict == NULL) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (UNLIKELY(PyDict_SetItem(dict, keys[i], Py_None) < 0)) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

/* count entries, into dict, which is released where that fails. */
static PyObject *read_entries(Reader *r, PyObject *dict, uint64_t count, int depth) {
    for (uint64_t i = 0; i < count; i++) {
        PyObject *key = read_plain_key(r);
        PyObject *value = key == NULL ? NULL : read_value(r, depth + 1);
        int done = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (UNLIKELY(done < 0)) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}

/* Dicts that write their keys each time mostly have those of one before.  The template for a count and a first key is
   made when a sequence of keys is met the second time; its clone is filled as long as the keys are the same. */
static size_t plain_slot(const Reader *r, uint64_t count) {
    size_t size = left(r) > 1 ? r->p[0] : 0, last = size < left(r) ? r->p[size] : 0;
    return ((size_t)count * 7 + size * 5 + last) & (PLAIN_CACHE - 1);
}

#if RAT_INTERNALS
static void keep_plain(State *st, size_t slot, PyObject *dict, Py_ssize_t count) {
    PyObject **pairs = dict_pairs(dict, count), *keys[PLAIN_MOST];
    if (pairs == NULL) return;
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        keys[i] = pairs[2 * i];
        if (!str_is_ascii(keys[i]) || PyUnicode_GET_LENGTH(keys[i]) > MAX_SHORT_KEY) return;
        hash = (hash ^ (uint64_t)str_hash(keys[i])) * 0x9E3779B97F4A7C15u;
    }
    if (st->plain_seen[slot] != (uint32_t)(hash >> 32)) {
        st->plain_seen[slot] = (uint32_t)(hash >> 32);
        return;
    }
    PyObject *template = new_template(keys, count);
    if (template == NULL)
        PyErr_Clear();
    else
        Py_XSETREF(st->plain[slot], template);
}

/* Of a clone whose first have values are read: the rest has other keys. */
static NOINLINE PyObject *read_unlike(Reader *r, PyObject *clone, PyObject **pairs, Py_ssize_t have, Py_ssize_t count, int depth) {
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < have; i++)
        if (PyDict_SetItem(dict, pairs[2 * i], pairs[2 * i + 1]) < 0) Py_CLEAR(dict);
    Py_DECREF(clone);
    return dict == NULL ? NULL : read_entries(r, dict, (uint64_t)(count - have), depth);
}

static PyObject *read_alike(Reader *r, PyObject *template, Py_ssize_t count, int depth, bool *is_alike) {
    PyObject *dict = PyDict_Copy(template);
    if (dict == NULL) return NULL;
    PyObject **pairs = dict_pairs(dict, count);
    *is_alike = pairs != NULL && !PyObject_GC_IsTracked(dict);
    if (!*is_alike) {
        Py_DECREF(dict);
        dict = PyDict_New();
        return dict == NULL ? NULL : read_entries(r, dict, (uint64_t)count, depth);
    }
    bool has_containers = false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyASCIIObject *key = (PyASCIIObject *)pairs[2 * i];
        size_t size = (size_t)key->length;
        if (UNLIKELY(size >= left(r) || *r->p != size || memcmp(r->p + 1, key + 1, size) != 0)) {
            *is_alike = false;
            return read_unlike(r, dict, pairs, i, count, depth);
        }
        r->p += size + 1;
        PyObject *value = read_value(r, depth + 1);
        if (UNLIKELY(value == NULL)) {
            Py_DECREF(dict);
            return NULL;
        }
        PyObject *none = pairs[2 * i + 1];
        pairs[2 * i + 1] = value;
        Py_DECREF(none);
        has_containers |= PyType_IS_GC(Py_TYPE(value));
    }
    if (has_containers) PyObject_GC_Track(dict);
    return dict;
}
#endif

static PyObject *read_plain_dict(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "dict", false)) return NULL;
    uint64_t count;
    if (!read_count(r, start, 2, &count) || !spend(r, start, count)) return NULL;
    bool may_repeat = RAT_INTERNALS && count > 0 && count <= PLAIN_MOST;
    size_t slot = may_repeat ? plain_slot(r, count) : 0;
    State *st = r->st;
#if RAT_INTERNALS
    if (may_repeat && st->plain[slot] != NULL && PyDict_GET_SIZE(st->plain[slot]) == (Py_ssize_t)count) {
        bool is_alike;
        PyObject *dict = read_alike(r, st->plain[slot], (Py_ssize_t)count, depth, &is_alike);
        if (dict != NULL && !is_alike) keep_plain(st, slot, dict, (Py_ssize_t)count);
        return dict;
    }
#endif
    PyObject *dict = PyDict_New();
    if (dict != NULL) dict = read_entries(r, dict, count, depth);
#if RAT_INTERNALS
    if (dict != NULL && may_repeat) keep_plain(st, slot, dict, (Py_ssize_t)count);
#endif
    return dict;
}

static PyObject *read_open_dict(Reader *r, const uint8_t *start, int depth) {
    if (!open_container(r, start, depth, "dict", false)) return NULL;
    PyObject *dict = PyDict_New();
    if (dict == NULL) return NULL;
    while (!is_closed(r)) {
        if (!spend(r, start, 1)) goto fail;
        if (r->p < r->end && *r->p != TAG_STR && (*r->p < TAG_ASCII || *r->p >= TAG_SMALL_INT)) {
            malformed(r, r->p, "key under tag %d, where only str can stand", *r->p);
            goto fail;
        }
        PyObject *key = read_value(r, depth + 1);
        PyObject *value = key == NULL ? NULL : read_value(r, depth + 1);
        int done = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (done < 0) goto fail;
    }
    return dict;
fail:
    Py_DECREF(dict);
    return NULL;
}

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

/* The template of the last dict with the very same key objects; the second time that a sequence of keys is met, one is made. */
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
        if (i == count) return template;
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
    *cached = template;
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
    PyObject *dict = NULL;
    bool in_table = true, are_kept = true;
    Py_ssize_t have = 0;
    while (have < count) {
        if (UNLIKELY(!read_key_slot(r, &keys[have], &in_table, &are_kept))) goto fail;
        have++;
    }
    int made = 0;
    /* keys that are made anew each time have no template, or it would be made in vain */
    PyObject *template = are_kept ? cached_template(r->st, keys, count, &made) : NULL;
    if (made < 0) goto fail;
    dict = template != NULL ? PyDict_Copy(template) : new_template(keys, count);
    if (dict == NULL) goto fail;
    if (UNLIKELY(PyDict_GET_SIZE(dict) != count)) {
        malformed(r, start, "dict with the same key twice");
        goto fail;
    }
    if (in_table && t->shape_count < MAX_SHAPES) {
        if (add_shape(t, keys, count) < 0) goto fail;
        t->shapes[t->shape_count - 1].template = Py_XNewRef(template);
    }
    if (!spend(r, start, (uint64_t)count)) goto fail;
    if (UNLIKELY((size_t)count > left(r))) {
        too_many(r, start, (uint64_t)count, "values");
        goto fail;
    }
    for (Py_ssize_t i = 0; i < have; i++) Py_DECREF(keys[i]); /* the dict has them */
    return dict;
fail:
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

/* What Python reads: the datetime family, UUID, Decimal, typed arrays */
static NOINLINE PyObject *read_scalar(Reader *r, const uint8_t *start, unsigned tag) {
    PyObject *view = data_view(r);
    if (view == NULL) return NULL;
    PyObject *answer = PyObject_CallFunction(r->st->read_scalar, "OniOO", view, (Py_ssize_t)(r->p - r->begin), (int)tag,
                                             r->zero_copy ? Py_True : Py_False, r->in_set ? Py_True : Py_False);
    if (answer == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(r->st->codec_error)) return NULL;
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (value != NULL) malformed(r, start, "%S", value);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return NULL;
    }
    PyObject *value = NULL;
    Py_ssize_t at = PyLong_AsSsize_t(PyTuple_GET_ITEM(answer, 1));
    if (at >= 0) {
        r->p = r->begin + at;
        value = Py_NewRef(PyTuple_GET_ITEM(answer, 0));
    }
    Py_DECREF(answer);
    return value;
}

/* Tags 0-7 in their bincode meaning */
static PyObject *read_bincode(Reader *r, uint64_t tag, const uint8_t *start, int depth) {
    uint64_t number;
    switch (tag) {
        case TAG_NONE: return Py_NewRef(Py_None);
        case TAG_BOOL:
            if (!take(r, start, 1)) return NULL;
            if (*r->p > 1) return malformed(r, start, "bool of %d", *r->p);
            return PyBool_FromLong(*r->p++);
        case TAG_INT:
            if (!read_varint(r, start, &number)) return NULL;
            return new_int(r->st, (int64_t)(number >> 1) ^ -(int64_t)(number & 1));
        case TAG_FLOAT: return read_float(r, start);
        case TAG_STR: {
            if (!read_varint(r, start, &number) || !take(r, start, number)) return NULL;
            const uint8_t *c = r->p;
            r->p += number;
            return new_text(r, start, c, (size_t)number);
        }
        case TAG_BYTES: return read_bytes(r, start);
        case TAG_LIST:
            if (!read_count(r, start, 1, &number)) return NULL;
            return read_items(r, start, number, depth, "list", false);
        case TAG_DICT: return read_plain_dict(r, start, depth);
        default:
            return malformed(r, start, "tag %llu, where a bincode tag of 0 to 7 must stand", (unsigned long long)tag);
    }
}

static NOINLINE PyObject *read_varint_tag(Reader *r, const uint8_t *start, int depth) {
    uint64_t tag;
    r->p = start;
    if (!read_varint(r, start, &tag)) return NULL;
    return read_bincode(r, tag, start, depth);
}

static PyObject *read_extension(Reader *r, const uint8_t *start, unsigned tag, int depth) {
    switch (tag) {
        case TAG_FALSE: return Py_NewRef(Py_False);
        case TAG_TRUE: return Py_NewRef(Py_True);
        case TAG_BIG_INT: return read_big_int(r, start);
        case TAG_BYTEARRAY: return read_bytearray(r, start);
        case TAG_TUPLE: return read_tuple(r, start, depth);
        case TAG_SET:
        case TAG_FROZENSET: return read_set(r, start, tag, depth);
        case TAG_INDEXED_LIST: return read_indexed(r, start, depth);
        case TAG_OPEN_LIST: return read_open_list(r, start, depth);
        case TAG_OPEN_DICT: return read_open_dict(r, start, depth);
        case TAG_OPEN_BYTES: return read_open_bytes(r, start);
        case TAG_WIDE_DICT: {
            if (!open_container(r, start, depth, "dict", false)) return NULL;
            if (!take(r, start, 1)) return NULL;
            unsigned count = *r->p++;
            if (count < 1 || count > MAX_SHAPE_KEYS)
                return malformed(r, start, "dict of %u keys, where 1 to %d can stand", count, MAX_SHAPE_KEYS);
            return read_keyed(r, start, (Py_ssize_t)count, depth);
        }
    }
    if (tag >= TAG_U8 && tag <= TAG_N64) return read_int(r, start, tag);
    if (tag >= TAG_F64_LIST && tag <= TAG_ASCII_LIST) return read_packed(r, start, tag, depth);
    if (tag >= TAG_DATE && tag <= TAG_ARRAY) return read_scalar(r, start, tag);
    return malformed(r, start, "tag %u, which begins no value", tag);
}

static PyObject *read_value(Reader *r, int depth) {
    const uint8_t *start = r->p;
    if (UNLIKELY(start >= r->end)) return malformed(r, start, "the input ends where a value must stand");
    unsigned tag = *start;
    if (UNLIKELY(tag >= 251)) return read_varint_tag(r, start, depth);
    r->p = start + 1;
    if (r->bincode) return read_bincode(r, tag, start, depth);
    if (tag >= TAG_ASCII) {
        if (tag < TAG_SMALL_INT) return read_short(r, start, tag - TAG_ASCII);
        if (tag < TAG_SMALL_LIST) return Py_NewRef(r->st->small_ints[tag - TAG_SMALL_INT]);
        if (tag < TAG_SMALL_DICT) return read_items(r, start, tag - TAG_SMALL_LIST, depth, "list", false);
        if (tag <= TAG_SMALL_DICT_LAST) return read_keyed(r, start, (Py_ssize_t)(tag - TAG_SMALL_DICT), depth);
        return malformed(r, start, "tag %u, which begins no value", tag);
    }
    if (tag >= TAG_SHAPED_DICT) return read_shaped(r, start, tag, depth);
    if (tag <= TAG_DICT) return read_bincode(r, tag, start, depth);
    return read_extension(r, start, tag, depth);
}

/* Tables */

ReadTables *read_tables_new(void) {
    ReadTables *t = PyMem_Calloc(1, sizeof(ReadTables));
    if (t == NULL) PyErr_NoMemory();
    return t;
}

size_t read_tables_size(const ReadTables *t) {
    return sizeof(ReadTables) + ((size_t)t->key_room + t->arena_size) * sizeof(PyObject *) +
           (size_t)t->shape_room * sizeof(ReadShape);
}

void read_tables_clear(ReadTables *t) {
    int keys = t->key_count, shapes = t->shape_count;
    t->key_count = t->shape_count = 0;
    t->arena_used = 0;
    for (int i = 0; i < shapes; i++) Py_CLEAR(t->shapes[i].template);
    for (int i = 0; i < keys; i++) Py_DECREF(t->keys[i]);
}

void read_tables_free(ReadTables *t) {
    if (t == NULL) return;
    read_tables_clear(t);
    PyMem_Free(t->arena);
    PyMem_Free(t->keys);
    PyMem_Free(t->shapes);
    PyMem_Free(t);
}

/* Messages */

static NOINLINE PyObject *bytes_left(Reader *r) {
    return malformed(r, r->p, "%zd bytes after the value", (Py_ssize_t)(r->end - r->p));
}

PyObject *read_message(State *st, ReadTables *t, const ReadOptions *options, PyObject *data, bool is_lost) {
    Py_buffer buffer;
    bool is_bytes = PyBytes_CheckExact(data);
    Reader r = {
        .st = st,
        .t = t,
        .data = data,
        .items_left = options->max_items,
        .max_depth = options->max_depth,
        .bincode = options->bincode,
        .zero_copy = options->zero_copy,
    };
    if (LIKELY(is_bytes)) {
        r.begin = (const uint8_t *)PyBytes_AS_STRING(data);
        r.end = r.begin + PyBytes_GET_SIZE(data);
    } else {
        if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0) {
            /* the reference's words for what is no buffer, or no contiguous one */
            PyErr_Clear();
            PyObject *view = PyObject_CallOneArg(st->byte_view, data);
            if (view == NULL) return NULL;
            Py_DECREF(view);
            if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0) return NULL;
        }
        r.begin = buffer.buf;
        r.end = r.begin + buffer.len;
    }
    r.p = r.begin;
    PyObject *value = NULL;
    bool begins_anew = r.p < r.end && *r.p == TAG_RESET && !r.bincode;
    if (is_lost && !begins_anew) {
        malformed(&r, r.p, "message after a refused one, without a reset");
    } else {
        if (begins_anew) {
            read_tables_clear(t);
            r.p++;
        }
        value = read_value(&r, 0);
        if (value != NULL && UNLIKELY(r.p != r.end)) {
            Py_DECREF(value);
            value = bytes_left(&r);
        }
    }
    Py_XDECREF(r.view);
    if (!is_bytes) PyBuffer_Release(&buffer);
    return value;
}

PyObject *read_at(State *st, PyObject *data, const Py_buffer *buffer, Py_ssize_t at, bool zero_copy) {
    const uint8_t *begin = buffer->buf;
    ReadTables none = {0};
    Reader r = {
        .p = begin + at,
        .end = begin + buffer->len,
        .begin = begin,
        .st = st,
        .t = &none,
        .data = data,
        .items_left = UNLIMITED,
        .max_depth = 64,
        .zero_copy = zero_copy,
    };
    PyObject *value = read_value(&r, 0);
    Py_XDECREF(r.view);
    read_tables_clear(&none);
    PyMem_Free(none.arena);
    PyMem_Free(none.keys);
    PyMem_Free(none.shapes);
    return value;
}
