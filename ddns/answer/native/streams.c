/* DNS over streams: messages with two octets of length before each (RFC 1035 section 4.2.2), and a TCP socket that is
 * read, answered and written by one call. The slow twin is ddns.answer.framing.
 *
 * What comes and what goes stand in two buffers of the Answerer. A look-up may run Python code (see below.c), which
 * must not use them meanwhile. Each round of `answer_frames` takes at least one message of those that are there.
 */
#include <errno.h>

#include "native.h"

#define LENGTH 2
#define READ 4096        /* octets: READ in ddns.net.exchange */
#define ROOM (64 * 1024) /* octets: ROOM in ddns.answer.framing */
#define FLAG_TC 0x02     /* of the header's third octet */

struct stream {
    uint8_t come[READ];
    uint8_t go[ROOM + LENGTH + ANSWER_MAX]; /* it stops when ROOM is used up */
};

struct stream *stream_new(void) { return PyMem_Calloc(1, sizeof(struct stream)); }

void stream_free(struct stream *stream) { PyMem_Free(stream); }

/* Answer the messages in the *size* octets at *octets*, from *at* on, as long as they are whole and known, and move
 * *at* behind the last of them. Return how many octets of answers stand in the stream's `go`; -1: an exception. */
static Py_ssize_t answer_frames(Answerer *self, const uint8_t *octets, size_t size, size_t *at) {
    uint8_t *go = self->stream->go;
    size_t put = 0;
    while (put < ROOM && size - *at >= LENGTH) {
        const uint8_t *message = octets + *at + LENGTH;
        size_t length = (size_t)message[-2] << 8 | message[-1];
        if (length > size - *at - LENGTH) {
            break;
        }
        uint8_t *out = go + put + LENGTH;
        Py_ssize_t answered = answer_question(self, message, length, out);
        if (answered < 0) {
            return -1;
        }
        if (answered == 0 || (out[2] & FLAG_TC) != 0) {
            break; /* Python has to answer; what is truncated is for UDP only */
        }
        guard_streamed(&self->guard, out[3] & 15);
        out[-2] = (uint8_t)(answered >> 8);
        out[-1] = (uint8_t)answered;
        put += LENGTH + (size_t)answered;
        *at += LENGTH + length;
    }
    return (Py_ssize_t)put;
}

/* Do it, and have nobody else do it meanwhile. */
static Py_ssize_t answer_alone(Answerer *self, const uint8_t *octets, size_t size, size_t *at) {
    self->busy = true;
    Py_ssize_t put = answer_frames(self, octets, size, at);
    self->busy = false;
    return put;
}

/* Return whether the buffers are free; where they are not, an exception is set. */
static bool is_free(const Answerer *self) {
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "answers are being made");
    }
    return !self->busy;
}

PyObject *stream_frames(Answerer *self, PyObject *octets, Py_ssize_t at) {
    size_t offset = (size_t)at;
    if (!PyBytes_CheckExact(octets) || at < 0 || at > PyBytes_GET_SIZE(octets)) {
        PyErr_SetString(PyExc_ValueError, "an offset into bytes is wanted");
        return NULL;
    }
    if (!is_free(self)) {
        return NULL;
    }
    Py_ssize_t put = answer_alone(self, (const uint8_t *)PyBytes_AS_STRING(octets),
                                  (size_t)PyBytes_GET_SIZE(octets), &offset);
    return put < 0 ? NULL : Py_BuildValue("y#n", (const char *)self->stream->go, put, (Py_ssize_t)offset);
}

PyObject *stream_exchange(Answerer *self, int fd) {
    struct stream *stream = self->stream;
    if (!is_free(self)) {
        return NULL;
    }
    ssize_t came = recv(fd, stream->come, READ, MSG_DONTWAIT);
    if (came < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    size_t at = 0;
    Py_ssize_t put = answer_alone(self, stream->come, (size_t)came, &at);
    if (put < 0) {
        return NULL;
    }
    Py_ssize_t sent = 0;
    if (put > 0) {
        sent = send(fd, stream->go, (size_t)put, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        sent = sent < 0 ? 0 : sent;
    }
    if (at == (size_t)came && sent == put) {
        return PyLong_FromSsize_t(came);
    }
    return Py_BuildValue("y#ny#", (const char *)stream->come, (Py_ssize_t)came, (Py_ssize_t)at,
                         (const char *)stream->go + sent, put - sent);
}
