/* What an update changes at one name: what ddns/zone/update.py's apply does in Python, for plain types. */
#include "native.h"

#include <string.h>

#define OPERATIONS_MOST 64
#define BEFORE_MOST 32 /* RRsets of the name before */
#define NEW_MOST 8     /* plain types */

/* The attributes of an Operation and of an RRset, interned as the interpreter's own code has them. */
static PyObject *name_name, *type_name, *class_name, *ttl_name, *rdata_name, *rdatas_name;

int apply_prepare(void) {
    name_name = PyUnicode_InternFromString("name");
    type_name = PyUnicode_InternFromString("type");
    class_name = PyUnicode_InternFromString("rdclass");
    ttl_name = PyUnicode_InternFromString("ttl");
    rdata_name = PyUnicode_InternFromString("rdata");
    rdatas_name = PyUnicode_InternFromString("rdatas");
    return name_name == NULL || type_name == NULL || class_name == NULL || ttl_name == NULL || rdata_name == NULL ||
                   rdatas_name == NULL
               ? -1
               : 0;
}

/* An RRset of the name: as it was, borrowed, NULL: there was none; and as it is, owned, NULL: there is none. */
struct slot {
    long type;
    PyObject *was, *now;
};

/* All of the name: first those that were there, in their order, then those that came, in theirs. */
struct node {
    PyObject *name; /* borrowed */
    PyObject *rrset, *change; /* types, borrowed */
    Py_ssize_t types_most, records_most, octets_most;
    size_t count;
    struct slot slots[BEFORE_MOST + NEW_MOST];
};

/* An operation, taken apart; all but type and class are owned. */
struct asked {
    long type, class_;
    PyObject *name, *kind, *ttl, *rdata;
};

static bool same_octets(PyObject *one, PyObject *other) {
    return PyBytes_GET_SIZE(one) == PyBytes_GET_SIZE(other) &&
           memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)PyBytes_GET_SIZE(one)) == 0;
}

/* Return whether *one* comes before *other*, as bytes are compared. */
static bool comes_before(PyObject *one, PyObject *other) {
    Py_ssize_t mine = PyBytes_GET_SIZE(one), theirs = PyBytes_GET_SIZE(other);
    int order = memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)(mine < theirs ? mine : theirs));
    return order != 0 ? order < 0 : mine < theirs;
}

/* Return the attribute *name* of *object* as a number that is not negative; -1: Python, or an exception. */
static long number_of(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    long found = value == NULL || !PyLong_Check(value) ? -1 : PyLong_AsLong(value);
    Py_XDECREF(value);
    return found;
}

/* Return the data of *rrset*, a tuple of bytes; NULL: Python, or an exception. */
static PyObject *data_of(PyObject *rrset) {
    PyObject *data = PyObject_GetAttr(rrset, rdatas_name);
    bool is_data = data != NULL && PyTuple_CheckExact(data);
    for (Py_ssize_t index = 0; is_data && index < PyTuple_GET_SIZE(data); index++) {
        is_data = PyBytes_CheckExact(PyTuple_GET_ITEM(data, index));
    }
    if (data != NULL && !is_data) {
        Py_CLEAR(data);
    }
    return data;
}

static void forget_asked(struct asked *asked) {
    Py_CLEAR(asked->name);
    Py_CLEAR(asked->kind);
    Py_CLEAR(asked->ttl);
    Py_CLEAR(asked->rdata);
}

/* Take *operation* apart. Return false where Python has to, or with an exception. */
static bool take_apart(PyObject *operation, struct asked *asked) {
    *asked = (struct asked){
        .class_ = number_of(operation, class_name),
        .name = PyObject_GetAttr(operation, name_name),
        .kind = PyObject_GetAttr(operation, type_name),
        .ttl = PyObject_GetAttr(operation, ttl_name),
        .rdata = PyObject_GetAttr(operation, rdata_name),
    };
    if (asked->class_ < 0 || asked->name == NULL || asked->kind == NULL || asked->ttl == NULL || asked->rdata == NULL ||
        !PyBytes_CheckExact(asked->name) || !PyBytes_CheckExact(asked->rdata) || !PyLong_Check(asked->kind)) {
        return false;
    }
    asked->type = PyLong_AsLong(asked->kind);
    return asked->type >= 0 && is_plain_type((unsigned long)asked->type);
}

static struct slot *slot_of(struct node *node, long type) {
    for (size_t index = 0; index < node->count; index++) {
        if (node->slots[index].type == type) {
            return &node->slots[index];
        }
    }
    return NULL;
}

