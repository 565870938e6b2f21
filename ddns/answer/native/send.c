/* Answers that Python made, sent together: one sendmmsg for as many as there are. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "native.h"

#define TOGETHER 64 /* answers sent by one system call */

struct parcel {
    struct iovec part;
    union address peer;
    union control leaving;
};

/* Read *peer*, as Python's socket module shows it, into *address*. Return its octets; 0: it is no such thing. */
static socklen_t read_peer(PyObject *peer, union address *address) {
    const char *host;
    int port = 0;
    unsigned int flow = 0, scope = 0;
    memset(address, 0, sizeof *address);
    if (PyTuple_CheckExact(peer) && PyTuple_GET_SIZE(peer) == 2 && PyArg_ParseTuple(peer, "si", &host, &port)) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)port);
        return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1 ? sizeof address->v4 : 0;
    }
    if (PyTuple_CheckExact(peer) && PyTuple_GET_SIZE(peer) == 4 &&
        PyArg_ParseTuple(peer, "siII", &host, &port, &flow, &scope)) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        address->v6.sin6_flowinfo = htonl(flow);
        address->v6.sin6_scope_id = scope;
        return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1 ? sizeof address->v6 : 0;
    }
    PyErr_Clear();
    return 0;
}

/* Read *control*, None or a list as `socket.sendmsg` takes it, into *leaving*. Return its octets; -1: no such thing. */
static Py_ssize_t read_control(PyObject *control, union control *leaving) {
    if (control == Py_None || (PyList_CheckExact(control) && PyList_GET_SIZE(control) == 0)) {
        return 0;
    }
    int level, kind;
    const char *octets;
    Py_ssize_t size;
    if (!PyList_CheckExact(control) || PyList_GET_SIZE(control) != 1 || !PyTuple_CheckExact(PyList_GET_ITEM(control, 0)) ||
        !PyArg_ParseTuple(PyList_GET_ITEM(control, 0), "iiy#", &level, &kind, &octets, &size) ||
        CMSG_SPACE((size_t)size) > CONTROL_SIZE) {
        PyErr_Clear();
        return -1;
    }
    memset(leaving, 0, sizeof *leaving);
    leaving->aligned.cmsg_len = CMSG_LEN((size_t)size);
    leaving->aligned.cmsg_level = level;
    leaving->aligned.cmsg_type = kind;
    memcpy(CMSG_DATA(&leaving->aligned), octets, (size_t)size);
    return (Py_ssize_t)CMSG_SPACE((size_t)size);
}

/* Address what *item* says: (octets, peer, control). Return false where it is no such thing. */
static bool address_parcel(PyObject *item, struct parcel *parcel, struct msghdr *header) {
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 3 || !PyBytes_CheckExact(PyTuple_GET_ITEM(item, 0))) {
        return false;
    }
    PyObject *octets = PyTuple_GET_ITEM(item, 0);
    socklen_t peer = read_peer(PyTuple_GET_ITEM(item, 1), &parcel->peer);
    Py_ssize_t control = read_control(PyTuple_GET_ITEM(item, 2), &parcel->leaving);
    if (peer == 0 || control < 0) {
        return false;
    }
    parcel->part = (struct iovec){PyBytes_AS_STRING(octets), (size_t)PyBytes_GET_SIZE(octets)};
    *header = (struct msghdr){.msg_name = &parcel->peer, .msg_namelen = peer, .msg_iov = &parcel->part, .msg_iovlen = 1};
    if (control > 0) {
        header->msg_control = &parcel->leaving;
        header->msg_controllen = (size_t)control;
    }
    return true;
}

bool send_all(int fd, struct mmsghdr *go, size_t count) {
    size_t done = 0;
    while (done < count) {
        int sent = sendmmsg(fd, go + done, (unsigned int)(count - done), MSG_DONTWAIT);
        if (sent > 0) {
            done += (size_t)sent;
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            return false;
        } else {
            done++; /* this one cannot be sent: its port is 0, there is no way to it, a filter says no */
        }
    }
    return true;
}

PyObject *send_many(PyObject *answerer, PyObject *args) {
    (void)answerer;
    int fd;
    PyObject *items;
    struct mmsghdr go[TOGETHER];
    struct parcel parcels[TOGETHER];
    if (!PyArg_ParseTuple(args, "iO!:send", &fd, &PyList_Type, &items)) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(items);) {
        size_t count = 0;
        while (count < TOGETHER && at < PyList_GET_SIZE(items)) {
            go[count].msg_len = 0;
            count += address_parcel(PyList_GET_ITEM(items, at++), &parcels[count], &go[count].msg_hdr);
        }
        (void)send_all(fd, go, count);
    }
    Py_RETURN_NONE;
}
