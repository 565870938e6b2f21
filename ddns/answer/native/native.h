/* What the parts of the native twin share. Read this file first, then answer.c, then drain.c.
 *
 * The twin holds no data of its own: it reads the dicts of ddns.answer.table.Table, whose objects the pure twin
 * reads too, and it holds the GIL all the time. So there is nothing to invalidate; what a look-up finds is copied, or
 * held, before any Python code can run. What the twin does not fully understand it leaves to Python: the value 0 says
 * so everywhere. It never answers what the pure twin would answer otherwise.
 *
 * module.c  the type `Answerer`            answer.c  from a question to its octets
 * drain.c   recvmmsg and sendmmsg          streams.c messages over TCP and TLS
 * below.c   names that have no entry       sha1.c    for their hashes in NSEC3
 * send.c    answers that Python made
 * ahead.c   prefetching                    guard.c   cookies, response rate limiting, counters
 * objects.c what below.c reads of Python's objects          direct.c  zones as the database packed them
 */
#ifndef DDNS_NATIVE_H
#define DDNS_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define HEADER_SIZE 12    /* octets, RFC 1035 section 4.1.1 */
#define NAME_MAX_SIZE 255 /* octets of a name with its root label, RFC 1035 section 2.3.4 */
#define LABEL_MAX_SIZE 63
#define KEY_MAX_SIZE (NAME_MAX_SIZE + 4)
#define OPT_SIZE 11       /* octets of an OPT record without options, RFC 6891 section 6.1.2 */
#define LINE 64           /* octets of a cache line */
#define BODY_LINES 5      /* of an answer's body are asked for ahead */
#define ANSWER_MAX 1232   /* octets: UDP_MAX_PAYLOAD in ddns.dns.codes; no answer here is longer */
#define OWN_OPT_MAX 512   /* octets of our OPT record with a cookie; where it does not fit Python answers */
#define REQUEST_MAX 4096  /* octets: LARGEST_REQUEST in ddns.net.udp */

/* What came, as far as it is understood. */
struct question {
    const uint8_t *wire;         /* the message, size octets */
    size_t size;
    size_t end;                  /* where the question ends and the additional section begins */
    const struct sockaddr *peer; /* who asks; NULL over a stream, where there is no cookie and no limit */
    PyObject *host;              /* the peer's address as Python's str, NULL until somebody needs it; owned */
    uint8_t key[KEY_MAX_SIZE];   /* the name in lower case, then type and class as they came */
    size_t key_size;
    bool edns, signed_;          /* whether there is an OPT record; whether it has DO */
    PyObject *answers;           /* the Table's dict for such an asker: _bare, _plain or _signed; borrowed */
    const uint8_t *opt;          /* the OPT record that ends the answer, opt_size octets; NULL without EDNS */
    size_t opt_size;
    size_t limit;                /* what size + the body's octets may be; 0: whatever fits here */
    PyObject *asked;             /* the key as Python's bytes, owned */
    Py_hash_t hash;              /* of it */
    PyObject *entry;             /* what the Table remembers for the question, NULL: nothing; owned once it is held */
    uint8_t own_opt[OWN_OPT_MAX]; /* where an OPT record of this answer alone may be made, for opt to point to */
};

/* Who is at the other end of a UDP socket. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

#define CONTROL_SIZE CMSG_SPACE(sizeof(struct in6_pktinfo)) /* the larger of the two kinds */

/* Which of our addresses a datagram comes to, or leaves from. */
union control {
    struct cmsghdr aligned;
    uint8_t octets[CONTROL_SIZE];
};

#include "below.h"
#include "guard.h"

struct batch;  /* drain.c */
struct stream; /* streams.c */

typedef struct {
    PyObject_HEAD
    PyObject *tails;  /* dict: an OPT record's octets -> (answers, our OPT, limit) */
    PyObject *bare;   /* dict: name, type, class -> (counts, body), for who sent no OPT */
    struct below below;
    struct guard guard;
    struct batch *batch; /* allocated with the object, and so is stream */
    struct stream *stream;
    bool busy;           /* a drain is under way; Python code that it calls must not start another */
} Answerer;

