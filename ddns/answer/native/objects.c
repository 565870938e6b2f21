/* What is read of Python's objects for answers of below.c: attributes, mappings, and the chain of a zone. */
#include "native.h"

#include <structmember.h>

static const struct {
    const char *name, *module, *type; /* the attribute, and whose it is, where that has slots */
} attributes[BELOW_NAMES] = {
    {"remembered", "ddns.answer.image", "ZoneImage"},
    {"used", "ddns.answer.image", "ZoneImage"},
    {"direct", "ddns.answer.image", "ZoneImage"},
    {"nodes", "ddns.answer.image", "Remembered"},
    {"nsec", "ddns.answer.image", "Remembered"},
    {"nsec3", "ddns.answer.image", "Remembered"},
    {"mark", "ddns.answer.image", "Remembered"},
    {"_firsts", "ddns.answer.chain", "Chain"},
    {"_keys", "ddns.answer.chain", "Chain"},
    {"_values", "ddns.answer.chain", "Chain"},
    {"wire", "ddns.answer.served", "Served"},
    {"split", "ddns.answer.served", "Served"},
    {"sigs", "ddns.answer.served", "Served"},
    {"type", "ddns.answer.served", "Served"},
    {"get", NULL, NULL},
    {"at_or_before", NULL, NULL},
};

/* Find out where objects of its type keep the attribute number *i*. Return 0; -1 with an exception. */
static int find_slot(struct below *below, size_t i) {
    PyObject *module = PyImport_ImportModule(attributes[i].module);
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, attributes[i].type);
    PyObject *slot = type == NULL ? NULL : PyObject_GetAttr(type, below->names[i]);
    Py_XDECREF(module);
    below->slots[i].type = type;
    if (slot == NULL) {
        return -1;
    }
    if (Py_IS_TYPE(slot, &PyMemberDescr_Type)) {
        const PyMemberDef *member = ((PyMemberDescrObject *)slot)->d_member;
        below->slots[i].offset = member->type == T_OBJECT_EX ? member->offset : 0;
    }
    Py_DECREF(slot);
    return 0;
}

int below_attach(struct below *below, PyObject *table) {
    for (size_t i = 0; i < BELOW_NAMES; i++) {
        below->names[i] = PyUnicode_InternFromString(attributes[i].name);
        if (below->names[i] == NULL || (i < BELOW_SLOTS && find_slot(below, i) < 0)) {
            return -1;
        }
    }
    PyObject *pieces = PyObject_GetAttrString(table, "below");
    below->zones = pieces == NULL ? NULL : PyObject_GetAttrString(table, "zones");
    below->plain = below->zones == NULL ? NULL : dict_attribute(pieces, "plain");
    below->signed_ = below->plain == NULL ? NULL : dict_attribute(pieces, "signed");
    below->said_plain = below->signed_ == NULL ? NULL : dict_attribute(pieces, "said_plain");
    below->said_signed = below->said_plain == NULL ? NULL : dict_attribute(pieces, "said_signed");
    Py_XDECREF(pieces);
    return below->said_signed == NULL ? -1 : 0;
}

int below_visit(struct below *below, visitproc visit, void *arg) {
    Py_VISIT(below->zones);
    Py_VISIT(below->plain);
    Py_VISIT(below->signed_);
    Py_VISIT(below->said_plain);
    Py_VISIT(below->said_signed);
    for (size_t i = 0; i < BELOW_SLOTS; i++) {
        Py_VISIT(below->slots[i].type);
    }
    return 0;
}

void below_clear(struct below *below) {
    Py_CLEAR(below->zones);
    Py_CLEAR(below->plain);
    Py_CLEAR(below->signed_);
    Py_CLEAR(below->said_plain);
    Py_CLEAR(below->said_signed);
    for (size_t i = 0; i < BELOW_SLOTS; i++) {
        Py_CLEAR(below->slots[i].type);
    }
    for (size_t i = 0; i < BELOW_NAMES; i++) {
        Py_CLEAR(below->names[i]);
    }
}

PyObject *below_get(struct below *below, PyObject *mapping, PyObject *key) {
    if (PyDict_CheckExact(mapping)) {
        return Py_XNewRef(PyDict_GetItemWithError(mapping, key));
    }
    PyObject *found = PyObject_CallMethodOneArg(mapping, below->names[BELOW_GET], key);
    if (found == Py_None) {
        Py_CLEAR(found);
    }
    return found;
}

/* Return where *object* keeps the attribute *name*; NULL where it has to be asked for. */
static PyObject **slot_of(struct below *below, PyObject *object, int name) {
    const struct slot *slot = &below->slots[name];
    return name < BELOW_SLOTS && (PyObject *)Py_TYPE(object) == slot->type && slot->offset != 0
               ? (PyObject **)((char *)object + slot->offset)
               : NULL;
}

