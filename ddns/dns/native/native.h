/* The native helpers of reading and writing octets: what names.py, walk.py and rows.py do in Python, in C.
 *
 * They hold no data and call no Python code. What they do not fully understand they leave to their twins in Python,
 * which say what is wrong with it: None says so everywhere.
 *
 * names.c  names of messages    walk.c  records of messages    rows.c  rows of Postgres    module.c  the table of functions
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
#define HOPS_MAX 64        /* MAX_POINTER_HOPS in ddns.dns.codes */
#define FIXED_SIZE 10      /* octets of a record between its owner and its data, RFC 1035 section 3.2.1 */

/* Read the name of the message at offset into out, in lower case. Return its size, and where it ends in *end; 0: Python. */
size_t name_read(const uint8_t *wire, size_t size, size_t offset, uint8_t out[NAME_MAX_SIZE], size_t *end);

/* Return where the name of the message at offset ends, no pointer followed; 0: Python. */
size_t name_skip(const uint8_t *wire, size_t size, size_t offset);

static inline unsigned two_octets(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

PyObject *native_read_name(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_order_key(PyObject *module, PyObject *name);
PyObject *native_walk(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *native_find_trailer(PyObject *module, PyObject *wire);
PyObject *native_pack_rows(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
