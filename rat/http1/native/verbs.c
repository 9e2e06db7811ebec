/* The way of nearly every request through an engine: three of its verbs, for what needs no second look.

   The reference is rat.http1.engine.ReferenceEngine, whose slots are used here, and whose methods do all the rest;
   tests/http1/test_engine_native.py holds this file to it. */
#include "lane.h"

enum { S_STATE, S_ANSWER, S_QUICK, S_REQUEST, S_BY_LANE, S_EMPTY_LINE, S_MUST_CLOSE, S_DATA, S_AT, S_SCANNED, S_EOF,
       S_LANE, S_WRITE, S_DATE, SLOTS };
static const char *const SLOT_NAMES[SLOTS] = {
    "state", "_answer", "_quick", "_request", "_by_lane", "_empty_line", "must_close", "_data", "_at", "_scanned", "_eof",
    "_lane", "_write", "_date",
};
enum { M_IDLE, M_HEAD, M_ANSWER, M_OWED, M_NONE, M_PAUSED, M_NEED_DATA, MARKS };

typedef struct Verb Verb;
typedef PyObject *(*Quick)(Verb *, PyObject *engine, PyObject *const *args); /* NULL, perhaps: the method shall do it */

struct Verb {
    PyObject_HEAD
    vectorcallfunc call;
    Quick quick;
    State *st;
    PyObject *module;
    PyTypeObject *engine_type;
    PyObject *method;
    Py_ssize_t arguments;
    PyObject *marks[MARKS];
    Py_ssize_t offsets[SLOTS];
};

static inline PyObject **slot(Verb *self, PyObject *engine, int place) {
    return (PyObject **)((char *)engine + self->offsets[place]);
}

static inline PyObject *get(Verb *self, PyObject *engine, int place) { return *slot(self, engine, place); }

static inline void set(Verb *self, PyObject *engine, int place, PyObject *value) {
    Py_XSETREF(*slot(self, engine, place), Py_NewRef(value));
}

static inline bool is_of(PyObject *object, PyTypeObject *type) { return object != NULL && Py_IS_TYPE(object, type); }

static void begin(Verb *self, PyObject *engine, PyObject *request, const Taken *taken) {
    set(self, engine, S_REQUEST, request);
    set(self, engine, S_BY_LANE, Py_True);
    set(self, engine, S_QUICK, taken->closes || taken->is_head ? Py_False : Py_True);
    set(self, engine, S_MUST_CLOSE, taken->closes ? Py_True : Py_False);
    set(self, engine, S_EMPTY_LINE, Py_False);
    set(self, engine, S_ANSWER, self->marks[M_OWED]);
    set(self, engine, S_STATE, self->marks[M_ANSWER]);
}

/* None, for data that has been received. */
static PyObject *receive_data(Verb *self, PyObject *engine, PyObject *data) {
    PyObject *done = PyObject_CallMethodOneArg(engine, self->st->receive_data, data);
    if (done == NULL) return NULL;
    Py_DECREF(done);
    Py_RETURN_NONE;
}

/* ReferenceEngine.receive_request */
static PyObject *receive_request(Verb *self, PyObject *engine, PyObject *const *args) {
    PyObject *held = get(self, engine, S_DATA), *lane = get(self, engine, S_LANE);
    if (get(self, engine, S_STATE) != self->marks[M_IDLE] || !is_of(held, &PyBytes_Type) || PyBytes_GET_SIZE(held) != 0 ||
        !is_of(lane, self->st->reader_type) || !PyBytes_CheckExact(args[0]))
        return NULL;
    Taken taken;
    PyObject *request = read_request(lane, args[0], 0, ALONE, &taken);
    if (request == NULL) return PyErr_Occurred() ? NULL : receive_data(self, engine, args[0]);
    begin(self, engine, request, &taken);
    return request;
}

/* ReferenceEngine.next_event */
static PyObject *next_event(Verb *self, PyObject *engine, PyObject *const *Py_UNUSED(args)) {
    PyObject *state = get(self, engine, S_STATE), *data = get(self, engine, S_DATA), *lane = get(self, engine, S_LANE);
    if (state == self->marks[M_ANSWER]) return Py_NewRef(self->marks[M_PAUSED]);
    if ((state != self->marks[M_IDLE] && state != self->marks[M_HEAD]) || !is_of(data, &PyBytes_Type)) return NULL;
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    if (size == 0 && get(self, engine, S_EOF) == Py_False) return Py_NewRef(self->marks[M_NEED_DATA]);
    PyObject *place = get(self, engine, S_AT);
    if (!is_of(lane, self->st->reader_type) || !is_of(place, &PyLong_Type)) return NULL;
    Py_ssize_t at = PyLong_AsSsize_t(place);
    if (at < 0) return NULL;
    Taken taken;
    PyObject *request = read_request(lane, data, at, WHOLE, &taken), *stop;
    if (request == NULL) return NULL;
    if ((stop = PyLong_FromSsize_t(taken.stop < size ? taken.stop : 0)) == NULL) {
        Py_DECREF(request);
        return NULL;
    }
    if (taken.stop >= size) set(self, engine, S_DATA, self->st->empty);
    set(self, engine, S_AT, stop);
    set(self, engine, S_SCANNED, stop);
    Py_DECREF(stop);
    begin(self, engine, request, &taken);
    return request;
}

