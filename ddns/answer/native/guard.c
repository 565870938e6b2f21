/* Cookies and response rate limiting: the first stage here, whatever is over a limit by Rrl.judge. */
#include <endian.h>

#include "native.h"

#define OLDEST 3600 /* RFC 9018 section 4.3, seconds that a cookie is good for */
#define AHEAD 300   /* seconds that it may be ahead of our clock */
#define RENEW 1800  /* seconds after which a new one is given */
#define DAY 86400   /* seconds */
#define HASH_SIZE 8 /* octets of SipHash-2-4 */
#define MADE 12     /* octets of a cookie before its time */
#define HASHED 16   /* octets of a cookie that are hashed: the client's, version, reserved, time */
#define ADDED (4 + COOKIE_SIZE) /* octets by which our cookie makes an OPT record longer */
#define BEGIN (OPT_SIZE + 4)    /* octets of an OPT record before the data of its first option */

int guard_attach(struct guard *guard, PyObject *rrl) {
    for (size_t i = 0; i < GUARD_DAYS; i++) {
        guard->days[i].count = 0;
    }
    guard->packed = dict_attribute(rrl, "packed");
    guard->admit = guard->packed == NULL ? NULL : PyObject_GetAttrString(rrl, "admit");
    guard->judge = guard->admit == NULL ? NULL : PyObject_GetAttrString(rrl, "judge");
    PyObject *limited = guard->judge == NULL ? NULL : PyObject_GetAttrString(rrl, "limited");
    PyObject *cookies = limited == NULL ? NULL : PyObject_GetAttrString(rrl, "cookies");
    PyObject *counters = cookies == NULL ? NULL : PyObject_GetAttrString(rrl, "counters");
    PyObject *numbers = counters == NULL ? NULL : PyObject_GetAttrString(counters, "numbers");
    int failed = numbers == NULL ? -1 : PyObject_GetBuffer(numbers, &guard->numbers, PyBUF_WRITABLE);
    if (!failed && guard->numbers.len < (Py_ssize_t)(GUARD_NUMBERS * sizeof(uint64_t))) {
        PyErr_SetString(PyExc_TypeError, "there are too few numbers to count in");
        failed = -1;
    }
    if (!failed && cookies != Py_None) {
        guard->secrets = PyObject_GetAttrString(cookies, "secrets");
        failed = guard->secrets == NULL ? -1 : 0;
    }
    guard->limited = limited == Py_True;
    Py_XDECREF(limited);
    Py_XDECREF(cookies);
    Py_XDECREF(counters);
    Py_XDECREF(numbers);
    return failed;
}

int guard_visit(struct guard *guard, visitproc visit, void *arg) {
    Py_VISIT(guard->packed);
    Py_VISIT(guard->admit);
    Py_VISIT(guard->judge);
    Py_VISIT(guard->secrets);
    return 0;
}

void guard_clear(struct guard *guard) {
    Py_CLEAR(guard->packed);
    Py_CLEAR(guard->admit);
    Py_CLEAR(guard->judge);
    Py_CLEAR(guard->secrets);
    PyBuffer_Release(&guard->numbers);
}

static void count(struct guard *guard, size_t at, uint64_t more) {
    ((uint64_t *)guard->numbers.buf)[at] += more; /* an array's items are aligned */
}

void guard_begin(struct guard *guard, double now) { guard->now = now < 0 || now > 1e15 ? 0 : (int64_t)now; }

void guard_end(struct guard *guard, Py_ssize_t received, Py_ssize_t handed) {
    count(guard, GUARD_RECEIVED, (uint64_t)received);
    count(guard, GUARD_HANDED, (uint64_t)handed);
    guard->now = 0;
}

void guard_streamed(struct guard *guard, size_t rcode) {
    count(guard, GUARD_STREAMED, 1);
    count(guard, rcode, 1);
}

/* ---- SipHash-2-4 (RFC 9018 section 4.4; Aumasson and Bernstein, 2012) ---- */

