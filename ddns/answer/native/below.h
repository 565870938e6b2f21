/* What is said of names that have no entry of their own: NXDOMAIN, no data, referrals. Its slow twin is
 * ddns.answer.below. */
#ifndef DDNS_BELOW_H
#define DDNS_BELOW_H

struct question;

/* The names of the attributes and methods that are read: below.c lists them in this order. */
enum {
    BELOW_REMEMBERED, BELOW_MARK, BELOW_WHOLE, BELOW_USED, BELOW_NODES, BELOW_NSEC, BELOW_NSEC3, BELOW_WIRE, BELOW_SPLIT,
    BELOW_SIGS, BELOW_TYPE, BELOW_FIRSTS, BELOW_KEYS, BELOW_VALUES, BELOW_GET, BELOW_AT_OR_BEFORE, BELOW_NAMES
};

struct below {
    PyObject *zones;                              /* the Table's zones by origin: a dict, or what has its methods */
    PyObject *plain, *signed_;                    /* dict: closest encloser or delegation -> Piece */
    PyObject *said_plain, *said_signed;           /* dict: name -> Said */
    PyObject *chain;                              /* the type ddns.answer.chain.Chain */
    PyObject *names[BELOW_NAMES];                 /* interned str */
};

/* Take what is needed from *table*. Return 0; -1 with an exception. */
int below_attach(struct below *below, PyObject *table);
int below_visit(struct below *below, visitproc visit, void *arg);
void below_clear(struct below *below);

/* Answer *question*, for which the remembered answers have nothing; as answer_question. */
Py_ssize_t below_answer(struct below *below, const struct question *question, uint8_t *out);

#endif
