/* The records of a message: what ddns/dns/walk.py does in Python. */
#include "native.h"

#include <string.h>

enum { SIG = 24, TSIG = 250 };

/* Return (owner, type, class, ttl, offset of its data, length) of the record at *offset, and move on behind it.
 * Where it spells its owner as *spelled does, size_spelled octets, that is owner. NULL, no error set: Python. */
static PyObject *record(const uint8_t *wire, size_t size, size_t *offset, size_t *spelled, size_t *size_spelled,
                        PyObject **owner) {
    size_t start = *offset, at = name_skip(wire, size, start), end;
    if (at == 0 || at + FIXED_SIZE > size) {
        return NULL;
    }
    if (*owner == NULL || at - start != *size_spelled || memcmp(wire + start, wire + *spelled, at - start) != 0) {
        uint8_t name[NAME_MAX_SIZE];
        size_t used = name_read(wire, size, start, name, &end);
        if (used == 0) {
            return NULL;
        }
        Py_XSETREF(*owner, PyBytes_FromStringAndSize((const char *)name, (Py_ssize_t)used));
        if (*owner == NULL) {
            return NULL;
        }
        *spelled = start;
        *size_spelled = at - start;
    }
    unsigned type = two_octets(wire + at), class_ = two_octets(wire + at + 2);
    unsigned long ttl = (unsigned long)two_octets(wire + at + 4) << 16 | two_octets(wire + at + 6);
    unsigned length = two_octets(wire + at + 8);
    at += FIXED_SIZE;
    if (at + length > size) {
        return NULL;
    }
    *offset = at + length;
    return Py_BuildValue("(OIIknI)", *owner, type, class_, ttl, (Py_ssize_t)at, length);
}

PyObject *native_walk(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "walk takes a message, an offset and a number");
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0])) {
        Py_RETURN_NONE;
    }
    Py_ssize_t begin = PyLong_AsSsize_t(args[1]), records = PyLong_AsSsize_t(args[2]);
    if ((begin == -1 || records == -1) && PyErr_Occurred()) {
        return NULL;
    }
    const uint8_t *wire = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    size_t size = (size_t)PyBytes_GET_SIZE(args[0]), spelled = 0, size_spelled = 0;
    /* A record has FIXED_SIZE octets and one at least, so what is asked for here is never much. */
    if (begin < 0 || records < 0 || size > MESSAGE_MAX || (size_t)records > size / (FIXED_SIZE + 1)) {
        Py_RETURN_NONE;
    }
    PyObject *out = PyList_New(records), *owner = NULL;
    size_t offset = (size_t)begin;
    for (Py_ssize_t index = 0; out != NULL && index < records; index++) {
        PyObject *row = record(wire, size, &offset, &spelled, &size_spelled, &owner);
        if (row == NULL) {
            Py_CLEAR(out);
        } else {
            PyList_SET_ITEM(out, index, row);
        }
    }
    Py_XDECREF(owner);
    if (out != NULL && offset != size) {
        Py_CLEAR(out);
    }
    if (out == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return out;
}

PyObject *native_find_trailer(PyObject *module, PyObject *message) {
    (void)module;
    if (!PyBytes_CheckExact(message)) {
        Py_RETURN_NONE;
    }
    const uint8_t *wire = (const uint8_t *)PyBytes_AS_STRING(message);
    size_t size = (size_t)PyBytes_GET_SIZE(message), at = HEADER_SIZE, start = 0, fixed = 0;
    if (size < HEADER_SIZE || size > MESSAGE_MAX) {
        Py_RETURN_NONE;
    }
    unsigned zones = two_octets(wire + 4), additional = two_octets(wire + 10);
    unsigned records = two_octets(wire + 6) + two_octets(wire + 8) + additional, found = 0;
    for (unsigned index = 0; index < zones + records; index++) { /* each moves on by five octets at least */
        start = at;
        at = name_skip(wire, size, at);
        if (at == 0 || found != 0) {
            Py_RETURN_NONE;
        }
        if (index < zones) {
            at += 4;
            continue;
        }
        fixed = at;
        if (at + FIXED_SIZE > size) {
            Py_RETURN_NONE;
        }
        unsigned type = two_octets(wire + at), length = two_octets(wire + at + 8);
        at += FIXED_SIZE + length;
        /* A SIG that covers type 0 is a SIG(0), others are data. */
        if (type == TSIG || (type == SIG && length >= 2 && at <= size && two_octets(wire + fixed + FIXED_SIZE) == 0)) {
            found = type;
        }
    }
    if (found == 0 || at != size || additional == 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(Inn)", found, (Py_ssize_t)start, (Py_ssize_t)fixed);
}