static uint64_t rotated(uint64_t word, unsigned int bits) { return word << bits | word >> (64 - bits); }

static void rounds(uint64_t v[4], int count) {
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[1] = rotated(v[1], 13) ^ v[0];
        v[0] = rotated(v[0], 32);
        v[2] += v[3];
        v[3] = rotated(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotated(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotated(v[1], 17) ^ v[2];
        v[2] = rotated(v[2], 32);
    }
}

static uint64_t word_at(const uint8_t *octets) {
    uint64_t word;
    memcpy(&word, octets, sizeof word);
    return le64toh(word);
}

static void siphash24(const uint8_t *key, const uint8_t *message, size_t size, uint8_t *out) {
    uint64_t k0 = word_at(key), k1 = word_at(key + 8);
    uint64_t v[4] = {k0 ^ UINT64_C(0x736F6D6570736575), k1 ^ UINT64_C(0x646F72616E646F6D),
                     k0 ^ UINT64_C(0x6C7967656E657261), k1 ^ UINT64_C(0x7465646279746573)};
    uint8_t last[8] = {0};
    size_t whole = size - size % 8;
    memcpy(last, message + whole, size % 8);
    last[7] = (uint8_t)size;
    for (size_t at = 0; at <= whole; at += 8) {
        uint64_t word = word_at(at < whole ? message + at : last);
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xFF;
    rounds(v, 4);
    uint64_t hash = htole64(v[0] ^ v[1] ^ v[2] ^ v[3]);
    memcpy(out, &hash, HASH_SIZE);
}

PyObject *guard_siphash24(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer key, message;
    if (!PyArg_ParseTuple(args, "y*y*:siphash24", &key, &message)) {
        return NULL;
    }
    uint8_t hash[HASH_SIZE];
    bool fits = key.len == SECRET_SIZE;
    if (fits) {
        siphash24(key.buf, message.buf, (size_t)message.len, hash);
    } else {
        PyErr_SetString(PyExc_ValueError, "a key of SipHash-2-4 has 16 octets");
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&message);
    return fits ? PyBytes_FromStringAndSize((const char *)hash, HASH_SIZE) : NULL;
}

/* ---- cookies ---- */

/* Put the secrets of *day* into *found*. Return how many there are; 0: Python has to; -1: exception. */
static int secrets_of(struct guard *guard, int64_t day, const uint8_t (**found)[SECRET_SIZE]) {
    for (size_t i = 0; i < GUARD_DAYS; i++) {
        if (guard->days[i].count != 0 && guard->days[i].day == day) {
            *found = (const uint8_t(*)[SECRET_SIZE])guard->days[i].secret;
            return (int)guard->days[i].count;
        }
    }
    PyObject *secrets = PyObject_CallFunction(guard->secrets, "L", (long long)day);
    if (secrets == NULL) {
        return -1;
    }
    Py_ssize_t size = PyTuple_CheckExact(secrets) ? PyTuple_GET_SIZE(secrets) : 0;
    if (size < 1 || size > GUARD_SECRETS) {
        Py_DECREF(secrets);
        return 0;
    }
    size_t at = guard->next;
    guard->next = (at + 1) % GUARD_DAYS;
    guard->days[at].count = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *secret = PyTuple_GET_ITEM(secrets, i);
        if (!PyBytes_CheckExact(secret) || PyBytes_GET_SIZE(secret) != SECRET_SIZE) {
            Py_DECREF(secrets);
            return 0;
        }
        memcpy(guard->days[at].secret[i], PyBytes_AS_STRING(secret), SECRET_SIZE);
    }
    Py_DECREF(secrets);
    guard->days[at].day = day;
    guard->days[at].count = (size_t)size;
    *found = (const uint8_t(*)[SECRET_SIZE])guard->days[at].secret;
    return (int)size;
}

static int64_t day_of(int64_t seconds) {
    return seconds >= 0 ? seconds / DAY : -((DAY - 1 - seconds) / DAY);
}

/* Hash the first HASHED octets of *cookie* with the peer's 4 or 16 octets: an IPv4 address that an IPv6 socket shows has
 * four (RFC 9018 section 4.4). */
static void hash_cookie(const uint8_t *secret, const uint8_t *cookie, const struct sockaddr *peer, uint8_t *hash) {
    uint8_t hashed[HASHED + 16];
    size_t size = 4;
    memcpy(hashed, cookie, HASHED);
    if (peer->sa_family == AF_INET6) {
        const struct in6_addr *address = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(address);
        size = mapped ? 4 : 16;
        memcpy(hashed + HASHED, address->s6_addr + (mapped ? 12 : 0), size);
    } else {
        memcpy(hashed + HASHED, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, size);
    }
    siphash24(secret, hashed, HASHED + size, hash);
}

/* Compare in a time that tells nothing. */
static bool same_hash(const uint8_t *one, const uint8_t *other) {
    uint8_t differ = 0;
    for (size_t i = 0; i < HASH_SIZE; i++) {
        differ |= one[i] ^ other[i];
    }
    return differ == 0;
}

/* Put the cookie for the answer to who sent *option* into *cookie*, as Cookies.renew. Return 1; 0: Python has to; -1. */
static int renew(struct guard *guard, const uint8_t *option, size_t size, const struct sockaddr *peer, uint8_t *cookie) {
    const uint8_t(*secrets)[SECRET_SIZE];
    if (size == COOKIE_SIZE && option[CLIENT_COOKIE] == 1) {
        uint32_t made;
        memcpy(&made, option + MADE, sizeof made);
        int32_t age = (int32_t)((uint32_t)guard->now - ntohl(made)); /* RFC 1982 */
        if (age >= -AHEAD && age <= RENEW) {
            int known = secrets_of(guard, day_of(guard->now - age), &secrets);
            if (known <= 0) {
                return known;
            }
            /* What another than the first secret made is good, but gives way to a new one at once. */
            uint8_t hash[HASH_SIZE];
            hash_cookie(secrets[0], option, peer, hash);
            if (same_hash(hash, option + HASHED)) {
                memcpy(cookie, option, COOKIE_SIZE);
                return 1;
            }
        }
    }
    int known = secrets_of(guard, day_of(guard->now), &secrets);
    if (known <= 0) {
        return known;
    }
    uint32_t made = htonl((uint32_t)guard->now);
    memcpy(cookie, option, CLIENT_COOKIE);
    memcpy(cookie + CLIENT_COOKIE, "\1\0\0\0", 4); /* version, reserved */
    memcpy(cookie + MADE, &made, sizeof made);
    hash_cookie(secrets[0], cookie, peer, cookie + HASHED);
    return 1;
}

int guard_opt(struct guard *guard, struct question *question, PyObject *tails) {
    size_t rest = question->size - question->end;
    if (question->peer == NULL || guard->secrets == NULL || guard->now == 0 ||
        (rest != BEGIN + CLIENT_COOKIE && rest != BEGIN + COOKIE_SIZE)) {
        return 0;
    }
    const uint8_t *opt = question->wire + question->end;
    uint8_t size = (uint8_t)(rest - BEGIN);
    const uint8_t begin[] = {0, (uint8_t)(4 + size), 0, 10, 0, size}; /* RDLENGTH, the option's code and length */
    if (memcmp(opt + OPT_SIZE - 2, begin, sizeof begin) != 0) {
        return 0;
    }
    uint8_t cookie[COOKIE_SIZE];
    int renewed = renew(guard, opt + BEGIN, size, question->peer, cookie);
    if (renewed <= 0) {
        return renewed;
    }
    uint8_t plain[OPT_SIZE] = {0};
    memcpy(plain, opt, OPT_SIZE - 2);
    PyObject *form = find_octets(tails, plain, OPT_SIZE);
    if (form == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int taken = take_form(question, form);
    size_t before = question->opt_size;
    if (taken <= 0 || before + ADDED > OWN_OPT_MAX || (question->limit != 0 && question->limit <= ADDED)) {
        return taken < 0 ? -1 : 0;
    }
    size_t length = before - OPT_SIZE + ADDED;
    memcpy(question->own_opt, question->opt, before);
    question->own_opt[OPT_SIZE - 2] = (uint8_t)(length >> 8);
    question->own_opt[OPT_SIZE - 1] = (uint8_t)length;
    memcpy(question->own_opt + before, "\0\12\0\30", 4);
    memcpy(question->own_opt + before + 4, cookie, COOKIE_SIZE);
    question->opt = question->own_opt;
    question->opt_size = before + ADDED;
    question->limit -= question->limit != 0 ? ADDED : 0;
    return 1;
}

/* ---- response rate limiting ---- */

/* Return the cell of the peer, borrowed from Rrl.packed or, where that is full, from nobody: *owned* says that it
 * is to be released. NULL with an exception. */
static PyObject *cell_of(struct guard *guard, struct question *question, bool *owned) {
    const struct sockaddr *peer = question->peer;
    const uint8_t *address = (const uint8_t *)&((const struct sockaddr_in *)(const void *)peer)->sin_addr;
    Py_ssize_t size = 4;
    if (peer->sa_family == AF_INET6) {
        address = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr.s6_addr;
        size = 16;
    }
    PyObject *octets = PyBytes_FromStringAndSize((const char *)address, size);
    if (octets == NULL) {
        return NULL;
    }
    PyObject *cell = PyDict_GetItemWithError(guard->packed, octets);
    *owned = cell == NULL;
    if (cell == NULL && !PyErr_Occurred()) {
        PyObject *host = question_host(question);
        cell = host == NULL ? NULL : PyObject_CallFunctionObjArgs(guard->admit, octets, host, NULL);
    }
    Py_DECREF(octets);
    return cell;
}

/* Take one answer from the cell of the peer. Return 1: it may go; 0: the cell is below zero; -1: exception. */
static int take(struct guard *guard, struct question *question) {
    bool owned = false;
    PyObject *cell = cell_of(guard, question, &owned);
    if (cell == NULL) {
        return -1;
    }
    int may = -1;
    if (PyList_CheckExact(cell) && PyList_GET_SIZE(cell) == 1) {
        long long left = PyLong_AsLongLong(PyList_GET_ITEM(cell, 0));
        PyObject *less = left == -1 && PyErr_Occurred() ? NULL : PyLong_FromLongLong(left - 1);
        if (less != NULL && PyList_SetItem(cell, 0, less) == 0) { /* which takes the reference */
            may = left > 0;
        }
    } else {
        PyErr_SetString(PyExc_TypeError, "a cell is a list of one number");
    }
    if (owned) {
        Py_DECREF(cell);
    }
    return may;
}

Py_ssize_t guard_sending(struct guard *guard, struct question *question, uint8_t *out, Py_ssize_t size, double now) {
    int may = guard->limited ? take(guard, question) : 1;
    if (may > 0) {
        count(guard, out[3] & 15, 1);
        return size;
    }
    PyObject *host = may < 0 ? NULL : question_host(question);
    if (host == NULL) {
        return -1;
    }
    PyObject *judged = PyObject_CallFunction(guard->judge, "y#y#Od", (const char *)question->wire,
                                             (Py_ssize_t)question->size, (const char *)out, size, host, now);
    if (judged == NULL) {
        return -1;
    }
    Py_ssize_t sending = 0;
    if (PyBytes_CheckExact(judged) && PyBytes_GET_SIZE(judged) <= ANSWER_MAX) {
        sending = PyBytes_GET_SIZE(judged);
        memcpy(out, PyBytes_AS_STRING(judged), (size_t)sending);
    }
    Py_DECREF(judged);
    return sending;
}
