/* The records of a message: what ddns/dns/walk.py does in Python. */
#include "native.h"

#include <string.h>

bool record_read(const uint8_t *wire, size_t size, size_t *offset, struct owner *owner, struct record *record) {
    size_t start = *offset, at = name_skip(wire, size, start), end;
    if (at == 0 || at + FIXED_SIZE > size) {
        return false;
    }
    if (owner->name == NULL || at - start != owner->size || memcmp(wire + start, wire + owner->start, at - start) != 0) {
        uint8_t name[NAME_MAX_SIZE];
        size_t used = name_read(wire, size, start, name, &end);
        if (used == 0) {
            return false;
        }
        Py_XSETREF(owner->name, PyBytes_FromStringAndSize((const char *)name, (Py_ssize_t)used));
        if (owner->name == NULL) {
            return false;
        }
        owner->start = start;
        owner->size = at - start;
    }
    record->type = two_octets(wire + at);
    record->class_ = two_octets(wire + at + 2);
    record->ttl = (uint32_t)two_octets(wire + at + 4) << 16 | two_octets(wire + at + 6);
    record->length = two_octets(wire + at + 8);
    record->data = at + FIXED_SIZE;
    *offset = record->data + record->length;
    return *offset <= size;
}

PyObject *record_rows(const uint8_t *wire, size_t size, size_t offset, size_t count, struct owner *owner) {
    PyObject *out = PyList_New((Py_ssize_t)count);
    for (size_t index = 0; out != NULL && index < count; index++) {
        struct record record;
        PyObject *row = NULL;
        if (record_read(wire, size, &offset, owner, &record)) {
            row = Py_BuildValue("(OIIknI)", owner->name, record.type, record.class_, (unsigned long)record.ttl,
                                (Py_ssize_t)record.data, record.length);
        }
        if (row == NULL) {
            Py_CLEAR(out);
        } else {
            PyList_SET_ITEM(out, (Py_ssize_t)index, row);
        }
    }
    if (out != NULL && offset != size) {
        Py_CLEAR(out);
    }
    return out;
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
    size_t size = (size_t)PyBytes_GET_SIZE(args[0]);
    /* A record has FIXED_SIZE octets and one at least, so what is asked for here is never much. */
    if (begin < 0 || records < 0 || size > MESSAGE_MAX || (size_t)records > size / (FIXED_SIZE + 1)) {
        Py_RETURN_NONE;
    }
    struct owner owner = {NULL, 0, 0};
    PyObject *out = record_rows(wire, size, (size_t)begin, (size_t)records, &owner);
    Py_XDECREF(owner.name);
    return or_none(out);
}

PyObject *or_none(PyObject *found) {
    if (found == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return found;
}

unsigned trailer_find(const uint8_t *wire, size_t size, size_t *start, size_t *fixed) {
    size_t at = HEADER_SIZE;
    if (size < HEADER_SIZE || size > MESSAGE_MAX) {
        return 0;
    }
    unsigned zones = two_octets(wire + 4), additional = two_octets(wire + 10);
    unsigned records = two_octets(wire + 6) + two_octets(wire + 8) + additional, found = 0;
    for (unsigned index = 0; index < zones + records; index++) { /* each moves on by five octets at least */
        *start = at;
        at = name_skip(wire, size, at);
        if (at == 0 || found != 0) {
            return 0;
        }
        if (index < zones) {
            at += 4;
            continue;
        }
        *fixed = at;
        if (at + FIXED_SIZE > size) {
            return 0;
        }
        unsigned type = two_octets(wire + at), length = two_octets(wire + at + 8);
        at += FIXED_SIZE + length;
        /* A SIG that covers type 0 is a SIG(0), others are data. */
        if (type == TSIG || (type == SIG && length >= 2 && at <= size && two_octets(wire + *fixed + FIXED_SIZE) == 0)) {
            found = type;
        }
    }
    return at == size && additional != 0 ? found : 0;
}

PyObject *native_find_trailer(PyObject *module, PyObject *message) {
    (void)module;
    size_t start, fixed;
    unsigned found = PyBytes_CheckExact(message) ? trailer_find((const uint8_t *)PyBytes_AS_STRING(message),
                                                                (size_t)PyBytes_GET_SIZE(message), &start, &fixed)
                                                 : 0;
    if (found == 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(Inn)", found, (Py_ssize_t)start, (Py_ssize_t)fixed);
}
