/* What a batch of updates does to one zone: what ddns/zone/{view,plain}.py do in Python. */
#include "native.h"

#include <string.h>

#define SOA_TAIL 20 /* octets of a SOA's data behind its names: five numbers, of which serial is the first, MINIMUM the last */
#define SOA_LEAST (SOA_TAIL + 2)
#define HALF_OF_SERIALS 0x80000000u /* RFC 1982 section 3.2 */

/* The attributes of an RRset and of its change, interned as the interpreter's own code has them. */
static PyObject *name_name, *type_name, *ttl_name, *data_name, *before_name, *after_name;

int step_prepare(void) {
    name_name = PyUnicode_InternFromString("name");
    type_name = PyUnicode_InternFromString("type");
    ttl_name = PyUnicode_InternFromString("ttl");
    data_name = PyUnicode_InternFromString("rdatas");
    before_name = PyUnicode_InternFromString("before");
    after_name = PyUnicode_InternFromString("after");
    bool is_rrset = name_name != NULL && type_name != NULL && ttl_name != NULL && data_name != NULL;
    return is_rrset && before_name != NULL && after_name != NULL ? 0 : -1;
}

static bool same_octets(PyObject *one, PyObject *other) {
    return one == other || (PyBytes_GET_SIZE(one) == PyBytes_GET_SIZE(other) &&
                            memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)PyBytes_GET_SIZE(one)) == 0);
}

/* A change taken apart, all of it owned. */
struct change {
    PyObject *name, *type, *before, *after;
};

static void forget_change(struct change *change) {
    Py_CLEAR(change->name);
    Py_CLEAR(change->type);
    Py_CLEAR(change->before);
    Py_CLEAR(change->after);
}

/* Take *object* apart. Return false where it is no change, or with an exception; `forget_change` is called in any case. */
static bool take_apart(PyObject *object, struct change *change) {
    *change = (struct change){
        .name = PyObject_GetAttr(object, name_name),
        .type = PyObject_GetAttr(object, type_name),
        .before = PyObject_GetAttr(object, before_name),
        .after = PyObject_GetAttr(object, after_name),
    };
    return change->name != NULL && change->type != NULL && change->before != NULL && change->after != NULL &&
           PyBytes_CheckExact(change->name) && PyLong_Check(change->type);
}

/* ---- the view moves on ---- */

/* Return the RRsets *node* without that of *type*, and with *after* behind them unless it is None. NULL: an exception. */
static PyObject *moved_on(PyObject *node, PyObject *type, PyObject *after) {
    PyObject *kept = PyList_New(0);
    bool good = kept != NULL;
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(node); index++) {
        PyObject *rrset = PyTuple_GET_ITEM(node, index), *its = PyObject_GetAttr(rrset, type_name);
        int same = its == NULL ? -1 : PyObject_RichCompareBool(its, type, Py_EQ);
        Py_XDECREF(its);
        good = same >= 0 && (same > 0 || PyList_Append(kept, rrset) == 0);
    }
    good = good && (after == Py_None || PyList_Append(kept, after) == 0);
    PyObject *out = good ? PyList_AsTuple(kept) : NULL;
    Py_XDECREF(kept);
    return out;
}

/* Return *object*, or what came of it and the *earlier* change of the same RRset, as *form*. NULL: an exception. */
static PyObject *folded(PyObject *form, PyObject *earlier, PyObject *object, const struct change *change) {
    if (earlier == NULL) {
        return Py_NewRef(object);
    }
    PyObject *first = PyObject_GetAttr(earlier, before_name);
    PyObject *fields[] = {change->name, change->type, first, change->after};
    PyObject *out = first == NULL ? NULL : PyObject_Vectorcall(form, fields, 4, NULL);
    Py_XDECREF(first);
    return out;
}

/* Do one change to *now*, and put it into *changed*. Return false with an exception. */
static bool move_on(PyObject *now, PyObject *changed, PyObject *object, PyObject *form) {
    struct change change;
    PyObject *place = NULL, *node = NULL, *whole = NULL;
    bool good = false;
    if (take_apart(object, &change)) {
        PyObject *there = PyDict_GetItemWithError(now, change.name);
        node = there == NULL || !PyTuple_CheckExact(there) ? NULL : moved_on(there, change.type, change.after);
        place = node == NULL ? NULL : PyTuple_Pack(2, change.name, change.type);
        PyObject *earlier = place == NULL ? NULL : PyDict_GetItemWithError(changed, place);
        whole = place == NULL || PyErr_Occurred() ? NULL : folded(form, earlier, object, &change);
        good = whole != NULL && PyDict_SetItem(now, change.name, node) == 0 && PyDict_SetItem(changed, place, whole) == 0;
    }
    forget_change(&change);
    Py_XDECREF(place);
    Py_XDECREF(node);
    Py_XDECREF(whole);
    if (!good && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_TypeError, "a change became something else");
    }
    return good;
}

