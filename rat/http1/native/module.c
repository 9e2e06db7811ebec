/* The module: its state, its functions, and how it comes up and goes down. */
#include "lane.h"

static PyMethodDef functions[] = {
    {"head_reader", head_reader, METH_VARARGS, PyDoc_STR("See rat.http1.fastlane.reference_reader.")},
    {"answer_writer", answer_writer, METH_VARARGS, PyDoc_STR("See rat.http1.fastlane.LaneWriter.complete.")},
    {"verbs", verbs, METH_VARARGS, PyDoc_STR("See rat.http1.engine.HttpEngine.")},
    {"combined_value", (PyCFunction)(void (*)(void))combined_value, METH_FASTCALL,
     PyDoc_STR("See rat.http1.fastlane.reference_combined_value.")},
    {"begins_any", (PyCFunction)(void (*)(void))begins_any, METH_FASTCALL,
     PyDoc_STR("See rat.http1.fastlane.reference_begins_any.")},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    State *st = PyModule_GetState(module);
    if (add_identity(module) < 0) return -1;
    for (int i = 0; i < METHODS; i++)
        if ((st->methods[i] = PyUnicode_InternFromString(METHOD_NAMES[i])) == NULL) return -1;
    if ((st->empty = PyBytes_FromStringAndSize(NULL, 0)) == NULL) return -1;
    if ((st->no_trailers = PyTuple_New(0)) == NULL) return -1;
    if ((st->version = PyUnicode_InternFromString("1.1")) == NULL) return -1;
    if ((st->written = PyUnicode_InternFromString("written")) == NULL) return -1;
    if ((st->receive_data = PyUnicode_InternFromString("receive_data")) == NULL) return -1;
    st->reader_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &reader_spec, NULL);
    st->parts_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &parts_spec, NULL);
    st->writer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &writer_spec, NULL);
    st->verb_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &verb_spec, NULL);
    return st->reader_type == NULL || st->parts_type == NULL || st->writer_type == NULL || st->verb_type == NULL ? -1 : 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    State *st = PyModule_GetState(module);
    Py_VISIT(st->reader_type);
    Py_VISIT(st->parts_type);
    Py_VISIT(st->writer_type);
    Py_VISIT(st->verb_type);
    return 0;
}

static int clear(PyObject *module) {
    State *st = PyModule_GetState(module);
    Py_CLEAR(st->reader_type);
    Py_CLEAR(st->parts_type);
    Py_CLEAR(st->writer_type);
    Py_CLEAR(st->verb_type);
    Py_CLEAR(st->empty);
    Py_CLEAR(st->no_trailers);
    Py_CLEAR(st->version);
    Py_CLEAR(st->written);
    Py_CLEAR(st->receive_data);
    for (int i = 0; i < METHODS; i++) Py_CLEAR(st->methods[i]);
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
    .m_name = "rat.http1._lane",
    .m_doc = PyDoc_STR("The fast lane in C."),
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC PyInit__lane(void) { return PyModuleDef_Init(&definition); }
