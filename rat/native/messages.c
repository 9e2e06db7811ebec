/* Makes requests and responses whose parts need no judging: their slots are filled, and no __init__ runs.

   The references are in rat/responses.py (Response.of, Response.__init__) and rat/messages.py (Request.__init__), and
   tests/app/test_messages_native.py holds this file to them. */
#include "slots.h"

#include <stdbool.h>

enum { MOST_SLOTS = 16 };

/* Called with the values of the first of its slots; the others get constants. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyTypeObject *type;
    PyObject *defaults;  /* a tuple, for the last of the values */
    PyObject *constants; /* a tuple */
    PyObject *wrapped;   /* the function in whose place it stands, if there is one */
    Py_ssize_t given, count;
    Py_ssize_t offsets[MOST_SLOTS];
} Maker;

typedef struct {
    PyTypeObject *maker_type, *base_type;
    PyObject *init_name, *content_type, *status;
    /* Of the class of responses: its __init__, what makes one of body, fields and status, and the fields it may have. */
    PyObject *init, *types, *no_fields, *bytes_fields, *text_fields;
    Maker *make;
} State;

static struct PyModuleDef definition;

/* -- makers */

static PyObject *make_of(Maker *self, PyObject *const *values, Py_ssize_t count) {
    PyObject *made = self->type->tp_alloc(self->type, 0);
    if (made == NULL) return NULL;
    Py_ssize_t first_default = self->given - PyTuple_GET_SIZE(self->defaults);
    for (Py_ssize_t i = 0; i < self->count; i++) {
        PyObject *value = i < count         ? values[i]
                          : i < self->given ? PyTuple_GET_ITEM(self->defaults, i - first_default)
                                            : PyTuple_GET_ITEM(self->constants, i - self->given);
        *(PyObject **)((char *)made + self->offsets[i]) = Py_NewRef(value);
    }
    return made;
}

