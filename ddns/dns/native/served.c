/* RRsets as they lie in memory: what ddns/answer/served.py does in Python. */
#include "native.h"

#include <string.h>

#define NODE_MOST 64    /* RRsets of a name; of more Python makes its list */
#define HEAD_SIZE 12    /* octets of owner pointer, type, class, TTL and length of a record in memory */
#define TTL_PLACE 6     /* where among these the TTL stands */
#define RRSIG 46

/* The attributes of a Served and of a signed RRset: interned once, as the interpreter's own code has them. */
static PyObject *type_name, *split_name, *wire_name, *ttl_name, *data_name, *sigs_name;

int served_prepare(void) {
    type_name = PyUnicode_InternFromString("type");
    split_name = PyUnicode_InternFromString("split");
    wire_name = PyUnicode_InternFromString("wire");
    ttl_name = PyUnicode_InternFromString("ttl");
    data_name = PyUnicode_InternFromString("rdatas");
    sigs_name = PyUnicode_InternFromString("sigs");
    bool is_served = type_name != NULL && split_name != NULL && wire_name != NULL;
    return is_served && ttl_name != NULL && data_name != NULL && sigs_name != NULL ? 0 : -1;
}

/* Return the octets of *served*, whose first record stands there from the first octet on. NULL: Python, or an exception. */
static PyObject *wire_of(PyObject *served) {
    PyObject *wire = PyObject_GetAttr(served, wire_name);
    if (wire != NULL && (!PyBytes_CheckExact(wire) || PyBytes_GET_SIZE(wire) < HEAD_SIZE ||
                         (uint8_t)PyBytes_AS_STRING(wire)[0] != 0xC0)) { /* an NSEC3 record has its hashed label there */
        Py_CLEAR(wire);
    }
    return wire;
}

/* Return the data of the records in the octets from at to end, as a tuple. NULL: Python, or an exception. */
static PyObject *data_of(const uint8_t *wire, size_t at, size_t end) {
    Py_ssize_t count = 0;
    for (size_t place = at; place < end; count++) {
        if (end - place < HEAD_SIZE) {
            return NULL;
        }
        place += HEAD_SIZE + two_octets(wire + place + HEAD_SIZE - 2);
        if (place > end) {
            return NULL;
        }
    }
    PyObject *out = PyTuple_New(count);
    for (Py_ssize_t index = 0; out != NULL && index < count; index++) {
        size_t size = two_octets(wire + at + HEAD_SIZE - 2);
        PyObject *data = PyBytes_FromStringAndSize((const char *)wire + at + HEAD_SIZE, (Py_ssize_t)size);
        if (data == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, index, data);
            at += HEAD_SIZE + size;
        }
    }
    return out;
}

PyObject *rrset_of(PyObject *form, PyObject *name, PyObject *type, PyObject *served, bool with_signatures) {
    PyObject *wire = wire_of(served), *split = wire == NULL ? NULL : PyObject_GetAttr(served, split_name);
    PyObject *out = NULL;
    Py_ssize_t end = split == NULL ? -1 : PyLong_AsSsize_t(split);
    if (end >= 0 && end <= PyBytes_GET_SIZE(wire)) {
        const uint8_t *octets = (const uint8_t *)PyBytes_AS_STRING(wire);
        unsigned long ttl = (unsigned long)two_octets(octets + TTL_PLACE) << 16 | two_octets(octets + TTL_PLACE + 2);
        PyObject *seconds = PyLong_FromUnsignedLong(ttl), *data = data_of(octets, 0, (size_t)end), *signatures = NULL;
        if (with_signatures) {
            signatures = data_of(octets, (size_t)end, (size_t)PyBytes_GET_SIZE(wire));
        }
        if (seconds != NULL && data != NULL && (signatures != NULL || !with_signatures)) {
            PyObject *fields[] = {name, type, seconds, data, signatures};
            out = PyObject_Vectorcall(form, fields, with_signatures ? 5 : 4, NULL);
        }
        Py_XDECREF(seconds);
        Py_XDECREF(data);
        Py_XDECREF(signatures);
    }
    Py_XDECREF(split);
    Py_XDECREF(wire);
    return out;
}

/* Put the types of *node* that are not in *others* into *types* (owned), with their RRsets (borrowed), by type. Return
 * how many these are; -1: Python, or an exception. */
