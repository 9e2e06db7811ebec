/* What every module in C has. */
#ifndef RAT_MODULE_H
#define RAT_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "the C code relies on the GIL: without it the references in Python serve"
#endif

#define RAT_TEXT_OF(token) #token
#define RAT_TEXT(macro) RAT_TEXT_OF(macro)

/* What the module was built from: see rat.compiled.identity. */
static inline int add_identity(PyObject *module) {
    return PyModule_AddStringConstant(module, "__sources__", RAT_TEXT(RAT_SOURCES));
}

#endif
