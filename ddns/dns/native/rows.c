/* Rows as Postgres receives them: what ddns/store/packing.py does in Python. */
#include "native.h"

#include <string.h>

enum { BYTEA = 17, BIGINT = 20, INTEGER = 23, TEXT = 25, BYTEAS = 1001 };
#define MOST INT32_MAX /* octets of a parameter */
#define HEAD 8         /* octets of a row before its columns: how long it is, and how many they are */

/* Where octets go, and how many there is room for; at is NULL while they are only counted. */
struct out {
    uint8_t *at;
    size_t size, room;
};

static void put(struct out *out, const void *octets, size_t size) {
    if (out->size + size <= out->room) { /* what an attribute was while it was counted it need not be for ever */
        memcpy(out->at + out->size, octets, size);
    }
    out->size += size;
}

static void put_number(struct out *out, uint64_t value, unsigned size) {
    uint8_t octets[8];
    for (unsigned place = 0; place < size; place++) {
        octets[place] = (uint8_t)(value >> (8 * (size - 1 - place)));
    }
    put(out, octets, size);
}

static void put_head(struct out *out, uint32_t oid, size_t length) {
    put_number(out, oid, 4);
    put_number(out, length, 4);
}

/* Put the head of an array of *count* elements of the type *oid*, of one dimension, or of none where there are none. */
static void put_array_head(struct out *out, uint32_t oid, Py_ssize_t count) {
    put_number(out, count > 0, 4); /* dimensions */
    put_number(out, 0, 4);         /* no NULL */
    put_number(out, oid, 4);
    if (count > 0) {
        put_number(out, (uint64_t)count, 4);
        put_number(out, 1, 4); /* where it begins to count */
    }
}

/* Put a bytea[]. Return false where *values* is no tuple of bytes. */
static bool put_list(struct out *out, PyObject *values) {
    if (!PyTuple_CheckExact(values)) {
        return false;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(values);
    size_t size = count > 0 ? 20 : 12;
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *value = PyTuple_GET_ITEM(values, index);
        if (!PyBytes_CheckExact(value)) {
            return false;
        }
        size += 4 + (size_t)PyBytes_GET_SIZE(value);
    }
    put_head(out, BYTEAS, size);
    put_array_head(out, BYTEA, count);
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *value = PyTuple_GET_ITEM(values, index);
        put_number(out, (uint64_t)PyBytes_GET_SIZE(value), 4);
        put(out, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    }
    return true;
}

/* Put one column. Return false where *value* is not of its *kind*; an error may be set. */
static bool put_column(struct out *out, char kind, PyObject *value) {
    if (kind == 'q' || kind == 'i') {
        if (!PyLong_Check(value)) {
            return false;
        }
        long long number = PyLong_AsLongLong(value);
        if ((number == -1 && PyErr_Occurred()) || (kind == 'i' && (number < INT32_MIN || number > INT32_MAX))) {
            return false;
        }
        unsigned size = kind == 'q' ? 8 : 4;
        put_head(out, kind == 'q' ? BIGINT : INTEGER, size);
        put_number(out, (uint64_t)number, size);
        return true;
    }
    if (kind == 'b' && PyBytes_Check(value)) {
        put_head(out, BYTEA, (size_t)PyBytes_GET_SIZE(value));
        put(out, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
        return true;
    }
    if (kind == 'n' && PyBytes_CheckExact(value)) {
        uint8_t octets[ORDER_MAX_SIZE];
        size_t begin;
        if (!name_order((const uint8_t *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value), octets, &begin)) {
            return false;
        }
        put_head(out, BYTEA, sizeof octets - begin);
        put(out, octets + begin, sizeof octets - begin);
        return true;
    }
    if (kind == 't' && PyUnicode_Check(value)) {
        Py_ssize_t size;
        const char *octets = PyUnicode_AsUTF8AndSize(value, &size);
        if (octets == NULL) {
            return false;
        }
        put_head(out, TEXT, (size_t)size);
        put(out, octets, (size_t)size);
        return true;
    }
    return kind == 'B' && put_list(out, value);
}

/* The attributes of an RRset, which are columns of their own, and their kinds; a signed one has the last too. */
static const char *const spelled[] = {"name", "type", "ttl", "rdatas", "sigs"};
static const char spelled_kinds[] = "niiBB";
enum { UNSIGNED = 4, SIGNED = 5 };
static PyObject *attributes[SIGNED]; /* interned once, as the interpreter's own code has them */

int rows_prepare(void) {
    for (size_t index = 0; index < SIGNED; index++) {
        if (attributes[index] == NULL && (attributes[index] = PyUnicode_InternFromString(spelled[index])) == NULL) {
            return -1;
        }
    }
    return 0;
}

/* Put the first *count* attributes of *rrset* as columns. Return false where it lacks one, or one is of another kind. */
static bool put_rrset(struct out *out, unsigned count, PyObject *rrset) {
    bool good = true;
    for (unsigned index = 0; good && index < count; index++) {
        PyObject *value = PyObject_GetAttr(rrset, attributes[index]);
        good = value != NULL && put_column(out, spelled_kinds[index], value) && out->size <= MOST;
        Py_XDECREF(value);
    }
    return good;
}

/* Put one row: its length, the number of its columns, and each of them. */
static bool put_row(struct out *out, const char *kinds, Py_ssize_t values, PyObject *row) {
    if (!PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != values) {
        return false;
    }
    size_t start = out->size;
    unsigned columns = 0;
    put_number(out, 0, 4); /* both are known in the end */
    put_number(out, 0, 4);
    for (Py_ssize_t index = 0; index < values; index++) {
        PyObject *value = PyTuple_GET_ITEM(row, index);
        unsigned several = kinds[index] == 'R' ? UNSIGNED : kinds[index] == 'S' ? SIGNED : 0;
        if (!(several > 0 ? put_rrset(out, several, value) : put_column(out, kinds[index], value)) || out->size > MOST) {
            return false;
        }
        columns += several > 0 ? several : 1;
    }
    struct out head = {out->at == NULL ? NULL : out->at + start, 0, start + HEAD <= out->room ? HEAD : 0};
    put_number(&head, out->size - start - 4, 4);
    put_number(&head, columns, 4);
    return true;
}

static bool put_rows(struct out *out, const char *kinds, Py_ssize_t columns, PyObject *rows) {
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(rows); index++) {
        if (!put_row(out, kinds, columns, PyList_GET_ITEM(rows, index))) {
            return false;
        }
    }
    return true;
}

