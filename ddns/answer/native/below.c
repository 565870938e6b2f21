/* Names that have no entry of their own, answered from the pieces of ddns.answer.below.
 *
 * The objects are those of the pure twin, and so is the order of the steps: see Below.answer. An image, a mapping or
 * a chain of another type than the usual is asked by its methods, which may run Python code: so whatever is held
 * across such a call is a reference of our own.
 */
#include "native.h"

#include "sha1.h"

#define LABELS_MAX 40    /* labels of a name that is answered here: a reverse IPv6 name has 34 */
#define HASHED_LABEL 33  /* octets of an NSEC3 owner's first label with its length, RFC 5155 section 3 */
#define ORDER_KEY_MAX (4 * NAME_MAX_SIZE) /* an octet takes at most two, the end of a label two more */
#define POINTER 0xC000U  /* RFC 1035 section 4.1.4 */
#define UDP_MIN_PAYLOAD 512

enum { TYPE_OPT = 41, TYPE_DS = 43, TYPE_RRSIG = 46, TYPE_NSEC = 47, TYPE_META = 128, TYPE_ANY = 255 };
enum { REFERRAL, DENIAL, HASHED, PLAIN, UNUSUAL };                      /* Piece.how */
enum { MARK, HOW, COUNTS, OTHERS, OCTETS, SPOTS, OWNERS, SALT, ITERATIONS, WILDCARD, PIECE_FIELDS }; /* Piece */
enum { SAID_MARK, DELEGATED, SAID_COUNTS, SAID_OTHERS, SAID_BODY, SAID_FIELDS };                     /* Said */

/* The octets that are going to stand behind the question. */
struct body {
    uint8_t octets[ANSWER_MAX];
    size_t size;
    size_t start; /* the offset in the message of the first of them */
};

/* The name of the question and those above it. */
struct line {
    const uint8_t *name;
    size_t size, labels;
    uint8_t at[LABELS_MAX + 1];          /* where each begins in *name*; the last is the root */
    PyObject *octets[LABELS_MAX + 1];    /* the same as bytes, NULL until needed; owned */
};

/* ---- the names of the question ---- */

static bool read_line(struct line *line, const struct question *question) {
    line->name = question->key;
    line->size = question->key_size - 4;
    line->labels = 0;
    for (size_t at = 0;; at += 1U + line->name[at]) {
        if (line->labels > LABELS_MAX) {
            return false;
        }
        line->at[line->labels] = (uint8_t)at;
        line->octets[line->labels] = NULL;
        if (line->name[at] == 0) {
            return true;
        }
        line->labels++;
    }
}

/* Return the name *up* labels above that of the question, borrowed; NULL with an exception. */
static PyObject *above(struct line *line, size_t up) {
    if (line->octets[up] == NULL) {
        size_t at = line->at[up];
        line->octets[up] = PyBytes_FromStringAndSize((const char *)line->name + at, (Py_ssize_t)(line->size - at));
    }
    return line->octets[up];
}

static void clear_line(struct line *line) {
    for (size_t i = 0; i <= line->labels; i++) {
        Py_XDECREF(line->octets[i]);
    }
}

/* Put the order key of the name *up* labels above the question's into *out*: see ddns.dns.names.order_key. Return its
 * octets. */
static size_t order_key(const struct line *line, size_t up, uint8_t out[ORDER_KEY_MAX]) {
    size_t size = 0;
    for (size_t i = line->labels; i-- > up;) {
        const uint8_t *label = line->name + line->at[i];
        for (size_t j = 1; j <= label[0]; j++) {
            out[size++] = label[j];
            if (label[j] == 0) {
                out[size++] = 1;
            }
        }
        out[size++] = 0;
        out[size++] = 0;
    }
    return size;
}

/* ---- putting octets together ---- */

