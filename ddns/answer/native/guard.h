/* What stands between a question and its answer over UDP: DNS cookies (RFC 7873, RFC 9018), response rate limiting,
 * and the counters. Its slow twins are ddns.answer.cookied and ddns.answer.rrl. */
#ifndef DDNS_GUARD_H
#define DDNS_GUARD_H

struct question;

struct guard {
    PyObject *cells; /* dict of Rrl: host -> [answers that may still go in this second] */
    PyObject *enter; /* Rrl.enter: the cell of a host that has none yet */
    PyObject *judge; /* Rrl.judge: what may be sent where the cell is below zero */
};

/* Take what is needed from *rrl*. Return 0; -1 with an exception. */
int guard_attach(struct guard *guard, PyObject *rrl);
int guard_visit(struct guard *guard, visitproc visit, void *arg);
void guard_clear(struct guard *guard);

/* Read the additional section of *question* where it is something else than an OPT record without options that the
 * Table knows, and fill in edns, signed_, answers, opt and limit. Return 1: done; 0: Python has to; -1: exception.
 * *tails* is the Table's. What opt points to must last until the next call of guard_opt. */
int guard_opt(struct guard *guard, struct question *question, PyObject *tails);

/* Count the answer of *size* octets at *out*. Return the octets that may be sent, where they differ already put
 * into *out* (ANSWER_MAX octets); 0: none; -1: exception. */
Py_ssize_t guard_sending(struct guard *guard, struct question *question, uint8_t *out, Py_ssize_t size, double now);

#endif
