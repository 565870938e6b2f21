/* Updates as values: what ddns/zone/request.py does in Python, for those whose every operation is plain. */
#include "native.h"

#include <string.h>

#define ZONE_SIZE 4 /* octets of type and class behind the zone's name, RFC 2136 section 2.3 */
#define KEY_HEAD 4  /* octets before a KEY's public key, RFC 2535 section 3.1 */

bool is_plain_type(unsigned long type) {
    return type == A || type == AAAA || type == KEY || type == TLSA || type == TXT;
}

/* Return whether data of this type is taken as it stands, and these octets are well-formed data of it. */
static bool plain_data(unsigned type, const uint8_t *data, size_t length) {
    switch (type) {
    case A:
        return length == 4;
    case AAAA:
        return length == 16;
    case KEY:
        return length >= KEY_HEAD;
    case TLSA: /* with a digest by SHA-256 or SHA-512, RFC 6698 section 2.1 */
        return (length == 3 + 32 && data[2] == 1) || (length == 3 + 64 && data[2] == 2);
    case TXT: {
        size_t at = 0;
        while (at < length) {
            at += 1 + (size_t)data[at];
        }
        return length > 0 && at == length;
    }
    default:
        return false;
    }
}

/* Return whether the operation is well-formed and of the plain kind (RFC 2136 section 3.4.1). */
static bool plain_operation(const uint8_t *wire, const struct record *record, uint32_t most_ttl) {
    if (record->class_ == ANY) {
        bool is_data = record->type != 0 && record->type != OPT && (record->type < 128 || record->type > 255);
        return record->ttl == 0 && record->length == 0 && (is_data || record->type == ANY_TYPE);
    }
    if (record->class_ == NONE ? record->ttl != 0 : record->class_ != IN || record->ttl > most_ttl) {
        return false;
    }
    return plain_data(record->type, wire + record->data, record->length);
}

/* Return whether *name* is *origin* or below it; both are names. */
static bool name_is_below(PyObject *name, PyObject *origin) {
    const uint8_t *octets = (const uint8_t *)PyBytes_AS_STRING(name);
    size_t size = (size_t)PyBytes_GET_SIZE(name), end = (size_t)PyBytes_GET_SIZE(origin), at = 0;
    while (size - at > end) {
        at += 1 + (size_t)octets[at]; /* name_read has made it: its labels end with it */
    }
    return size - at == end && memcmp(octets + at, PyBytes_AS_STRING(origin), end) == 0;
}

static PyObject *operation(PyObject *type, const uint8_t *wire, PyObject *name, const struct record *record) {
    size_t length = record->class_ == ANY ? 0 : record->length;
    PyObject *fields[] = {
        name,
        PyLong_FromUnsignedLong(record->type),
        PyLong_FromUnsignedLong(record->class_),
        PyLong_FromUnsignedLong(record->ttl),
        PyBytes_FromStringAndSize((const char *)wire + record->data, (Py_ssize_t)length),
    };
    PyObject *value = NULL;
    if (fields[1] != NULL && fields[2] != NULL && fields[3] != NULL && fields[4] != NULL) {
        value = PyObject_Vectorcall(type, fields, sizeof fields / sizeof *fields, NULL);
    }
    for (size_t index = 1; index < sizeof fields / sizeof *fields; index++) {
        Py_XDECREF(fields[index]);
    }
    return value;
}

/* Note (name, type) among what is written, and the name among those that are mentioned. Return false with an exception. */
static bool note(PyObject *names, PyObject *writes, PyObject *name, unsigned type) {
    PyObject *written = Py_BuildValue("(OI)", name, type);
    bool noted = written != NULL && PyDict_SetItem(writes, written, Py_None) == 0 &&
                 PyDict_SetItem(names, name, Py_None) == 0;
    Py_XDECREF(written);
    return noted;
}

