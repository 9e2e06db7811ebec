/* Reads heads: rat.http1.fastlane.reference_reader to the bit.

   The regular expression there is the specification.  What is not recognised is declined, and then h11 reads the head from
   its first byte. */
#include "lane.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

const char *const METHOD_NAMES[METHODS] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

/* The attributes that are set at once, and where a request has them. */
enum { A_PARTS, A_METHOD, A_PATH, A_ROUTE_KEY, A_FIELD_SECTION, A_VERSION, A_TRAILERS, A_CONTENT_LENGTH, A_KEEP_ALIVE,
       A_EXPECTS, A_CONTENT, A_STOP, ATTRIBUTES };
static const char *const ATTRIBUTE_NAMES[ATTRIBUTES] = {
    "_parts", "method", "path", "route_key", "field_section", "http_version", "trailers", "content_length",
    "keep_alive", "expects_continue", "content", "stop",
};

typedef struct {
    const unsigned char *start, *end; /* no start: not there */
} Span;

typedef struct {
    Span query, authority;
    const unsigned char *method_end, *fields, *fields_end, *path, *path_end, *end;
    uint64_t length;
    bool has_length, closes;
} Head;

/* -- sets of characters, one bit each for the first 128 */

static const uint64_t TOKEN[2] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};
static const uint64_t PATH[2] = {0x7ffffff600000000, 0x7fffffffffffffff};  /* visible, without # and ? */
static const uint64_t QUERY[2] = {0xfffffff600000000, 0x7fffffffffffffff}; /* visible, without # */
static const uint64_t HOST[2] = {0x03ff600000000000, 0x47fffffe87fffffe};  /* letters, digits, . - _ ~ */

static inline bool is_in(const uint64_t set[2], unsigned char c) { return c < 128 && (set[c >> 6] >> (c & 63) & 1); }

static inline const unsigned char *skip(const uint64_t set[2], const unsigned char *p, const unsigned char *end) {
    while (p < end && is_in(set, *p)) p++;
    return p;
}

static inline const unsigned char *skip_space(const unsigned char *p, const unsigned char *end) {
    while (p < end && is_space(*p)) p++;
    return p;
}

/* Behind the characters that a field value may have: tab, and all but control characters and DEL. */
static inline const unsigned char *skip_value(const unsigned char *p, const unsigned char *end) {
    for (;;) {
#ifdef __SSE2__
        while (end - p >= 16) {
            __m128i chars = _mm_loadu_si128((const __m128i *)p);
            __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(chars, _mm_set1_epi8(0x1f)), chars);
            int stops = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(chars, _mm_set1_epi8(0x7f))));
            if (stops != 0) {
                p += __builtin_ctz(stops);
                break;
            }
            p += 16;
        }
#endif
        while (p < end && *p >= 0x20 && *p != 0x7f) p++;
        if (p == end || *p != '\t') return p;
        p++;
    }
}

static inline bool is_line_end(const unsigned char *p, const unsigned char *end) {
    return end - p >= 2 && p[0] == '\r' && p[1] == '\n';
}

/* -- one head */

/* The name *p*, but for its first letter and the letter at *other*, in lower case. */
static bool is_usual(const unsigned char *p, Py_ssize_t size, const char *name, Py_ssize_t other) {
    for (Py_ssize_t i = 1; i < size; i++)
        if (p[i] != (unsigned char)name[i] && i != other) return false;
    return true;
}

/* Digits of a port at *p*; where they end, or NULL for a number above 65535 or none. */
static const unsigned char *skip_port(const unsigned char *p, const unsigned char *end) {
    const unsigned char *start = p;
    long port = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        if (p - start == 5) return NULL;
        port = port * 10 + (*p++ - '0');
    }
    if (p == start || port > 65535 || (p - start == 5 && *start == '0')) return NULL;
    return p;
}

static const unsigned char *read_host(Head *head, const unsigned char *p, const unsigned char *end) {
    if (head->authority.start != NULL) return NULL;
    p = skip_space(p, end);
    head->authority.start = p;
    p = skip(HOST, p, end);
    if (p == head->authority.start) return NULL;
    if (p < end && *p == ':') {
        p = skip_port(p + 1, end);
        if (p == NULL) return NULL;
    }
    head->authority.end = p;
    return skip_space(p, end);
}

static const unsigned char *read_length(Head *head, const unsigned char *p, const unsigned char *end) {
    if (head->has_length) return NULL;
    p = skip_space(p, end);
    const unsigned char *start = p;
    while (p < end && *p >= '0' && *p <= '9' && p - start < 19) head->length = head->length * 10 + (*p++ - '0');
    if (p == start) return NULL;
    head->has_length = true;
    return skip_space(p, end);
}

