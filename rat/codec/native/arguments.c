/* Arguments of the functions and methods, and the copy of a finished message into the caller's buffer. */
#include "codec.h"

static const struct {
    char letter;
    const char *name;
    size_t at;
} NAMES[] = {
    {'d', "default", offsetof(Arguments, default_)},   {'p', "profile", offsetof(Arguments, profile)},
    {'m', "max_depth", offsetof(Arguments, max_depth)}, {'i', "max_items", offsetof(Arguments, max_items)},
    {'t', "threshold", offsetof(Arguments, threshold)}, {'z', "zero_copy", offsetof(Arguments, zero_copy)},
    {'o', "offset", offsetof(Arguments, offset)},
};

static PyObject **place_of(Arguments *to, const char *only, PyObject *name) {
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (strchr(only, NAMES[i].letter) && PyUnicode_CompareWithASCIIString(name, NAMES[i].name) == 0)
            return (PyObject **)((char *)to + NAMES[i].at);
    return NULL;
}

int parse_arguments(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *names, int positional,
                    const char *only, Arguments *to) {
    memset(to, 0, sizeof *to);
    bool takes_offset = strchr(only, 'o') != NULL; /* the one that may stand by its place too */
    if (count < positional || count > positional + takes_offset) {
        PyErr_Format(PyExc_TypeError, "%s() takes %d positional arguments, %zd given", function, positional, count);
        return -1;
    }
    if (count > positional) to->offset = args[positional];
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        PyObject **place = place_of(to, only, name);
        if (place == NULL || *place != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", function, name);
            return -1;
        }
        *place = args[count + i];
    }
    return 0;
}

static int read_profile(State *st, PyObject *profile, bool *bincode) {
    *bincode = false;
    if (profile == NULL || profile == st->str_full) return 0;
    *bincode = profile == st->str_bincode;
    if (*bincode) return 0;
    PyObject *checked = PyObject_CallOneArg(st->check_profile, profile);
    if (checked == NULL) return -1;
    Py_DECREF(checked);
    int same = PyObject_RichCompareBool(profile, st->str_bincode, Py_EQ);
    *bincode = same == 1;
    return same < 0 ? -1 : 0;
}

static int read_depth(State *st, PyObject *given, int *max_depth) {
    *max_depth = 64;
    if (given == NULL) return 0;
    PyObject *checked = PyObject_CallOneArg(st->check_max_depth, given);
    if (checked == NULL) return -1;
    Py_DECREF(checked);
    long depth = PyLong_AsLong(given);
    if (depth == -1 && PyErr_Occurred()) return -1;
    *max_depth = (int)depth;
    return 0;
}

int write_options(State *st, const Arguments *from, WriteOptions *to) {
    *to = (WriteOptions){.default_ = from->default_ == Py_None ? NULL : from->default_};
    if (read_profile(st, from->profile, &to->bincode) < 0 || read_depth(st, from->max_depth, &to->max_depth) < 0) return -1;
    if (from->threshold != NULL) {
        to->threshold = PyNumber_AsSsize_t(from->threshold, NULL);
        if (to->threshold == -1 && PyErr_Occurred()) return -1;
        if (to->threshold < 1) {
            PyErr_Format(PyExc_ValueError, "threshold is %S, and must be at least 1", from->threshold);
            return -1;
        }
    }
    return 0;
}

int read_options(State *st, const Arguments *from, ReadOptions *to) {
    *to = (ReadOptions){.max_items = UNLIMITED};
    if (read_profile(st, from->profile, &to->bincode) < 0 || read_depth(st, from->max_depth, &to->max_depth) < 0) return -1;
    if (from->zero_copy != NULL) {
        int truth = PyObject_IsTrue(from->zero_copy);
        if (truth < 0) return -1;
        to->zero_copy = truth;
    }
    if (from->max_items != NULL && from->max_items != Py_None) {
        to->max_items = PyNumber_AsSsize_t(from->max_items, NULL);
        if (to->max_items == -1 && PyErr_Occurred()) return -1;
        if (to->max_items == UNLIMITED) to->max_items++;
    }
    return 0;
}

PyObject *copy_into(State *st, PyObject *message, PyObject *buffer, PyObject *offset) {
    Py_buffer view;
    Py_ssize_t at = 0, needed = PyBytes_GET_SIZE(message);
    if (offset != NULL) {
        at = PyNumber_AsSsize_t(offset, NULL);
        if (at == -1 && PyErr_Occurred()) return NULL;
    }
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) == 0) {
        bool fits = at >= 0 && at <= view.len && needed <= view.len - at;
        if (fits) memcpy((char *)view.buf + at, PyBytes_AS_STRING(message), (size_t)needed);
        PyBuffer_Release(&view);
        if (fits) return PyLong_FromSsize_t(needed);
    } else {
        PyErr_Clear();
    }
    return PyObject_CallFunction(st->copy_into, "OOn", message, buffer, at); /* says why not */
}