static bool put(struct body *body, const uint8_t *octets, size_t size) {
    if (size > ANSWER_MAX - body->size) {
        return false;
    }
    memcpy(body->octets + body->size, octets, size);
    body->size += size;
    return true;
}

static bool put_pointer(struct body *body, size_t at) {
    uint8_t octets[2] = {(uint8_t)((POINTER | at) >> 8), (uint8_t)at};
    return put(body, octets, sizeof octets);
}

/* Put a record and its signature, which begins at *split* in *wire*; the record's owner is *labels* before the apex,
 * and its octets go on at *begin*. The signature's owner is a pointer to that, in place of its first two octets. */
static bool put_proof(struct body *body, const uint8_t *labels, size_t labels_size, const uint8_t *wire, size_t begin,
                      size_t split, size_t size, size_t apex) {
    size_t owner = labels_size != 0 ? body->start + body->size : apex;
    return begin <= split && split <= size && size - split >= 2 && put(body, labels, labels_size) &&
           put_pointer(body, apex) && put(body, wire + begin, split - begin) && put_pointer(body, owner) &&
           put(body, wire + split + 2, size - split - 2);
}

/* Put a piece's *octets*, their pointers at *spots* leading *further* octets on. */
static bool put_piece(struct body *body, PyObject *octets, PyObject *spots, size_t further) {
    size_t begin = body->size;
    if (!put(body, octets_of(octets), size_of(octets))) {
        return false;
    }
    for (size_t i = 0; i + 1 < size_of(spots); i += 2) {
        size_t spot = (size_t)octets_of(spots)[i] << 8 | octets_of(spots)[i + 1];
        if (spot + 2 > size_of(octets)) {
            return false;
        }
        uint8_t *at = body->octets + begin + spot;
        size_t pointer = ((size_t)at[0] << 8 | at[1]) + further;
        at[0] = (uint8_t)(pointer >> 8);
        at[1] = (uint8_t)pointer;
    }
    return true;
}

/* Finish the answer. Return as answer_question. */
static Py_ssize_t finish(const struct question *question, PyObject *counts, uint8_t rcode, bool ours,
                         const struct body *body, uint8_t *out) {
    if (size_of(counts) != 6 || (!question->edns && question->end + body->size > UDP_MIN_PAYLOAD)) {
        return 0;
    }
    Py_ssize_t size = put_answer(question, octets_of(counts), rcode, body->octets, body->size, out);
    if (size > 0 && !ours) {
        out[2] &= 0xFB; /* AA */
    }
    return size;
}

/* ---- the answers ---- */

/* Return 1 where the name whose RRsets are *node* has the type; 0 where not; -1 with an exception. */
static int has_type(struct below *below, PyObject *node, long rdtype) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(node); i++) {
        long type = below_number(below, PyTuple_GET_ITEM(node, i), BELOW_TYPE);
        if (type < 0 || type == rdtype) {
            return type < 0 ? -1 : 1;
        }
    }
    return 0;
}

