/* The module: its state, its functions, and how it comes up and goes down. */
#include "codec.h"

static WriteTables *borrow_write(State *st) {
    WriteTables *t = st->spare_write;
    st->spare_write = NULL;
    return t != NULL ? t : write_tables_new(false);
}

static void give_back_write(State *st, WriteTables *t) {
    write_tables_clear(t);
    if (st->spare_write == NULL)
        st->spare_write = t;
    else
        write_tables_free(t);
}

static PyObject *encode_with(State *st, const WriteOptions *options, PyObject *obj) {
    WriteTables *t = borrow_write(st);
    if (t == NULL) return NULL;
    PyObject *message = write_message(st, t, options, obj, -1);
    give_back_write(st, t);
    return message;
}

/* encode(x, profile="bincode") and its like, as a program writes it: nothing to parse. */
static bool asks_for_bincode(const State *st, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return count == 1 && PyTuple_GET_SIZE(names) == 1 && PyTuple_GET_ITEM(names, 0) == st->str_profile &&
           args[1] == st->str_bincode;
}

static PyObject *encode(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    State *st = PyModule_GetState(module);
    WriteOptions options = {.max_depth = 64};
    if (names != NULL && asks_for_bincode(st, args, count, names)) {
        options.bincode = true;
    } else if (count != 1 || names != NULL) {
        Arguments given;
        if (parse_arguments("encode", args, count, names, 1, "pdm", &given) < 0 || write_options(st, &given, &options) < 0)
            return NULL;
    }
    return encode_with(st, &options, args[0]);
}

static PyObject *encode_segments(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    State *st = PyModule_GetState(module);
    Arguments given;
    WriteOptions options;
    if (parse_arguments("encode_segments", args, count, names, 1, "tpdm", &given) < 0 ||
        write_options(st, &given, &options) < 0)
        return NULL;
    if (options.threshold == 0) options.threshold = VIEW_FROM;
    return encode_with(st, &options, args[0]);
}

static PyObject *encode_into(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    State *st = PyModule_GetState(module);
    Arguments given;
    WriteOptions options;
    if (parse_arguments("encode_into", args, count, names, 2, "opdm", &given) < 0 || write_options(st, &given, &options) < 0)
        return NULL;
    PyObject *message = encode_with(st, &options, args[0]);
    if (message == NULL) return NULL;
    PyObject *size = copy_into(st, message, args[1], given.offset);
    Py_DECREF(message);
    return size;
}

static PyObject *decode(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    State *st = PyModule_GetState(module);
    ReadOptions options = {.max_depth = 64, .max_items = UNLIMITED};
    if (names != NULL && asks_for_bincode(st, args, count, names)) {
        options.bincode = true;
    } else if (count != 1 || names != NULL) {
        Arguments given;
        if (parse_arguments("decode", args, count, names, 1, "pzmi", &given) < 0 || read_options(st, &given, &options) < 0)
            return NULL;
    }
    ReadTables *t = st->spare_read;
    st->spare_read = NULL;
    if (t == NULL && (t = read_tables_new()) == NULL) return NULL;
    PyObject *value = read_message(st, t, &options, args[0], false);
    read_tables_clear(t);
    if (st->spare_read == NULL)
        st->spare_read = t;
    else
        read_tables_free(t);
    return value;
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

/* The signatures and words of rat.codec.reference, which a test compares. */
static PyMethodDef functions[] = {
    {"encode", FASTCALL(encode), PyDoc_STR(
     "encode($module, obj, /, *, profile='full', default=None, max_depth=64)\n--\n\n"
     "The message of *obj*.\n\n"
     "*default* is asked for a replacement of what has no form.  Raises CodecError with the path of the value that\n"
     "cannot be said.")},
    {"decode", FASTCALL(decode), PyDoc_STR(
     "decode($module, data, /, *, profile='full', zero_copy=False, max_depth=64, max_items=None)\n--\n\n"
     "The value of one whole message.\n\n"
     "With *zero_copy*, bytes of 32 KiB and more and all typed arrays are memoryviews of *data*.  *max_items* bounds the\n"
     "items of all containers together.  Raises CodecError with the offset of what cannot be read.")},
    {"encode_segments", FASTCALL(encode_segments), PyDoc_STR(
     "encode_segments($module, obj, /, *, threshold=32768, profile='full', default=None, max_depth=64)\n--\n\n"
     "The message of *obj* as a list of buffers: joined, they are what `encode` gives.\n\n"
     "Payloads (bytes, bytearray, typed arrays) of *threshold* bytes and more are the caller's own memory and must not\n"
     "change until the segments are sent.")},
    {"encode_into", FASTCALL(encode_into), PyDoc_STR(
     "encode_into($module, obj, buffer, /, offset=0, *, profile='full', default=None, max_depth=64)\n--\n\n"
     "Write the message of *obj* into *buffer* from *offset* on; the number of bytes written.\n\n"
     "Raises BufferError with the needed size when it does not fit, CodecError as `encode` does; *buffer* is unchanged\n"
     "then.")},
    {"encode_batch", FASTCALL(encode_batch), PyDoc_STR(
     "encode_batch($module, objs, /, *, default=None, max_depth=64)\n--\n\n"
     "The messages of *objs*, which share their keys and shapes: for `decode_batch`, whole and in order.\n\n"
     "Raises CodecError whose path begins with the number of the bad item (``$[3].name``); nothing is left out.")},
    {"decode_batch", FASTCALL(decode_batch), PyDoc_STR(
     "decode_batch($module, messages, /, *, zero_copy=False, max_depth=64, max_items=None)\n--\n\n"
     "The values of the messages of one `encode_batch`; *max_items* goes for each.\n\n"
     "Raises CodecError that names the number of the bad message, with the offset in it.")},
    {NULL, NULL, 0, NULL},
};

static const struct {
    size_t at;
    const char *module, *name;
} IMPORTS[] = {
    {offsetof(State, codec_error), "rat.errors", "CodecError"},
    {offsetof(State, write_scalar), "rat.codec.native.support", "write_scalar"},
    {offsetof(State, read_scalar), "rat.codec.native.support", "read_scalar"},
    {offsetof(State, write_big_int), "rat.codec.native.support", "write_big_int"},
    {offsetof(State, read_big_int), "rat.codec.native.support", "read_big_int"},
    {offsetof(State, array_parts), "rat.codec.native.support", "array_parts"},
    {offsetof(State, byte_view), "rat.codec.native.support", "byte_view"},
    {offsetof(State, copy_into), "rat.codec.reference", "_copy_into"},
    {offsetof(State, is_array), "rat.codec.scalars", "is_array"},
    {offsetof(State, replacement), "rat.codec.values", "replacement"},
    {offsetof(State, not_replaced), "rat.codec.values", "NOT_REPLACED"},
    {offsetof(State, key_path), "rat.codec.values", "key_path"},
    {offsetof(State, check_profile), "rat.codec.values", "check_profile"},
    {offsetof(State, check_max_depth), "rat.codec.values", "check_max_depth"},
    {offsetof(State, scalar_types[0]), "datetime", "date"},
    {offsetof(State, scalar_types[1]), "datetime", "time"},
    {offsetof(State, scalar_types[2]), "datetime", "datetime"},
    {offsetof(State, scalar_types[3]), "datetime", "timedelta"},
    {offsetof(State, scalar_types[4]), "uuid", "UUID"},
    {offsetof(State, scalar_types[5]), "decimal", "Decimal"},
};
enum { IMPORT_COUNT = sizeof IMPORTS / sizeof IMPORTS[0] };

#define FIELD(st, i) (*(PyObject **)((char *)(st) + IMPORTS[i].at))

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **to) {
    *to = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *to == NULL ? -1 : PyModule_AddType(module, *to);
}

