/* Rows as Postgres sends them: what ddns/store/unpacking.py does in Python. */
#include "native.h"

#include <string.h>

enum { DEPTH_MAX = 4 }; /* arrays of rows within rows */

/* What is left to read: *left* octets at *at*. */
struct in {
    const uint8_t *at;
    size_t left;
};

/* Which columns there are: letters, of which *left* are still to come; *signed_* is the type of a signed RRset. */
struct kinds {
    const char *at;
    size_t left;
    PyObject *signed_;
};

static bool take_number(struct in *in, int32_t *value) {
    if (in->left < 4) {
        return false;
    }
    *value = (int32_t)((uint32_t)in->at[0] << 24 | (uint32_t)in->at[1] << 16 | (uint32_t)in->at[2] << 8 | in->at[3]);
    in->at += 4;
    in->left -= 4;
    return true;
}

/* Take a value behind its length; that of a NULL has no place. Return false where it does not end. */
static bool take_cell(struct in *in, struct in *cell) {
    int32_t size;
    if (!take_number(in, &size) || size < -1 || (size > 0 && (size_t)size > in->left)) {
        return false;
    }
    *cell = (struct in){size < 0 ? NULL : in->at, size < 0 ? 0 : (size_t)size};
    in->at += cell->left;
    in->left -= cell->left;
    return true;
}

/* Take the head of an array, and return of how many elements: at most as many as there is room for. -1: it is none. */
static Py_ssize_t take_head(struct in *in) {
    int32_t dimensions, ignored, count;
    if (!take_number(in, &dimensions)) {
        return -1;
    }
    if (dimensions == 0) {
        in->left = 0;
        return 0;
    }
    if (dimensions != 1 || !take_number(in, &ignored) || !take_number(in, &ignored) || !take_number(in, &count) ||
        !take_number(in, &ignored) || count < 0 || (size_t)count > in->left / 4) {
        return -1;
    }
    return count;
}

/* Read the name whose place in the canonical order is *key*: see name_order. */
static PyObject *read_order(struct in key) {
    uint8_t out[NAME_MAX_SIZE];
    size_t used = sizeof out, at = 0;
    out[--used] = 0;
    while (at < key.left) {
        uint8_t label[LABEL_MAX_SIZE];
        size_t length = 0;
        for (;;) { /* each round takes an octet of the label, or ends it */
            if (at >= key.left) {
                return NULL;
            }
            uint8_t octet = key.at[at++];
            if (octet == 0) {
                if (at >= key.left || key.at[at] > 1) {
                    return NULL;
                }
                if (key.at[at++] == 0) {
                    break;
                }
            }
            if (length >= sizeof label) {
                return NULL;
            }
            label[length++] = octet;
        }
        if (used < length + 1) {
            return NULL;
        }
        used -= length;
        memcpy(out + used, label, length);
        out[--used] = (uint8_t)length;
    }
    return PyBytes_FromStringAndSize((const char *)out + used, (Py_ssize_t)(sizeof out - used));
}

static PyObject *read_long(struct in cell, size_t size) {
    if (cell.left != size) {
        return NULL;
    }
    uint64_t value = 0;
    for (size_t place = 0; place < size; place++) {
        value = value << 8 | cell.at[place];
    }
    return PyLong_FromLongLong(size == 4 ? (long long)(int32_t)(uint32_t)value : (long long)value);
}

static PyObject *read_value(char kind, struct in cell);

/* Read an array of values of one kind as a tuple. */
static PyObject *read_list(char kind, struct in in) {
    Py_ssize_t count = take_head(&in);
    PyObject *out = count < 0 ? NULL : PyTuple_New(count);
    for (Py_ssize_t index = 0; out != NULL && index < count; index++) {
        struct in cell;
        PyObject *value = take_cell(&in, &cell) ? read_value(kind, cell) : NULL;
        if (value == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, index, value);
        }
    }
    if (out != NULL && in.left != 0) {
        Py_CLEAR(out);
    }
    return out;
}

static PyObject *read_value(char kind, struct in cell) {
    if (cell.at == NULL) {
        Py_RETURN_NONE;
    }
    switch (kind) {
    case 'q':
        return read_long(cell, 8);
    case 'i':
        return read_long(cell, 4);
    case 'z':
        return cell.left == 1 ? PyBool_FromLong(cell.at[0]) : NULL;
    case 'b':
        return PyBytes_FromStringAndSize((const char *)cell.at, (Py_ssize_t)cell.left);
    case 't':
        return PyUnicode_DecodeUTF8((const char *)cell.at, (Py_ssize_t)cell.left, NULL);
    case 'n':
        return read_order(cell);
    case 'I':
        return read_list('i', cell);
    case 'B':
        return read_list('b', cell);
    default:
        return NULL;
    }
}

/* Take the next column of a row: the oid of its type, which is known, and its value. */
static bool take_column(struct in *in, struct in *cell) {
    int32_t oid;
    return take_number(in, &oid) && take_cell(in, cell);
}

static const char signed_kinds[] = {'n', 'i', 'i', 'B', 'B'};
enum { SIGNED = sizeof signed_kinds };