/* Return whether each of *changes* is one, of a name whose RRsets are in *now*: nothing is begun that Python has to end. */
static bool can_move_on(PyObject *now, PyObject *changes) {
    bool good = true;
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(changes); index++) {
        struct change change;
        good = take_apart(PyTuple_GET_ITEM(changes, index), &change);
        PyObject *node = good ? PyDict_GetItemWithError(now, change.name) : NULL;
        good = node != NULL && PyTuple_CheckExact(node);
        forget_change(&change);
    }
    return good;
}

PyObject *native_move_on(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "move_on takes two dicts, changes and their type");
        return NULL;
    }
    PyObject *now = args[0], *changed = args[1], *changes = args[2];
    if (!PyDict_CheckExact(now) || !PyDict_CheckExact(changed) || !PyTuple_CheckExact(changes) ||
        !can_move_on(now, changes)) {
        return or_none(NULL);
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(changes); index++) {
        if (!move_on(now, changed, PyTuple_GET_ITEM(changes, index), args[3])) {
            return NULL;
        }
    }
    Py_RETURN_TRUE;
}

/* ---- what is signed anew where data alone changes ---- */

/* The zone: its names' RRsets *before*, and the types that may not be among them, at the apex and elsewhere. */
struct zone {
    PyObject *before, *origin, *moving, *moving_at_apex;
};

/* Return whether no RRset of *name* before was of one of the types *moving*. False too: Python has to, or an exception. */
static bool stays(const struct zone *zone, PyObject *name, PyObject *moving) {
    PyObject *node = PyDict_GetItemWithError(zone->before, name);
    if (node == NULL || !PyTuple_CheckExact(node)) {
        return false;
    }
    bool good = true;
    Py_INCREF(node);
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(node); index++) {
        PyObject *type = PyObject_GetAttr(PyTuple_GET_ITEM(node, index), type_name);
        good = type != NULL && PySet_Contains(moving, type) == 0;
        Py_XDECREF(type);
    }
    Py_DECREF(node);
    return good;
}

/* Return whether *name*, and all names between it and the apex, which is looked at by itself, stay as `stays` tells. */
static bool all_stay(const struct zone *zone, PyObject *name) {
    const uint8_t *octets = (const uint8_t *)PyBytes_AS_STRING(name);
    size_t size = (size_t)PyBytes_GET_SIZE(name), apex = (size_t)PyBytes_GET_SIZE(zone->origin), at = 0;
    while (size - at > apex) {
        PyObject *one = at == 0 ? Py_NewRef(name) : PyBytes_FromStringAndSize((const char *)octets + at, (Py_ssize_t)(size - at));
        bool good = one != NULL && stays(zone, one, zone->moving);
        Py_XDECREF(one);
        if (!good || octets[at] == 0 || octets[at] > LABEL_MAX_SIZE || octets[at] >= size - at) {
            return false;
        }
        at += 1 + (size_t)octets[at];
    }
    return size - at == apex && memcmp(octets + at, PyBytes_AS_STRING(zone->origin), apex) == 0;
}

static uint32_t four_octets(const uint8_t *at) { return (uint32_t)two_octets(at) << 16 | two_octets(at + 2); }

/* Return the data of *rrset* where that is one SOA record. NULL: Python, or an exception. */
static PyObject *soa_data(PyObject *rrset) {
    PyObject *data = PyObject_GetAttr(rrset, data_name), *out = NULL;
    if (data != NULL && PyTuple_CheckExact(data) && PyTuple_GET_SIZE(data) == 1) {
        PyObject *one = PyTuple_GET_ITEM(data, 0);
        if (PyBytes_CheckExact(one) && PyBytes_GET_SIZE(one) >= SOA_LEAST) {
            out = Py_NewRef(one);
        }
    }
    Py_XDECREF(data);
    return out;
}

/* Return the SOA among the RRsets of the apex in *nodes*. NULL: Python, or an exception. */
static PyObject *soa_of(PyObject *nodes, PyObject *origin) {
    PyObject *node = PyDict_GetItemWithError(nodes, origin), *out = NULL;
    if (node == NULL || !PyTuple_CheckExact(node)) {
        return NULL;
    }
    Py_INCREF(node);
    for (Py_ssize_t index = 0; out == NULL && index < PyTuple_GET_SIZE(node); index++) {
        PyObject *type = PyObject_GetAttr(PyTuple_GET_ITEM(node, index), type_name);
        bool good = type != NULL && PyLong_Check(type);
        if (good && PyLong_AsLong(type) == SOA) {
            out = Py_NewRef(PyTuple_GET_ITEM(node, index));
        }
        Py_XDECREF(type);
        if (!good || PyErr_Occurred()) {
            break;
        }
    }
    Py_DECREF(node);
    return out;
}

