/* Where the instances of a class written in Python keep their slots. */
#ifndef RAT_SLOTS_H
#define RAT_SLOTS_H

#include "module.h"

/* Where instances of *type* have the slot *name*; -1 with TypeError where they have none. */
static inline Py_ssize_t slot_offset(PyTypeObject *type, const char *name) {
    PyObject *descriptor = PyObject_GetAttrString((PyObject *)type, name);
    if (descriptor == NULL) return -1;
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        if (member->type == T_OBJECT_EX) offset = member->offset;
    }
    Py_DECREF(descriptor);
    if (offset < 0) PyErr_Format(PyExc_TypeError, "%s has no slot %s", type->tp_name, name);
    return offset;
}

#endif
