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

/* What a TSIG that is written says (RFC 8945 section 4.2); *other* has at most 65535 octets, as have the others. */
struct stamp {
    const uint8_t *name, *algorithm, *other;
    size_t name_size, algorithm_size, other_size;
    uint64_t time;
    unsigned fudge, error;
};

static uint8_t *put_octets(uint8_t *at, const void *octets, size_t size) {
    memcpy(at, octets, size);
    return at + size;
}

static uint8_t *put_two(uint8_t *at, size_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put_times(uint8_t *at, const struct stamp *stamp) {
    for (unsigned place = 0; place < 6; place++) {
        *at++ = (uint8_t)(stamp->time >> (40 - 8 * place));
    }
    return put_two(at, stamp->fudge);
}

/* Point *octets at what *value* holds. Return false where it is no bytes, or more than *most* octets. */
static bool octets_of(PyObject *value, size_t most, const uint8_t **octets, size_t *size) {
    if (!PyBytes_CheckExact(value) || (size_t)PyBytes_GET_SIZE(value) > most) {
        return false;
    }
    *octets = (const uint8_t *)PyBytes_AS_STRING(value);
    *size = (size_t)PyBytes_GET_SIZE(value);
    return true;
}

/* Return *value*, a number up to *most*; or -1 where it is none. */
static long long number_of(PyObject *value, long long most) {
    long long found = PyLong_Check(value) ? PyLong_AsLongLong(value) : -1;
    if (found == -1 && PyErr_Occurred()) {
        PyErr_Clear();
    }
    return found < 0 || found > most ? -1 : found;
}

/* Read name, algorithm, time, fudge, error and other data. Return false where Python has to. */
static bool read_stamp(PyObject *const *args, struct stamp *stamp) {
    long long time = number_of(args[2], 0xFFFFFFFFFFFF), fudge = number_of(args[3], UINT16_MAX);
    long long error = number_of(args[4], UINT16_MAX);
    if (time < 0 || fudge < 0 || error < 0) {
        return false;
    }
    stamp->time = (uint64_t)time;
    stamp->fudge = (unsigned)fudge;
    stamp->error = (unsigned)error;
    return octets_of(args[0], NAME_MAX_SIZE, &stamp->name, &stamp->name_size) &&
           octets_of(args[1], NAME_MAX_SIZE, &stamp->algorithm, &stamp->algorithm_size) &&
           octets_of(args[5], UINT16_MAX - 2 * NAME_MAX_SIZE, &stamp->other, &stamp->other_size);
}

PyObject *native_tsig_signed(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    const uint8_t *prefix, *wire;
    size_t prefix_size, size;
    struct stamp stamp;
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "tsig_signed takes eight arguments");
        return NULL;
    }
    if (!octets_of(args[0], MESSAGE_MAX, &prefix, &prefix_size) || !octets_of(args[1], MESSAGE_MAX, &wire, &size) ||
        !read_stamp(args + 2, &stamp)) {
        Py_RETURN_NONE;
    }
    size_t octets = prefix_size + size + stamp.name_size + stamp.algorithm_size + VARIABLES_SIZE + stamp.other_size;
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)octets);
    if (out != NULL) {
        uint8_t *at = put_octets((uint8_t *)PyBytes_AS_STRING(out), prefix, prefix_size);
        at = put_octets(at, wire, size);
        at = put_octets(at, stamp.name, stamp.name_size);
        at = put_octets(at, "\0\377\0\0\0\0", 6); /* class ANY, TTL 0 */
        at = put_octets(at, stamp.algorithm, stamp.algorithm_size);
        at = put_two(put_times(at, &stamp), stamp.error);
        put_octets(put_two(at, stamp.other_size), stamp.other, stamp.other_size);
    }
    return out;
}

PyObject *native_tsig_put(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    const uint8_t *mac, *wire;
    size_t mac_size, size;
    struct stamp stamp;
    if (count != 8) {
        PyErr_SetString(PyExc_TypeError, "tsig_put takes eight arguments");
        return NULL;
    }
    if (!octets_of(args[0], UINT8_MAX, &mac, &mac_size) || !octets_of(args[1], MESSAGE_MAX, &wire, &size) ||
        size < HEADER_SIZE || two_octets(wire + 10) == UINT16_MAX || !read_stamp(args + 2, &stamp)) {
        Py_RETURN_NONE;
    }
    size_t rdata = stamp.algorithm_size + TIMES_SIZE + mac_size + TAIL_SIZE + stamp.other_size;
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(size + stamp.name_size + FIXED_SIZE + rdata));
    if (out != NULL) {
        uint8_t *at = put_octets((uint8_t *)PyBytes_AS_STRING(out), wire, size);
        put_two(at - size + 10, two_octets(wire + 10) + 1);
        at = put_octets(at, stamp.name, stamp.name_size);
        at = put_octets(put_two(at, TSIG), "\0\377\0\0\0\0", 6);
        at = put_octets(put_two(at, rdata), stamp.algorithm, stamp.algorithm_size);
        at = put_octets(put_two(put_times(at, &stamp), mac_size), mac, mac_size);
        at = put_two(put_octets(at, wire, 2), stamp.error); /* the ID, and the error behind it */
        put_octets(put_two(at, stamp.other_size), stamp.other, stamp.other_size);
    }
    return out;
}
