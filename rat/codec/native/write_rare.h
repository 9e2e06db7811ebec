/* The encoder: what is rare. */
#ifndef RAT_WRITE_RARE_H
#define RAT_WRITE_RARE_H

#include "write_lists.h"

/* What is left: scalars of the standard library, arrays, what has a plain value in its place, default. */

/* The same as write_array, without Python. */
static int write_row_of_bytes(Writer *w, PyObject *v) {
    const Py_buffer *view = PyMemoryView_GET_BUFFER(v);
    if (w->bincode) {
        if (put_head(w, TAG_BYTES, (uint64_t)view->len) < 0) return -1;
    } else {
        static const uint8_t one_dimension[] = {2, 1}; /* u8, and how many */
        if (put_byte(w, TAG_ARRAY) < 0 || put_bytes(w, one_dimension, sizeof one_dimension) < 0) return -1;
        if (room(w, 10) < 0) return -1;
        w->p = put_varint(w->p, (uint64_t)view->len);
    }
    return write_payload(w, v, view->buf, view->len);
}

static int write_array(Writer *w, PyObject *v) {
    if (w->in_set && !w->bincode) return refuse(w, "array inside a set");
    if (is_row_of_bytes(v)) return write_row_of_bytes(w, v);
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
    if (PyMemoryView_Check(v)) return write_array(w, v);
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

#endif
