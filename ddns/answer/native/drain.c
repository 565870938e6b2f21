/* A UDP socket is drained: recvmmsg, an answer to each question that is known, sendmmsg.
 *
 * All buffers are of fixed size and belong to the Answerer. Nothing here blocks, and every loop ends: each round of
 * `drain` reads at least one datagram of those that it may read, each round of `send_all` is done with at least one.
 */
#include <arpa/inet.h>
#include <errno.h>

#include "native.h"

#define BATCH 64 /* datagrams read and answers sent by one system call */
#define LINE 64  /* octets of a cache line; so much more than a power of two, buffers do not compete for one */

#define CONTROL_SIZE CMSG_SPACE(sizeof(struct in6_pktinfo)) /* the larger of the two kinds */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

union control {
    struct cmsghdr aligned;
    uint8_t octets[CONTROL_SIZE];
};

struct batch {
    struct mmsghdr come[BATCH], go[BATCH];
    struct iovec come_parts[BATCH], go_parts[BATCH];
    union address peers[BATCH];
    union control asked[BATCH], leaving[BATCH]; /* which of our addresses was asked; from which the answer leaves */
    uint8_t requests[BATCH][REQUEST_MAX + LINE];
    uint8_t answers[BATCH][ANSWER_MAX + LINE];
};

struct batch *batch_new(void) {
    struct batch *batch = PyMem_Calloc(1, sizeof *batch);
    if (batch == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < BATCH; i++) {
        batch->come_parts[i] = (struct iovec){.iov_base = batch->requests[i], .iov_len = REQUEST_MAX};
        batch->come[i].msg_hdr.msg_iov = &batch->come_parts[i];
        batch->come[i].msg_hdr.msg_iovlen = 1;
        batch->come[i].msg_hdr.msg_name = &batch->peers[i];
        batch->go_parts[i].iov_base = batch->answers[i];
        batch->go[i].msg_hdr.msg_iov = &batch->go_parts[i];
        batch->go[i].msg_hdr.msg_iovlen = 1;
    }
    return batch;
}

void batch_free(struct batch *batch) { PyMem_Free(batch); }

/* Read what has come, at most *most* and BATCH datagrams. Return how many; 0: none, or an error of the socket. */
static size_t receive(struct batch *batch, int fd, bool wildcard, size_t most) {
    size_t room = most < BATCH ? most : BATCH;
    for (size_t i = 0; i < room; i++) {
        struct msghdr *header = &batch->come[i].msg_hdr;
        header->msg_namelen = sizeof batch->peers[i];
        header->msg_control = wildcard ? &batch->asked[i] : NULL;
        header->msg_controllen = wildcard ? sizeof batch->asked[i] : 0;
        header->msg_flags = 0;
    }
    int came = recvmmsg(fd, batch->come, (unsigned int)room, MSG_DONTWAIT, NULL);
    return came < 0 ? 0 : (size_t)came;
}

/* Put into *leaving* from which of our addresses the answer to what came with *header* leaves: the one that was asked
 * (RFC 2181 section 4.1). Return the octets of it; 0 where the kernel has not said which it was. */
static size_t leave_from(struct msghdr *header, union control *leaving) {
    struct msghdr out = {.msg_control = leaving, .msg_controllen = sizeof *leaving};
    struct cmsghdr *answer = CMSG_FIRSTHDR(&out);
    for (struct cmsghdr *one = CMSG_FIRSTHDR(header); one != NULL; one = CMSG_NXTHDR(header, one)) {
        if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO &&
            one->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
            struct in_pktinfo asked;
            memcpy(&asked, CMSG_DATA(one), sizeof asked);
            struct in_pktinfo from = {.ipi_spec_dst = asked.ipi_addr};
            *answer = (struct cmsghdr){
                .cmsg_len = CMSG_LEN(sizeof from), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
            memcpy(CMSG_DATA(answer), &from, sizeof from);
            return CMSG_SPACE(sizeof from);
        }
        if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_PKTINFO &&
            one->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
            struct in6_pktinfo from;
            memcpy(&from, CMSG_DATA(one), sizeof from);
            if (from.ipi6_addr.s6_addr[0] != 0xFE) {
                from.ipi6_ifindex = 0; /* only a link-local address needs its link */
            }
            *answer = (struct cmsghdr){
                .cmsg_len = CMSG_LEN(sizeof from), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
            memcpy(CMSG_DATA(answer), &from, sizeof from);
            return CMSG_SPACE(sizeof from);
        }
    }
    return 0;
}

PyObject *question_host(struct question *question) {
    if (question->host == NULL) {
        char text[INET6_ADDRSTRLEN];
        const union address *peer = (const union address *)question->peer;
        const void *octets = peer->any.sa_family == AF_INET6 ? (const void *)&peer->v6.sin6_addr
                                                             : (const void *)&peer->v4.sin_addr;
        if (inet_ntop(peer->any.sa_family, octets, text, sizeof text) == NULL) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        question->host = PyUnicode_FromString(text);
    }
    return question->host;
}

