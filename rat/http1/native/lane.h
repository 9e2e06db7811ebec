/* What the files of the fast lane in C share.

   The references are in rat/http1/fastlane.py, and tests/http1/test_lane_native.py holds these files to them.  Nothing
   outlives the module but its types: everything hangs on State. */
#ifndef RAT_LANE_H
#define RAT_LANE_H

#include "../../native/slots.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { METHODS = 7 };

typedef struct {
    PyTypeObject *reader_type, *parts_type, *writer_type, *verb_type;
    PyObject *methods[METHODS];
    PyObject *empty, *no_trailers, *version, *written, *receive_data;
} State;

extern const char *const METHOD_NAMES[METHODS];
extern PyType_Spec reader_spec, parts_spec, writer_spec, verb_spec;

/* Which requests are read: any, with all of their content, or these that also are alone, and the connection stays open. */
typedef enum { ANY, WHOLE, ALONE } Extent;
typedef struct {
    Py_ssize_t stop;
    bool closes, is_head;
} Taken;

/* The request at *at*, and, but for ANY, what is *taken*.  NULL, with or without an exception, for what is none. */
PyObject *read_request(PyObject *reader, PyObject *data, Py_ssize_t at, Extent extent, Taken *taken);
/* What a writer of answers gives for status, fields, content and date. */
PyObject *write_answer(PyObject *writer, PyObject *const args[4]);

PyObject *head_reader(PyObject *module, PyObject *args);
PyObject *answer_writer(PyObject *module, PyObject *args);
PyObject *verbs(PyObject *module, PyObject *args);
PyObject *combined_value(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *begins_any(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* *size* bytes at *p* are *name*, which is in lower case, but for the case of letters. */
static inline bool is_name(const unsigned char *p, Py_ssize_t size, const char *name) {
    for (Py_ssize_t i = 0; i < size; i++) {
        unsigned char c = p[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (unsigned char)name[i]) return false;
    }
    return true;
}

static inline bool is_space(unsigned char c) { return c == ' ' || c == '\t'; }

#endif
