/* What is said of names that have no entry of their own: NXDOMAIN, no data, referrals. Its slow twin is
 * ddns.answer.below. */
#ifndef DDNS_BELOW_H
#define DDNS_BELOW_H

struct question;

/* The attributes that are read, and the methods: below.c lists them in this order. */
enum {
    BELOW_REMEMBERED, BELOW_USED,                         /* of a ZoneImage */
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

#endif
