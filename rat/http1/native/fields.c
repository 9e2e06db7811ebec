/* Looks for fields in a judged field section, without parsing the others: see rat.http1.fastlane. */
#include "lane.h"

static inline const unsigned char *end_of_line(const unsigned char *p, const unsigned char *end) {
    const unsigned char *found = memchr(p, '\r', end - p);
    return found == NULL ? end : found;
}

PyObject *combined_value(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyBytes_CheckExact(args[0]) || !PyBytes_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "combined_value takes a field section and a name in lower case, both bytes");
        return NULL;
    }
    const unsigned char *p = (const unsigned char *)PyBytes_AS_STRING(args[0]), *end = p + PyBytes_GET_SIZE(args[0]);
    const char *name = PyBytes_AS_STRING(args[1]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[1]);
    PyObject *found = NULL;
    while (p < end) {
        const unsigned char *line_end = end_of_line(p, end);
        if (line_end - p > size && p[size] == ':' && is_name(p, size, name)) {
            const unsigned char *value = p + size + 1, *value_end = line_end;
            while (value < value_end && is_space(*value)) value++;
            while (value < value_end && is_space(value_end[-1])) value_end--;
            PyObject *piece = PyBytes_FromStringAndSize((const char *)value, value_end - value);
            if (found == NULL)
                found = piece;
            else {
                PyObject *comma = PyBytes_FromStringAndSize(", ", 2);
                PyBytes_ConcatAndDel(&found, comma);
                PyBytes_ConcatAndDel(&found, piece);
            }
            if (found == NULL) return NULL;
        }
        p = line_end + 2;
    }
    return found == NULL ? Py_NewRef(Py_None) : found;
}

PyObject *begins_any(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyBytes_CheckExact(args[0]) || !PyTuple_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "begins_any takes a field section in bytes and a tuple of beginnings");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); i++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(args[1], i))) {
            PyErr_SetString(PyExc_TypeError, "a beginning of a field is bytes in lower case");
            return NULL;
        }
    const unsigned char *p = (const unsigned char *)PyBytes_AS_STRING(args[0]), *end = p + PyBytes_GET_SIZE(args[0]);
    while (p < end) {
        const unsigned char *line_end = end_of_line(p, end);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); i++) {
            PyObject *beginning = PyTuple_GET_ITEM(args[1], i);
            Py_ssize_t size = PyBytes_GET_SIZE(beginning);
            if (line_end - p >= size && is_name(p, size, PyBytes_AS_STRING(beginning))) Py_RETURN_TRUE;
        }
        p = line_end + 2;
    }
    Py_RETURN_FALSE;
}
