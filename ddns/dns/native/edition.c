/* An edition of data alone: what came of the signer's answer, what it replaces, and how it is put into a zone in memory.
 * What ddns/answer/{served,image}.py and ddns/zone/plain.py do in Python. */
#include "native.h"

#include <string.h>

/* The attributes of a Served and of an RRset, interned as the interpreter's own code has them. */
static PyObject *name_name, *type_name, *ttl_name, *data_name, *wire_name;

int edition_prepare(void) {
    name_name = PyUnicode_InternFromString("name");
    type_name = PyUnicode_InternFromString("type");
    ttl_name = PyUnicode_InternFromString("ttl");
    data_name = PyUnicode_InternFromString("rdatas");
    wire_name = PyUnicode_InternFromString("wire");
    bool is_rrset = name_name != NULL && type_name != NULL && ttl_name != NULL && data_name != NULL;
    return is_rrset && wire_name != NULL ? 0 : -1;
}

/* Return *rrset* as *form*, with its signatures *sigs*. NULL with an exception. */
static PyObject *with_signatures(PyObject *form, PyObject *rrset, PyObject *sigs) {
    PyObject *fields[] = {PyObject_GetAttr(rrset, name_name), PyObject_GetAttr(rrset, type_name),
                          PyObject_GetAttr(rrset, ttl_name), PyObject_GetAttr(rrset, data_name), sigs};
    bool good = fields[0] != NULL && fields[1] != NULL && fields[2] != NULL && fields[3] != NULL;
    PyObject *out = good ? PyObject_Vectorcall(form, fields, 5, NULL) : NULL;
    for (size_t index = 0; index < 4; index++) {
        Py_XDECREF(fields[index]);
    }
    return out;
}

PyObject *native_signed_rrsets(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "signed_rrsets takes a type, RRsets and the signatures of each");
        return NULL;
    }
    PyObject *rrsets = args[1], *sigs = args[2];
    if (!PyTuple_CheckExact(rrsets) || !PyTuple_CheckExact(sigs) || PyTuple_GET_SIZE(rrsets) != PyTuple_GET_SIZE(sigs)) {
        Py_RETURN_NONE;
    }
    PyObject *out = PyTuple_New(PyTuple_GET_SIZE(rrsets));
    for (Py_ssize_t index = 0; out != NULL && index < PyTuple_GET_SIZE(rrsets); index++) {
        PyObject *one = with_signatures(args[0], PyTuple_GET_ITEM(rrsets, index), PyTuple_GET_ITEM(sigs, index));
        if (one == NULL) {
            Py_CLEAR(out);
        } else {
            PyTuple_SET_ITEM(out, index, one);
        }
    }
    return out;
}

/* Return the RRset of *type* among those of *node*, borrowed, and how many of that type there are in *found. */
static PyObject *of_type(PyObject *node, PyObject *type, int *found) {
    PyObject *out = NULL;
    *found = 0;
    for (Py_ssize_t index = 0; *found >= 0 && index < PyTuple_GET_SIZE(node); index++) {
        PyObject *served = PyTuple_GET_ITEM(node, index), *its = PyObject_GetAttr(served, type_name);
        int same = its == NULL ? -1 : PyObject_RichCompareBool(its, type, Py_EQ);
        Py_XDECREF(its);
        out = same > 0 && out == NULL ? served : out;
        *found = same < 0 ? -1 : *found + same;
    }
    return out;
}

/* Append what stands in *nodes* at the place of *rrset*, if something does. Return false: Python, or an exception. */
static bool append_replaced(PyObject *form, PyObject *nodes, PyObject *rrset, PyObject *out) {
    PyObject *name = PyObject_GetAttr(rrset, name_name), *type = PyObject_GetAttr(rrset, type_name), *one = NULL;
    PyObject *node = name == NULL || type == NULL ? NULL : PyDict_GetItemWithError(nodes, name);
    bool good = name != NULL && type != NULL && !PyErr_Occurred() && (node == NULL || PyTuple_CheckExact(node));
    if (good && node != NULL) {
        int found;
        Py_INCREF(node);
        PyObject *served = of_type(node, type, &found);
        good = found >= 0;
        if (good && served != NULL) {
            one = rrset_of(form, name, type, served, true);
            good = one != NULL && PyList_Append(out, one) == 0;
        }
        Py_DECREF(node);
    }
    Py_XDECREF(name);
    Py_XDECREF(type);
    Py_XDECREF(one);
    return good;
}