static const unsigned char *read_connection(Head *head, const unsigned char *p, const unsigned char *end) {
    p = skip_space(p, end);
    if (end - p >= 10 && (memcmp(p, "keep-", 5) == 0 || memcmp(p, "Keep-", 5) == 0) &&
        (memcmp(p + 5, "alive", 5) == 0 || memcmp(p + 5, "Alive", 5) == 0))
        return skip_space(p + 10, end);
    if (end - p >= 5 && (*p == 'c' || *p == 'C') && memcmp(p + 1, "lose", 4) == 0) {
        head->closes = true;
        return skip_space(p + 5, end);
    }
    return NULL;
}

/* One field line at *p*: where it ends, or NULL for one that is not for the lane. */
static const unsigned char *read_field(Head *head, const unsigned char *p, const unsigned char *end) {
    const unsigned char *name = p;
    p = skip(TOKEN, p, end);
    Py_ssize_t size = p - name;
    if (size == 0 || p == end || *p != ':') return NULL;
    p++;
    const unsigned char *value = p;
    switch (size) {
    case 4:
        if (is_name(name, size, "host")) p = is_usual(name, size, "host", 0) ? read_host(head, p, end) : NULL;
        break;
    case 6:
        if (is_name(name, size, "expect")) return NULL;
        break;
    case 10:
        if (is_name(name, size, "connection"))
            p = is_usual(name, size, "connection", 0) ? read_connection(head, p, end) : NULL;
        break;
    case 14:
        if (is_name(name, size, "content-length"))
            p = is_usual(name, size, "content-length", 8) ? read_length(head, p, end) : NULL;
        break;
    case 17:
        if (is_name(name, size, "transfer-encoding")) return NULL;
        break;
    }
    if (p == value) p = skip_value(p, end);
    return p != NULL && is_line_end(p, end) ? p + 2 : NULL;
}

/* The head at *p*; false for one that is not whole, or not for the lane. */
static bool read_head(Head *head, const unsigned char *p, const unsigned char *end, Py_ssize_t fields) {
    const unsigned char *start = p;
    while (p < end && *p >= 'A' && *p <= 'Z') p++;
    head->method_end = p;
    if (p == start || end - p < 2 || p[0] != ' ' || p[1] != '/') return false;
    if (p - start == 7 && memcmp(start, "CONNECT", 7) == 0) return false;
    head->path = ++p;
    head->path_end = p = skip(PATH, p, end);
    if (p < end && *p == '?') {
        head->query.start = ++p;
        head->query.end = p = skip(QUERY, p, end);
    }
    if (end - p < 11 || memcmp(p, " HTTP/1.1\r\n", 11) != 0) return false;
    head->fields = p += 11;
    while (!is_line_end(p, end))
        if (fields-- == 0 || (p = read_field(head, p, end)) == NULL) return false;
    head->fields_end = p;
    head->end = p + 2;
    return head->authority.start != NULL;
}

/* -- what is cut out when somebody asks for it */

typedef struct {
    PyObject_HEAD
    PyObject *data;
    Span query, authority;
} Parts;

static void parts_dealloc(Parts *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(self->data);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *parts_subscript(Parts *self, PyObject *key) {
    Span *span = NULL;
    if (PyUnicode_Check(key)) {
        if (PyUnicode_CompareWithASCIIString(key, "query") == 0) span = &self->query;
        if (PyUnicode_CompareWithASCIIString(key, "authority") == 0) span = &self->authority;
    }
    if (span == NULL) {
        PyErr_SetObject(PyExc_IndexError, key);
        return NULL;
    }
    if (span->start == NULL) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)span->start, span->end - span->start);
}

static PyType_Slot parts_slots[] = {
    {Py_tp_dealloc, parts_dealloc},
    {Py_mp_subscript, parts_subscript},
    {0, NULL},
};
PyType_Spec parts_spec = {
    .name = "rat.http1._lane.Parts",
    .basicsize = sizeof(Parts),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = parts_slots,
};

static PyObject *new_parts(State *st, PyObject *data, const Head *head) {
    Parts *parts = (Parts *)st->parts_type->tp_alloc(st->parts_type, 0);
    if (parts == NULL) return NULL;
    parts->data = Py_NewRef(data);
    parts->query = head->query;
    parts->authority = head->authority;
    return (PyObject *)parts;
}

/* -- the reader */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    State *st;
    PyObject *module;
    PyTypeObject *request_type;
    Py_ssize_t offsets[ATTRIBUTES];
    Py_ssize_t fields, size;
} Reader;

static PyObject *method_of(State *st, const unsigned char *p, Py_ssize_t size) {
    for (int i = 0; i < METHODS; i++)
        if ((Py_ssize_t)strlen(METHOD_NAMES[i]) == size && memcmp(p, METHOD_NAMES[i], size) == 0)
            return Py_NewRef(st->methods[i]);
    return PyUnicode_DecodeASCII((const char *)p, size, NULL);
}

static PyObject *cut(const unsigned char *start, const unsigned char *end) {
    return PyBytes_FromStringAndSize((const char *)start, end - start);
}

