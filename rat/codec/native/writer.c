/* The encoder: one value to its bytes.  Section 9 of docs/wire-format.md says which form each value takes. */
#include "codec.h"
#include "internals.h"

/* A dict that is being written.  Before Python code may run, each of them gets a copy of its items: what the code does
   to the dict no longer moves the ground. */
typedef struct Frame {
    struct Frame *up;
    PyObject *dict;
    PyObject *items;
} Frame;

typedef struct {
    size_t at; /* in the written bytes */
    PyObject *content;
} Payload;

typedef struct {
    uint8_t *p, *end, *begin;
    PyObject *bytes; /* owns begin; NULL while the message fits the first buffer, on the stack */
    State *st;
    WriteTables *t;
    PyObject *default_;
    int max_depth;
    bool bincode;
    bool in_set;
    Py_ssize_t threshold;
    Payload *payloads;
    size_t payload_count, payload_size;
    size_t external; /* bytes in payloads */
    Frame *frames;
    PyObject *message; /* a refusal on its way out, without an exception set */
    PyObject *steps;   /* the path to it, from the inside out */
} Writer;

static int write_value(Writer *w, PyObject *v, int depth);
static inline int write_any(Writer *w, PyObject *v, int depth);

/* Refusals: -1 with message set, or with an exception set. */

static NOINLINE int refuse(Writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    w->message = PyUnicode_FromFormatV(format, args);
    va_end(args);
    return -1;
}

/* Steals step. */
static NOINLINE int add_step(Writer *w, PyObject *step) {
    if (w->message != NULL) {
        if (w->steps == NULL) w->steps = PyList_New(0);
        if (step == NULL || w->steps == NULL || PyList_Append(w->steps, step) < 0) Py_CLEAR(w->message);
    }
    Py_XDECREF(step);
    return -1;
}

static NOINLINE int add_index(Writer *w, Py_ssize_t index) {
    return w->message == NULL ? -1 : add_step(w, PyUnicode_FromFormat("[%zd]", index));
}

static int before_python(Writer *w);

static NOINLINE int add_key(Writer *w, PyObject *key) {
    if (w->message == NULL) return -1;
    if (before_python(w) < 0) {
        Py_CLEAR(w->message);
        return -1;
    }
    return add_step(w, PyObject_CallOneArg(w->st->key_path, key));
}

/* "... of type NAME ..." */
static NOINLINE int refuse_type(Writer *w, const char *format, PyObject *v) {
    PyObject *name = PyType_GetName(Py_TYPE(v));
    if (name == NULL) return -1;
    refuse(w, format, name);
    Py_DECREF(name);
    return -1;
}