PyObject *native_replaced(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "replaced takes a type, the RRsets of names, and RRsets that take their places");
        return NULL;
    }
    if (!PyDict_CheckExact(args[1]) || !PyTuple_CheckExact(args[2])) {
        Py_RETURN_NONE;
    }
    PyObject *found = PyList_New(0);
    bool good = found != NULL;
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(args[2]); index++) {
        good = append_replaced(args[0], args[1], PyTuple_GET_ITEM(args[2], index), found);
    }
    PyObject *out = good ? PyList_AsTuple(found) : NULL;
    Py_XDECREF(found);
    return or_none(out);
}

/* ---- into memory ---- */

/* Return whether *gone* and *come* are RRsets of one name and one type. False too: an exception. */
static bool same_place(PyObject *gone, PyObject *come) {
    PyObject *name = PyObject_GetAttr(gone, name_name), *type = PyObject_GetAttr(gone, type_name);
    PyObject *its = PyObject_GetAttr(come, name_name), *kind = PyObject_GetAttr(come, type_name);
    bool good = name != NULL && type != NULL && its != NULL && kind != NULL &&
                PyObject_RichCompareBool(name, its, Py_EQ) > 0 && PyObject_RichCompareBool(type, kind, Py_EQ) > 0;
    Py_XDECREF(name);
    Py_XDECREF(type);
    Py_XDECREF(its);
    Py_XDECREF(kind);
    return good;
}

/* Return *rrset* as it lies in memory, if one of its type stands at its name in *nodes*, and the type is not among those
 * that *others*, such as chains, depend on; its place goes to *place. NULL: Python, or an exception. */
static PyObject *prepared(PyObject *form, PyObject *nodes, PyObject *rrset, PyObject *others, PyObject **place) {
    PyObject *type = NULL, *name = PyObject_GetAttr(rrset, name_name);
    PyObject *served = name == NULL ? NULL : served_of(form, rrset, &type);
    PyObject *node = served == NULL ? NULL : PyDict_GetItemWithError(nodes, name);
    int found = 0;
    bool good = node != NULL && PyTuple_CheckExact(node) && PySet_Contains(others, type) == 0;
    if (good) {
        Py_INCREF(node);
        of_type(node, type, &found);
        Py_DECREF(node);
    }
    *place = good && found == 1 ? PyTuple_Pack(2, name, type) : NULL;
    if (*place == NULL) {
        Py_CLEAR(served);
    }
    Py_XDECREF(name);
    Py_XDECREF(type);
    return served;
}

static Py_ssize_t octets_of(PyObject *served) {
    PyObject *wire = PyObject_GetAttr(served, wire_name);
    Py_ssize_t size = wire != NULL && PyBytes_CheckExact(wire) ? PyBytes_GET_SIZE(wire) : -1;
    Py_XDECREF(wire);
    return size;
}

/* Put *served* in the place of the one of its type in *node*, at the end. Return the RRsets; what is gained is added to
 * *gained. NULL with an exception, or where *node* is not as it was. */
static PyObject *with_replaced(PyObject *node, PyObject *type, PyObject *served, Py_ssize_t *gained) {
    int found;
    PyObject *old = of_type(node, type, &found);
    Py_ssize_t rest = PyTuple_GET_SIZE(node) - 1, more = octets_of(served), less = found == 1 ? octets_of(old) : -1;
    PyObject *out = more < 0 || less < 0 ? NULL : PyTuple_New(rest + 1);
    if (out != NULL) {
        for (Py_ssize_t from = 0, to = 0; from <= rest; from++) {
            PyObject *one = PyTuple_GET_ITEM(node, from);
            if (one != old) {
                PyTuple_SET_ITEM(out, to++, Py_NewRef(one));
            }
        }
        PyTuple_SET_ITEM(out, rest, Py_NewRef(served));
        *gained += more - less;
    }
    return out;
}

/* Put *served* into *nodes* at *place*. Return false with an exception. */
static bool put_served(PyObject *nodes, PyObject *place, PyObject *served, Py_ssize_t *gained) {
    PyObject *name = PyTuple_GET_ITEM(place, 0), *node = PyDict_GetItemWithError(nodes, name), *fresh = NULL;
    if (node != NULL && PyTuple_CheckExact(node)) {
        Py_INCREF(node);
        fresh = with_replaced(node, PyTuple_GET_ITEM(place, 1), served, gained);
        Py_DECREF(node);
    }
    bool good = fresh != NULL && PyDict_SetItem(nodes, name, fresh) == 0;
    Py_XDECREF(fresh);
    if (!good && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "a name has changed while it was changed");
    }
    return good;
}