/* The request of *head*, which begins at *start* in *data*, with its content if that is all there. */
static PyObject *new_request(Reader *self, PyObject *data, const unsigned char *start, const Head *head) {
    State *st = self->st;
    const unsigned char *first = (const unsigned char *)PyBytes_AS_STRING(data), *end = first + PyBytes_GET_SIZE(data);
    bool is_whole = head->length <= (uint64_t)(end - head->end);
    const unsigned char *stop = is_whole ? head->end + head->length : head->end;
    /* Holds *data* from here on: the next line may collect garbage, and so run anything. */
    PyObject *parts = new_parts(st, data, head);
    PyObject *request = parts == NULL ? NULL : self->request_type->tp_alloc(self->request_type, 0);
    if (request == NULL) {
        Py_XDECREF(parts);
        return NULL;
    }
    PyObject *values[ATTRIBUTES] = {
        [A_PARTS] = parts,
        [A_METHOD] = method_of(st, start, head->method_end - start),
        [A_PATH] = cut(head->path, head->path_end),
        [A_ROUTE_KEY] = cut(start, head->path_end),
        [A_FIELD_SECTION] = cut(head->fields, head->fields_end),
        [A_VERSION] = Py_NewRef(st->version),
        [A_TRAILERS] = Py_NewRef(st->no_trailers),
        [A_EXPECTS] = Py_NewRef(Py_False),
        [A_CONTENT_LENGTH] = PyLong_FromUnsignedLongLong(head->length),
        [A_KEEP_ALIVE] = Py_NewRef(head->closes ? Py_False : Py_True),
        [A_CONTENT] = !is_whole ? Py_NewRef(Py_None) : head->length ? cut(head->end, stop) : Py_NewRef(st->empty),
        [A_STOP] = PyLong_FromSsize_t(stop - first),
    };
    bool failed = false;
    for (int i = 0; i < ATTRIBUTES; i++) {
        *(PyObject **)((char *)request + self->offsets[i]) = values[i];
        failed |= values[i] == NULL;
    }
    if (failed) Py_CLEAR(request);
    return request;
}

PyObject *read_request(PyObject *reader, PyObject *data, Py_ssize_t at, Extent extent, Taken *taken) {
    Reader *self = (Reader *)reader;
    const unsigned char *first = (const unsigned char *)PyBytes_AS_STRING(data);
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    if (at >= size) return NULL;
    Head head = {0};
    const unsigned char *start = first + at, *end = first + size;
    if (!read_head(&head, start, end, self->fields) || head.end - start > self->size) return NULL;
    if (extent != ANY) {
        uint64_t behind = (uint64_t)(end - head.end);
        if (head.length > behind) return NULL;
        taken->stop = head.end - first + (Py_ssize_t)head.length;
        taken->closes = head.closes;
        taken->is_head = head.method_end - start == 4 && memcmp(start, "HEAD", 4) == 0;
        if (extent == ALONE && (head.length < behind || head.closes || taken->is_head)) return NULL;
    }
    return new_request(self, data, start, &head);
}

static PyObject *reader_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names) {
    if (PyVectorcall_NARGS(flags) != 2 || names != NULL || !PyBytes_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a reader of heads takes bytes and where a head begins in them");
        return NULL;
    }
    Py_ssize_t at = PyLong_AsSsize_t(args[1]);
    if (at < 0) {
        if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "a head begins at %zd", at);
        return NULL;
    }
    PyObject *request = read_request(callable, args[0], at, ANY, NULL);
    return request != NULL || PyErr_Occurred() ? request : Py_NewRef(Py_None);
}

#define READER_HOLDS(DO) DO(module) DO(request_type)
RAT_OBJECT(reader, Reader, READER_HOLDS)

static PyMemberDef reader_members[] = {RAT_CALLABLE_MEMBER(Reader), {NULL, 0, 0, 0, NULL}};
static PyType_Slot reader_slots[] = {RAT_CALLABLE_SLOTS(reader), {0, NULL}};
PyType_Spec reader_spec = {
    .name = "rat.http1._lane.HeadReader",
    .basicsize = sizeof(Reader),
    .flags = RAT_CALLABLE_FLAGS,
    .slots = reader_slots,
};

PyObject *head_reader(PyObject *module, PyObject *args) {
    State *st = PyModule_GetState(module);
    PyTypeObject *type;
    Py_ssize_t fields, size;
    if (!PyArg_ParseTuple(args, "O!nn:head_reader", &PyType_Type, &type, &fields, &size)) return NULL;
    Reader *self = (Reader *)st->reader_type->tp_alloc(st->reader_type, 0);
    if (self == NULL) return NULL;
    self->call = reader_call;
    self->st = st;
    self->module = Py_NewRef(module);
    self->request_type = (PyTypeObject *)Py_NewRef(type);
    self->fields = fields < 0 ? 0 : fields;
    self->size = size;
    for (int i = 0; i < ATTRIBUTES; i++)
        if ((self->offsets[i] = slot_offset(type, ATTRIBUTE_NAMES[i])) < 0) {
            Py_DECREF(self);
            return NULL;
        }
    return (PyObject *)self;
}
