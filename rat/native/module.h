/* What every module in C has: how it comes up and goes down, what its state holds, and what it was built from. */
#ifndef RAT_MODULE_H
#define RAT_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#ifdef Py_GIL_DISABLED
#error "the C code relies on the GIL: without it the references in Python serve"
#endif

#define RAT_TEXT_OF(token) #token
#define RAT_TEXT(macro) RAT_TEXT_OF(macro)

/* -- the state */

/* What an object in the state is: a name that is interned, what another module has by a name, or a type, which the module
   shows where it is public. */
typedef struct {
    size_t at;
    const char *name, *module;
    PyType_Spec *spec;
    int is_public;
} Held;

#define HELD(field) offsetof(State, field)
#define INTERNED(field, text) {HELD(field), text, NULL, NULL, 0}
#define IMPORTED(field, module, name) {HELD(field), name, module, NULL, 0}
#define TYPE(field, spec) {HELD(field), NULL, NULL, spec, 0}
#define PUBLIC_TYPE(field, spec) {HELD(field), NULL, NULL, spec, 1}
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static inline PyObject *imported(const char *module, const char *name) {
    PyObject *source = PyImport_ImportModule(module);
    PyObject *found = source == NULL ? NULL : PyObject_GetAttrString(source, name);
    Py_XDECREF(source);
    return found;
}

/* The first thing that a module does.  -1 with an exception. */
static inline int set_up(PyObject *module, const Held *held, size_t count) {
    char *state = PyModule_GetState(module);
    for (const Held *it = held; it < held + count; it++) {
        PyObject *made = it->spec != NULL     ? PyType_FromModuleAndSpec(module, it->spec, NULL)
                         : it->module != NULL ? imported(it->module, it->name)
                                              : PyUnicode_InternFromString(it->name);
        if (made == NULL) return -1;
        *(PyObject **)(state + it->at) = made;
        if (it->is_public && PyModule_AddType(module, (PyTypeObject *)made) < 0) return -1;
    }
    /* see rat.compiled.identity */
    return PyModule_AddStringConstant(module, "__sources__", RAT_TEXT(RAT_SOURCES));
}

#if PY_VERSION_HEX >= 0x030C0000
#define RAT_OWN_GIL {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define RAT_OWN_GIL
#endif

/* The module *last*, whose whole name is *name*, and whose functions and execute stand before.  Its State begins with
   *objects* objects and nothing else, and *forget* clears what follows them. */
#define RAT_MODULE(last, name, doc, objects, forget) \
    static int traverse(PyObject *module, visitproc visit, void *arg) { \
        PyObject **held = PyModule_GetState(module); \
        for (size_t i = 0; i < (objects); i++) Py_VISIT(held[i]); \
        return 0; \
    } \
    static int clear(PyObject *module) { \
        PyObject **held = PyModule_GetState(module); \
        for (size_t i = 0; i < (objects); i++) Py_CLEAR(held[i]); \
        forget; \
        return 0; \
    } \
    static void release(void *module) { clear(module); } \
    static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, RAT_OWN_GIL{0, NULL}}; \
    static struct PyModuleDef definition = { \
        PyModuleDef_HEAD_INIT, name, PyDoc_STR(doc), sizeof(State), functions, module_slots, traverse, clear, release, \
    }; \
    PyMODINIT_FUNC PyInit_##last(void) { return PyModuleDef_Init(&definition); }

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL
#define FASTCALL_NAMED(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

/* The exception that is set, and no longer is. */
static inline PyObject *take_exception(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* -- objects */

#define RAT_VISIT_FIELD(field) Py_VISIT(self->field);
#define RAT_CLEAR_FIELD(field) Py_CLEAR(self->field);

static inline void free_object(PyObject *self, inquiry clear) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* NAME_traverse and NAME_clear for a TYPE, and NAME_dealloc where nothing else is to be freed.  HOLDS lists the fields that
   are objects, or NULL: #define HOLDS(DO) DO(one) DO(other) */
#define RAT_HOLDS(NAME, TYPE, HOLDS) \
    static int NAME##_traverse(PyObject *op, visitproc visit, void *arg) { \
        TYPE *self = (TYPE *)op; \
        Py_VISIT(Py_TYPE(op)); \
        HOLDS(RAT_VISIT_FIELD) \
        return 0; \
    } \
    static int NAME##_clear(PyObject *op) { \
        TYPE *self = (TYPE *)op; \
        HOLDS(RAT_CLEAR_FIELD) \
        return 0; \
    }
#define RAT_OBJECT(NAME, TYPE, HOLDS) \
    RAT_HOLDS(NAME, TYPE, HOLDS) \
    static void NAME##_dealloc(PyObject *op) { free_object(op, NAME##_clear); }

#define RAT_OBJECT_SLOTS(NAME) \
    {Py_tp_dealloc, NAME##_dealloc}, {Py_tp_traverse, NAME##_traverse}, {Py_tp_clear, NAME##_clear}

/* A TYPE whose objects only C makes, which are called by the vectorcallfunc in their field call. */
#define RAT_CALLABLE_SLOTS(NAME) RAT_OBJECT_SLOTS(NAME), {Py_tp_members, NAME##_members}, {Py_tp_call, PyVectorcall_Call}
#define RAT_CALLABLE_MEMBER(TYPE) {"__vectorcalloffset__", T_PYSSIZET, offsetof(TYPE, call), READONLY, NULL}
/* NAME_getters: what help() and the like are told is what FIELD, the function in whose place it stands, tells. */
#define RAT_TOLD_BY(NAME, TYPE, FIELD) \
    static PyObject *NAME##_told(PyObject *self, void *name) { \
        PyObject *function = ((TYPE *)self)->FIELD; \
        if (function != NULL) return PyObject_GetAttrString(function, name); \
        return PyErr_Format(PyExc_AttributeError, "%s stands in the place of nothing", Py_TYPE(self)->tp_name); \
    } \
    static PyGetSetDef NAME##_getters[] = { \
        {"__name__", NAME##_told, NULL, NULL, "__name__"}, \
        {"__qualname__", NAME##_told, NULL, NULL, "__qualname__"}, \
        {"__doc__", NAME##_told, NULL, NULL, "__doc__"}, \
        {NULL, NULL, NULL, NULL, NULL}, \
    };
#define RAT_CALLABLE_FLAGS \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE | \
     Py_TPFLAGS_DISALLOW_INSTANTIATION)

#endif