/* Return the peer as Python's socket module shows it. */
static PyObject *peer_tuple(struct question *question) {
    PyObject *host = question_host(question);
    if (host == NULL) {
        return NULL;
    }
    const union address *peer = (const union address *)question->peer;
    if (peer->any.sa_family == AF_INET6) {
        return Py_BuildValue("OiII", host, (int)ntohs(peer->v6.sin6_port),
                             (unsigned int)ntohl(peer->v6.sin6_flowinfo), (unsigned int)peer->v6.sin6_scope_id);
    }
    return Py_BuildValue("Oi", host, (int)ntohs(peer->v4.sin_port));
}

/* Return the ancillary data of *size* octets at *leaving* as `socket.sendmsg` takes it. */
static PyObject *control_list(union control *leaving, size_t size) {
    if (size == 0) {
        return PyList_New(0);
    }
    const struct cmsghdr *one = &leaving->aligned;
    return Py_BuildValue("[(iiy#)]", one->cmsg_level, one->cmsg_type, (const char *)CMSG_DATA(one),
                         (Py_ssize_t)(one->cmsg_len - CMSG_LEN(0)));
}

/* Append what Python has to answer to *aside*. Return 0; -1 with an exception. */
static int put_aside(PyObject *aside, const uint8_t *wire, size_t size, struct question *question, PyObject *control) {
    PyObject *peer = control == NULL ? NULL : peer_tuple(question);
    PyObject *item = peer == NULL ? NULL : Py_BuildValue("y#OO", (const char *)wire, (Py_ssize_t)size, peer, control);
    int failed = item == NULL ? -1 : PyList_Append(aside, item);
    Py_XDECREF(item);
    Py_XDECREF(peer);
    Py_XDECREF(control);
    return failed;
}

/* Answer the datagram number *i* into the place *answers* of those that go. Return 1: it goes; 0: none does; -1. */
static int answer_one(Answerer *self, size_t i, size_t answers, bool wildcard, double now, PyObject *aside) {
    struct batch *batch = self->batch;
    struct msghdr *header = &batch->come[i].msg_hdr;
    const uint8_t *wire = batch->requests[i];
    size_t size = batch->come[i].msg_len;
    if (size < HEADER_SIZE || header->msg_namelen > sizeof batch->peers[i]) {
        return 0;
    }
    struct question question;
    uint8_t *out = batch->answers[answers];
    Py_ssize_t sending = answer_question(self, wire, size, &batch->peers[i].any, &question, out);
    size_t control = wildcard && sending >= 0 ? leave_from(header, &batch->leaving[answers]) : 0;
    int going = -1;
    if (sending == 0) {
        PyObject *leaving = wildcard ? control_list(&batch->leaving[answers], control) : Py_NewRef(Py_None);
        going = put_aside(aside, wire, size, &question, leaving);
    } else if (sending > 0) {
        sending = guard_sending(&self->guard, &question, out, sending, now);
        going = sending > 0 ? 1 : (int)sending;
    }
    Py_XDECREF(question.host);
    if (going == 1) {
        struct msghdr *answer = &batch->go[answers].msg_hdr;
        batch->go_parts[answers].iov_len = (size_t)sending;
        answer->msg_name = &batch->peers[i];
        answer->msg_namelen = header->msg_namelen;
        answer->msg_control = control == 0 ? NULL : &batch->leaving[answers];
        answer->msg_controllen = control;
    }
    return going;
}

/* Send *count* answers. Return false where there was no room for all: the rest is lost, and asked for again. */
static bool send_all(struct batch *batch, int fd, size_t count) {
    size_t done = 0;
    while (done < count) {
        int sent = sendmmsg(fd, batch->go + done, (unsigned int)(count - done), MSG_DONTWAIT);
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

PyObject *drain(Answerer *self, int fd, bool wildcard, Py_ssize_t most, double now) {
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "a drain is under way");
        return NULL;
    }
    PyObject *aside = PyList_New(0);
    if (aside == NULL) {
        return NULL;
    }
    self->busy = true;
    guard_begin(&self->guard, now);
    Py_ssize_t seen = 0;
    bool failed = false, room = true;
    while (!failed && room && seen < most && PyList_GET_SIZE(aside) == 0) {
        size_t came = receive(self->batch, fd, wildcard, (size_t)(most - seen));
        if (came == 0) {
            break;
        }
        seen += (Py_ssize_t)came;
        size_t answers = 0;
        for (size_t i = 0; i < came && !failed; i++) {
            int going = answer_one(self, i, answers, wildcard, now, aside);
            failed = going < 0;
            answers += going == 1;
        }
        room = send_all(self->batch, fd, answers);
    }
    self->busy = false;
    guard_end(&self->guard, seen, PyList_GET_SIZE(aside));
    return failed ? Py_DECREF(aside), NULL : Py_BuildValue("nN", seen, aside);
}
