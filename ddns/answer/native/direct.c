/* Answers that are read straight out of a zone's packed octets, as the database sent them. The pure twin is
 * ddns.answer.direct; the layout is told in ddns.answer.packed. */
#include "native.h"

#define OPENING 6    /* octets: an RRset's size, the length of its owner's key */
#define FIXED 16     /* octets: type, TTL, records, RRSIGs */
#define RECORD 12    /* octets of a record before its RDATA, its owner a pointer */
#define CLASS_IN 1
#define UDP_MIN_PAYLOAD 512

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_SOA = 6, TYPE_TXT = 16, TYPE_KEY = 25, TYPE_AAAA = 28, TYPE_DNAME = 39,
       TYPE_SSHFP = 44, TYPE_RRSIG = 46, TYPE_DNSKEY = 48, TYPE_TLSA = 52, TYPE_CDS = 59, TYPE_CDNSKEY = 60 };

static uint32_t number(const uint8_t *octets) {
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 | octets[3];
}

bool direct_type(uint32_t type) {
    switch (type) {
    case TYPE_A:
    case TYPE_TXT:
    case TYPE_KEY:
    case TYPE_AAAA:
    case TYPE_SSHFP:
    case TYPE_DNSKEY:
    case TYPE_TLSA:
    case TYPE_CDS:
    case TYPE_CDNSKEY:
        return true;
    default:
        return false;
    }
}

/* Find the RRset of *type* whose owner has the order key *key*, where the zone can say it without looking further: its
 * apex, whose key has *apex* octets, has a SOA, and nothing in it leads elsewhere. Return where its type stands, and in
 * *end* where it ends; NULL: it is not there, or Python has to look. */
static const uint8_t *find(const uint8_t *at, size_t left, const uint8_t *key, size_t key_size, size_t apex,
                           uint32_t type, const uint8_t **end) {
    const uint8_t *found = NULL;
    bool ready = false;
    while (left >= OPENING) {
        size_t size = number(at), owner = (size_t)at[4] << 8 | at[5];
        if (size > left - 4 || size < 2 + owner + FIXED) {
            return NULL;
        }
        const uint8_t *fixed = at + OPENING + owner;
        uint32_t here = number(fixed);
        if (here == TYPE_DNAME || (here == TYPE_NS && owner != apex)) {
            return NULL;
        }
        ready |= here == TYPE_SOA && owner == apex;
        if (here == type && owner == key_size && memcmp(at + OPENING, key, key_size) == 0) {
            found = fixed;
            *end = at + 4 + size;
        }
        at += 4 + size;
        left -= 4 + size;
    }
    return ready && left == 0 ? found : NULL;
}

Py_ssize_t direct_answer(const struct question *question, PyObject *packed, const uint8_t *key, size_t key_size,
                         size_t apex, uint8_t *out) {
    const uint8_t *asked = question->key + question->key_size - 4, *end = NULL;
    uint32_t type = (uint32_t)asked[0] << 8 | asked[1];
    const uint8_t *at = find(octets_of(packed), size_of(packed), key, key_size, apex, type, &end);
    if (at == NULL) {
        return 0;
    }
    uint32_t records = number(at + 8), all = question->signed_ ? number(at + 12) : 0;
    if (records > UINT16_MAX || all > UINT16_MAX - records) {
        return 0;
    }
    uint8_t body[ANSWER_MAX], fixed[RECORD] = {0xC0, HEADER_SIZE, 0, (uint8_t)type, 0, CLASS_IN};
    size_t size = 0;
    memcpy(fixed + 6, at + 4, 4);
    at += FIXED;
    all += records;
    for (uint32_t i = 0; i < all; i++) {
        if (i == records) {
            fixed[3] = TYPE_RRSIG;
        }
        if (end - at < 4) {
            return 0;
        }
        size_t length = number(at);
        at += 4;
        if (length > (size_t)(end - at) || length > ANSWER_MAX || size + RECORD + length > ANSWER_MAX) {
            return 0;
        }
        fixed[10] = (uint8_t)(length >> 8);
        fixed[11] = (uint8_t)length;
        memcpy(body + size, fixed, RECORD);
        memcpy(body + size + RECORD, at, length);
        size += RECORD + length;
        at += length;
    }
    if (!question->edns && question->end + size > UDP_MIN_PAYLOAD) {
        return 0;
    }
    uint8_t counts[6] = {(uint8_t)(all >> 8), (uint8_t)all, 0, 0, 0, question->edns};
    return put_answer(question, counts, 0, body, size, out);
}