/* Answer for a name that exists and whose RRsets are *node*. *apex* tells that it is its zone's. */
static Py_ssize_t answer_exact(struct below *below, const struct question *question, PyObject *name, PyObject *node,
                               PyObject *mark, bool apex, struct body *body, uint8_t *out) {
    PyObject *said = PyDict_GetItemWithError(question->signed_ ? below->said_signed : below->said_plain, name);
    if (said == NULL || !is_tuple(said, SAID_FIELDS, 1U << SAID_COUNTS | 1U << SAID_OTHERS | 1U << SAID_BODY) ||
        PyTuple_GET_ITEM(said, SAID_MARK) != mark || !PyTuple_Check(node)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    const uint8_t *type = question->key + question->key_size - 4;
    long rdtype = (long)type[0] << 8 | type[1];
    bool delegated = PyTuple_GET_ITEM(said, DELEGATED) == Py_True;
    if (rdtype == TYPE_DS ? delegated || apex : !delegated && (rdtype == TYPE_ANY || rdtype == TYPE_RRSIG)) {
        return 0;
    }
    Py_INCREF(said);
    int has = delegated ? 0 : has_type(below, node, rdtype);
    PyObject *octets = PyTuple_GET_ITEM(said, SAID_BODY);
    Py_ssize_t size = has < 0 ? -1 : 0;
    if (has == 0 && put(body, octets_of(octets), size_of(octets))) {
        size = finish(question, PyTuple_GET_ITEM(said, question->edns ? SAID_COUNTS : SAID_OTHERS), 0, !delegated, body,
                      out);
    }
    Py_DECREF(said);
    return size;
}

/* Put the NSEC3 record that covers *closer* behind *body* where it is not there yet. Return 1: it was there; 2: it was
 * put; 0: left to Python; -1: an exception is set. */
static int cover(struct below *below, PyObject *remembered, PyObject *closer, PyObject *piece, size_t apex,
                 struct body *body) {
    PyObject *owners = PyTuple_GET_ITEM(piece, OWNERS), *salt = PyTuple_GET_ITEM(piece, SALT);
    long iterations = PyLong_AsLong(PyTuple_GET_ITEM(piece, ITERATIONS));
    uint8_t hashed[2 * NAME_MAX_SIZE];
    if (iterations < 0 || !PyTuple_CheckExact(owners) || size_of(salt) > NAME_MAX_SIZE) {
        return PyErr_Occurred() ? -1 : 0;
    }
    memcpy(hashed, octets_of(closer), size_of(closer));
    memcpy(hashed + size_of(closer), octets_of(salt), size_of(salt));
    sha1(hashed, size_of(closer) + size_of(salt), hashed);
    for (long i = 0; i < iterations; i++) { /* MAX_ITERATIONS in ddns.answer.image at most */
        memcpy(hashed + SHA1_SIZE, octets_of(salt), size_of(salt));
        sha1(hashed, SHA1_SIZE + size_of(salt), hashed);
    }
    PyObject *chain = below_attribute(below, remembered, BELOW_NSEC3);
    PyObject *served = chain == NULL ? NULL : below_at_or_before(below, chain, hashed, SHA1_SIZE);
    PyObject *wire = served == NULL ? NULL : below_attribute(below, served, BELOW_WIRE);
    long split = wire == NULL ? -1 : below_number(below, served, BELOW_SPLIT);
    long sigs = split < 0 ? -1 : below_number(below, served, BELOW_SIGS);
    int done = 0;
    if (sigs >= 0 && PyBytes_CheckExact(wire) && size_of(wire) >= HASHED_LABEL) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(owners); i++) {
            PyObject *owner = PyTuple_GET_ITEM(owners, i);
            if (PyBytes_CheckExact(owner) && size_of(owner) == HASHED_LABEL &&
                memcmp(octets_of(owner), octets_of(wire), HASHED_LABEL) == 0) {
                done = 1;
            }
        }
        if (done == 0 && sigs == 1) {
            done = 2 * put_proof(body, octets_of(wire), HASHED_LABEL, octets_of(wire), HASHED_LABEL, (size_t)split,
                             size_of(wire), apex);
        }
    }
    Py_XDECREF(wire);
    Py_XDECREF(served);
    Py_XDECREF(chain);
    return PyErr_Occurred() ? -1 : done;
}

/* Put the NSEC record that covers the question's name, and that for the wildcard where it is another one. Return 1:
 * there was one; 2: there were two; 0: left to Python; -1: an exception is set. */