PyObject *below_attribute(struct below *below, PyObject *object, int name) {
    PyObject **slot = slot_of(below, object, name);
    return slot != NULL && *slot != NULL ? Py_NewRef(*slot) : PyObject_GetAttr(object, below->names[name]);
}

int below_use(struct below *below, PyObject *image) {
    PyObject **slot = slot_of(below, image, BELOW_USED);
    return slot != NULL && *slot == Py_True ? 0 : PyObject_SetAttr(image, below->names[BELOW_USED], Py_True);
}

long below_number(struct below *below, PyObject *object, int name) {
    PyObject *found = below_attribute(below, object, name);
    long value = found == NULL ? -1 : PyLong_AsLong(found);
    Py_XDECREF(found);
    return value;
}

bool is_tuple(PyObject *object, Py_ssize_t size, unsigned int bytes) {
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != size) {
        return false;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        if ((bytes >> i & 1U) != 0 && !PyBytes_CheckExact(PyTuple_GET_ITEM(object, i))) {
            return false;
        }
    }
    return true;
}

/* ---- a zone's chain ---- */

static int compare(PyObject *bytes, const uint8_t *key, size_t size) {
    size_t own = size_of(bytes);
    int order = memcmp(octets_of(bytes), key, own < size ? own : size);
    return order != 0 ? order : (own > size) - (own < size);
}

/* Return how many of the sorted *keys* are not after *key*; -1 with an exception where they are no bytes. */
static Py_ssize_t count_until(PyObject *keys, const uint8_t *key, size_t size) {
    Py_ssize_t low = 0, high = PyList_GET_SIZE(keys);
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        PyObject *one = PyList_GET_ITEM(keys, middle);
        if (!PyBytes_CheckExact(one)) {
            PyErr_SetString(PyExc_TypeError, "a chain's keys are bytes");
            return -1;
        }
        if (compare(one, key, size) > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Return the list at *at* of the list *blocks*, borrowed; NULL where there is none. */
static PyObject *block_at(PyObject *blocks, Py_ssize_t at) {
    PyObject *block = at >= 0 && at < PyList_GET_SIZE(blocks) ? PyList_GET_ITEM(blocks, at) : NULL;
    return block != NULL && PyList_CheckExact(block) && PyList_GET_SIZE(block) > 0 ? block : NULL;
}

PyObject *below_at_or_before(struct below *below, PyObject *chain, const uint8_t *key, size_t size) {
    if (chain == Py_None) {
        return NULL;
    }
    if ((PyObject *)Py_TYPE(chain) != below->slots[BELOW_KEYS].type) {
        PyObject *octets = PyBytes_FromStringAndSize((const char *)key, (Py_ssize_t)size);
        PyObject *pair = octets == NULL ? NULL
                                        : PyObject_CallMethodOneArg(chain, below->names[BELOW_AT_OR_BEFORE], octets);
        PyObject *value = pair != NULL && is_tuple(pair, 2, 0) ? Py_NewRef(PyTuple_GET_ITEM(pair, 1)) : NULL;
        Py_XDECREF(octets);
        Py_XDECREF(pair);
        return value;
    }
    PyObject *value = NULL;
    PyObject *firsts = below_attribute(below, chain, BELOW_FIRSTS);
    PyObject *keys = below_attribute(below, chain, BELOW_KEYS);
    PyObject *values = below_attribute(below, chain, BELOW_VALUES);
    if (firsts != NULL && keys != NULL && values != NULL && PyList_CheckExact(firsts) && PyList_CheckExact(keys) &&
        PyList_CheckExact(values) && PyList_GET_SIZE(firsts) > 0) {
        Py_ssize_t block = count_until(firsts, key, size);
        bool wraps = block == 0; /* before the first key stands the last one: the ring closes */
        block = wraps ? PyList_GET_SIZE(firsts) : block;
        PyObject *some = block < 1 ? NULL : block_at(keys, block - 1);
        PyObject *those = block < 1 ? NULL : block_at(values, block - 1);
        if (some != NULL && those != NULL) {
            Py_ssize_t at = wraps ? PyList_GET_SIZE(some) : count_until(some, key, size);
            if (at > 0 && at <= PyList_GET_SIZE(those)) {
                value = Py_NewRef(PyList_GET_ITEM(those, at - 1));
            }
        }
    }
    Py_XDECREF(firsts);
    Py_XDECREF(keys);
    Py_XDECREF(values);
    return value;
}
