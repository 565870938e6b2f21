/* A UDP socket is drained: recvmmsg, an answer to each question that is known, sendmmsg.
 *
 * All buffers are of fixed size and belong to the Answerer. Nothing here blocks, and every loop ends: each round of
 * `drain` reads some datagrams of those that it may read, each round of `send_all` is done with at least one.
 */
#include <arpa/inet.h>
#include <errno.h>

#include "native.h"

#define BATCH 64 /* datagrams read and answers sent by one system call */
#define FEW 4    /* where fewer came, there is hardly one more by now: the loop is asked, and not the socket again */

struct batch {
    struct mmsghdr come[BATCH], go[BATCH];
    struct iovec come_parts[BATCH], go_parts[BATCH];
    union address peers[BATCH];
    union control asked[BATCH], leaving[BATCH]; /* which of our addresses was asked; from which the answer leaves */
    struct question questions[BATCH];
    int understood[BATCH];
    /* By a line more than a power of two, so that the buffers' beginnings do not compete for one place in the cache. */
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
static int put_aside(PyObject *aside, struct question *question, PyObject *control) {
    PyObject *peer = control == NULL ? NULL : peer_tuple(question);
    PyObject *item = peer == NULL ? NULL : Py_BuildValue("y#OO", (const char *)question->wire,
                                                        (Py_ssize_t)question->size, peer, control);
    int failed = item == NULL ? -1 : PyList_Append(aside, item);
    Py_XDECREF(item);
    Py_XDECREF(peer);
    Py_XDECREF(control);
    return failed;
}

/* Say who asks what in each of the *count* datagrams, and find what is remembered for it. Return 0; -1. */
static int find_all(Answerer *self, size_t count) {
    struct batch *batch = self->batch;
    for (size_t i = 0; i < count; i++) {
        batch->understood[i] = read_question(self, batch->requests[i], batch->come[i].msg_len, &batch->peers[i].any,
                                             &batch->questions[i]);
        if (batch->understood[i] < 0) {
            return -1;
        }
    }
    for (int step = AHEAD_SLOT; step <= AHEAD_KEY; step++) {
        for (size_t i = 0; i < count; i++) {
            if (batch->understood[i]) {
                ahead(batch->questions[i].answers, batch->questions[i].hash, (enum ahead)step);
            }
        }
    }
    size_t found = 0;
    while (found < count && (batch->understood[found] == 0 || look_up(&batch->questions[found]) == 0)) {
        found++;
    }
    for (size_t i = 0; i < found; i++) {
        hold_entry(&batch->questions[i]);
    }
    return found < count ? -1 : 0;
}

/* Answer the datagram number *i* into the place *answers* of those that go. Return 1: it goes; 0: none does; -1. */
static int answer_one(Answerer *self, size_t i, size_t answers, bool wildcard, double now, PyObject *aside) {
    struct batch *batch = self->batch;
    struct msghdr *header = &batch->come[i].msg_hdr;
    struct question *question = &batch->questions[i];
    if (question->size < HEADER_SIZE || header->msg_namelen > sizeof batch->peers[i]) {
        return 0;
    }
    uint8_t *out = batch->answers[answers];
    Py_ssize_t sending = batch->understood[i] ? write_answer(self, question, out) : 0;
    size_t control = wildcard && sending >= 0 ? leave_from(header, &batch->leaving[answers]) : 0;
    if (sending == 0) {
        PyObject *leaving = wildcard ? control_list(&batch->leaving[answers], control) : Py_NewRef(Py_None);
        return put_aside(aside, question, leaving);
    }
    if (sending > 0) {
        sending = guard_sending(&self->guard, question, out, sending, now);
    }
    if (sending <= 0) {
        return (int)sending;
    }
    struct msghdr *answer = &batch->go[answers].msg_hdr;
    batch->go_parts[answers].iov_len = (size_t)sending;
    answer->msg_name = &batch->peers[i];
    answer->msg_namelen = header->msg_namelen;
    answer->msg_control = control == 0 ? NULL : &batch->leaving[answers];
    answer->msg_controllen = control;
    return 1;
}

/* Answer *count* datagrams and append what Python has to answer to *aside*. Return how many answers go; -1. */
static int answer_all(Answerer *self, size_t count, bool wildcard, double now, PyObject *aside) {
    int failed = find_all(self, count);
    size_t answers = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        int going = answer_one(self, i, answers, wildcard, now, aside);
        failed = going < 0;
        answers += going == 1;
    }
    for (size_t i = 0; i < count; i++) {
        release_question(&self->batch->questions[i]);
    }
    return failed ? -1 : (int)answers;
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
        int answers = answer_all(self, came, wildcard, now, aside);
        failed = answers < 0;
        room = !failed && send_all(fd, self->batch->go, (size_t)answers) && came >= FEW;
    }
    guard_end(&self->guard, seen, PyList_GET_SIZE(aside));
    self->busy = false;
    return failed ? Py_DECREF(aside), NULL : Py_BuildValue("nN", seen, aside);
}