static int cover_plainly(struct below *below, PyObject *remembered, PyObject *nodes, const struct line *line,
                         PyObject *piece, size_t origin, size_t apex, struct body *body) {
    uint8_t key[ORDER_KEY_MAX];
    size_t size = order_key(line, 0, key);
    PyObject *chain = below_attribute(below, remembered, BELOW_NSEC);
    PyObject *owner = chain == NULL ? NULL : below_at_or_before(below, chain, key, size);
    PyObject *node = owner == NULL || !PyBytes_CheckExact(owner) ? NULL : below_get(below, nodes, owner);
    int done = 0;
    if (node != NULL && PyTuple_Check(node) && size_of(owner) >= origin) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(node); i++) {
            PyObject *served = PyTuple_GET_ITEM(node, i);
            long rdtype = below_number(below, served, BELOW_TYPE);
            if (rdtype >= 0 && rdtype != TYPE_NSEC) {
                continue;
            }
            PyObject *wire = rdtype < 0 || below_number(below, served, BELOW_SIGS) != 1
                                 ? NULL
                                 : below_attribute(below, served, BELOW_WIRE);
            long split = wire == NULL ? -1 : below_number(below, served, BELOW_SPLIT);
            if (split >= 0 && PyBytes_CheckExact(wire)) {
                done = put_proof(body, octets_of(owner), size_of(owner) - origin, octets_of(wire), 2, (size_t)split,
                                 size_of(wire), apex);
            }
            Py_XDECREF(wire);
            break;
        }
    }
    PyObject *wildcard = PyTuple_GET_ITEM(piece, WILDCARD);
    if (done == 1 && wildcard != Py_None) {
        PyObject *labels = is_tuple(wildcard, 3, 1U | 1U << 1) ? PyTuple_GET_ITEM(wildcard, 0) : NULL;
        long split = labels == NULL ? -1 : PyLong_AsLong(PyTuple_GET_ITEM(wildcard, 2));
        if (split < 0) {
            done = 0;
        } else if (size_of(labels) != size_of(owner) - origin ||
                   memcmp(octets_of(labels), octets_of(owner), size_of(labels)) != 0) {
            PyObject *wire = PyTuple_GET_ITEM(wildcard, 1);
            done = 2 * put_proof(body, octets_of(labels), size_of(labels), octets_of(wire), 2, (size_t)split,
                                 size_of(wire), apex);
        }
    }
    Py_XDECREF(node);
    Py_XDECREF(owner);
    Py_XDECREF(chain);
    return PyErr_Occurred() ? -1 : done;
}

/* Answer for a name that does not exist in the zone whose apex is *zone* labels up, and which *remembered* is of. */
static Py_ssize_t answer_below(struct below *below, const struct question *question, struct line *line,
                               PyObject *remembered, PyObject *nodes, PyObject *mark, size_t zone, struct body *body, uint8_t *out) {
    PyObject *pieces = question->signed_ ? below->signed_ : below->plain, *piece = NULL;
    size_t up = 0;
    while (piece == NULL) {
        if (up == zone) {
            return 0;
        }
        PyObject *encloser = above(line, ++up);
        piece = encloser == NULL ? NULL : PyDict_GetItemWithError(pieces, encloser);
        if (piece == NULL && PyErr_Occurred()) {
            return -1;
        }
        if (piece != NULL && (!is_tuple(piece, PIECE_FIELDS, 1U << COUNTS | 1U << OTHERS | 1U << OCTETS | 1U << SPOTS |
                                                                 1U << SALT) ||
                              PyTuple_GET_ITEM(piece, MARK) != mark)) {
            piece = NULL;
        }
    }
    Py_INCREF(piece);
    Py_ssize_t size = 0;
    PyObject *closer = above(line, up - 1);
    long how = PyLong_AsLong(PyTuple_GET_ITEM(piece, HOW));
    int exists = closer == NULL ? -1 : up > 1 && how != REFERRAL ? PySequence_Contains(nodes, closer) : 0;
    if (how < 0 || exists < 0) {
        size = -1;
    } else if (how < UNUSUAL && exists == 0 &&
               put_piece(body, PyTuple_GET_ITEM(piece, OCTETS), PyTuple_GET_ITEM(piece, SPOTS), line->at[up])) {
        size_t apex = HEADER_SIZE + (size_t)line->at[zone];
        int proofs = 1;
        if (question->signed_ && how == HASHED) {
            proofs = cover(below, remembered, closer, piece, apex, body);
        } else if (question->signed_ && how == PLAIN) {
            proofs = cover_plainly(below, remembered, nodes, line, piece, line->size - line->at[zone], apex, body);
        }
        bool others = question->signed_ ? proofs == 2 : !question->edns;
        size = proofs <= 0 ? proofs
                           : finish(question, PyTuple_GET_ITEM(piece, others ? OTHERS : COUNTS), how == REFERRAL ? 0 : 3,
                                    how != REFERRAL, body, out);
    }
    Py_DECREF(piece);
    return size;
}

