/* The quick half of a standing task: to be called as it, and to be looked over.

   The reference is ReferenceSeat in rat/tasks.py, and tests/shell/test_tasks.py holds this file to it. */
#include "module.h"

#if PY_VERSION_HEX < 0x030C0000
#define Py_T_OBJECT_EX T_OBJECT_EX
#define _Py_T_OBJECT T_OBJECT
#define Py_T_BOOL T_BOOL
#endif

typedef struct {
    PyTypeObject *seat_type;
    PyObject *enter_task, *leave_task, *count_weak;
    PyObject *waits, *callbacks, *get_name, *replace, *stand, *begun;
} State;

typedef struct {
    PyObject_HEAD
    PyObject *loop, *base, *name;
    PyObject *task, *context, *turn, *cancellation; /* NULL is None */
    Py_ssize_t references, weak_references, context_references;
    char in_use, is_taken;
} Seat;

static struct PyModuleDef definition;

static State *state_of(PyObject *self) {
    return PyModule_GetState(PyType_GetModuleByDef(Py_TYPE(self), &definition));
}

static Py_ssize_t weak_references(State *st, PyObject *task) {
    /* A list that is empty needs no counting. */
    Py_ssize_t offset = Py_TYPE(task)->tp_weaklistoffset;
    if (offset != 0 && *(PyObject **)((char *)task + offset) == NULL) return 0;
    PyObject *count = PyObject_CallOneArg(st->count_weak, task);
    if (count == NULL) return -1;
    Py_ssize_t result = PyLong_AsSsize_t(count);
    Py_DECREF(count);
    return result;
}