static Py_ssize_t sorted_types(PyObject *node, PyObject *others, PyObject *types[], PyObject *found[]) {
    long numbers[NODE_MOST];
    Py_ssize_t count = 0;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(node); index++) {
        PyObject *served = PyTuple_GET_ITEM(node, index), *type = PyObject_GetAttr(served, type_name);
        int left = type == NULL ? -1 : PySet_Contains(others, type);
        long number = left == 0 ? PyLong_AsLong(type) : 0;
        if (left != 0 || number < 0) {
            Py_XDECREF(type);
            if (left > 0) {
                continue;
            }
            while (count > 0) {
                Py_DECREF(types[--count]);
            }
            return -1;
        }
        Py_ssize_t place = count++;
        for (; place > 0 && numbers[place - 1] > number; place--) {
            numbers[place] = numbers[place - 1];
            types[place] = types[place - 1];
            found[place] = found[place - 1];
        }
        numbers[place] = number;
        types[place] = type;
        found[place] = served;
    }
    return count;
}

PyObject *native_stored(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "stored takes a type, a name, its RRsets and the types that are left out");
        return NULL;
    }
    if (!PyTuple_CheckExact(args[2]) || PyTuple_GET_SIZE(args[2]) > NODE_MOST || !PyFrozenSet_CheckExact(args[3])) {
        Py_RETURN_NONE;
    }
    PyObject *types[NODE_MOST], *found[NODE_MOST];
    Py_ssize_t stored = sorted_types(args[2], args[3], types, found);
    PyObject *out = stored < 0 ? NULL : PyTuple_New(stored);
    for (Py_ssize_t index = 0; out != NULL && index < stored; index++) {
        PyObject *rrset = rrset_of(args[0], args[1], types[index], found[index], false);
        if (rrset == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, index, rrset);
        }
    }
    for (Py_ssize_t index = 0; index < stored; index++) {
        Py_DECREF(types[index]);
    }
    return or_none(out);
}

PyObject *native_published(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4 || !PyLong_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "published takes a type, a name, its RRsets and a type of records");
        return NULL;
    }
    PyObject *node = args[2];
    for (Py_ssize_t index = 0; PyTuple_CheckExact(node) && index < PyTuple_GET_SIZE(node); index++) {
        PyObject *served = PyTuple_GET_ITEM(node, index), *type = PyObject_GetAttr(served, type_name), *out = NULL;
        int same = type == NULL ? -1 : PyObject_RichCompareBool(type, args[3], Py_EQ);
        if (same > 0) {
            out = rrset_of(args[0], args[1], type, served, true);
        }
        Py_XDECREF(type);
        if (same != 0) {
            return or_none(out);
        }
    }
    Py_RETURN_NONE;
}

/* Return how many octets the records with this *data* take; 0 where it is no tuple of data. */
static size_t records_size(PyObject *data) {
    size_t size = 0;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(data); index++) {
        PyObject *one = PyTuple_GET_ITEM(data, index);
        if (!PyBytes_CheckExact(one) || PyBytes_GET_SIZE(one) > UINT16_MAX) {
            return 0;
        }
        size += HEAD_SIZE + (size_t)PyBytes_GET_SIZE(one);
    }
    return size;
}

/* Put the records; there is room for them. Return behind them. */
static uint8_t *put_records(uint8_t *at, unsigned type, uint32_t ttl, PyObject *data) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(data); index++) {
        PyObject *one = PyTuple_GET_ITEM(data, index);
        size_t size = (size_t)PyBytes_GET_SIZE(one);
        const uint8_t head[HEAD_SIZE] = {
            0xC0, HEADER_SIZE, (uint8_t)(type >> 8), (uint8_t)type, 0, IN,
            (uint8_t)(ttl >> 24), (uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl,
            (uint8_t)(size >> 8), (uint8_t)size,
        };
        memcpy(at, head, HEAD_SIZE);
        memcpy(at + HEAD_SIZE, PyBytes_AS_STRING(one), size);
        at += HEAD_SIZE + size;
    }
    return at;
}

