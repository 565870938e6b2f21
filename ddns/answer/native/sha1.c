/* SHA-1 of short messages: a name and a salt, at most nine blocks. */
#include "sha1.h"

#include <string.h>

#define BLOCK 64  /* octets */
#define LENGTH 8  /* octets of the message's length in bits, which end the last block */
#define ROUNDS 80

static uint32_t rotated(uint32_t word, unsigned int bits) { return word << bits | word >> (32 - bits); }

static void put_word(uint8_t *out, uint32_t word) {
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(word >> (24 - 8 * i));
    }
}

static void add_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[ROUNDS];
    for (int i = 0; i < 16; i++) {
        const uint8_t *at = block + 4 * i;
        w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    for (int i = 16; i < ROUNDS; i++) {
        w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
/* One round; the next one is told the words in another order, so that none has to be moved. */
#define ROUND(a, b, c, d, e, f, k)                                \
    (e) += rotated(a, 5) + (f) + UINT32_C(k) + w[i++];            \
    (b) = rotated(b, 30)
#define CHOICE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))
#define FIVE(f, k)                                                \
    ROUND(a, b, c, d, e, f(b, c, d), k);                          \
    ROUND(e, a, b, c, d, f(a, b, c), k);                          \
    ROUND(d, e, a, b, c, f(e, a, b), k);                          \
    ROUND(c, d, e, a, b, f(d, e, a), k);                          \
    ROUND(b, c, d, e, a, f(c, d, e), k)
    int i = 0;
    while (i < 20) {
        FIVE(CHOICE, 0x5A827999);
    }
    while (i < 40) {
        FIVE(PARITY, 0x6ED9EBA1);
    }
    while (i < 60) {
        FIVE(MAJORITY, 0x8F1BBCDC);
    }
    while (i < ROUNDS) {
        FIVE(PARITY, 0xCA62C1D6);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1(const uint8_t *octets, size_t size, uint8_t digest[SHA1_SIZE]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    size_t whole = size - size % BLOCK;
    for (size_t at = 0; at < whole; at += BLOCK) {
        add_block(state, octets + at);
    }
    uint8_t last[2 * BLOCK] = {0};
    size_t rest = size - whole;
    memcpy(last, octets + whole, rest);
    last[rest] = 0x80;
    size_t end = rest + 1 + LENGTH <= BLOCK ? BLOCK : 2 * BLOCK;
    put_word(last + end - LENGTH, (uint32_t)((uint64_t)size >> 29));
    put_word(last + end - 4, (uint32_t)((uint64_t)size << 3));
    for (size_t at = 0; at < end; at += BLOCK) {
        add_block(state, last + at);
    }
    for (int i = 0; i < 5; i++) {
        put_word(digest + 4 * i, state[i]);
    }
}