static PyObject *maker_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names) {
    Maker *self = (Maker *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(flags), least = self->given - PyTuple_GET_SIZE(self->defaults);
    if (names != NULL && PyTuple_GET_SIZE(names) > 0)
        return PyErr_Format(PyExc_TypeError, "a maker of %s takes values without names", self->type->tp_name);
    if (count < least || count > self->given)
        return PyErr_Format(PyExc_TypeError, "a maker of %s takes %zd to %zd values, not %zd", self->type->tp_name, least,
                            self->given, count);
    return make_of(self, args, count);
}

#define MAKER_HOLDS(DO) DO(type) DO(defaults) DO(constants) DO(wrapped)
RAT_OBJECT(maker, Maker, MAKER_HOLDS)
RAT_TOLD_BY(maker, Maker, wrapped)

static PyMemberDef maker_members[] = {
    RAT_CALLABLE_MEMBER(Maker),
    {"__wrapped__", T_OBJECT_EX, offsetof(Maker, wrapped), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot maker_slots[] = {RAT_CALLABLE_SLOTS(maker), {Py_tp_getset, maker_getters}, {0, NULL}};
static PyType_Spec maker_spec = {
    .name = "rat._messages.Maker",
    .basicsize = sizeof(Maker),
    .flags = RAT_CALLABLE_FLAGS,
    .slots = maker_slots,
};

static PyObject *new_maker(PyObject *module, PyObject *args) {
    State *st = PyModule_GetState(module);
    PyTypeObject *type;
    PyObject *names, *defaults, *constants;
    if (!PyArg_ParseTuple(args, "O!O!O!O!:maker", &PyType_Type, &type, &PyTuple_Type, &names, &PyTuple_Type, &defaults,
                          &PyTuple_Type, &constants))
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(names), given = count - PyTuple_GET_SIZE(constants);
    if (count > MOST_SLOTS || given < PyTuple_GET_SIZE(defaults))
        return PyErr_Format(PyExc_ValueError, "a maker of %zd slots, of which %zd are given", count, given);
    Maker *self = (Maker *)st->maker_type->tp_alloc(st->maker_type, 0);
    if (self == NULL) return NULL;
    self->call = maker_call;
    self->type = (PyTypeObject *)Py_NewRef(type);
    self->defaults = Py_NewRef(defaults);
    self->constants = Py_NewRef(constants);
    self->given = given;
    self->count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
        if (name == NULL || (self->offsets[i] = slot_offset(type, name)) < 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

/* -- plain responses */

static bool is_final(PyObject *status) {
    if (!PyLong_CheckExact(status)) return false;
    int overflow;
    long number = PyLong_AsLongAndOverflow(status, &overflow);
    return overflow == 0 && 200 <= number && number < 600;
}

/* A response of content, perhaps a status and a content type; NULL, with or without an exception, for any other. */
static PyObject *plain_response(State *st, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    if (count < 1 || count > 2) return NULL;
    PyObject *body = args[0], *status = count > 1 ? args[1] : NULL, *content_type = Py_None, *fields;
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (name == st->content_type) content_type = args[count + i];
        else if (name == st->status && status == NULL) status = args[count + i];
        else return NULL;
    }
    if (status != NULL && !is_final(status)) return NULL;
    bool is_text = PyUnicode_CheckExact(body);
    if (!is_text && !PyBytes_CheckExact(body)) return NULL;
    if (content_type == Py_None) fields = is_text ? st->text_fields : PyBytes_GET_SIZE(body) ? st->bytes_fields : st->no_fields;
    else if (!PyUnicode_CheckExact(content_type)) return NULL;
    else if ((fields = PyDict_GetItemWithError(st->types, content_type)) == NULL) return NULL;
    PyObject *content = is_text ? PyUnicode_AsUTF8String(body) : Py_NewRef(body);
    if (content == NULL) return NULL;
    Py_INCREF(fields); /* making an object may collect garbage, and so run anything */
    PyObject *response = make_of(st->make, (PyObject *[]){content, fields, status}, status == NULL ? 2 : 3);
    Py_DECREF(fields);
    Py_DECREF(content);
    return response;
}

/* type(*args, **kwargs), the usual way. */
static PyObject *call_type(PyObject *type, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    PyObject *result = NULL, *values = PyTuple_New(count), *named = NULL;
    if (values == NULL) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(values, i, Py_NewRef(args[i]));
    if (names != NULL) {
        if ((named = PyDict_New()) == NULL) goto out;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++)
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(names, i), args[count + i]) < 0) goto out;
    }
    result = PyType_Type.tp_call(type, values, named);
out:
    Py_DECREF(values);
    Py_XDECREF(named);
    return result;
}

static PyObject *construct(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names) {
    PyTypeObject *type = (PyTypeObject *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    PyObject *module = PyType_GetModuleByDef(type, &definition);
    if (module == NULL) return NULL;
    State *st = PyModule_GetState(module);
    /* Somebody may have put another __init__ or __new__ in its place. */
    if (st->init != NULL && type->tp_new == type->tp_base->tp_new &&
        PyDict_GetItemWithError(type->tp_dict, st->init_name) == st->init) {
        PyObject *response = plain_response(st, args, count, names);
        if (response != NULL || PyErr_ExceptionMatches(PyExc_MemoryError)) return response;
        PyErr_Clear(); /* what is odd is for __init__ to judge */
    }
    return PyErr_Occurred() ? NULL : call_type(callable, args, count, names);
}

static PyObject *quicken(PyObject *module, PyObject *args) {
    State *st = PyModule_GetState(module);
    PyTypeObject *type;
    Maker *make;
    PyObject *types, *no_fields, *bytes_fields, *text_fields;
    if (!PyArg_ParseTuple(args, "O!O!O!OOO:quicken", &PyType_Type, &type, st->maker_type, &make, &PyDict_Type, &types,
                          &no_fields, &bytes_fields, &text_fields))
        return NULL;
    if (type->tp_base != st->base_type || make->type != type || make->given != 3 || PyTuple_GET_SIZE(make->defaults) != 1)
        return PyErr_Format(PyExc_TypeError, "%s is no class of responses, or has another maker", type->tp_name);
    PyObject *init = PyObject_GetAttr((PyObject *)type, st->init_name);
    if (init == NULL) return NULL;
    Py_XSETREF(st->init, init);
    Py_XSETREF(st->make, (Maker *)Py_NewRef(make));
    Py_XSETREF(st->types, Py_NewRef(types));
    Py_XSETREF(st->no_fields, Py_NewRef(no_fields));
    Py_XSETREF(st->bytes_fields, Py_NewRef(bytes_fields));
    Py_XSETREF(st->text_fields, Py_NewRef(text_fields));
    /* Not inherited: a class that derives from it is called as any other. */
    type->tp_vectorcall = construct;
    Py_RETURN_NONE;
}

static PyType_Slot base_slots[] = {
    {Py_tp_doc, PyDoc_STR("What a class of responses derives from, so that it can be made quickly.")},
    {0, NULL},
};
static PyType_Spec base_spec = {
    .name = "rat._messages.Base",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = base_slots,
};

static PyMethodDef functions[] = {
    {"maker", new_maker, METH_VARARGS,
     PyDoc_STR("maker(type, names, defaults, constants): what makes a type of values for the slots *names*.  The last of "
               "them get *constants*; the last of the others may be missing, and get *defaults*.")},
    {"quicken", quicken, METH_VARARGS,
     PyDoc_STR("quicken(type, make, types, no_fields, bytes_fields, text_fields): have plain calls of *type*, a class of "
               "responses, answered by its maker of body, fields and status, and not by its __init__.")},
    {NULL, NULL, 0, NULL},
};

static const Held held[] = {
    INTERNED(init_name, "__init__"),     INTERNED(content_type, "content_type"), INTERNED(status, "status"),
    TYPE(maker_type, &maker_spec),       PUBLIC_TYPE(base_type, &base_spec),
};

static int execute(PyObject *module) { return set_up(module, held, COUNT_OF(held)); }

RAT_MODULE(_messages, "rat._messages", "Makes requests and responses, in C.", sizeof(State) / sizeof(PyObject *), )