static PyObject *call_two(PyObject *function, PyObject *first, PyObject *second) {
    PyObject *arguments[] = {NULL, first, second};
    return PyObject_Vectorcall(function, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static int seat_init(Seat *self, PyObject *args, PyObject *kwargs) {
    PyObject *loop, *base, *name;
    static char *names[] = {"loop", "context", "name", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:Seat", names, &loop, &base, &name)) return -1;
    Py_XSETREF(self->loop, Py_NewRef(loop));
    Py_XSETREF(self->base, Py_NewRef(base));
    Py_XSETREF(self->name, Py_NewRef(name));
    return 0;
}

/* 1 when the turn of the task waits, which then stands ready, 0 when not, -1 for an exception. */
static int stands_ready(Seat *self, State *st) {
    if (self->task == NULL || self->task == Py_None || self->context == NULL || self->turn == NULL || self->loop == NULL) {
        PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self, st->stand);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    PyObject *waits = PyObject_GetAttr(self->turn, st->waits);
    Py_XDECREF(waits);
    return waits == NULL ? -1 : waits == Py_True;
}

/* *result*, or the exception that was fetched in its place; what came between has not *succeeded*: its exception. */
static PyObject *restore(int succeeded, PyObject *result, PyObject *type, PyObject *value, PyObject *traceback) {
    if (succeeded) {
        PyErr_Restore(type, value, traceback);
        return result;
    }
    Py_XDECREF(result);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return NULL;
}

static PyObject *seat_call(Seat *self, PyObject *const *args, Py_ssize_t count) {
    if (count < 1) return PyErr_Format(PyExc_TypeError, "call() takes a function");
    State *st = state_of((PyObject *)self);
    int ready = stands_ready(self, st);
    if (ready < 0) return NULL;
    if (ready == 0) Py_RETURN_NOTIMPLEMENTED;
    PyObject *task = self->task, *context = self->context, *loop = self->loop, *result = NULL, *done;
    Py_ssize_t references = Py_REFCNT(task), context_references = Py_REFCNT(context), weak = 0;
    Py_INCREF(task);
    Py_INCREF(context);
    Py_INCREF(loop);
    if (!self->is_taken && (weak = weak_references(st, task)) < 0) goto out;
    if ((done = call_two(st->enter_task, loop, task)) == NULL) {
        /* Nothing can be called as one task inside of another. */
        if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) goto out;
        PyErr_Clear();
        result = Py_NewRef(Py_NotImplemented);
        goto out;
    }
    Py_DECREF(done);
    if (!self->is_taken) {
        self->references = references;
        self->context_references = context_references;
        self->weak_references = weak;
        self->is_taken = 1;
    }
    if (PyContext_Enter(context) == 0) {
        self->in_use = 1;
        result = PyObject_Vectorcall(args[0], args + 1, (size_t)(count - 1), NULL);
        self->in_use = 0;
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        int left = PyContext_Exit(context);
        result = restore(left == 0, result, type, value, traceback);
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    done = call_two(st->leave_task, loop, task);
    result = restore(done != NULL, result, type, value, traceback);
    Py_XDECREF(done);
out:
    Py_DECREF(task);
    Py_DECREF(context);
    Py_DECREF(loop);
    return result;
}

/* 1 when *context* holds the very values of *base*, 0 when not, -1 for an exception. */
static int is_same(PyObject *context, PyObject *base) {
    Py_ssize_t size = PyObject_Size(context), expected = PyObject_Size(base);
    if (size < 0 || expected < 0) return -1;
    if (size != expected) return 0;
    if (size == 0) return 1;
    PyObject *variables = PyObject_GetIter(context), *variable;
    if (variables == NULL) return -1;
    int same = 1;
    while (same == 1 && (variable = PyIter_Next(variables)) != NULL) {
        PyObject *value = PyObject_GetItem(context, variable), *before = PyObject_GetItem(base, variable);
        if (before == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) PyErr_Clear();
        same = value == before;
        if (PyErr_Occurred()) same = -1;
        Py_XDECREF(value);
        Py_XDECREF(before);
        Py_DECREF(variable);
    }
    Py_DECREF(variables);
    return PyErr_Occurred() ? -1 : same;
}

/* 1 when somebody could tell that the task was used, 0 when not, -1 for an exception. */
static int is_seen(Seat *self) {
    State *st = state_of((PyObject *)self);
    PyObject *task = self->task;
    if (task == NULL || Py_REFCNT(task) != self->references) return 1;
    if (self->context == NULL || Py_REFCNT(self->context) != self->context_references) return 1;
    /* A task of asyncio has a dict when an attribute was set, and does not show it. */
    PyObject **attributes = _PyObject_GetDictPtr(task);
    if (attributes != NULL && *attributes != NULL) return 1;
    if (self->cancellation != NULL && self->cancellation != Py_None) return 1;
    Py_ssize_t weak = weak_references(st, task);
    if (weak != self->weak_references) return weak < 0 ? -1 : 1;
    PyObject *callbacks = PyObject_GetAttr(task, st->callbacks);
    if (callbacks == NULL) return -1;
    int some = callbacks == Py_None ? 0 : PyObject_IsTrue(callbacks);
    Py_DECREF(callbacks);
    if (some) return some;
    PyObject *name = PyObject_CallMethodNoArgs(task, st->get_name);
    if (name == NULL) return -1;
    Py_DECREF(name);
    if (name != self->name) return 1;
    int same = is_same(self->context, self->base);
    return same < 0 ? -1 : !same;
}

static PyObject *seat_put_back(Seat *self, PyObject *Py_UNUSED(ignored)) {
    if (!self->is_taken) Py_RETURN_NONE;
    int seen = is_seen(self);
    if (seen < 0) return NULL;
    self->is_taken = 0;
    if (seen) return PyObject_CallMethodNoArgs((PyObject *)self, state_of((PyObject *)self)->replace);
    Py_RETURN_NONE;
}

#define SEAT_HOLDS(DO) DO(loop) DO(base) DO(name) DO(task) DO(context) DO(turn) DO(cancellation)
RAT_OBJECT(seat, Seat, SEAT_HOLDS)

static PyMemberDef seat_members[] = {
    {"_loop", Py_T_OBJECT_EX, offsetof(Seat, loop), 0, NULL},
    {"_base", Py_T_OBJECT_EX, offsetof(Seat, base), 0, NULL},
    {"_task", _Py_T_OBJECT, offsetof(Seat, task), 0, NULL},
    {"_context", Py_T_OBJECT_EX, offsetof(Seat, context), 0, NULL},
    {"_turn", Py_T_OBJECT_EX, offsetof(Seat, turn), 0, NULL},
    {"in_use", Py_T_BOOL, offsetof(Seat, in_use), 0, NULL},
    {"_is_taken", Py_T_BOOL, offsetof(Seat, is_taken), 0, NULL},
    {"cancellation", _Py_T_OBJECT, offsetof(Seat, cancellation), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef seat_methods[] = {
    {"call", FASTCALL(seat_call), PyDoc_STR("See rat.tasks.ReferenceSeat.call.")},
    {"put_back", (PyCFunction)seat_put_back, METH_NOARGS, PyDoc_STR("See rat.tasks.ReferenceSeat.put_back.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot seat_slots[] = {
    {Py_tp_init, seat_init},
    RAT_OBJECT_SLOTS(seat),
    {Py_tp_members, seat_members},
    {Py_tp_methods, seat_methods},
    {Py_tp_doc, PyDoc_STR("See rat.tasks.ReferenceSeat.")},
    {0, NULL},
};

static PyType_Spec seat_spec = {
    .name = "rat._tasks.Seat",
    .basicsize = sizeof(Seat),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = seat_slots,
};

static PyObject *first_step(PyObject *module, PyObject *work) {
    PyObject *result;
    if (!PyCoro_CheckExact(work)) return Py_NewRef(work);
    if (PyIter_Send(work, Py_None, &result) != PYGEN_NEXT) return result;
    State *st = PyModule_GetState(module);
    if (st->begun == NULL) st->begun = imported("rat.tasks", "Begun"); /* which imports this module */
    PyObject *begun = st->begun == NULL ? NULL : call_two(st->begun, work, result);
    Py_DECREF(result);
    return begun;
}

static PyMethodDef functions[] = {
    {"first_step", first_step, METH_O, PyDoc_STR("See rat.tasks.reference_first_step.")},
    {NULL, NULL, 0, NULL},
};

static const Held held[] = {
    INTERNED(waits, "waits"),     INTERNED(callbacks, "_callbacks"), INTERNED(get_name, "get_name"),
    INTERNED(replace, "replace"), INTERNED(stand, "stand"),          IMPORTED(count_weak, "weakref", "getweakrefcount"),
    IMPORTED(enter_task, "asyncio.tasks", "_enter_task"),            IMPORTED(leave_task, "asyncio.tasks", "_leave_task"),
    PUBLIC_TYPE(seat_type, &seat_spec),
};

static int execute(PyObject *module) { return set_up(module, held, COUNT_OF(held)); }

RAT_MODULE(_tasks, "rat._tasks", "The quick half of a standing task, in C.", sizeof(State) / sizeof(PyObject *), )
