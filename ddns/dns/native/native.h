/* The native helpers of reading and writing octets: what their twins in ddns do in Python, in C.
 *
 * They hold no data and call no Python code but the constructors of values that they are given. What they do not fully
 * understand they leave to their twins in Python, which say what is wrong with it: None says so everywhere.
 *
 * names.c   names of messages       walk.c     records of messages    signed.c   TSIG and SIG(0)
 * request.c updates as values       served.c   RRsets in memory       rows.c     rows to Postgres
 * apply.c   updates of one name     step.c     a batch and its zone   edition.c  editions of data alone
 * unpack.c  rows of Postgres        module.c   the table of functions
 */
#ifndef DDNS_DNS_NATIVE_H
#define DDNS_DNS_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#define HEADER_SIZE 12     /* octets, RFC 1035 section 4.1.1 */
#define MESSAGE_MAX 65535  /* octets of a message, so that no sum below can overflow */
#define NAME_MAX_SIZE 255  /* octets of a name with its root label, RFC 1035 section 2.3.4 */
#define LABEL_MAX_SIZE 63
#define ORDER_MAX_SIZE (3 * NAME_MAX_SIZE) /* octets of a name's place in the canonical order, at most */
#define HOPS_MAX 64        /* MAX_POINTER_HOPS in ddns.dns.codes */
#define FIXED_SIZE 10      /* octets of a record between its owner and its data, RFC 1035 section 3.2.1 */

/* Read the name of the message at offset into out, in lower case. Return its size, and where it ends in *end; 0: Python. */
size_t name_read(const uint8_t *wire, size_t size, size_t offset, uint8_t out[NAME_MAX_SIZE], size_t *end);

/* Return where the name of the message at offset ends, no pointer followed; 0: Python. */
size_t name_skip(const uint8_t *wire, size_t size, size_t offset);

/* Types of records that mean something here. */
enum { A = 1, CNAME = 5, SOA = 6, TXT = 16, SIG = 24, KEY = 25, AAAA = 28, OPT = 41, TLSA = 52, TSIG = 250, ANY_TYPE = 255 };
enum { IN = 1, NONE = 254, ANY = 255 }; /* classes */

/* A record of a message: its data has length octets and stands at data. */
struct record {
    size_t data;
    unsigned type, class_, length;
    uint32_t ttl;
};

/* The owner that was read last, as bytes (owned, NULL at first), and how the message spells it. */
struct owner {
    PyObject *name;
    size_t start, size;
};

/* Read the record at *offset, and move on behind it. Where it spells its owner as *owner does, that is its owner.
 * Return false where Python has to, or with an exception. */
bool record_read(const uint8_t *wire, size_t size, size_t *offset, struct owner *owner, struct record *record);

/* Return the *count* records at offset, behind which the message ends, as a list of (owner, type, class, ttl, offset of
 * the data, its length). NULL: Python has to, or an exception is set. */
PyObject *record_rows(const uint8_t *wire, size_t size, size_t offset, size_t count, struct owner *owner);

/* Find the signature record, the last of all: return its type, where it starts, and where its type stands. 0: Python. */
unsigned trailer_find(const uint8_t *wire, size_t size, size_t *start, size_t *fixed);

/* Return whether data of this type is taken as it stands, and no rules of its own hold for it (RFC 2136 section 3.4.2). */
bool is_plain_type(unsigned long type);

/* Intern the names of the attributes that these files read. Return 0; -1 with an exception. */
int served_prepare(void);
int apply_prepare(void);
int rows_prepare(void);
int step_prepare(void);
int edition_prepare(void);

/* Return form(name, type, TTL, data) of *served*, or with its signatures behind. NULL: Python, or an exception. */
PyObject *rrset_of(PyObject *form, PyObject *name, PyObject *type, PyObject *served, bool with_signatures);

/* Make the RRset of memory that *rrset*, a signed RRset, is; its type, which is owned too, goes to *type. NULL as above. */
PyObject *served_of(PyObject *form, PyObject *rrset, PyObject **type);

/* Return *found*, or None where that is NULL and no exception is set. */
PyObject *or_none(PyObject *found);

/* Write the place of a name in the canonical order to the end of out, from *begin on: the labels from the root down, each
 * ended by two zero octets; a zero octet inside becomes 0x00 0x01. Return false where it is no name: Python. */
bool name_order(const uint8_t *wire, size_t size, uint8_t out[ORDER_MAX_SIZE], size_t *begin);

static inline unsigned two_octets(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

PyObject *native_read_name(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_order_key(PyObject *module, PyObject *name);
PyObject *native_walk(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_find_trailer(PyObject *module, PyObject *wire);
PyObject *native_open_signed(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_read_update(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_stored(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_published(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_serve(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_placed(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_tsig_signed(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_tsig_put(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_apply(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_move_on(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_plain_step(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_signed_rrsets(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_replaced(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_replace(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_asked(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_pack_parameters(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_unpack_rows(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
