/* Encoder and Decoder, whose tables live as long as a connection, and the batches, which are one connection's worth of messages. */
#include "codec.h"

typedef struct {
    PyObject_HEAD
    WriteTables *tables; /* made for the first message */
    PyObject *default_;
    int max_depth;
    bool is_reset, is_busy;
} Encoder;

typedef struct {
    PyObject_HEAD
    ReadTables *tables;
    ReadOptions options;
    bool is_lost, is_busy;
} Decoder;

static State *state_of(PyObject *self) { return PyType_GetModuleState(Py_TYPE(self)); }

/* Python code that runs inside a call may come back, or another thread may. */
static int refuse_busy(const char *what) {
    PyErr_Format(PyExc_RuntimeError, "%s is in use", what);
    return -1;
}

static int collect_arguments(PyObject *args, PyObject *kwargs, const char *function, const char *only, Arguments *to) {
    memset(to, 0, sizeof *to);
    if (PyTuple_GET_SIZE(args) != 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no positional arguments", function);
        return -1;
    }
    Py_ssize_t count = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs), pos = 0;
    if (count == 0) return 0;
    PyObject *names = PyTuple_New(count), *name, *value, *values[8];
    if (names == NULL) return -1;
    for (Py_ssize_t i = 0; i < count && i < 8 && PyDict_Next(kwargs, &pos, &name, &value); i++) {
        if (!PyUnicode_Check(name)) {
            Py_DECREF(names);
            PyErr_Format(PyExc_TypeError, "keywords must be strings");
            return -1;
        }
        PyTuple_SET_ITEM(names, i, Py_NewRef(name));
        values[i] = value;
    }
    int done = -1;
    if (count > 8)
        PyErr_Format(PyExc_TypeError, "%s() got %zd arguments", function, count);
    else
        done = parse_arguments(function, values, 0, names, 0, only, to);
    Py_DECREF(names);
    return done;
}

static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    State *st = PyType_GetModuleState(type);
    Arguments given;
    WriteOptions options;
    if (collect_arguments(args, kwargs, "Encoder", "dm", &given) < 0 || write_options(st, &given, &options) < 0) return NULL;
    Encoder *self = (Encoder *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->default_ = Py_XNewRef(options.default_);
    self->max_depth = options.max_depth;
    return (PyObject *)self;
}

#define ENCODER_HOLDS(DO) DO(default_)
RAT_HOLDS(encoder, Encoder, ENCODER_HOLDS)

static void encoder_dealloc(PyObject *op) {
    write_tables_free(((Encoder *)op)->tables);
    free_object(op, encoder_clear);
}

/* The next message; item names it in a path, threshold cuts it into segments.  buffer takes a copy, if it is not NULL. */
static PyObject *encode_next(Encoder *self, PyObject *obj, Py_ssize_t threshold, PyObject *buffer, PyObject *offset) {
    State *st = state_of((PyObject *)self);
    if (self->is_busy) {
        refuse_busy("encoder");
        return NULL;
    }
    if (self->tables == NULL && (self->tables = write_tables_new(true)) == NULL) return NULL;
    WriteTables *t = self->tables;
    int keys = t->key_count, shapes = t->shape_count;
    WriteOptions options = {self->default_, self->max_depth, false, threshold, self->is_reset};
    self->is_busy = true;
    PyObject *message = write_message(st, t, &options, obj, -1);
    if (message != NULL && buffer != NULL) Py_SETREF(message, copy_into(st, message, buffer, offset));
    self->is_busy = false;
    if (message == NULL) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        write_tables_cut(t, keys, shapes);
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    self->is_reset = false;
    return message;
}

static PyObject *encoder_encode(PyObject *self, PyObject *obj) { return encode_next((Encoder *)self, obj, 0, NULL, NULL); }

static PyObject *encoder_encode_segments(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    Arguments given;
    WriteOptions options;
    if (parse_arguments("encode_segments", args, count, names, 1, "t", &given) < 0 ||
        write_options(state_of(self), &given, &options) < 0)
        return NULL;
    return encode_next((Encoder *)self, args[0], options.threshold ? options.threshold : VIEW_FROM, NULL, NULL);
}

