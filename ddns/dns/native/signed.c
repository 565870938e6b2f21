/* A message and its signature taken apart: what ddns/auth/{envelope,tsig,sig0}.py do in Python. */
#include "native.h"

#include <string.h>

#define TIMES_SIZE 10     /* octets of time signed, fudge and MAC size, RFC 8945 section 4.2 */
#define TAIL_SIZE 6       /* octets of original ID, error and other length */
#define VARIABLES_SIZE 18 /* octets of what is signed besides names and other data, RFC 8945 section 4.3.3 */
#define SIG_SIZE 18       /* octets before the signer's name, RFC 2535 section 4.1 */

static PyObject *bytes_of(const uint8_t *octets, size_t size) {
    return PyBytes_FromStringAndSize((const char *)octets, (Py_ssize_t)size);
}

static PyObject *number(unsigned long value) { return PyLong_FromUnsignedLong(value); }

static unsigned long four_octets(const uint8_t *at) {
    return (unsigned long)two_octets(at) << 16 | two_octets(at + 2);
}

/* Return the message without its last record, which starts at start, and with the two octets of ident as its ID. */
static PyObject *without_last(const uint8_t *wire, size_t start, const uint8_t *ident) {
    PyObject *message = bytes_of(wire, start);
    if (message != NULL) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(message);
        unsigned additional = two_octets(wire + 10) - 1; /* trailer_find has seen that there is one */
        memcpy(out, ident, 2);
        out[10] = (uint8_t)(additional >> 8);
        out[11] = (uint8_t)additional;
    }
    return message;
}

/* Return type(*fields), where all of them could be made, and let go of them. */
static PyObject *made(PyObject *type, PyObject **fields, size_t count) {
    bool whole = true;
    for (size_t index = 0; index < count; index++) {
        whole = whole && fields[index] != NULL;
    }
    PyObject *value = whole ? PyObject_Vectorcall(type, fields, count, NULL) : NULL;
    for (size_t index = 0; index < count; index++) {
        Py_XDECREF(fields[index]);
    }
    return value;
}

/* The TSIG variables: *rdata* are its octets from the time signed on, with a MAC of *mac* octets (section 4.3.3). */
static PyObject *variables(const uint8_t *name, size_t name_size, const uint8_t *algorithm, size_t algorithm_size,
                           const uint8_t *rdata, size_t mac, size_t other) {
    size_t size = name_size + algorithm_size + VARIABLES_SIZE + other;
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (out == NULL) {
        return NULL;
    }
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(out);
    memcpy(at, name, name_size);
    at += name_size;
    memcpy(at, "\0\377\0\0\0\0", 6); /* class ANY, TTL 0 */
    at += 6;
    memcpy(at, algorithm, algorithm_size);
    at += algorithm_size;
    memcpy(at, rdata, 8); /* time signed and fudge */
    at += 8;
    memcpy(at, rdata + TIMES_SIZE + mac + 2, 4 + other); /* error, other length, other data */
    return out;
}

/* Read the TSIG whose owner is at start and whose type is at fixed (RFC 8945 section 4.2). NULL: Python, or an exception. */
static PyObject *read_tsig(const uint8_t *wire, size_t size, size_t start, size_t fixed, PyObject *type,
                           PyObject *algorithms) {
    uint8_t name[NAME_MAX_SIZE], algorithm[NAME_MAX_SIZE];
    size_t end, at, name_size = name_read(wire, size, start, name, &end);
    size_t algorithm_size = name_read(wire, size, fixed + FIXED_SIZE, algorithm, &at);
    if (name_size == 0 || algorithm_size == 0 || two_octets(wire + fixed + 2) != ANY ||
        four_octets(wire + fixed + 4) != 0 || at + TIMES_SIZE + TAIL_SIZE > size) {
        return NULL;
    }
    const uint8_t *times = wire + at;
    size_t mac = two_octets(times + 8);
    if (at + TIMES_SIZE + mac + TAIL_SIZE > size) {
        return NULL;
    }
    const uint8_t *tail = times + TIMES_SIZE + mac;
    size_t other = two_octets(tail + 4);
    if (at + TIMES_SIZE + mac + TAIL_SIZE + other != size) {
        return NULL;
    }
    PyObject *algorithm_name = bytes_of(algorithm, algorithm_size);
    PyObject *known = algorithm_name == NULL ? NULL : PyDict_GetItemWithError(algorithms, algorithm_name);
    if (algorithm_name == NULL || (known == NULL && PyErr_Occurred())) {
        Py_XDECREF(algorithm_name);
        return NULL;
    }
    PyObject *fields[] = {
        bytes_of(name, name_size),
        algorithm_name,
        Py_NewRef(known == NULL ? Py_None : known),
        PyLong_FromUnsignedLongLong((unsigned long long)two_octets(times) << 32 | four_octets(times + 2)),
        number(two_octets(times + 6)),
        bytes_of(times + TIMES_SIZE, mac),
        number(two_octets(tail)),
        number(two_octets(tail + 2)),
        bytes_of(tail + TAIL_SIZE, other),
        without_last(wire, start, tail),
        variables(name, name_size, algorithm, algorithm_size, times, mac, other),
    };
    return made(type, fields, sizeof fields / sizeof *fields);
}

/* Read the SIG(0) that starts at start and whose type is at fixed (RFC 2931 section 3). As read_tsig. */
static PyObject *read_sig0(const uint8_t *wire, size_t size, size_t start, size_t fixed, PyObject *type) {
    size_t begin = fixed + FIXED_SIZE, end;
    unsigned class_ = two_octets(wire + fixed + 2);
    if ((class_ != ANY && class_ != IN) || two_octets(wire + fixed + 8) <= SIG_SIZE) {
        return NULL;
    }
    uint8_t head[SIG_SIZE + NAME_MAX_SIZE];
    size_t signer = name_read(wire, size, begin + SIG_SIZE, head + SIG_SIZE, &end);
    if (signer == 0 || wire[begin + 3] != 0 || four_octets(wire + begin + 4) != 0 || end >= size) {
        return NULL;
    }
    memcpy(head, wire + begin, SIG_SIZE);
    PyObject *canonical = bytes_of(head, SIG_SIZE + signer);
    bool as_sent = end - begin == SIG_SIZE + signer && memcmp(wire + begin, head, SIG_SIZE + signer) != 0;
    PyObject *fields[] = {
        bytes_of(head + SIG_SIZE, signer),
        number(wire[begin + 2]),
        number(two_octets(wire + begin + 16)),
        number(four_octets(wire + begin + 8)),
        number(four_octets(wire + begin + 12)),
        canonical,
        as_sent ? bytes_of(wire + begin, end - begin) : Py_XNewRef(canonical),
        bytes_of(wire + end, size - end),
        without_last(wire, start, wire),
    };
    return made(type, fields, sizeof fields / sizeof *fields);
}

PyObject *native_open_signed(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4 || !PyDict_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "open_signed takes a message, a type, a dict of algorithms and a type");
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0])) {
        Py_RETURN_NONE;
    }
    const uint8_t *wire = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    size_t size = (size_t)PyBytes_GET_SIZE(args[0]), start, fixed;
    unsigned found = trailer_find(wire, size, &start, &fixed);
    if (found == 0) {
        Py_RETURN_NONE;
    }
    return or_none(found == TSIG ? read_tsig(wire, size, start, fixed, args[1], args[2])
                                 : read_sig0(wire, size, start, fixed, args[3]));
}
