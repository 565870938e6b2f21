/* What is said of names that have no entry of their own: NXDOMAIN, no data, referrals. Its slow twin is
 * ddns.answer.responder. */
#ifndef DDNS_BELOW_H
#define DDNS_BELOW_H

struct question;

struct below {
    PyObject *table; /* the Table itself, so that it stays alive */
};

/* Take what is needed from *table*. Return 0; -1 with an exception. */
int below_attach(struct below *below, PyObject *table);
int below_visit(struct below *below, visitproc visit, void *arg);
void below_clear(struct below *below);

/* Answer *question*, for which the remembered answers have nothing; as answer_question. */
Py_ssize_t below_answer(struct below *below, const struct question *question, uint8_t *out);

#endif