/* Answer out of the octets of *image* as they came from the database, whose apex is *zone* labels up. Return as
 * answer_question. */
static Py_ssize_t answer_directly(struct below *below, const struct question *question, const struct line *line,
                                  PyObject *image, size_t zone, uint8_t *out) {
    PyObject *packed = below_attribute(below, image, BELOW_DIRECT);
    Py_ssize_t size = packed == NULL ? -1 : 0;
    if (packed != NULL && PyBytes_CheckExact(packed)) {
        uint8_t key[ORDER_KEY_MAX];
        size_t apex = order_key(line, zone, key), key_size = order_key(line, 0, key);
        size = direct_answer(question, packed, key, key_size, apex, out);
    }
    Py_XDECREF(packed);
    return size;
}

Py_ssize_t below_answer(struct below *below, const struct question *question, uint8_t *out) {
    const uint8_t *type = question->key + question->key_size - 4; /* and class */
    if (type[2] != 0 || type[3] != 1) {
        return 0;
    }
    if (type[0] == 0 && (type[1] == 0 || type[1] == TYPE_OPT || (type[1] >= TYPE_META && type[1] != TYPE_ANY))) {
        return 0;
    }
    struct line line;
    if (!read_line(&line, question)) {
        return 0;
    }
    struct body body;
    body.size = 0;
    body.start = question->end;
    PyObject *image = NULL;
    size_t zone = 0;
    for (; image == NULL && zone <= line.labels; zone++) {
        PyObject *name = above(&line, zone);
        image = name == NULL ? NULL : below_get(below, below->zones, name);
        if (image == NULL && PyErr_Occurred()) {
            break;
        }
    }
    zone -= image != NULL;
    Py_ssize_t size = 0;
    if (image != NULL && !PyLong_Check(image)) { /* a number is a zone that is not in memory */
        size = below_use(below, image);
        if (size == 0 && direct_type((uint32_t)type[0] << 8 | type[1])) {
            size = answer_directly(below, question, &line, image, zone, out);
        }
        PyObject *remembered = size != 0 ? NULL : below_attribute(below, image, BELOW_REMEMBERED);
        PyObject *mark = remembered == NULL ? NULL : below_attribute(below, remembered, BELOW_MARK);
        PyObject *nodes = mark == NULL ? NULL : below_attribute(below, remembered, BELOW_NODES);
        if (nodes == Py_None) { /* nothing was learned of this edition */
            Py_CLEAR(nodes);
        }
        PyObject *node = nodes == NULL ? NULL : below_get(below, nodes, line.octets[0]);
        if (node != NULL) {
            size = answer_exact(below, question, line.octets[0], node, mark, zone == 0, &body, out);
        } else if (nodes != NULL && !PyErr_Occurred()) {
            size = answer_below(below, question, &line, remembered, nodes, mark, zone, &body, out);
        }
        Py_XDECREF(node);
        Py_XDECREF(nodes);
        Py_XDECREF(mark);
        Py_XDECREF(remembered);
    }
    Py_XDECREF(image);
    clear_line(&line);
    return PyErr_Occurred() ? -1 : size;
}