/* A ValueError of a helper is a refusal in its words. */
static NOINLINE int refuse_as_raised(Writer *w) {
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    w->message = value == NULL ? NULL : PyObject_Str(value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return -1;
}

static NOINLINE PyObject *raise_refusal(Writer *w, Py_ssize_t item) {
    PyObject *path = item < 0 ? PyUnicode_FromString("$") : PyUnicode_FromFormat("$[%zd]", item);
    if (path != NULL && w->steps != NULL) {
        for (Py_ssize_t i = PyList_GET_SIZE(w->steps) - 1; i >= 0 && path != NULL; i--) {
            PyUnicode_Append(&path, PyList_GET_ITEM(w->steps, i));
        }
    }
    if (path == NULL) return NULL;
    PyObject *arguments = PyTuple_Pack(1, w->message);
    PyObject *names = arguments == NULL ? NULL : Py_BuildValue("{s:O}", "path", path);
    PyObject *error = names == NULL ? NULL : PyObject_Call(w->st->codec_error, arguments, names);
    if (error != NULL) PyErr_SetObject(w->st->codec_error, error);
    Py_XDECREF(error);
    Py_XDECREF(names);
    Py_XDECREF(arguments);
    Py_DECREF(path);
    return NULL;
}

/* Room */

/* Messages up to this size let the next one begin with as much room. */
enum { EXPECTED_MOST = 1 << 20 };

static NOINLINE int grow(Writer *w, size_t n) {
    size_t used = (size_t)(w->p - w->begin);
    if (n > (size_t)PY_SSIZE_T_MAX / 4 - used) {
        PyErr_NoMemory();
        return -1;
    }
    size_t have = (size_t)(w->end - w->begin);
    size_t size = used + n + 32;
    if (size < 2 * have) size = have > (8u << 20) ? have + have / 2 + n : 2 * have;
    if (size < 4096) size = 4096;
    if (w->bytes == NULL) {
        if (size < w->st->expected && n < size) size = w->st->expected;
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        if (bytes == NULL) return -1;
        memcpy(PyBytes_AS_STRING(bytes), w->begin, used);
        w->bytes = bytes;
    } else if (_PyBytes_Resize(&w->bytes, (Py_ssize_t)size) < 0) {
        w->begin = w->p = w->end = NULL;
        return -1;
    }
    w->begin = (uint8_t *)PyBytes_AS_STRING(w->bytes);
    w->p = w->begin + used;
    w->end = w->begin + size;
    return 0;
}

static inline int room(Writer *w, size_t n) {
    return LIKELY((size_t)(w->end - w->p) >= n) ? 0 : grow(w, n);
}

static inline int put_byte(Writer *w, unsigned byte) {
    if (UNLIKELY(w->p == w->end) && grow(w, 1) < 0) return -1;
    *w->p++ = (uint8_t)byte;
    return 0;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t n) {
    if (LIKELY(n <= 250)) {
        *p = (uint8_t)n;
        return p + 1;
    }
    if (n <= 0xFFFF) {
        *p = 251;
        memcpy(p + 1, &n, 2);
        return p + 3;
    }
    if (n <= 0xFFFFFFFF) {
        *p = 252;
        memcpy(p + 1, &n, 4);
        return p + 5;
    }
    *p = 253;
    memcpy(p + 1, &n, 8);
    return p + 9;
}

static inline int put_head(Writer *w, unsigned tag, uint64_t count) {
    if (room(w, 10) < 0) return -1;
    *w->p++ = (uint8_t)tag;
    w->p = put_varint(w->p, count);
    return 0;
}

static int put_bytes(Writer *w, const void *from, size_t n) {
    if (room(w, n) < 0) return -1;
    memcpy(w->p, from, n);
    w->p += n;
    return 0;
}

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

/* The room behind p is a byte more than what is written. */
static inline uint8_t *put_character(uint8_t *p, Py_UCS4 c) {
    uint32_t bytes;
    if (c < 0x80) {
        *p = (uint8_t)c;
        return p + 1;
    }
    if (c < 0x800) {
        *p = (uint8_t)(0xC0 | c >> 6);
        p[1] = (uint8_t)(0x80 | (c & 0x3F));
        return p + 2;
    }
    if (c < 0x10000) {
        bytes = 0x8080E0u | c >> 12 | (c & 0xFC0) << 2 | (c & 0x3F) << 16;
        memcpy(p, &bytes, 4);
        return p + 3;
    }
    bytes = 0x808080F0u | c >> 18 | (c >> 4 & 0x3F00) | (c & 0xFC0) << 10 | (c & 0x3F) << 24;
    memcpy(p, &bytes, 4);
    return p + 4;
}

static uint8_t *put_utf8(uint8_t *p, PyObject *s) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    switch (PyUnicode_KIND(s)) {
        case PyUnicode_1BYTE_KIND: {
            const Py_UCS1 *c = PyUnicode_1BYTE_DATA(s);
            for (Py_ssize_t i = 0; i < n; i++) p = put_character(p, c[i]);
            return p;
        }
        case PyUnicode_2BYTE_KIND: {
            const Py_UCS2 *c = PyUnicode_2BYTE_DATA(s);
            for (Py_ssize_t i = 0; i < n; i++) p = put_character(p, c[i]);
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
static NOINLINE int write_short_wide(Writer *w, PyObject *s) {
    Py_ssize_t n = PyUnicode_GET_LENGTH(s);
    if (room(w, 256) < 0) return -1;
    uint8_t *content = w->p + 1, *p = content;
    if (PyUnicode_KIND(s) == PyUnicode_2BYTE_KIND) {
        const Py_UCS2 *c = PyUnicode_2BYTE_DATA(s);
        unsigned surrogate = 0;
        for (Py_ssize_t i = 0; i < n; i++) {
            surrogate |= (c[i] & 0xF800) == 0xD800;
            p = put_character(p, c[i]);
        }
        if (UNLIKELY(surrogate)) return utf8_size(w, s, &(size_t){0});
    } else {
        size_t size;
        if (utf8_size(w, s, &size) < 0) return -1;
        p = put_utf8(p, s);
    }
    *w->p = (uint8_t)(p - content);
    w->p = p;
    return 0;
}

/* varint length and UTF-8 */
static int write_text(Writer *w, PyObject *s) {
    if (str_is_ascii(s)) {
        size_t n = (size_t)PyUnicode_GET_LENGTH(s);
        if (room(w, n + 25) < 0) return -1;
        w->p = put_varint(w->p, n);
        copy_word(w->p, PyUnicode_1BYTE_DATA(s), n);
        w->p += n;
        return 0;
    }
    if (PyUnicode_GET_LENGTH(s) <= 62) return write_short_wide(w, s);
    size_t size;
    if (utf8_size(w, s, &size) < 0) return -1;
    if (room(w, size + 10) < 0) return -1;
    w->p = put_utf8(put_varint(w->p, size), s);
    return 0;
}

static NOINLINE int write_long_str(Writer *w, PyObject *s) {
    if (put_byte(w, TAG_STR) < 0) return -1;
    return write_text(w, s);
}

static inline int write_str(Writer *w, PyObject *s) {
    if (LIKELY(str_is_ascii(s) && PyUnicode_GET_LENGTH(s) <= 63)) {
        size_t n = (size_t)PyUnicode_GET_LENGTH(s);
        if (room(w, 80) < 0) return -1;
        *w->p = (uint8_t)(TAG_ASCII + n);
        copy_word(w->p + 1, (const uint8_t *)((PyASCIIObject *)s + 1), n);
        w->p += n + 1;
        return 0;
    }
    return write_long_str(w, s);
}

/* Ints */

static NOINLINE int write_big_int(Writer *w, PyObject *v) {
    PyObject *content = PyObject_CallOneArg(w->st->write_big_int, v);
    if (content == NULL) return -1;
    int done = put_head(w, TAG_BIG_INT, (uint64_t)PyBytes_GET_SIZE(content));
    if (done == 0) done = put_bytes(w, PyBytes_AS_STRING(content), (size_t)PyBytes_GET_SIZE(content));
    Py_DECREF(content);
    return done;
}

static inline int write_int(Writer *w, PyObject *v) {
    int64_t n;
    if (UNLIKELY(!int_fast(v, &n))) {
        int overflow;
        n = PyLong_AsLongLongAndOverflow(v, &overflow);
        if (overflow) return before_python(w) < 0 ? -1 : write_big_int(w, v);
    }
    if (room(w, 16) < 0) return -1;
    uint8_t *p = w->p;
    if ((uint64_t)n <= 63) {
        *p = (uint8_t)(TAG_SMALL_INT + n);
        w->p = p + 1;
        return 0;
    }
    unsigned tag = n < 0 ? TAG_N8 : TAG_U8;
    uint64_t u = (uint64_t)(n ^ (n >> 63)); /* n, or -1 - n */
    memcpy(p + 1, &u, 8);
    unsigned power = (u > 0xFF) + (u > 0xFFFF) + (u > 0xFFFFFFFF);
    *p = (uint8_t)(tag + power);
    w->p = p + 1 + (1u << power);
    return 0;
}

static NOINLINE int refuse_big_int(Writer *w, PyObject *v) {
    PyObject *bits = PyObject_CallMethod(v, "bit_length", NULL);
    if (bits == NULL) return -1;
    refuse(w, "int of %S bits, which the bincode profile cannot say", bits);
    Py_DECREF(bits);
    return -1;
}

static int write_bincode_int(Writer *w, PyObject *v) {
    int64_t n;
    if (UNLIKELY(!int_fast(v, &n))) {
        int overflow;
        n = PyLong_AsLongLongAndOverflow(v, &overflow);
        if (overflow) return refuse_big_int(w, v);
    }
    if (room(w, 16) < 0) return -1;
    *w->p++ = TAG_INT;
    w->p = put_varint(w->p, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
    return 0;
}

static inline int write_float(Writer *w, PyObject *v) {
    if (room(w, 16) < 0) return -1;
    double d = PyFloat_AS_DOUBLE(v);
    *w->p = TAG_FLOAT;
    memcpy(w->p + 1, &d, 8);
    w->p += 9;
    return 0;
}

/* Bytes */

/* Content that follows its head: copied, or kept as a segment of its own.  Steals nothing. */
static int write_payload(Writer *w, PyObject *owner, const void *content, Py_ssize_t size) {
    if (w->threshold == 0 || size < w->threshold || w->in_set) return put_bytes(w, content, (size_t)size);
    if (w->payload_count == w->payload_size) {
        size_t more = w->payload_size ? 2 * w->payload_size : 4;
        Payload *payloads = PyMem_Realloc(w->payloads, more * sizeof(Payload));
        if (payloads == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        w->payloads = payloads;
        w->payload_size = more;
    }
    PyObject *kept = PyBytes_CheckExact(owner) ? Py_NewRef(owner) : PyMemoryView_FromObject(owner);
    if (kept == NULL) return -1;
    w->payloads[w->payload_count++] = (Payload){(size_t)(w->p - w->begin), kept};
    w->external += (size_t)size;
    return 0;
}

static int write_bytes(Writer *w, PyObject *v, unsigned tag) {
    bool is_bytes = PyBytes_CheckExact(v);
    const char *content = is_bytes ? PyBytes_AS_STRING(v) : PyByteArray_AS_STRING(v);
    Py_ssize_t size = is_bytes ? PyBytes_GET_SIZE(v) : PyByteArray_GET_SIZE(v);
    if (put_head(w, tag, (uint64_t)size) < 0) return -1;
    return write_payload(w, v, content, size);
}

/* Containers */

static inline int open_container(Writer *w, int depth, const char *kind, bool hashable) {
    if (UNLIKELY(depth >= w->max_depth)) return refuse(w, "deeper than %d levels", w->max_depth);
    if (UNLIKELY(w->in_set) && !hashable) return refuse(w, "%s inside a set", kind);
    return 0;
}

/* Python code is about to run: dicts that are being written could change under it. */
static NOINLINE int snapshot_frames(Writer *w) {
    for (Frame *frame = w->frames; frame != NULL && frame->items == NULL; frame = frame->up) {
        frame->items = PyDict_Items(frame->dict);
        if (frame->items == NULL) return -1;
    }
    return 0;
}

static void own_keys(WriteTables *t) {
    t->owns_all = true;
    while (t->owned < t->key_count) Py_INCREF(t->keys[t->owned++]);
}

static int before_python(Writer *w) {
    if (!w->t->owns_all) own_keys(w->t);
    return w->frames == NULL ? 0 : snapshot_frames(w);
}

static int write_items(Writer *w, PyObject *list, Py_ssize_t count, int depth) {
    for (Py_ssize_t i = 0; i < count; i++) {
        if (UNLIKELY(i >= PyList_GET_SIZE(list))) break;
        PyObject *item = PyList_GET_ITEM(list, i);
        int done;
        if (Py_TYPE(item) == &PyUnicode_Type && !w->bincode) {
            done = write_str(w, item);
        } else {
            Py_INCREF(item);
            done = write_value(w, item, depth);
            Py_DECREF(item);
        }
        if (UNLIKELY(done < 0)) return add_index(w, i);
    }
    if (UNLIKELY(PyList_GET_SIZE(list) != count))
        return refuse(w, "list of %zd items that has %zd after encoding", count, PyList_GET_SIZE(list));
    return 0;
}

/* How many items ahead of the one that is written memory is asked for; and from how many bytes on that pays for dicts: what
   a shorter message is made of is in the cache, mostly. */
enum { AHEAD = 12, FAR = 16384 };

/* Section 6.  The index is kept aside until the items are written. */
static int write_indexed(Writer *w, PyObject *list, Py_ssize_t count, int depth) {
    WriteTables *t = w->t;
    size_t blocks = ((size_t)count + INDEX_STEP - 1) / INDEX_STEP;
    if (put_head(w, TAG_INDEXED_LIST, (uint64_t)count) < 0 || room(w, 4) < 0) return -1;
    size_t place = (size_t)(w->p - w->begin);
    w->p += 4;
    size_t start = place + 4 + w->external;
    uint32_t *index = PyMem_Malloc(blocks * 4);
    if (index == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int known = t->key_count + t->shape_count;
    Py_ssize_t i = 0;
    for (size_t block = 0; block < blocks; block++) {
        Py_ssize_t end = count - i > INDEX_STEP ? i + INDEX_STEP : count;
        for (; i < end; i++) {
            if (UNLIKELY(i >= PyList_GET_SIZE(list))) goto changed;
            PyObject **items = ((PyListObject *)list)->ob_item, *item = items[i];
            if (i + AHEAD < count && i + AHEAD < PyList_GET_SIZE(list)) {
                PREFETCH(items[i + AHEAD]);
                prefetch_dict_table(items[i + AHEAD / 2]);
            }
            int done;
            if (Py_TYPE(item) == &PyUnicode_Type) {
                done = write_str(w, item);
            } else {
                Py_INCREF(item);
                done = write_value(w, item, depth);
                Py_DECREF(item);
            }
            if (UNLIKELY(done < 0)) {
                PyMem_Free(index);
                return add_index(w, i);
            }
        }
        int before = known;
        known = t->key_count + t->shape_count;
        index[block] = (uint32_t)((size_t)(w->p - w->begin) + w->external - start) | (known != before ? ADDS_TO_TABLES : 0);
    }
    if (UNLIKELY(PyList_GET_SIZE(list) != count)) goto changed;
    size_t size = (size_t)(w->p - w->begin) + w->external - start;
    uint32_t length = size >= INDEXED_SIZE ? ENDLESS : (uint32_t)size;
    memcpy(w->begin + place, &length, 4);
    int done = length == ENDLESS ? 0 : put_bytes(w, index, blocks * 4);
    PyMem_Free(index);
    return done;
changed:
    PyMem_Free(index);
    return refuse(w, "list of %zd items that has %zd after encoding", count, PyList_GET_SIZE(list));
}

/* The packed lists: 1 written, 0 not of that kind (and nothing written), -1 failed. */

static int write_floats(Writer *w, PyObject **items, Py_ssize_t count) {
    if (room(w, 10 + 8 * (size_t)count) < 0) return -1;
    uint8_t *begin = w->p;
    *begin = TAG_F64_LIST;
    uint8_t *p = put_varint(begin + 1, (uint64_t)count);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < count) PREFETCH(items[i + AHEAD]);
        if (UNLIKELY(Py_TYPE(items[i]) != &PyFloat_Type)) return 0;
        double d = PyFloat_AS_DOUBLE(items[i]);
        memcpy(p, &d, 8);
        p += 8;
    }
    w->p = p;
    return 1;
}

/* Written as i64, narrowed afterwards where all fit: one look at each object. */
static int write_ints(Writer *w, PyObject **items, Py_ssize_t count) {
    if (room(w, 10 + 8 * (size_t)count) < 0) return -1;
    uint8_t *content = put_varint(w->p + 1, (uint64_t)count);
    uint8_t *p = content;
    uint64_t all = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < count) PREFETCH(items[i + AHEAD]);
        if (UNLIKELY(Py_TYPE(items[i]) != &PyLong_Type)) return 0;
        int64_t n;
        if (UNLIKELY(!int_fast(items[i], &n))) {
            int overflow;
            n = PyLong_AsLongLongAndOverflow(items[i], &overflow);
            if (overflow) return 0;
        }
        all |= (uint64_t)(n ^ (n >> 63));
        memcpy(p, &n, 8);
        p += 8;
    }
    unsigned power = (all > 0x7F) + (all > 0x7FFF) + (all > 0x7FFFFFFF);
    *w->p = (uint8_t)(TAG_I8_LIST + power);
    /* forward in place: an element is never written past the place it was read from */
    if (power == 0) {
        for (Py_ssize_t i = 0; i < count; i++) content[i] = content[8 * i];
    } else if (power == 1) {
        for (Py_ssize_t i = 0; i < count; i++) {
            uint16_t n;
            memcpy(&n, content + 8 * i, 2);
            memcpy(content + 2 * i, &n, 2);
        }
    } else if (power == 2) {
        for (Py_ssize_t i = 0; i < count; i++) {
            uint32_t n;
            memcpy(&n, content + 8 * i, 4);
            memcpy(content + 4 * i, &n, 4);
        }
    }
    w->p = content + ((size_t)count << power);
    return 1;
}

/* The characters follow the lengths in one pass: where the lengths end is known from the count. */
static int write_words(Writer *w, PyObject **items, Py_ssize_t count) {
    if (room(w, 10 + (size_t)count + 272) < 0) return -1;
    size_t start = (size_t)(w->p - w->begin);
    uint8_t *lengths = put_varint(w->p + 1, (uint64_t)count);
    uint8_t *p = lengths + count;
    *w->p = TAG_ASCII_LIST;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *s = items[i];
        if (i + AHEAD < count) PREFETCH(items[i + AHEAD]);
        if (UNLIKELY(Py_TYPE(s) != &PyUnicode_Type || !str_is_ascii(s))) goto other;
        size_t n = (size_t)PyUnicode_GET_LENGTH(s);
        if (UNLIKELY(n > 255)) goto other;
        if (UNLIKELY(w->end - p < 272)) {
            size_t place = (size_t)(lengths - w->begin);
            w->p = p; /* written: growing keeps it */
            if (grow(w, 272 + 8 * (size_t)(count - i)) < 0) return -1;
            p = w->p;
            lengths = w->begin + place;
        }
        lengths[i] = (uint8_t)n;
        copy_word(p, (const uint8_t *)((PyASCIIObject *)s + 1), n);
        p += n;
    }
    w->p = p;
    return 1;
other:
    w->p = w->begin + start;
    return 0;
}

static NOINLINE int write_list(Writer *w, PyObject *list, int depth) {
    if (open_container(w, depth, "list", false) < 0) return -1;
    Py_ssize_t count = PyList_GET_SIZE(list);
    if (count >= PACK_FROM) {
        PyObject **items = ((PyListObject *)list)->ob_item;
        PyTypeObject *first = Py_TYPE(items[0]);
        /* the last one is asked beforehand: most lists that are mixed show it there */
        if (Py_TYPE(items[count - 1]) == first) {
            int done = first == &PyUnicode_Type ? write_words(w, items, count)
                       : first == &PyFloat_Type ? write_floats(w, items, count)
                       : first == &PyLong_Type  ? write_ints(w, items, count)
                                                : 0;
            if (done != 0) return done < 0 ? -1 : 0;
        }
    }
    if (count > 31) return write_indexed(w, list, count, depth + 1);
    if (put_byte(w, TAG_SMALL_LIST + (unsigned)count) < 0) return -1;
    return write_items(w, list, count, depth + 1);
}

static int write_bincode_list(Writer *w, PyObject *list, int depth) {
    if (open_container(w, depth, "list", false) < 0) return -1;
    Py_ssize_t count = PyList_GET_SIZE(list);
    if (put_head(w, TAG_LIST, (uint64_t)count) < 0) return -1;
    return write_items(w, list, count, depth + 1);
}

static int write_tuple(Writer *w, PyObject *tuple, int depth) {
    if (open_container(w, depth, "tuple", true) < 0) return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (put_head(w, TAG_TUPLE, (uint64_t)count) < 0) return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (write_value(w, PyTuple_GET_ITEM(tuple, i), depth + 1) < 0) return add_index(w, i);
    }
    return 0;
}

