/* The module: its state, its functions, and how it comes up and goes down. */
#include "codec.h"

void raise_error(State *st, PyObject *message, const char *name, PyObject *where) {
    PyObject *arguments = message == NULL || where == NULL ? NULL : PyTuple_Pack(1, message);
    PyObject *names = arguments == NULL ? NULL : Py_BuildValue("{s:O}", name, where);
    PyObject *error = names == NULL ? NULL : PyObject_Call(st->codec_error, arguments, names);
    if (error != NULL) PyErr_SetObject(st->codec_error, error);
    Py_XDECREF(error);
    Py_XDECREF(names);
    Py_XDECREF(arguments);
    Py_XDECREF(where);
    Py_XDECREF(message);
}

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

/* The signatures and words of rat.codec.reference, which a test compares. */
static PyMethodDef functions[] = {
    {"encode", FASTCALL_NAMED(encode), PyDoc_STR(
     "encode($module, obj, /, *, profile='full', default=None, max_depth=64)\n--\n\n"
     "The message of *obj*.\n\n"
     "*default* is asked for a replacement of what has no form.  Raises CodecError with the path of the value that\n"
     "cannot be said.")},
    {"decode", FASTCALL_NAMED(decode), PyDoc_STR(
     "decode($module, data, /, *, profile='full', zero_copy=False, max_depth=64, max_items=None)\n--\n\n"
     "The value of one whole message.\n\n"
     "With *zero_copy*, bytes of 32 KiB and more and all typed arrays are memoryviews of *data*.  *max_items* bounds the\n"
     "items of all containers together.  Raises CodecError with the offset of what cannot be read.")},
    {"encode_segments", FASTCALL_NAMED(encode_segments), PyDoc_STR(
     "encode_segments($module, obj, /, *, threshold=32768, profile='full', default=None, max_depth=64)\n--\n\n"
     "The message of *obj* as a list of buffers: joined, they are what `encode` gives.\n\n"
     "Payloads (bytes, bytearray, typed arrays) of *threshold* bytes and more are the caller's own memory and must not\n"
     "change until the segments are sent.")},
    {"encode_into", FASTCALL_NAMED(encode_into), PyDoc_STR(
     "encode_into($module, obj, buffer, /, offset=0, *, profile='full', default=None, max_depth=64)\n--\n\n"
     "Write the message of *obj* into *buffer* from *offset* on; the number of bytes written.\n\n"
     "Raises BufferError with the needed size when it does not fit, CodecError as `encode` does; *buffer* is unchanged\n"
     "then.")},
    {"encode_batch", FASTCALL_NAMED(encode_batch), PyDoc_STR(
     "encode_batch($module, objs, /, *, default=None, max_depth=64)\n--\n\n"
     "The messages of *objs*, which share their keys and shapes: for `decode_batch`, whole and in order.\n\n"
     "Raises CodecError whose path begins with the number of the bad item (``$[3].name``); nothing is left out.")},
    {"decode_batch", FASTCALL_NAMED(decode_batch), PyDoc_STR(
     "decode_batch($module, messages, /, *, zero_copy=False, max_depth=64, max_items=None)\n--\n\n"
     "The values of the messages of one `encode_batch`; *max_items* goes for each.\n\n"
     "Raises CodecError that names the number of the bad message, with the offset in it.")},
    {NULL, NULL, 0, NULL},
};

static const Held held[] = {
    IMPORTED(codec_error, "rat.errors", "CodecError"),
    IMPORTED(write_scalar, "rat.codec.native.support", "write_scalar"),
    IMPORTED(read_scalar, "rat.codec.native.support", "read_scalar"),
    IMPORTED(write_big_int, "rat.codec.native.support", "write_big_int"),
    IMPORTED(read_big_int, "rat.codec.native.support", "read_big_int"),
    IMPORTED(array_parts, "rat.codec.native.support", "array_parts"),
    IMPORTED(byte_view, "rat.codec.native.support", "byte_view"),
    IMPORTED(copy_into, "rat.codec.reference", "_copy_into"),
    IMPORTED(is_array, "rat.codec.scalars", "is_array"),
    IMPORTED(replacement, "rat.codec.values", "replacement"),
    IMPORTED(not_replaced, "rat.codec.values", "NOT_REPLACED"),
    IMPORTED(key_path, "rat.codec.values", "key_path"),
    IMPORTED(check_profile, "rat.codec.values", "check_profile"),
    IMPORTED(check_max_depth, "rat.codec.values", "check_max_depth"),
    IMPORTED(scalar_types[0], "datetime", "date"),
    IMPORTED(scalar_types[1], "datetime", "time"),
    IMPORTED(scalar_types[2], "datetime", "datetime"),
    IMPORTED(scalar_types[3], "datetime", "timedelta"),
    IMPORTED(scalar_types[4], "uuid", "UUID"),
    IMPORTED(scalar_types[5], "decimal", "Decimal"),
    INTERNED(str_full, "full"),
    INTERNED(str_bincode, "bincode"),
    INTERNED(str_offset, "offset"),
    INTERNED(str_message, "message"),
    INTERNED(str_profile, "profile"),
    PUBLIC_TYPE(encoder_type, &encoder_spec),
    PUBLIC_TYPE(decoder_type, &decoder_spec),
    PUBLIC_TYPE(cursor_type, &cursor_spec),
};

static int execute(PyObject *module) {
    State *st = PyModule_GetState(module);
    if ((st->empty_str = PyUnicode_New(0, 0)) == NULL || (st->model_str = PyUnicode_New(2, 127)) == NULL) return -1;
    memcpy(PyUnicode_1BYTE_DATA(st->model_str), "  ", 2);
    for (int i = 0; i < SMALL_INTS; i++)
        if ((st->small_ints[i] = PyLong_FromLong(i)) == NULL) return -1;
    return set_up(module, held, COUNT_OF(held));
}

/* What is kept for the next message.  All of it is plain, and nothing to traverse. */
static void forget_kept(State *st) {
    for (int i = 0; i < SMALL_INTS; i++) Py_CLEAR(st->small_ints[i]);
    for (int i = 0; i < KEY_CACHE; i++) Py_CLEAR(st->key_cache[i]);
    for (int i = 0; i < TEMPLATE_CACHE; i++) Py_CLEAR(st->templates[i]);
    for (int i = 0; i < PLAIN_CACHE; i++) Py_CLEAR(st->plain[i]);
    write_tables_free(st->spare_write);
    read_tables_free(st->spare_read);
    st->spare_write = NULL;
    st->spare_read = NULL;
}

RAT_MODULE(_codec, "rat.codec.native._codec", "The codec in C: rat.codec.reference to the byte.",
           offsetof(State, spare_write) / sizeof(PyObject *), forget_kept(PyModule_GetState(module)))