/* AnswerSide.answer */
static PyObject *answer(Verb *self, PyObject *engine, PyObject *const *args) {
    PyObject *write = get(self, engine, S_WRITE), *date = get(self, engine, S_DATE);
    if (get(self, engine, S_QUICK) != Py_True || get(self, engine, S_STATE) != self->marks[M_ANSWER] ||
        get(self, engine, S_ANSWER) != self->marks[M_OWED] || !is_of(write, self->st->writer_type) || date == NULL)
        return NULL;
    PyObject *now = PyObject_CallNoArgs(date);
    if (now == NULL) return NULL;
    PyObject *wire = write_answer(write, (PyObject *[]){args[0], args[1], args[2], now});
    Py_DECREF(now);
    if (wire != NULL && wire != Py_None) {
        set(self, engine, S_QUICK, Py_False);
        set(self, engine, S_ANSWER, self->marks[M_NONE]);
        set(self, engine, S_STATE, self->marks[M_IDLE]);
        set(self, engine, S_REQUEST, Py_None);
    }
    return wire;
}

static PyObject *verb_call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names) {
    Verb *self = (Verb *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    if (count == self->arguments && names == NULL && PyObject_TypeCheck(args[0], self->engine_type)) {
        PyObject *result = self->quick(self, args[0], args + 1);
        if (result != NULL || PyErr_Occurred()) return result;
    }
    return PyObject_Vectorcall(self->method, args, (size_t)count, names);
}

static PyObject *verb_get(PyObject *self, PyObject *engine, PyObject *Py_UNUSED(type)) {
    return engine == NULL || engine == Py_None ? Py_NewRef(self) : PyMethod_New(self, engine);
}

#define VERB_HOLDS(DO) \
    DO(module) DO(engine_type) DO(method) DO(marks[M_IDLE]) DO(marks[M_HEAD]) DO(marks[M_ANSWER]) DO(marks[M_OWED]) \
    DO(marks[M_NONE]) DO(marks[M_PAUSED]) DO(marks[M_NEED_DATA])
RAT_OBJECT(verb, Verb, VERB_HOLDS)

RAT_TOLD_BY(verb, Verb, method)

static PyMemberDef verb_members[] = {
    RAT_CALLABLE_MEMBER(Verb),
    {"__wrapped__", T_OBJECT_EX, offsetof(Verb, method), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot verb_slots[] = {
    RAT_CALLABLE_SLOTS(verb), {Py_tp_descr_get, verb_get}, {Py_tp_getset, verb_getters}, {0, NULL},
};
PyType_Spec verb_spec = {
    .name = "rat.http1._lane.Verb",
    .basicsize = sizeof(Verb),
    .flags = RAT_CALLABLE_FLAGS | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = verb_slots,
};

static const struct {
    const char *name;
    Quick quick;
    Py_ssize_t arguments; /* the engine among them */
} VERBS[] = {{"receive_request", receive_request, 2}, {"next_event", next_event, 1}, {"answer", answer, 4}};
enum { VERB_COUNT = sizeof VERBS / sizeof *VERBS };

static PyObject *new_verb(PyObject *module, PyTypeObject *type, PyObject *marks, int which) {
    State *st = PyModule_GetState(module);
    Verb *self = (Verb *)st->verb_type->tp_alloc(st->verb_type, 0);
    if (self == NULL) return NULL;
    self->call = verb_call;
    self->quick = VERBS[which].quick;
    self->arguments = VERBS[which].arguments;
    self->st = st;
    self->module = Py_NewRef(module);
    self->engine_type = (PyTypeObject *)Py_NewRef(type);
    for (int i = 0; i < MARKS; i++) self->marks[i] = Py_NewRef(PyTuple_GET_ITEM(marks, i));
    self->method = PyObject_GetAttrString((PyObject *)type, VERBS[which].name);
    bool failed = self->method == NULL;
    for (int i = 0; i < SLOTS && !failed; i++) failed = (self->offsets[i] = slot_offset(type, SLOT_NAMES[i])) < 0;
    if (failed) Py_CLEAR(self);
    return (PyObject *)self;
}

/* verbs(type, marks): receive_request, next_event and answer for engines that derive from *type*, with the members of
   enumerations that they compare with, in the order of the M_ above. */
PyObject *verbs(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    PyObject *marks;
    if (!PyArg_ParseTuple(args, "O!O!:verbs", &PyType_Type, &type, &PyTuple_Type, &marks)) return NULL;
    if (PyTuple_GET_SIZE(marks) != MARKS) return PyErr_Format(PyExc_ValueError, "verbs take %d marks", MARKS);
    PyObject *made = PyTuple_New(VERB_COUNT);
    for (int i = 0; made != NULL && i < VERB_COUNT; i++) {
        PyObject *verb = new_verb(module, type, marks, i);
        if (verb == NULL) Py_CLEAR(made);
        else PyTuple_SET_ITEM(made, i, verb);
    }
    return made;
}
