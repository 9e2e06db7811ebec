/* What the files of the C codec share: the tags, the state of the module, the tables of both directions.

   docs/wire-format.md is the specification and rat/codec/reference.py the same as a program: the section numbers
   are that document's.  No variable here outlives its module: everything hangs on State. */
#ifndef RAT_CODEC_H
#define RAT_CODEC_H

#include "../../native/module.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NOINLINE __attribute__((noinline))

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the C codec is written for little-endian machines; rat/codec/reference.py serves the others"
#endif

enum {
    MAX_DEPTH = 256,
    MAX_KEYS = 1024,
    MAX_SHAPES = 256,
    MAX_SHAPE_KEYS = 128,
    MAX_SHORT_KEY = 62,
    INDEX_STEP = 16,
    PACK_FROM = 4,
    VIEW_FROM = 32768,
};
#define ENDLESS UINT32_MAX        /* the length of an indexed list without an index */
#define INDEXED_SIZE 0x7FFFFFFFu  /* items of this size and more have none */
#define ADDS_TO_TABLES 0x80000000u /* in an index: the block appended to the tables */
#define UNLIMITED PY_SSIZE_T_MIN

enum {
    TAG_NONE = 0,
    TAG_BOOL = 1,
    TAG_INT = 2,
    TAG_FLOAT = 3,
    TAG_STR = 4,
    TAG_BYTES = 5,
    TAG_LIST = 6,
    TAG_DICT = 7,
    TAG_FALSE = 8,
    TAG_TRUE = 9,
    TAG_U8 = 10,
    TAG_U64 = 13,
    TAG_N8 = 14,
    TAG_N64 = 17,
    TAG_BIG_INT = 18,
    TAG_BYTEARRAY = 19,
    TAG_DATE = 20,
    TAG_TIME = 21,
    TAG_DATETIME = 22,
    TAG_TIMEDELTA = 23,
    TAG_AWARE_TIME = 24,
    TAG_AWARE_DATETIME = 25,
    TAG_UUID = 26,
    TAG_DECIMAL = 27,
    TAG_TUPLE = 28,
    TAG_SET = 29,
    TAG_FROZENSET = 30,
    TAG_ARRAY = 31,
    TAG_F64_LIST = 32,
    TAG_I8_LIST = 33,
    TAG_I64_LIST = 36,
    TAG_ASCII_LIST = 37,
    TAG_INDEXED_LIST = 38,
    TAG_OPEN_LIST = 44,
    TAG_OPEN_DICT = 45,
    TAG_OPEN_BYTES = 46,
    TAG_CLOSE = 47,
    TAG_RESET = 48,
    TAG_WIDE_DICT = 49,
    TAG_SHAPED_DICT = 50,
    TAG_SHAPE = 51,
    TAG_SHAPE_LAST = 63,
    TAG_ASCII = 64,
    TAG_SMALL_INT = 128,
    TAG_SMALL_LIST = 192,
    TAG_SMALL_DICT = 224,
    TAG_SMALL_DICT_LAST = 249,
};

/* The writer's tables (section 5) begin small, and double with what they hold: a connection that says little keeps little.
   Keys are found through an open-addressed index by the hash that every str in a dict has already, behind a filter of
   one bit for each key: most keys that are not in the table end there, and the branch is foreseen.  What is new goes to
   the filter at once, to the index when something is looked up in it.  A shape is a run of pointers to keys of the table. */
enum { FIRST_KEYS = 32, FIRST_SHAPES = 8, FILTER_BITS = 16, FIRST_ARENA = 64 };

typedef struct {
    uint32_t at; /* first of its keys in the arena */
    uint16_t slot;
    uint16_t count;
} WriteShape;

typedef struct {
    int key_count, key_room;
    int shape_count, shape_room;
    int keys_indexed, shapes_indexed;
    int owned;     /* keys[0 .. owned) are references of our own; the others the value's, which holds them while no Python runs */
    bool owns_all; /* every new key is */
    bool outlives; /* the tables go on after the message */
    uint8_t last;  /* the shape written last */
    uint32_t arena_used, arena_size;
    PyObject **arena;
    PyObject **keys;     /* key_room; what follows is in one piece with it */
    uint64_t *filter;    /* FILTER_BITS bits for each key there is room for */
    size_t filter_mask;  /* of the number of a bit */
    uint32_t *key_index; /* 2 for each: upper half of the hash, number + 1: a miss touches no other key */
    uint16_t *key_slot, *key_bit;
    WriteShape *shapes;    /* shape_room; in one piece likewise */
    uint16_t *shape_index; /* 4 for each */
    uint8_t *next;         /* what followed each shape when it was written the last time: a guess */
} WriteTables;

/* The reader's tables, which grow likewise.  template is a dict of the keys with None for every value, made when the shape
   is first asked for. */
typedef struct {
    uint32_t at;
    uint16_t count;
    PyObject *template;
} ReadShape;

typedef struct {
    int key_count, key_room;
    int shape_count, shape_room;
    uint32_t arena_used, arena_size;
    PyObject **arena;
    PyObject **keys;
    ReadShape *shapes;
} ReadTables;