/* Return the operations as a tuple of *type*, and move on behind them. NULL: Python, or an exception. */
static PyObject *operations(PyObject *type, const uint8_t *wire, size_t size, size_t *offset, size_t count,
                            uint32_t most_ttl, struct owner *owner, PyObject *names, PyObject *writes) {
    PyObject *origin = Py_NewRef(owner->name), *inside = origin; /* the last name that was found in the zone */
    PyObject *out = PyTuple_New((Py_ssize_t)count);
    for (size_t index = 0; out != NULL && index < count; index++) {
        struct record record;
        PyObject *one = NULL;
        if (record_read(wire, size, offset, owner, &record) && plain_operation(wire, &record, most_ttl) &&
            (owner->name == inside || name_is_below(owner->name, origin)) &&
            note(names, writes, owner->name, record.type)) {
            inside = owner->name;
            one = operation(type, wire, owner->name, &record);
        }
        if (one == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, (Py_ssize_t)index, one);
        }
    }
    Py_DECREF(origin);
    return out;
}

/* Return what read_update returns. NULL: Python, or an exception. */
static PyObject *update(PyObject *type, const uint8_t *wire, size_t size, uint32_t most_ttl) {
    uint8_t zone[NAME_MAX_SIZE];
    size_t end, zone_size = name_read(wire, size, HEADER_SIZE, zone, &end);
    unsigned count = two_octets(wire + 8), additional = two_octets(wire + 10);
    if (zone_size == 0 || end + ZONE_SIZE > size || two_octets(wire + end) != SOA || two_octets(wire + end + 2) != IN) {
        return NULL;
    }
    struct owner owner = {PyBytes_FromStringAndSize((const char *)zone, (Py_ssize_t)zone_size), HEADER_SIZE,
                          end - HEADER_SIZE};
    PyObject *origin = Py_XNewRef(owner.name), *names = PyDict_New(), *writes = PyDict_New(), *out = NULL;
    if (origin != NULL && names != NULL && writes != NULL && PyDict_SetItem(names, origin, Py_None) == 0) {
        size_t offset = end + ZONE_SIZE;
        PyObject *done = operations(type, wire, size, &offset, count, most_ttl, &owner, names, writes);
        PyObject *rows = done == NULL ? NULL : record_rows(wire, size, offset, additional, &owner);
        PyObject *mentioned = rows == NULL ? NULL : PySequence_Tuple(names);
        PyObject *written = mentioned == NULL ? NULL : PySequence_Tuple(writes);
        if (written != NULL) {
            out = Py_BuildValue("(IIOnOOOO)", two_octets(wire), two_octets(wire + 2), origin,
                                (Py_ssize_t)(end + ZONE_SIZE), done, mentioned, written, rows);
        }
        Py_XDECREF(done);
        Py_XDECREF(rows);
        Py_XDECREF(mentioned);
        Py_XDECREF(written);
    }
    Py_XDECREF(owner.name);
    Py_XDECREF(origin);
    Py_XDECREF(names);
    Py_XDECREF(writes);
    return out;
}

PyObject *native_read_update(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "read_update takes a message, a type, a number of records and a TTL");
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0])) {
        Py_RETURN_NONE;
    }
    long long most = PyLong_AsLongLong(args[2]), most_ttl = PyLong_AsLongLong(args[3]);
    if ((most == -1 || most_ttl == -1) && PyErr_Occurred()) {
        return NULL;
    }
    const uint8_t *wire = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    size_t size = (size_t)PyBytes_GET_SIZE(args[0]);
    if (size < HEADER_SIZE || size > MESSAGE_MAX || most_ttl < 0) {
        Py_RETURN_NONE;
    }
    /* One zone, no prerequisites; records have FIXED_SIZE octets and one at least, so that the counts are never much. */
    size_t operations = two_octets(wire + 8), records = operations + two_octets(wire + 10);
    if (two_octets(wire + 4) != 1 || two_octets(wire + 6) != 0 || (long long)operations > most ||
        records > size / (FIXED_SIZE + 1)) {
        Py_RETURN_NONE;
    }
    return or_none(update(args[1], wire, size, most_ttl > INT32_MAX ? INT32_MAX : (uint32_t)most_ttl));
}