static PyObject *encoder_encode_into(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    Arguments given;
    if (parse_arguments("encode_into", args, count, names, 2, "o", &given) < 0) return NULL;
    return encode_next((Encoder *)self, args[0], 0, args[1], given.offset);
}

static PyObject *encoder_reset(PyObject *op, PyObject *Py_UNUSED(ignored)) {
    Encoder *self = (Encoder *)op;
    if (self->is_busy) {
        refuse_busy("encoder");
        return NULL;
    }
    if (self->tables != NULL) write_tables_clear(self->tables);
    self->is_reset = true;
    Py_RETURN_NONE;
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    State *st = PyType_GetModuleState(type);
    Arguments given;
    ReadOptions options;
    if (collect_arguments(args, kwargs, "Decoder", "zmi", &given) < 0 || read_options(st, &given, &options) < 0) return NULL;
    Decoder *self = (Decoder *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->options = options;
    return (PyObject *)self;
}

static int decoder_traverse(PyObject *op, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(op));
    return 0;
}

static void decoder_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    read_tables_free(((Decoder *)op)->tables);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *decoder_decode(PyObject *op, PyObject *data) {
    Decoder *self = (Decoder *)op;
    if (self->is_busy) {
        refuse_busy("decoder");
        return NULL;
    }
    if (self->tables == NULL && (self->tables = read_tables_new()) == NULL) return NULL;
    bool was_lost = self->is_lost;
    self->is_lost = self->is_busy = true;
    PyObject *value = read_message(state_of(op), self->tables, &self->options, data, was_lost);
    self->is_busy = false;
    if (value != NULL) self->is_lost = false;
    return value;
}

static PyObject *decoder_reset(PyObject *op, PyObject *Py_UNUSED(ignored)) {
    Decoder *self = (Decoder *)op;
    if (self->is_busy) {
        refuse_busy("decoder");
        return NULL;
    }
    if (self->tables != NULL) read_tables_clear(self->tables);
    self->is_lost = false;
    Py_RETURN_NONE;
}

static PyObject *encoder_sizeof(PyObject *op, PyObject *Py_UNUSED(ignored)) {
    WriteTables *t = ((Encoder *)op)->tables;
    return PyLong_FromSize_t(sizeof(Encoder) + (t == NULL ? 0 : write_tables_size(t)));
}

static PyObject *decoder_sizeof(PyObject *op, PyObject *Py_UNUSED(ignored)) {
    ReadTables *t = ((Decoder *)op)->tables;
    return PyLong_FromSize_t(sizeof(Decoder) + (t == NULL ? 0 : read_tables_size(t)));
}