PyObject *native_serve(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4 || !PyLong_Check(args[0]) || !PyLong_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "serve takes a type, a TTL, data and signatures");
        return NULL;
    }
    if (!PyTuple_CheckExact(args[2]) || !PyTuple_CheckExact(args[3])) {
        Py_RETURN_NONE;
    }
    long type = PyLong_AsLong(args[0]);
    long long ttl = PyLong_AsLongLong(args[1]);
    if ((type == -1 || ttl == -1) && PyErr_Occurred()) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    size_t split = records_size(args[2]), size = split + records_size(args[3]);
    if (type < 0 || type > UINT16_MAX || ttl < 0 || ttl > UINT32_MAX || split == 0 ||
        (size == split && PyTuple_GET_SIZE(args[3]) > 0)) {
        Py_RETURN_NONE;
    }
    PyObject *wire = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (wire == NULL) {
        return NULL;
    }
    uint8_t *at = put_records((uint8_t *)PyBytes_AS_STRING(wire), (unsigned)type, (uint32_t)ttl, args[2]);
    put_records(at, RRSIG, (uint32_t)ttl, args[3]);
    return Py_BuildValue("(nN)", (Py_ssize_t)split, wire);
}

PyObject *served_of(PyObject *form, PyObject *rrset, PyObject **type) {
    PyObject *out = NULL, *number = NULL;
    PyObject *ttl = PyObject_GetAttr(rrset, ttl_name), *data = PyObject_GetAttr(rrset, data_name);
    PyObject *sigs = PyObject_GetAttr(rrset, sigs_name);
    *type = PyObject_GetAttr(rrset, type_name);
    if (ttl != NULL && data != NULL && sigs != NULL && *type != NULL && PyLong_Check(*type) && PyLong_Check(ttl)) {
        PyObject *fields[] = {*type, ttl, data, sigs}, *packed = native_serve(NULL, fields, 4);
        if (packed != NULL && packed != Py_None) {
            number = PyLong_FromSsize_t(PyTuple_GET_SIZE(sigs));
            PyObject *given[] = {*type, PyTuple_GET_ITEM(packed, 0), number, PyTuple_GET_ITEM(packed, 1)};
            out = number == NULL ? NULL : PyObject_Vectorcall(form, given, 4, NULL);
        }
        Py_XDECREF(packed);
    }
    Py_XDECREF(number);
    Py_XDECREF(ttl);
    Py_XDECREF(data);
    Py_XDECREF(sigs);
    if (out == NULL) {
        Py_CLEAR(*type);
    }
    return out;
}

/* Return how many octets *served* has; -1: Python, or an exception. */
static Py_ssize_t octets_of(PyObject *served) {
    PyObject *wire = PyObject_GetAttr(served, wire_name);
    Py_ssize_t size = wire != NULL && PyBytes_CheckExact(wire) ? PyBytes_GET_SIZE(wire) : -1;
    Py_XDECREF(wire);
    return size;
}

PyObject *native_placed(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "placed takes a type, the RRsets of a name, and a signed RRset of it");
        return NULL;
    }
    PyObject *node = args[1], *kept[NODE_MOST + 1], *type, *out = NULL;
    if (!PyTuple_CheckExact(node) || PyTuple_GET_SIZE(node) > NODE_MOST) {
        Py_RETURN_NONE;
    }
    PyObject *served = served_of(args[0], args[2], &type);
    if (served == NULL) {
        return or_none(NULL);
    }
    Py_ssize_t rest = 0, gained = octets_of(served), more = 1;
    bool good = gained >= 0;
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(node); index++) {
        PyObject *other = PyTuple_GET_ITEM(node, index), *its = PyObject_GetAttr(other, type_name);
        int same = its == NULL ? -1 : PyObject_RichCompareBool(its, type, Py_EQ);
        Py_XDECREF(its);
        if (same > 0) {
            Py_ssize_t size = octets_of(other);
            gained -= size;
            more--;
            good = size >= 0;
        } else if (same == 0) {
            kept[rest++] = other; /* of the node, which stays while we are here */
        } else {
            good = false;
        }
    }
    PyObject *placed = good ? PyTuple_New(rest + 1) : NULL;
    if (placed != NULL) {
        for (Py_ssize_t index = 0; index < rest; index++) {
            PyTuple_SET_ITEM(placed, index, Py_NewRef(kept[index]));
        }
        PyTuple_SET_ITEM(placed, rest, Py_NewRef(served));
        out = Py_BuildValue("(Nnn)", placed, gained, more);
    }
    Py_DECREF(served);
    Py_DECREF(type);
    return or_none(out);
}