PyObject *native_replace(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "replace takes a type, the RRsets of names, what leaves, what comes, and other types");
        return NULL;
    }
    PyObject *form = args[0], *nodes = args[1], *removed = args[2], *added = args[3], *others = args[4];
    if (!PyDict_Check(nodes) || !PyTuple_CheckExact(removed) || !PyTuple_CheckExact(added) ||
        !PyFrozenSet_CheckExact(others) || PyTuple_GET_SIZE(removed) != PyTuple_GET_SIZE(added)) {
        Py_RETURN_NONE;
    }
    Py_ssize_t number = PyTuple_GET_SIZE(added), gained = 0;
    PyObject *places = PyTuple_New(number), *ready = PyTuple_New(number), *out = NULL;
    bool good = places != NULL && ready != NULL;
    for (Py_ssize_t index = 0; good && index < number; index++) {
        PyObject *come = PyTuple_GET_ITEM(added, index), *place = NULL, *served = NULL;
        good = same_place(PyTuple_GET_ITEM(removed, index), come) &&
               (served = prepared(form, nodes, come, others, &place)) != NULL;
        if (good) {
            PyTuple_SET_ITEM(places, index, place);
            PyTuple_SET_ITEM(ready, index, served);
        }
    }
    /* From here on nothing is left to Python: all of it is done. */
    bool begun = good;
    for (Py_ssize_t index = 0; good && index < number; index++) {
        good = put_served(nodes, PyTuple_GET_ITEM(places, index), PyTuple_GET_ITEM(ready, index), &gained);
    }
    if (good) {
        out = Py_BuildValue("(nO)", gained, places);
    }
    Py_XDECREF(places);
    Py_XDECREF(ready);
    return begun ? out : or_none(NULL);
}

/* ---- and out of what is remembered ---- */

/* Return the question for *place*, a pair of name and type, in class IN. NULL: Python, or an exception. */
static PyObject *question_of(PyObject *place) {
    if (!PyTuple_CheckExact(place) || PyTuple_GET_SIZE(place) != 2) {
        return NULL;
    }
    PyObject *name = PyTuple_GET_ITEM(place, 0);
    long type = PyLong_Check(PyTuple_GET_ITEM(place, 1)) ? PyLong_AsLong(PyTuple_GET_ITEM(place, 1)) : -1;
    if (!PyBytes_CheckExact(name) || type < 0 || type > UINT16_MAX) {
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(name);
    PyObject *out = PyBytes_FromStringAndSize(NULL, size + 4);
    if (out != NULL) {
        const uint8_t kind[] = {(uint8_t)(type >> 8), (uint8_t)type, 0, IN};
        memcpy(PyBytes_AS_STRING(out), PyBytes_AS_STRING(name), (size_t)size);
        memcpy(PyBytes_AS_STRING(out) + size, kind, sizeof kind);
    }
    return out;
}

PyObject *native_asked(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "asked takes places, three dicts of questions and one of names");
        return NULL;
    }
    bool good = PyTuple_CheckExact(args[0]);
    for (Py_ssize_t index = 1; index < count; index++) {
        good = good && PyDict_CheckExact(args[index]);
    }
    PyObject *out = good ? PyList_New(0) : NULL;
    for (Py_ssize_t index = 0; out != NULL && index < PyTuple_GET_SIZE(args[0]); index++) {
        PyObject *place = PyTuple_GET_ITEM(args[0], index), *question = question_of(place);
        int found = question == NULL ? -1 : 0;
        for (Py_ssize_t which = 1; found == 0 && which < count; which++) {
            found = PyDict_Contains(args[which], which < count - 1 ? question : PyTuple_GET_ITEM(place, 0));
        }
        PyObject *pair = found > 0 ? PyTuple_Pack(2, PyTuple_GET_ITEM(place, 0), question) : NULL;
        if (found < 0 || (found > 0 && (pair == NULL || PyList_Append(out, pair) < 0))) {
            Py_CLEAR(out);
        }
        Py_XDECREF(pair);
        Py_XDECREF(question);
    }
    return or_none(out);
}