static PyMethodDef encoder_methods[] = {
    {"encode", encoder_encode, METH_O, PyDoc_STR(
     "encode($self, obj, /)\n--\n\n"
     "The next message.  Raises CodecError with the path.")},
    {"encode_segments", FASTCALL_NAMED(encoder_encode_segments), PyDoc_STR(
     "encode_segments($self, obj, /, *, threshold=32768)\n--\n\n"
     "The next message as a list of buffers, as `encode_segments` cuts it.")},
    {"encode_into", FASTCALL_NAMED(encoder_encode_into), PyDoc_STR(
     "encode_into($self, obj, buffer, /, offset=0)\n--\n\n"
     "The next message into *buffer*, as `encode_into` does it; when it does not fit, it counts as not encoded.")},
    {"__sizeof__", encoder_sizeof, METH_NOARGS, PyDoc_STR("Bytes of the object and its tables.")},
    {"reset", encoder_reset, METH_NOARGS, PyDoc_STR(
     "reset($self, /)\n--\n\n"
     "Forget all keys and shapes; the next message tells the decoder to do so.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
     "Encoder(*, default=None, max_depth=64)\n--\n\n"
     "One direction of a connection: messages that share their keys and shapes.\n\n"
     "The other side decodes them in order, all of them, with one `Decoder`.  A refused value leaves the tables as they\n"
     "were.")},
    {Py_tp_new, encoder_new},
    RAT_OBJECT_SLOTS(encoder),
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

PyType_Spec encoder_spec = {
    .name = "rat.codec.native._codec.Encoder",
    .basicsize = sizeof(Encoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = encoder_slots,
};

static PyMethodDef decoder_methods[] = {
    {"decode", decoder_decode, METH_O, PyDoc_STR(
     "decode($self, data, /)\n--\n\n"
     "The value of the next message.  Raises CodecError with the offset.")},
    {"__sizeof__", decoder_sizeof, METH_NOARGS, PyDoc_STR("Bytes of the object and its tables.")},
    {"reset", decoder_reset, METH_NOARGS, PyDoc_STR("reset($self, /)\n--\n\nForget all keys and shapes, and the refusal.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
     "Decoder(*, zero_copy=False, max_depth=64, max_items=None)\n--\n\n"
     "The other end of an `Encoder`.\n\n"
     "After a refused message it has lost the thread: it refuses everything up to a message that begins with a reset, or\n"
     "its own `reset`.")},
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_traverse, decoder_traverse},
    {Py_tp_methods, decoder_methods},
    {0, NULL},
};

PyType_Spec decoder_spec = {
    .name = "rat.codec.native._codec.Decoder",
    .basicsize = sizeof(Decoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = decoder_slots,
};

PyObject *encode_batch(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    State *st = PyModule_GetState(module);
    Arguments given;
    WriteOptions options;
    if (parse_arguments("encode_batch", args, count, names, 1, "dm", &given) < 0 || write_options(st, &given, &options) < 0)
        return NULL;
    PyObject *iterator = PyObject_GetIter(args[0]), *obj, *messages = NULL;
    if (iterator == NULL) return NULL;
    WriteTables *t = write_tables_new(true);
    if (t != NULL && (messages = PyList_New(0)) != NULL) {
        for (Py_ssize_t i = 0; (obj = PyIter_Next(iterator)) != NULL; i++) {
            PyObject *message = write_message(st, t, &options, obj, i);
            int done = message == NULL ? -1 : PyList_Append(messages, message);
            Py_XDECREF(message);
            Py_DECREF(obj);
            if (done < 0) break;
        }
        if (PyErr_Occurred()) Py_CLEAR(messages);
    }
    write_tables_free(t);
    Py_DECREF(iterator);
    return messages;
}

/* "message 3: " before the words of the error that is set. */
static void name_message(State *st, Py_ssize_t index) {
    if (!PyErr_ExceptionMatches(st->codec_error)) return;
    PyObject *value = take_exception();
    if (value == NULL) return;
    /* interned names: the interpreter's cache of attributes holds on to each str that it is asked with */
    PyObject *words = PyObject_GetAttr(value, st->str_message), *offset = PyObject_GetAttr(value, st->str_offset);
    raise_error(st, words == NULL ? NULL : PyUnicode_FromFormat("message %zd: %U", index, words), "offset", offset);
    Py_XDECREF(words);
    Py_DECREF(value);
}

PyObject *decode_batch(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    State *st = PyModule_GetState(module);
    Arguments given;
    ReadOptions options;
    if (parse_arguments("decode_batch", args, count, names, 1, "zmi", &given) < 0 || read_options(st, &given, &options) < 0)
        return NULL;
    PyObject *iterator = PyObject_GetIter(args[0]), *data, *values = NULL;
    if (iterator == NULL) return NULL;
    ReadTables *t = read_tables_new();
    if (t != NULL && (values = PyList_New(0)) != NULL) {
        for (Py_ssize_t i = 0; (data = PyIter_Next(iterator)) != NULL; i++) {
            PyObject *value = read_message(st, t, &options, data, false);
            int done = value == NULL ? -1 : PyList_Append(values, value);
            if (value == NULL) name_message(st, i);
            Py_XDECREF(value);
            Py_DECREF(data);
            if (done < 0) break;
        }
        if (PyErr_Occurred()) Py_CLEAR(values);
    }
    read_tables_free(t);
    Py_DECREF(iterator);
    return values;
}