typedef struct {
    const uint8_t *content;
    size_t size;
} Piece;

static int compare_pieces(const void *one, const void *other) {
    const Piece *a = one, *b = other;
    int order = memcmp(a->content, b->content, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* The items go to the end of the buffer first; sorted, they take the place where they stood. */
static int write_set(Writer *w, PyObject *set, int depth, unsigned tag) {
    if (open_container(w, depth, tag == TAG_SET ? "set" : "frozenset", tag == TAG_FROZENSET) < 0) return -1;
    if (before_python(w) < 0) return -1;
    PyObject *items = PySequence_List(set);
    if (items == NULL) return -1;
    size_t count = (size_t)PyList_GET_SIZE(items);
    Piece *pieces = PyMem_Malloc((count + 1) * sizeof(Piece));
    uint8_t *copy = NULL;
    int done = -1;
    bool was_in_set = w->in_set;
    if (pieces == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    if (put_head(w, tag, count) < 0) goto end;
    size_t start = (size_t)(w->p - w->begin), before = start;
    w->in_set = true;
    for (size_t i = 0; i < count; i++) {
        if (write_value(w, PyList_GET_ITEM(items, (Py_ssize_t)i), depth + 1) < 0) {
            if (w->message != NULL) add_step(w, PyUnicode_FromString("[*]"));
            goto end;
        }
        size_t now = (size_t)(w->p - w->begin);
        pieces[i].size = now - before;
        before = now;
    }
    if (count > 1) {
        copy = PyMem_Malloc(before - start);
        if (copy == NULL) {
            PyErr_NoMemory();
            goto end;
        }
        memcpy(copy, w->begin + start, before - start);
        const uint8_t *from = copy;
        for (size_t i = 0; i < count; i++) {
            pieces[i].content = from;
            from += pieces[i].size;
        }
        qsort(pieces, count, sizeof(Piece), compare_pieces);
        uint8_t *to = w->begin + start;
        for (size_t i = 0; i < count; i++) {
            memcpy(to, pieces[i].content, pieces[i].size);
            to += pieces[i].size;
        }
    }
    done = 0;
end:
    w->in_set = was_in_set;
    PyMem_Free(copy);
    PyMem_Free(pieces);
    Py_DECREF(items);
    return done;
}

/* Dicts: section 5 */

static NOINLINE int refuse_key(Writer *w, PyObject *key) {
    Py_INCREF(key);
    refuse_type(w, "key of type %U, where only str can stand", key);
    add_key(w, key);
    Py_DECREF(key);
    return -1;
}

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

/* What is left: scalars of the standard library, arrays, what has a plain value in its place, default. */

static int write_array(Writer *w, PyObject *v) {
    if (w->in_set && !w->bincode) return refuse(w, "array inside a set");
    PyObject *parts = PyObject_CallOneArg(w->st->array_parts, v);
    if (parts == NULL) return refuse_as_raised(w);
    PyObject *head = PyTuple_GET_ITEM(parts, 0), *content = PyTuple_GET_ITEM(parts, 1);
    Py_buffer *view = PyMemoryView_GET_BUFFER(content);
    int done = -1;
    if (w->bincode) {
        if (PyTuple_GET_ITEM(parts, 2) != Py_True) {
            static const char formats[] = "?bBhHiIqQfd";
            refuse(w, "array of format '%c', which the bincode profile cannot say",
                   formats[(uint8_t)PyBytes_AS_STRING(head)[0]]);
            goto end;
        }
        if (put_head(w, TAG_BYTES, (uint64_t)view->len) < 0) goto end;
    } else {
        if (put_byte(w, TAG_ARRAY) < 0) goto end;
        if (put_bytes(w, PyBytes_AS_STRING(head), (size_t)PyBytes_GET_SIZE(head)) < 0) goto end;
    }
    done = write_payload(w, content, view->buf, view->len);
end:
    Py_DECREF(parts);
    return done;
}

static int write_scalar(Writer *w, PyObject *v) {
    PyObject *message = PyObject_CallOneArg(w->st->write_scalar, v);
    if (message == NULL) return refuse_as_raised(w);
    int done = put_bytes(w, PyBytes_AS_STRING(message), (size_t)PyBytes_GET_SIZE(message));
    Py_DECREF(message);
    return done;
}

static int write_replaced(Writer *w, PyObject *v, int depth) {
    State *st = w->st;
    PyObject *answer = PyObject_CallOneArg(st->is_array, v);
    if (answer == NULL) return -1;
    int is_array = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (is_array) return is_array < 0 ? -1 : write_array(w, v);
    PyObject *plain = PyObject_CallOneArg(st->replacement, v);
    if (plain == NULL) return -1;
    int level = depth;
    if (plain == st->not_replaced) {
        Py_DECREF(plain);
        if (w->default_ == NULL)
            return refuse_type(
                w, w->bincode ? "value of type %U, which the bincode profile cannot say" : "value of type %U", v);
        if (depth >= w->max_depth) return refuse(w, "deeper than %d levels", w->max_depth);
        plain = PyObject_CallOneArg(w->default_, v);
        if (plain == NULL) return -1;
        level = depth + 1;
    }
    int done = write_value(w, plain, level);
    Py_DECREF(plain);
    return done;
}

static NOINLINE int write_other(Writer *w, PyObject *v, int depth) {
    PyTypeObject *type = Py_TYPE(v);
    if (!w->bincode) {
        if (type == &PyTuple_Type) return write_tuple(w, v, depth);
        if (type == &PyByteArray_Type) {
            if (w->in_set) return refuse(w, "bytearray inside a set");
            return write_bytes(w, v, TAG_BYTEARRAY);
        }
        if (type == &PySet_Type) return write_set(w, v, depth, TAG_SET);
        if (type == &PyFrozenSet_Type) return write_set(w, v, depth, TAG_FROZENSET);
        if (before_python(w) < 0) return -1;
        for (int i = 0; i < 6; i++)
            if ((PyObject *)type == w->st->scalar_types[i]) return write_scalar(w, v);
    } else if (type == &PyByteArray_Type) {
        return write_bytes(w, v, TAG_BYTES);
    } else if (before_python(w) < 0) {
        return -1;
    }
    if (Py_EnterRecursiveCall(" while a value is encoded")) return -1;
    int done = write_replaced(w, v, depth);
    Py_LeaveRecursiveCall();
    return done;
}

static NOINLINE int write_bincode_value(Writer *w, PyObject *v, int depth) {
    PyTypeObject *type = Py_TYPE(v);
    if (type == &PyUnicode_Type) return put_byte(w, TAG_STR) < 0 ? -1 : write_text(w, v);
    if (type == &PyLong_Type) return write_bincode_int(w, v);
    if (type == &PyDict_Type) return write_bincode_dict(w, v, depth);
    if (type == &PyFloat_Type) return write_float(w, v);
    if (type == &PyList_Type) return write_bincode_list(w, v, depth);
    if (type == &PyBool_Type) return put_head(w, TAG_BOOL, v == Py_True);
    if (v == Py_None) return put_byte(w, TAG_NONE);
    if (type == &PyBytes_Type) return write_bytes(w, v, TAG_BYTES);
    return write_other(w, v, depth);
}

/* Inlined where values come one after the other. */
static inline __attribute__((always_inline)) int write_any(Writer *w, PyObject *v, int depth) {
    PyTypeObject *type = Py_TYPE(v);
    if (UNLIKELY(w->bincode)) return write_bincode_value(w, v, depth);
    if (type == &PyUnicode_Type) return write_str(w, v);
    if (type == &PyLong_Type) return write_int(w, v);
    if (type == &PyDict_Type) return write_dict(w, v, depth);
    if (type == &PyFloat_Type) return write_float(w, v);
    if (type == &PyList_Type) return write_list(w, v, depth);
    if (v == Py_True) return put_byte(w, TAG_TRUE);
    if (v == Py_False) return put_byte(w, TAG_FALSE);
    if (v == Py_None) return put_byte(w, TAG_NONE);
    if (type == &PyBytes_Type) return write_bytes(w, v, TAG_BYTES);
    return write_other(w, v, depth);
}

static int write_value(Writer *w, PyObject *v, int depth) { return write_any(w, v, depth); }

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

/* Messages */

static PyObject *take_bytes(Writer *w) {
    Py_ssize_t used = w->p - w->begin;
    if (w->bytes == NULL) return PyBytes_FromStringAndSize((char *)w->begin, used);
    PyObject *bytes = w->bytes;
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    w->bytes = NULL;
    w->st->expected = used < EXPECTED_MOST ? (size_t)used + (size_t)used / 32 : 0;
    if (size - used <= used / 16) { /* not worth a realloc */
        Py_SET_SIZE(bytes, used);
        PyBytes_AS_STRING(bytes)[used] = 0;
        return bytes;
    }
    if (_PyBytes_Resize(&bytes, used) < 0) return NULL;
    return bytes;
}

static int append_bytes(PyObject *list, const uint8_t *from, size_t size) {
    if (size == 0) return 0;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)from, (Py_ssize_t)size);
    if (bytes == NULL) return -1;
    int done = PyList_Append(list, bytes);
    Py_DECREF(bytes);
    return done;
}

static PyObject *take_segments(Writer *w) {
    PyObject *list = PyList_New(0);
    if (list == NULL) return NULL;
    size_t at = 0, used = (size_t)(w->p - w->begin);
    for (size_t i = 0; i < w->payload_count; i++) {
        Payload *payload = &w->payloads[i];
        if (append_bytes(list, w->begin + at, payload->at - at) < 0 || PyList_Append(list, payload->content) < 0) goto fail;
        at = payload->at;
    }
    if (append_bytes(list, w->begin + at, used - at) < 0) goto fail;
    return list;
fail:
    Py_DECREF(list);
    return NULL;
}

PyObject *write_message(State *st, WriteTables *t, const WriteOptions *options, PyObject *obj, Py_ssize_t item) {
    uint8_t first[2048];
    Writer w = {
        .p = first,
        .begin = first,
        .end = first + sizeof first,
        .st = st,
        .t = t,
        .default_ = options->default_,
        .max_depth = options->max_depth,
        .bincode = options->bincode,
        .threshold = options->threshold,
    };
    if (options->reset_first) *w.p++ = TAG_RESET;
    PyObject *result = NULL;
    if (LIKELY(write_value(&w, obj, 0) == 0)) {
        result = options->threshold ? take_segments(&w) : take_bytes(&w);
    } else if (w.message != NULL) {
        raise_refusal(&w, item);
    }
    for (size_t i = 0; i < w.payload_count; i++) Py_DECREF(w.payloads[i].content);
    PyMem_Free(w.payloads);
    Py_XDECREF(w.bytes);
    Py_XDECREF(w.message);
    Py_XDECREF(w.steps);
    return result;
}
