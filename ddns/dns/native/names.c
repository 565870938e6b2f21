/* Names: what ddns/dns/names.py does with them in Python. */
#include "native.h"

#include <string.h>

size_t name_read(const uint8_t *wire, size_t size, size_t offset, uint8_t out[NAME_MAX_SIZE], size_t *end) {
    size_t used = 0, limit = offset, left = size, after = 0;
    for (unsigned hops = 0;;) {
        if (offset >= left) {
            return 0;
        }
        unsigned length = wire[offset];
        if (length == 0) {
            if (used + 1 > NAME_MAX_SIZE) {
                return 0;
            }
            out[used++] = 0;
            *end = after != 0 ? after : offset + 1;
            return used;
        }
        if (length <= LABEL_MAX_SIZE) {
            if (offset + 1 + length > left || used + 1 + length >= NAME_MAX_SIZE) {
                return 0;
            }
            out[used++] = (uint8_t)length;
            for (const uint8_t *from = wire + offset + 1, *stop = from + length; from < stop; from++) {
                out[used++] = *from >= 'A' && *from <= 'Z' ? (uint8_t)(*from | 0x20) : *from;
            }
            offset += 1 + length;
            continue;
        }
        if (length < 0xC0 || offset + 1 >= left || ++hops > HOPS_MAX) {
            return 0;
        }
        size_t target = (size_t)(length & 0x3F) << 8 | wire[offset + 1];
        if (after == 0) {
            after = offset + 2;
        }
        if (target >= limit) {
            return 0;
        }
        left = limit; /* what a pointer points to ends before the piece that the pointer is in begins */
        limit = offset = target;
    }
}

size_t name_skip(const uint8_t *wire, size_t size, size_t offset) {
    while (offset < size) {
        unsigned length = wire[offset];
        if (length == 0) {
            return offset + 1;
        }
        if (length >= 0xC0) {
            return offset + 2 > size ? 0 : offset + 2;
        }
        if (length > LABEL_MAX_SIZE) {
            return 0;
        }
        offset += 1 + length;
    }
    return 0;
}

PyObject *native_read_name(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "read_name takes a message and an offset");
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0])) {
        Py_RETURN_NONE;
    }
    Py_ssize_t offset = PyLong_AsSsize_t(args[1]);
    if (offset == -1 && PyErr_Occurred()) {
        return NULL;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(args[0]), end;
    uint8_t name[NAME_MAX_SIZE];
    size_t used = offset < 0 || size > MESSAGE_MAX
                      ? 0
                      : name_read((const uint8_t *)PyBytes_AS_STRING(args[0]), size, (size_t)offset, name, &end);
    if (used == 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(y#n)", (const char *)name, (Py_ssize_t)used, (Py_ssize_t)end);
}

bool name_order(const uint8_t *wire, size_t size, uint8_t out[ORDER_MAX_SIZE], size_t *begin) {
    size_t at = 0, used = ORDER_MAX_SIZE;
    if (size > NAME_MAX_SIZE) {
        return false;
    }
    while (at < size && wire[at] != 0) {
        size_t length = wire[at];
        if (length > LABEL_MAX_SIZE || at + 1 + length >= size) {
            return false;
        }
        used -= 2;
        out[used] = out[used + 1] = 0;
        for (size_t place = length; place > 0; place--) { /* at most 2 octets for each, and 2: within 3 * 255 */
            uint8_t octet = wire[at + place];
            if (octet == 0) {
                out[--used] = 1;
            }
            out[--used] = octet;
        }
        at += 1 + length;
    }
    *begin = used;
    return at + 1 == size;
}

PyObject *native_order_key(PyObject *module, PyObject *name) {
    (void)module;
    uint8_t out[ORDER_MAX_SIZE];
    size_t begin;
    if (!PyBytes_CheckExact(name) ||
        !name_order((const uint8_t *)PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name), out, &begin)) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)out + begin, (Py_ssize_t)(sizeof out - begin));
}