/* Return whether the denial records keep their TTL: the lesser of the SOA's own and its MINIMUM (RFC 9077 section 3). */
static bool keeps_denials(PyObject *was, PyObject *now) {
    PyObject *old = PyObject_GetAttr(was, ttl_name), *new = PyObject_GetAttr(now, ttl_name);
    PyObject *before = soa_data(was), *after = soa_data(now);
    bool good = old != NULL && new != NULL && before != NULL && after != NULL &&
                PyObject_RichCompareBool(old, new, Py_EQ) > 0 &&
                memcmp(PyBytes_AS_STRING(before) + PyBytes_GET_SIZE(before) - 4,
                       PyBytes_AS_STRING(after) + PyBytes_GET_SIZE(after) - 4, 4) == 0;
    Py_XDECREF(old);
    Py_XDECREF(new);
    Py_XDECREF(before);
    Py_XDECREF(after);
    return good;
}

/* Return the serial behind *serial*: one more, never 0, or what is *asked* for where that is newer. */
static uint32_t serial_behind(uint32_t serial, uint32_t asked) {
    uint32_t ahead = asked - serial;
    return ahead > 0 && ahead < HALF_OF_SERIALS ? asked : serial == UINT32_MAX ? 1 : serial + 1;
}

/* Return *soa* of the apex with the serial behind *serial, which goes there. NULL: Python, or an exception. */
static PyObject *numbered(PyObject *form, PyObject *origin, PyObject *soa, uint32_t *serial) {
    PyObject *data = soa_data(soa), *type = PyObject_GetAttr(soa, type_name), *ttl = PyObject_GetAttr(soa, ttl_name);
    PyObject *fresh = data == NULL ? NULL : PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    PyObject *records = NULL, *out = NULL;
    if (fresh != NULL) {
        uint8_t *at = (uint8_t *)PyBytes_AS_STRING(fresh) + PyBytes_GET_SIZE(fresh) - SOA_TAIL;
        *serial = serial_behind(*serial, four_octets(at));
        const uint8_t octets[] = {(uint8_t)(*serial >> 24), (uint8_t)(*serial >> 16), (uint8_t)(*serial >> 8), (uint8_t)*serial};
        memcpy(at, octets, sizeof octets);
        records = PyTuple_Pack(1, fresh);
    }
    if (records != NULL && type != NULL && ttl != NULL) {
        PyObject *fields[] = {origin, type, ttl, records};
        out = PyObject_Vectorcall(form, fields, 4, NULL);
    }
    Py_XDECREF(data);
    Py_XDECREF(type);
    Py_XDECREF(ttl);
    Py_XDECREF(fresh);
    Py_XDECREF(records);
    return out;
}

/* Put what *object*, a change, leaves to be signed into *signs*. *last* is the name that was looked at last, owned. Return
 * false where more than data changes, or Python has to say, or with an exception. */
static bool sign_change(const struct zone *zone, PyObject *object, PyObject **last, PyObject *signs) {
    struct change change;
    bool good = take_apart(object, &change) && change.before != Py_None && change.after != Py_None;
    if (good && (*last == NULL || !same_octets(*last, change.name))) {
        good = all_stay(zone, change.name);
        Py_XSETREF(*last, Py_NewRef(change.name));
    }
    long type = good ? PyLong_AsLong(change.type) : -1;
    good = good && type >= 0;
    if (good && (type != SOA || !same_octets(change.name, zone->origin))) { /* the SOA comes last, with its new serial */
        good = PyList_Append(signs, change.after) == 0;
    }
    forget_change(&change);
    return good;
}

PyObject *native_plain_step(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "plain_step takes changes, RRsets before and now, a name, a serial, types and a type");
        return NULL;
    }
    PyObject *changes = args[0], *now = args[2], *form = args[7];
    struct zone zone = {.before = args[1], .origin = args[3], .moving = args[5], .moving_at_apex = args[6]};
    if (!PyTuple_CheckExact(changes) || !PyDict_CheckExact(zone.before) || !PyDict_CheckExact(now) ||
        !PyBytes_CheckExact(zone.origin) || !PyLong_Check(args[4]) || !PyFrozenSet_CheckExact(zone.moving) ||
        !PyFrozenSet_CheckExact(zone.moving_at_apex)) {
        Py_RETURN_NONE;
    }
    long long given = PyLong_AsLongLong(args[4]);
    if (given < 0 || given > UINT32_MAX) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    uint32_t serial = (uint32_t)given;
    PyObject *was = soa_of(zone.before, zone.origin), *soa = was == NULL ? NULL : soa_of(now, zone.origin);
    PyObject *fresh = NULL, *last = NULL, *signs = PyList_New(0), *out = NULL;
    bool good = signs != NULL && soa != NULL && stays(&zone, zone.origin, zone.moving_at_apex) && keeps_denials(was, soa);
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(changes); index++) {
        good = sign_change(&zone, PyTuple_GET_ITEM(changes, index), &last, signs);
    }
    fresh = good ? numbered(form, zone.origin, soa, &serial) : NULL;
    if (fresh != NULL && PyList_Append(signs, fresh) == 0) {
        out = Py_BuildValue("(kN)", (unsigned long)serial, PyList_AsTuple(signs));
    }
    Py_XDECREF(was);
    Py_XDECREF(soa);
    Py_XDECREF(fresh);
    Py_XDECREF(last);
    Py_XDECREF(signs);
    return or_none(out);
}