/* An answer is made in steps. A batch makes each step for all its questions before the next: what a step needs
 * from memory is asked for by the one before, and comes while the others have their turn.
 *
 * read_question  says who asks what. Return 1: a plain question; 0: Python has to answer it; -1: an exception is set.
 *                *peer* is NULL over a stream.
 * ahead          three times: asks the memory for what look_up will read. It may be left out.
 * look_up        finds its entry, borrowed: nothing may run Python code until it is held. Return 0; -1.
 * hold_entry     makes the entry the question's own.
 * write_answer   puts the answer into *out*, ANSWER_MAX octets. Return its octets; 0: Python has to; -1.
 *
 * After all of them, or any that failed, release_question lets go of what the question holds. */
int read_question(Answerer *self, const uint8_t *wire, size_t size, const struct sockaddr *peer,
                  struct question *question);
enum ahead { AHEAD_SLOT, AHEAD_ENTRY, AHEAD_KEY }; /* each needs what the one before has asked for */
void ahead(PyObject *dict, Py_hash_t hash, enum ahead step);
int look_up(struct question *question);
void hold_entry(struct question *question);
Py_ssize_t write_answer(Answerer *self, const struct question *question, uint8_t *out);
void release_question(struct question *question);

/* Do all of that for one message that came over a stream. Return as write_answer. */
Py_ssize_t answer_question(Answerer *self, const uint8_t *wire, size_t size, uint8_t *out);

/* Return what *dict* has for the key of *size* octets, borrowed; NULL: nothing, or an exception is set. */
PyObject *find_octets(PyObject *dict, const uint8_t *octets, size_t size);

/* Take from *form*, a value of the Table's _tails, what it says of who asks. Return as guard_opt. */
int take_form(struct question *question, PyObject *form);

/* Put an answer together: header with *counts* (6 octets: ANCOUNT, NSCOUNT, ARCOUNT) and *rcode*, the question as
 * it was spelled, *body*, the OPT record. Return its octets; 0 where it does not fit. */
Py_ssize_t put_answer(const struct question *question, const uint8_t *counts, uint8_t rcode, const uint8_t *body,
                      size_t body_size, uint8_t *out);

/* Return whether questions for *type* can be answered by direct_answer. */
bool direct_type(uint32_t type);

/* Answer *question*, whose name has the order key *key*, out of *packed*, the octets of a zone as ddns.answer.packed
 * has them; *apex* is how long the order key of its apex is. As answer_question, but never -1. */
Py_ssize_t direct_answer(const struct question *question, PyObject *packed, const uint8_t *key, size_t key_size,
                         size_t apex, uint8_t *out);

/* Return the peer's address as Python's socket module writes it, borrowed from *question*; NULL with an exception. */
PyObject *question_host(struct question *question);

/* Read at most *most* datagrams from *fd*, answer them; return (number read, list of (octets, peer, control)). */
PyObject *drain(Answerer *self, int fd, bool wildcard, Py_ssize_t most, double now);
/* Send the answers of a list on the UDP socket *fd*: each is (octets, peer, control as `drain` gives it). */
PyObject *send_many(PyObject *answerer, PyObject *args);

/* Send *count* answers. Return false where there was no room for all: the rest is lost, and asked for again. */
bool send_all(int fd, struct mmsghdr *go, size_t count);

struct batch *batch_new(void);
void batch_free(struct batch *batch);

/* Answer the framed messages in the bytes *octets* from the offset *at* on, as long as they are whole and known.
 * Return (framed answers, offset behind the last message that was answered). */
PyObject *stream_frames(Answerer *self, PyObject *octets, Py_ssize_t at);

/* Read once from the TCP socket *fd*, answer what is known, send. Return how many octets have come where that was all
 * of them; else (octets that have come, offset as stream_frames returns it, answers that were not sent). */
PyObject *stream_exchange(Answerer *self, int fd);
struct stream *stream_new(void);
void stream_free(struct stream *stream);

/* Return the attribute *name* of *object* as a new reference to an exact dict; NULL with an exception. */
PyObject *dict_attribute(PyObject *object, const char *name);

#endif