static int execute(PyObject *module) {
    State *st = PyModule_GetState(module);
    if (add_identity(module) < 0) return -1;
    for (int i = 0; i < IMPORT_COUNT; i++) {
        PyObject *source = PyImport_ImportModule(IMPORTS[i].module);
        if (source == NULL) return -1;
        FIELD(st, i) = PyObject_GetAttrString(source, IMPORTS[i].name);
        Py_DECREF(source);
        if (FIELD(st, i) == NULL) return -1;
    }
    st->str_full = PyUnicode_InternFromString("full");
    st->str_bincode = PyUnicode_InternFromString("bincode");
    st->str_offset = PyUnicode_InternFromString("offset");
    st->str_message = PyUnicode_InternFromString("message");
    st->str_profile = PyUnicode_InternFromString("profile");
    if (st->str_offset == NULL || st->str_message == NULL || st->str_profile == NULL) return -1;
    st->empty_str = PyUnicode_New(0, 0);
    st->model_str = PyUnicode_New(2, 127);
    if (st->model_str != NULL) memcpy(PyUnicode_1BYTE_DATA(st->model_str), "  ", 2);
    if (st->model_str == NULL || st->str_full == NULL || st->str_bincode == NULL || st->empty_str == NULL) return -1;
    for (int i = 0; i < SMALL_INTS; i++)
        if ((st->small_ints[i] = PyLong_FromLong(i)) == NULL) return -1;
    if (add_type(module, &encoder_spec, &st->encoder_type) < 0) return -1;
    if (add_type(module, &decoder_spec, &st->decoder_type) < 0) return -1;
    return add_type(module, &cursor_spec, &st->cursor_type);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    State *st = PyModule_GetState(module);
    for (int i = 0; i < IMPORT_COUNT; i++) Py_VISIT(FIELD(st, i));
    Py_VISIT(st->encoder_type);
    Py_VISIT(st->decoder_type);
    Py_VISIT(st->cursor_type);
    return 0;
}

static int clear(PyObject *module) {
    State *st = PyModule_GetState(module);
    for (int i = 0; i < IMPORT_COUNT; i++) Py_CLEAR(FIELD(st, i));
    Py_CLEAR(st->encoder_type);
    Py_CLEAR(st->decoder_type);
    Py_CLEAR(st->cursor_type);
    Py_CLEAR(st->str_full);
    Py_CLEAR(st->str_bincode);
    Py_CLEAR(st->str_offset);
    Py_CLEAR(st->str_message);
    Py_CLEAR(st->str_profile);
    Py_CLEAR(st->empty_str);
    Py_CLEAR(st->model_str);
    for (int i = 0; i < SMALL_INTS; i++) Py_CLEAR(st->small_ints[i]);
    for (int i = 0; i < KEY_CACHE; i++) Py_CLEAR(st->key_cache[i]);
    for (int i = 0; i < TEMPLATE_CACHE; i++) Py_CLEAR(st->templates[i]);
    for (int i = 0; i < PLAIN_CACHE; i++) Py_CLEAR(st->plain[i]);
    write_tables_free(st->spare_write);
    read_tables_free(st->spare_read);
    st->spare_write = NULL;
    st->spare_read = NULL;
    return 0;
}

static void release(void *module) { clear(module); }

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rat.codec.native._codec",
    .m_doc = PyDoc_STR("The codec in C: rat.codec.reference to the byte."),
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC PyInit__codec(void) { return PyModuleDef_Init(&definition); }