enum { KEY_CACHE = 4096, TEMPLATE_CACHE = 512, SEEN_CACHE = 1024, PLAIN_CACHE = 64, SMALL_INTS = 256 };
enum { PLAIN_MOST = 64 }; /* keys of such a dict */

typedef struct {
    /* Objects: what set_up fills */
    PyObject *codec_error;
    /* rat/codec/native/support.py and its neighbours: what is rare enough for Python */
    PyObject *write_scalar, *read_scalar, *write_big_int, *read_big_int, *array_parts, *is_array, *replacement,
        *not_replaced, *key_path, *check_profile, *check_max_depth, *copy_into, *byte_view;
    PyObject *str_full, *str_bincode, *str_offset, *str_message, *str_profile, *empty_str, *model_str;
    PyObject *scalar_types[6]; /* date, time, datetime, timedelta, UUID, Decimal */
    PyTypeObject *encoder_type, *decoder_type, *cursor_type;
    /* Tables at rest, so that a call need not clear 30 KiB; NULL while a call has them. */
    WriteTables *spare_write;
    size_t expected; /* what the last message of more than the first buffer took, and a bit */
    ReadTables *spare_read;
    /* Short ASCII keys by their bytes, and templates by their keys: bounded, replaced when others come. */
    PyObject *key_cache[KEY_CACHE];
    uint32_t key_tag[KEY_CACHE], key_seen[KEY_CACHE]; /* a key is kept when it is met twice */
    PyObject *templates[TEMPLATE_CACHE];
    uint32_t seen[SEEN_CACHE];
    /* Templates of dicts that write their keys in full, by their count and first key; likewise. */
    PyObject *plain[PLAIN_CACHE];
    uint32_t plain_seen[PLAIN_CACHE];
    PyObject *small_ints[SMALL_INTS];
} State;

/* writer.c, write_tables.c */
typedef struct {
    PyObject *default_;
    int max_depth;
    bool bincode;
    Py_ssize_t threshold; /* payloads of this size and more stay where they are; 0 for none */
    bool reset_first;
} WriteOptions;

/* With outlives, for the life of a connection: small to begin with.  Else with all the room there may be. */
WriteTables *write_tables_new(bool outlives);
size_t write_tables_size(const WriteTables *t);
void write_tables_clear(WriteTables *t);
void write_tables_cut(WriteTables *t, int keys, int shapes);
void write_tables_free(WriteTables *t);
/* The message of obj, as bytes or, with a threshold, as a list of segments.  item >= 0 names it in the path. */
PyObject *write_message(State *st, WriteTables *t, const WriteOptions *options, PyObject *obj, Py_ssize_t item);

/* Whether obj is a memoryview of unsigned bytes, one after the other: what most large values are. */
static inline bool is_row_of_bytes(PyObject *obj) {
    Py_buffer b;
    if (!PyMemoryView_Check(obj)) return false;
    if (PyObject_GetBuffer(obj, &b, PyBUF_FULL_RO) < 0) {
        PyErr_Clear(); /* released: whoever asked finds out in its own words */
        return false;
    }
    bool is_row = b.ndim == 1 && b.itemsize == 1 && (b.format == NULL || strcmp(b.format, "B") == 0) &&
                  PyBuffer_IsContiguous(&b, 'C');
    PyBuffer_Release(&b);
    return is_row;
}

/* reader.c */
typedef struct {
    bool bincode;
    bool zero_copy;
    int max_depth;
    Py_ssize_t max_items; /* or UNLIMITED */
} ReadOptions;

ReadTables *read_tables_new(void);
size_t read_tables_size(const ReadTables *t);
void read_tables_clear(ReadTables *t);
void read_tables_free(ReadTables *t);
PyObject *read_message(State *st, ReadTables *t, const ReadOptions *options, PyObject *data, bool is_lost);
/* The value at an offset of data, whose bytes buffer has; one that is no container, which needs no tables. */
PyObject *read_at(State *st, PyObject *data, const Py_buffer *buffer, Py_ssize_t at, bool zero_copy);
/* NULL, with a CodecError. */
PyObject *raise_codec_error(State *st, Py_ssize_t offset, const char *format, ...);

/* module.c */
/* A CodecError of *message* with *where* under *name*, or the exception for the lack of one of them.  Steals both. */
void raise_error(State *st, PyObject *message, const char *name, PyObject *where);

/* objects.c */
extern PyType_Spec encoder_spec, decoder_spec;
PyObject *encode_batch(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *decode_batch(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* cursor.c */
extern PyType_Spec cursor_spec;

/* arguments.c */
typedef struct {
    PyObject *default_;
    PyObject *profile, *max_depth, *max_items, *threshold, *zero_copy, *offset;
} Arguments;

/* The arguments after the first positional ones, which go to positional; "only" lists the names that may be given, by letter:
   d default, p profile, m max_depth, i max_items, t threshold, z zero_copy, o offset. */
int parse_arguments(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *names, int positional,
                    const char *only, Arguments *to);
int write_options(State *st, const Arguments *from, WriteOptions *to);
int read_options(State *st, const Arguments *from, ReadOptions *to);
/* Copies message into buffer: the number of its bytes, or NULL with BufferError, TypeError or ValueError. */
PyObject *copy_into(State *st, PyObject *message, PyObject *buffer, PyObject *offset);

#endif