/* Have *slot* be *now*, which is owned; one that was not there and is not any more leaves its place. */
static void put(struct node *node, struct slot *slot, PyObject *now) {
    Py_XSETREF(slot->now, now);
    if (now == NULL && slot->was == NULL) {
        size_t behind = node->count - (size_t)(slot - node->slots) - 1;
        memmove(slot, slot + 1, behind * sizeof *slot);
        node->count--;
    }
}

/* Return *data* with *rdata* in its place, or without it, where that stands at *place*. NULL with an exception. */
static PyObject *changed_data(PyObject *data, PyObject *rdata, Py_ssize_t place, bool adds) {
    Py_ssize_t count = PyTuple_GET_SIZE(data) + (adds ? 1 : -1);
    PyObject *out = PyTuple_New(count);
    for (Py_ssize_t index = 0; out != NULL && index < count; index++) {
        PyObject *one = rdata;
        if (index != place || !adds) {
            Py_ssize_t from = index < place ? index : adds ? index - 1 : index + 1;
            one = PyTuple_GET_ITEM(data, from);
        }
        PyTuple_SET_ITEM(out, index, Py_NewRef(one));
    }
    return out;
}

/* Return where *rdata* stands in *data*; -1: nowhere. */
static Py_ssize_t place_of(PyObject *data, PyObject *rdata) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(data); index++) {
        if (same_octets(PyTuple_GET_ITEM(data, index), rdata)) {
            return index;
        }
    }
    return -1;
}

static PyObject *new_rrset(const struct node *node, PyObject *name, PyObject *kind, PyObject *ttl, PyObject *data) {
    PyObject *fields[] = {name, kind, ttl, data};
    return data == NULL ? NULL : PyObject_Vectorcall(node->rrset, fields, 4, NULL);
}

/* Add a record (RFC 2136 section 3.4.2.2). Return false where Python has to, or with an exception. */
static bool add(struct node *node, struct slot *slot, const struct asked *asked) {
    PyObject *there = slot == NULL ? NULL : slot->now, *data, *now;
    if (there == NULL) {
        Py_ssize_t types = 0;
        for (size_t index = 0; index < node->count; index++) {
            types += node->slots[index].now != NULL;
        }
        if (types >= node->types_most || (slot == NULL && node->count == sizeof node->slots / sizeof *node->slots)) {
            return false;
        }
        data = PyTuple_Pack(1, asked->rdata);
    } else {
        PyObject *ttl = PyObject_GetAttr(there, ttl_name);
        data = ttl == NULL ? NULL : data_of(there);
        int same = data == NULL ? -1 : PyObject_RichCompareBool(ttl, asked->ttl, Py_EQ);
        Py_XDECREF(ttl);
        bool is_new = same >= 0 && place_of(data, asked->rdata) < 0;
        if (same < 0 || (is_new && PyTuple_GET_SIZE(data) >= node->records_most)) {
            Py_XDECREF(data);
            return false;
        }
        if (is_new) {
            Py_ssize_t place = 0;
            while (place < PyTuple_GET_SIZE(data) && comes_before(PyTuple_GET_ITEM(data, place), asked->rdata)) {
                place++;
            }
            Py_SETREF(data, changed_data(data, asked->rdata, place, true));
        } else if (same) {
            Py_DECREF(data);
            return true;
        }
    }
    now = new_rrset(node, asked->name, asked->kind, asked->ttl, data);
    Py_XDECREF(data);
    if (now == NULL) {
        return false;
    }
    if (slot == NULL) {
        slot = &node->slots[node->count++];
        *slot = (struct slot){.type = asked->type};
    }
    put(node, slot, now);
    return true;
}

/* Delete one record (RFC 2136 section 3.4.2.4). As add. */
static bool delete_record(struct node *node, struct slot *slot, const struct asked *asked) {
    PyObject *there = slot->now, *data = data_of(there);
    Py_ssize_t place = data == NULL ? -1 : place_of(data, asked->rdata);
    bool done = data != NULL;
    if (place >= 0 && PyTuple_GET_SIZE(data) == 1) {
        put(node, slot, NULL);
    } else if (place >= 0) {
        PyObject *name = PyObject_GetAttr(there, name_name), *ttl = PyObject_GetAttr(there, ttl_name), *now = NULL;
        Py_SETREF(data, changed_data(data, asked->rdata, place, false));
        if (name != NULL && ttl != NULL) {
            now = new_rrset(node, name, asked->kind, ttl, data);
        }
        Py_XDECREF(name);
        Py_XDECREF(ttl);
        done = now != NULL;
        if (done) {
            put(node, slot, now);
        }
    }
    Py_XDECREF(data);
    return done;
}