/* Put an array of a composite type with the oid *element*. Return false where the rows are not of their kinds. */
static bool put_array(struct out *out, uint32_t element, const char *kinds, Py_ssize_t columns, PyObject *rows) {
    put_array_head(out, element, PyList_GET_SIZE(rows));
    return put_rows(out, kinds, columns, rows);
}

/* Return *parameter* as Postgres receives it: octets as they are, a number as a bigint, a pair of kinds and rows as an
 * array. NULL, and maybe an error: Python. */
static PyObject *pack(PyObject *parameter, uint32_t element) {
    if (PyBytes_Check(parameter)) {
        return Py_NewRef(parameter);
    }
    if (PyLong_CheckExact(parameter)) {
        long long number = PyLong_AsLongLong(parameter);
        if (number == -1 && PyErr_Occurred()) {
            return NULL;
        }
        uint8_t octets[8];
        struct out out = {octets, 0, sizeof octets};
        put_number(&out, (uint64_t)number, sizeof octets);
        return PyBytes_FromStringAndSize((const char *)octets, sizeof octets);
    }
    if (!PyTuple_CheckExact(parameter) || PyTuple_GET_SIZE(parameter) != 2) {
        return NULL;
    }
    PyObject *letters = PyTuple_GET_ITEM(parameter, 0), *rows = PyTuple_GET_ITEM(parameter, 1);
    if (!PyBytes_CheckExact(letters) || !PyList_CheckExact(rows)) {
        return NULL;
    }
    const char *kinds = PyBytes_AS_STRING(letters);
    Py_ssize_t columns = PyBytes_GET_SIZE(letters);
    struct out counted = {NULL, 0, 0};
    if (!put_array(&counted, element, kinds, columns, rows)) {
        return NULL;
    }
    PyObject *packed = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)counted.size);
    if (packed != NULL) {
        struct out written = {(uint8_t *)PyBytes_AS_STRING(packed), 0, counted.size};
        if (!put_array(&written, element, kinds, columns, rows) || written.size != counted.size) {
            Py_CLEAR(packed);
        }
    }
    return packed;
}

PyObject *native_pack_parameters(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2 || !PyList_CheckExact(args[0]) || !PyTuple_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "pack_parameters takes a list of parameters and a tuple of oids");
        return NULL;
    }
    Py_ssize_t parameters = PyList_GET_SIZE(args[0]);
    if (PyTuple_GET_SIZE(args[1]) != parameters) {
        Py_RETURN_NONE;
    }
    PyObject *out = PyList_New(parameters);
    for (Py_ssize_t index = 0; out != NULL && index < parameters; index++) {
        long long element = PyLong_AsLongLong(PyTuple_GET_ITEM(args[1], index));
        PyObject *packed = element < 0 || element > UINT32_MAX ? NULL : pack(PyList_GET_ITEM(args[0], index), (uint32_t)element);
        if (packed == NULL) {
            Py_CLEAR(out);
        } else {
            PyList_SET_ITEM(out, index, packed);
        }
    }
    if (out == NULL) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return out;
}
