/* What is said of names that have no entry of their own: NXDOMAIN, no data, referrals. Its slow twin is
 * ddns.answer.below. */
#ifndef DDNS_BELOW_H
#define DDNS_BELOW_H

struct question;

/* The attributes that are read, and the methods: below.c lists them in this order. */
enum {
    BELOW_REMEMBERED, BELOW_USED, BELOW_DIRECT,           /* of a ZoneImage */
    BELOW_NODES, BELOW_NSEC, BELOW_NSEC3, BELOW_MARK,     /* of its Remembered */
    BELOW_FIRSTS, BELOW_KEYS, BELOW_VALUES,               /* of a Chain */
    BELOW_WIRE, BELOW_SPLIT, BELOW_SIGS, BELOW_TYPE,      /* of a Served */
    BELOW_SLOTS,
    BELOW_GET = BELOW_SLOTS, BELOW_AT_OR_BEFORE, BELOW_NAMES /* found the usual way */
};

/* Where the objects of one type keep an attribute that stands in its __slots__. */
struct slot {
    PyObject *type;    /* owned */
    Py_ssize_t offset; /* octets from the object's start; 0: not known */
};

struct below {
    PyObject *zones;                    /* the Table's zones by origin: a dict, or what has its methods */
    PyObject *plain, *signed_;          /* dict: closest encloser or delegation -> Piece */
    PyObject *said_plain, *said_signed; /* dict: name -> Said */
    PyObject *names[BELOW_NAMES];       /* interned str */
    struct slot slots[BELOW_SLOTS];
};

/* Take what is needed from *table*. Return 0; -1 with an exception. */
int below_attach(struct below *below, PyObject *table);
int below_visit(struct below *below, visitproc visit, void *arg);
void below_clear(struct below *below);

/* Answer *question*, for which the remembered answers have nothing; as answer_question. */
Py_ssize_t below_answer(struct below *below, const struct question *question, uint8_t *out);

/* ---- objects.c: reading Python's objects. What they return is a new reference. ---- */

/* Return what *mapping* has for *key*; NULL: nothing, or an exception is set. */
PyObject *below_get(struct below *below, PyObject *mapping, PyObject *key);

/* Return the attribute *name* of *object*; NULL with an exception. One that is not set yet may be made by Python. */
PyObject *below_attribute(struct below *below, PyObject *object, int name);

/* Return the number that *object* has as *name*; -1 with an exception. */
long below_number(struct below *below, PyObject *object, int name);

/* Note that *image* was used. Return 0; -1 with an exception. */
int below_use(struct below *below, PyObject *image);

/* Return the value that stands in *chain* at the greatest key not after *key*: see Chain.at_or_before. NULL: there is
 * none, or an exception is set. */
PyObject *below_at_or_before(struct below *below, PyObject *chain, const uint8_t *key, size_t size);

static inline const uint8_t *octets_of(PyObject *bytes) { return (const uint8_t *)PyBytes_AS_STRING(bytes); }
static inline size_t size_of(PyObject *bytes) { return (size_t)PyBytes_GET_SIZE(bytes); }

/* Return whether *object* is a tuple of *size*, whose item *i* is bytes for each bit i of *bytes*. */
bool is_tuple(PyObject *object, Py_ssize_t size, unsigned int bytes);

#endif
