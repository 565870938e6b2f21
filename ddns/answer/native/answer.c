/* From a question to the octets of its answer, over the dicts of ddns.answer.table.Table. */
#include "native.h"

/* Return whether the header at *wire* is that of a plain query (RFC 1035 section 4.1.1): RD as it may be, AD and CD
 * ignored, one question, at most one additional record. */
static bool is_plain_query(const uint8_t *wire) {
    static const uint8_t counts[7] = {0, 1, 0, 0, 0, 0, 0};
    return (wire[2] & 0xFE) == 0 && (wire[3] & 0xCF) == 0 && memcmp(wire + 4, counts, sizeof counts) == 0 &&
           wire[11] <= 1;
}

/* Read header and question. Return false where they are not plain and whole, or the name is compressed. */
static bool read_plain(const uint8_t *wire, size_t size, struct question *question) {
    if (size < HEADER_SIZE || size > REQUEST_MAX || !is_plain_query(wire)) {
        return false;
    }
    size_t at = HEADER_SIZE;
    for (;;) {
        if (at >= size || wire[at] > LABEL_MAX_SIZE) {
            return false;
        }
        if (wire[at] == 0) {
            break;
        }
        at += 1U + wire[at];
        if (at - HEADER_SIZE >= NAME_MAX_SIZE) {
            return false;
        }
    }
    at++;
    size_t name_size = at - HEADER_SIZE;
    if (size - at < 4) {
        return false;
    }
    /* A label's length is at most 63, so it is no letter and stays as it is. */
    for (size_t i = 0; i < name_size; i++) {
        uint8_t octet = wire[HEADER_SIZE + i];
        question->key[i] = (uint8_t)(octet | ((octet >= 'A' && octet <= 'Z') ? 0x20 : 0));
    }
    memcpy(question->key + name_size, wire + at, 4);
    question->key_size = name_size + 4;
    question->end = at + 4;
    return true;
}

PyObject *find_octets(PyObject *dict, const uint8_t *octets, size_t size) {
    PyObject *key = PyBytes_FromStringAndSize((const char *)octets, (Py_ssize_t)size);
    if (key == NULL) {
        return NULL;
    }
    PyObject *found = PyDict_GetItemWithError(dict, key);
    Py_DECREF(key);
    return found;
}

/* Find out who asks: without OPT, with one that is known, or with one that the guard understands. Return as guard_opt. */
static int read_asker(Answerer *self, struct question *question) {
    size_t rest = question->size - question->end;
    if (question->wire[11] == 0) {
        question->answers = self->bare;
        return rest == 0;
    }
    if (rest == OPT_SIZE) {
        PyObject *form = find_octets(self->tails, question->wire + question->end, OPT_SIZE);
        if (form == NULL && PyErr_Occurred()) {
            return -1;
        }
        if (form != NULL) {
            return take_form(question, form);
        }
    }
    return guard_opt(&self->guard, question, self->tails);
}

int take_form(struct question *question, PyObject *form) {
    if (!PyTuple_CheckExact(form) || PyTuple_GET_SIZE(form) != 3) {
        return 0;
    }
    PyObject *answers = PyTuple_GET_ITEM(form, 0), *opt = PyTuple_GET_ITEM(form, 1);
    long limit = PyLong_AsLong(PyTuple_GET_ITEM(form, 2));
    if (limit < 0 || !PyDict_CheckExact(answers) || !PyBytes_CheckExact(opt) || PyBytes_GET_SIZE(opt) < OPT_SIZE) {
        return PyErr_Occurred() ? -1 : 0;
    }
    question->answers = answers;
    question->opt = (const uint8_t *)PyBytes_AS_STRING(opt);
    question->opt_size = (size_t)PyBytes_GET_SIZE(opt);
    question->limit = (size_t)limit;
    question->edns = true;
    question->signed_ = (question->opt[7] & 0x80) != 0;
    return 1;
}

Py_ssize_t put_answer(const struct question *question, const uint8_t *counts, uint8_t rcode, const uint8_t *body,
                      size_t body_size, uint8_t *out) {
    if (body_size > ANSWER_MAX || question->end + body_size + question->opt_size > ANSWER_MAX) {
        return 0;
    }
    if (question->limit != 0 && question->end + OPT_SIZE + body_size > question->limit) {
        return 0;
    }
    memcpy(out, question->wire, question->end);
    out[2] |= 0x84; /* QR and AA; RD as it came */
    out[3] = rcode;
    memcpy(out + 6, counts, 6);
    uint8_t *at = out + question->end;
    memcpy(at, body, body_size);
    at += body_size;
    if (question->opt_size != 0) {
        memcpy(at, question->opt, question->opt_size);
        at += question->opt_size;
    }
    return at - out;
}

int read_question(Answerer *self, const uint8_t *wire, size_t size, const struct sockaddr *peer,
                  struct question *question) {
    question->wire = wire;
    question->size = size;
    question->peer = peer;
    question->host = question->answers = question->asked = question->entry = NULL;
    question->edns = question->signed_ = false;
    question->opt_size = question->limit = 0;
    if (!read_plain(wire, size, question)) {
        return 0;
    }
    int known = read_asker(self, question);
    if (known <= 0) {
        return known;
    }
    question->asked = PyBytes_FromStringAndSize((const char *)question->key, (Py_ssize_t)question->key_size);
    if (question->asked == NULL) {
        return -1;
    }
    question->hash = PyObject_Hash(question->asked); /* which bytes keep */
    return 1;
}

int look_up(struct question *question) {
    question->entry = PyDict_GetItemWithError(question->answers, question->asked);
    if (question->entry == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    __builtin_prefetch(question->entry);
    return 0;
}

void hold_entry(struct question *question) {
    PyObject *entry = question->entry;
    if (entry == NULL) {
        return;
    }
    Py_INCREF(entry);
    if (PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == 2) {
        __builtin_prefetch(PyTuple_GET_ITEM(entry, 0));
        const char *body = (const char *)PyTuple_GET_ITEM(entry, 1);
        for (size_t line = 0; line < BODY_LINES; line++) {
            __builtin_prefetch(body + line * LINE);
        }
    }
}

Py_ssize_t write_answer(Answerer *self, const struct question *question, uint8_t *out) {
    PyObject *entry = question->entry;
    if (entry == NULL) {
        return below_answer(&self->below, question, out);
    }
    if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != 2) {
        return 0;
    }
    PyObject *counts = PyTuple_GET_ITEM(entry, 0), *body = PyTuple_GET_ITEM(entry, 1);
    if (!PyBytes_CheckExact(counts) || PyBytes_GET_SIZE(counts) != 6 || !PyBytes_CheckExact(body)) {
        return 0;
    }
    return put_answer(question, (const uint8_t *)PyBytes_AS_STRING(counts), 0, (const uint8_t *)PyBytes_AS_STRING(body),
                      (size_t)PyBytes_GET_SIZE(body), out);
}

void release_question(struct question *question) {
    Py_CLEAR(question->host);
    Py_CLEAR(question->asked);
    Py_CLEAR(question->entry);
}

Py_ssize_t answer_question(Answerer *self, const uint8_t *wire, size_t size, uint8_t *out) {
    struct question question;
    Py_ssize_t answered = read_question(self, wire, size, NULL, &question);
    if (answered > 0) {
        answered = look_up(&question);
        if (answered == 0) {
            hold_entry(&question);
            answered = write_answer(self, &question, out);
        }
    }
    release_question(&question);
    return answered;
}
