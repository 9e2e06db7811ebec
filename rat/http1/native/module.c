/* The module: its state, its functions, and how it comes up and goes down. */
#include "lane.h"

static PyMethodDef functions[] = {
    {"head_reader", head_reader, METH_VARARGS, PyDoc_STR("See rat.http1.fastlane.reference_reader.")},
    {"answer_writer", answer_writer, METH_VARARGS, PyDoc_STR("See rat.http1.fastlane.LaneWriter.complete.")},
    {"verbs", verbs, METH_VARARGS, PyDoc_STR("See rat.http1.engine.HttpEngine.")},
    {"combined_value", FASTCALL(combined_value), PyDoc_STR("See rat.http1.fastlane.reference_combined_value.")},
    {"begins_any", FASTCALL(begins_any), PyDoc_STR("See rat.http1.fastlane.reference_begins_any.")},
    {NULL, NULL, 0, NULL},
};

static const Held held[] = {
    INTERNED(version, "1.1"),        INTERNED(written, "written"),    INTERNED(receive_data, "receive_data"),
    TYPE(reader_type, &reader_spec), TYPE(parts_type, &parts_spec),   TYPE(writer_type, &writer_spec),
    TYPE(verb_type, &verb_spec),
};

static int execute(PyObject *module) {
    State *st = PyModule_GetState(module);
    for (int i = 0; i < METHODS; i++)
        if ((st->methods[i] = PyUnicode_InternFromString(METHOD_NAMES[i])) == NULL) return -1;
    if ((st->empty = PyBytes_FromStringAndSize(NULL, 0)) == NULL) return -1;
    if ((st->no_trailers = PyTuple_New(0)) == NULL) return -1;
    return set_up(module, held, COUNT_OF(held));
}

RAT_MODULE(_lane, "rat.http1._lane", "The fast lane in C.", sizeof(State) / sizeof(PyObject *), )
