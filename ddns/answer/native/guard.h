/* What stands between a question and its answer over UDP: DNS cookies (RFC 7873, RFC 9018), response rate limiting,
 * and the counters. Its slow twins are ddns.answer.cookied, ddns.answer.cookies and ddns.answer.rrl. */
#ifndef DDNS_GUARD_H
#define DDNS_GUARD_H

struct question;

/* Where the numbers of ddns.answer.counters stand; the first GUARD_RCODES are answers by RCODE. */
#define GUARD_RCODES 24
#define GUARD_RECEIVED 24
#define GUARD_HANDED 25
#define GUARD_STREAMED 29
#define GUARD_NUMBERS 30

#define CLIENT_COOKIE 8 /* octets, RFC 7873 section 4 */
#define COOKIE_SIZE 24  /* octets of client and server cookie together, RFC 9018 section 4 */
#define SECRET_SIZE 16  /* octets of a key of SipHash-2-4 */
#define GUARD_SECRETS 2 /* of a day, RFC 9018 section 5: while one follows another both are good */
#define GUARD_DAYS 4    /* whose secrets are remembered; an asker can mean three of them at most */

struct guard {
    PyObject *packed;  /* dict of Rrl: an address's octets -> [answers that may still go in this second] */
    PyObject *admit;   /* Rrl.admit: the cell of an address that is not found by its octets yet */
    PyObject *judge;   /* Rrl.judge: what may be sent where the cell is below zero; it counts that too */
    PyObject *secrets; /* Cookies.secrets: those of a day; NULL where there are no cookies */
    Py_buffer numbers; /* the array of Counters, GUARD_NUMBERS times 64 bits */
    bool limited;      /* whether there is a limit at all */
    int64_t now;       /* seconds since 1970, of the drain under way; 0: none is */
    struct {
        int64_t day; /* since 1970 */
        size_t count;
        uint8_t secret[GUARD_SECRETS][SECRET_SIZE];
    } days[GUARD_DAYS];     /* secrets by their day; those of a day never change */
    size_t next;            /* of days, the one that gives way to the next */
};

/* Take what is needed from *rrl*. Return 0; -1 with an exception. */
int guard_attach(struct guard *guard, PyObject *rrl);
int guard_visit(struct guard *guard, visitproc visit, void *arg);
void guard_clear(struct guard *guard);

/* Say that a drain begins at *now*, in seconds since 1970; and that it is over, *received* datagrams having come, of
 * which *handed* are Python's. */
void guard_begin(struct guard *guard, double now);
void guard_end(struct guard *guard, Py_ssize_t received, Py_ssize_t handed);

/* Count a message that came over a stream, and its answer of *rcode*. */
void guard_streamed(struct guard *guard, size_t rcode);

/* Read the additional section of *question* where it is something else than an OPT record without options that the
 * Table knows, and fill in edns, signed_, answers, opt and limit: an OPT record with a cookie as its only option.
 * Return 1: done; 0: Python has to; -1: exception. *tails* is the Table's. */
int guard_opt(struct guard *guard, struct question *question, PyObject *tails);

/* Count the answer of *size* octets at *out*. Return the octets that may be sent, where they differ already put
 * into *out* (ANSWER_MAX octets); 0: none; -1: exception. */
Py_ssize_t guard_sending(struct guard *guard, struct question *question, uint8_t *out, Py_ssize_t size, double now);

/* The module's siphash24(key, message): SipHash-2-4 of *message* under the 16 octets of *key*. */
PyObject *guard_siphash24(PyObject *module, PyObject *args);

#endif