/* Do one operation to *node*. As add. */
static bool operate(struct node *node, PyObject *operation, PyObject *origin) {
    struct asked asked;
    bool done = false;
    if (take_apart(operation, &asked) && same_octets(asked.name, node->name) && !same_octets(asked.name, origin)) {
        struct slot *slot = slot_of(node, asked.type);
        if (asked.class_ == IN) {
            done = add(node, slot, &asked);
        } else if (slot == NULL || slot->now == NULL) {
            done = asked.class_ == ANY || asked.class_ == NONE;
        } else if (asked.class_ == ANY) {
            put(node, slot, NULL);
            done = true;
        } else if (asked.class_ == NONE) {
            done = delete_record(node, slot, &asked);
        }
    }
    forget_asked(&asked);
    return done;
}

/* Return whether *now* is not too big. */
static bool fits(const struct node *node, PyObject *now) {
    PyObject *data = data_of(now);
    Py_ssize_t octets = 0;
    for (Py_ssize_t index = 0; data != NULL && index < PyTuple_GET_SIZE(data); index++) {
        octets += PyBytes_GET_SIZE(PyTuple_GET_ITEM(data, index));
    }
    bool small = data != NULL && octets <= node->octets_most;
    Py_XDECREF(data);
    return small;
}

/* Return how *node* differs from what it was, as a tuple of changes. NULL: Python, or an exception. */
static PyObject *difference(const struct node *node) {
    PyObject *changes[BEFORE_MOST + NEW_MOST];
    Py_ssize_t count = 0;
    bool good = true;
    for (size_t index = 0; good && index < node->count; index++) {
        PyObject *was = node->slots[index].was, *now = node->slots[index].now;
        int same = was == now ? 1 : was == NULL || now == NULL ? 0 : PyObject_RichCompareBool(was, now, Py_EQ);
        if (same > 0) {
            continue;
        }
        PyObject *kind = same < 0 || (now != NULL && !fits(node, now))
                             ? NULL
                             : PyObject_GetAttr(was == NULL ? now : was, type_name);
        PyObject *fields[] = {node->name, kind, was == NULL ? Py_None : was, now == NULL ? Py_None : now};
        changes[count] = kind == NULL ? NULL : PyObject_Vectorcall(node->change, fields, 4, NULL);
        Py_XDECREF(kind);
        good = changes[count] != NULL;
        count += good;
    }
    PyObject *out = good ? PyTuple_New(count) : NULL;
    for (Py_ssize_t index = 0; index < count; index++) {
        if (out != NULL) {
            PyTuple_SET_ITEM(out, index, changes[index]);
        } else {
            Py_DECREF(changes[index]);
        }
    }
    return out;
}

/* Put what is at the name before into *node*. Return false where Python has to, or with an exception. */
static bool begin(struct node *node, PyObject *before) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(before); index++) {
        PyObject *was = PyTuple_GET_ITEM(before, index);
        long type = number_of(was, type_name);
        if (type < 0 || type == CNAME || slot_of(node, type) != NULL) { /* beside a CNAME other rules hold */
            return false;
        }
        node->slots[node->count++] = (struct slot){.type = type, .was = was, .now = Py_NewRef(was)};
    }
    return true;
}

PyObject *native_apply(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "apply takes operations, RRsets, a name, two types and three limits");
        return NULL;
    }
    PyObject *operations = args[0], *before = args[1], *origin = args[2], *name = NULL;
    if (!PyTuple_CheckExact(operations) || !PyTuple_CheckExact(before) || !PyBytes_CheckExact(origin) ||
        PyTuple_GET_SIZE(operations) == 0 || PyTuple_GET_SIZE(operations) > OPERATIONS_MOST ||
        PyTuple_GET_SIZE(before) > BEFORE_MOST) {
        Py_RETURN_NONE;
    }
    struct node node = {.rrset = args[3], .change = args[4], .types_most = PyLong_AsSsize_t(args[5]),
                        .records_most = PyLong_AsSsize_t(args[6]), .octets_most = PyLong_AsSsize_t(args[7])};
    if (PyErr_Occurred() || (name = PyObject_GetAttr(PyTuple_GET_ITEM(operations, 0), name_name)) == NULL) {
        return NULL;
    }
    node.name = name;
    bool good = PyBytes_CheckExact(name) && begin(&node, before);
    for (Py_ssize_t index = 0; good && index < PyTuple_GET_SIZE(operations); index++) {
        good = operate(&node, PyTuple_GET_ITEM(operations, index), origin);
    }
    PyObject *out = good ? difference(&node) : NULL;
    for (size_t index = 0; index < node.count; index++) {
        Py_XDECREF(node.slots[index].now);
    }
    Py_DECREF(name);
    return or_none(out);
}