static PyObject *read_signed(PyObject *type, struct in *row) {
    PyObject *values[SIGNED];
    unsigned count = 0;
    struct in cell;
    while (count < SIGNED && take_column(row, &cell) && (values[count] = read_value(signed_kinds[count], cell)) != NULL) {
        count++;
    }
    PyObject *made = count == SIGNED ? PyObject_Vectorcall(type, values, SIGNED, NULL) : NULL;
    while (count > 0) {
        Py_DECREF(values[--count]);
    }
    return made;
}

/* Return at which letter the parenthesis closes that is open before the first of *kinds*; beyond all: nowhere. */
static size_t closing(const struct kinds *kinds) {
    unsigned depth = 1;
    size_t at = 0;
    for (; at < kinds->left; at++) {
        depth += kinds->at[at] == '(';
        depth -= kinds->at[at] == ')';
        if (depth == 0) {
            break;
        }
    }
    return at;
}

static PyObject *read_nested(struct kinds kinds, struct in in, unsigned depth);

/* Return how many values there are in a row. */
static Py_ssize_t width(struct kinds kinds) {
    Py_ssize_t count = 0;
    for (; kinds.left > 0; count++) {
        char kind = *kinds.at++;
        kinds.left--;
        if (kind == '(') {
            size_t skipped = closing(&kinds);
            skipped += skipped < kinds.left;
            kinds.at += skipped;
            kinds.left -= skipped;
        }
    }
    return count;
}

/* Read a row as a tuple of its columns' values. NULL, and maybe an error: Python. */
static PyObject *read_row(struct kinds kinds, struct in row, unsigned depth) {
    int32_t columns;
    PyObject *out = take_number(&row, &columns) && columns >= 0 ? PyTuple_New(width(kinds)) : NULL;
    for (Py_ssize_t place = 0; out != NULL && kinds.left > 0; place++) {
        char kind = *kinds.at++;
        kinds.left--;
        PyObject *value = NULL;
        struct in cell;
        if (kind == 'S') {
            value = read_signed(kinds.signed_, &row);
            columns -= SIGNED;
        } else if (kind == '(') {
            struct kinds inner = {kinds.at, closing(&kinds), kinds.signed_};
            columns--;
            if (inner.left < kinds.left && take_column(&row, &cell)) {
                kinds.at += inner.left + 1;
                kinds.left -= inner.left + 1;
                value = cell.at == NULL ? Py_NewRef(Py_None) : read_nested(inner, cell, depth + 1);
            }
        } else {
            value = take_column(&row, &cell) ? read_value(kind, cell) : NULL;
            columns--;
        }
        if (value == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, place, value);
        }
    }
    if (out != NULL && (columns != 0 || row.left != 0)) {
        Py_CLEAR(out);
    }
    return out;
}

/* Read an array of rows as a tuple of tuples; of rows of a single column, as a tuple of what stands in it. */
static PyObject *read_nested(struct kinds kinds, struct in in, unsigned depth) {
    Py_ssize_t count = depth > DEPTH_MAX ? -1 : take_head(&in);
    PyObject *out = count < 0 ? NULL : PyTuple_New(count);
    for (Py_ssize_t index = 0; out != NULL && index < count; index++) {
        struct in cell;
        PyObject *row = take_cell(&in, &cell) && cell.at != NULL ? read_row(kinds, cell, depth) : NULL;
        if (row != NULL && kinds.left == 1) {
            PyObject *alone = Py_NewRef(PyTuple_GET_ITEM(row, 0));
            Py_DECREF(row);
            row = alone;
        }
        if (row == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, index, row);
        }
    }
    if (out != NULL && in.left != 0) {
        Py_CLEAR(out);
    }
    return out;
}

PyObject *native_unpack_rows(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3 || !PyBytes_CheckExact(args[0]) || !PyList_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "unpack_rows takes the kinds of columns, cells, and the type of an RRset");
        return NULL;
    }
    struct kinds kinds = {PyBytes_AS_STRING(args[0]), (size_t)PyBytes_GET_SIZE(args[0]), args[2]};
    Py_ssize_t cells = PyList_GET_SIZE(args[1]);
    PyObject *out = PyList_New(cells);
    for (Py_ssize_t index = 0; out != NULL && index < cells; index++) {
        /* Making a value may run a collector's code: the list is asked how long it is each time. */
        PyObject *cell = index < PyList_GET_SIZE(args[1]) ? Py_NewRef(PyList_GET_ITEM(args[1], index)) : NULL;
        PyObject *row = NULL;
        if (cell != NULL && PyBytes_CheckExact(cell)) {
            struct in in = {(const uint8_t *)PyBytes_AS_STRING(cell), (size_t)PyBytes_GET_SIZE(cell)};
            row = read_row(kinds, in, 0);
        }
        Py_XDECREF(cell);
        if (row == NULL) {
            Py_CLEAR(out);
        } else {
            PyList_SET_ITEM(out, index, row);
        }
    }
    if (out == NULL) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return out;
}
