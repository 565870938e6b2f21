/* SHA-1 (FIPS 180-4 section 6.1): NSEC3 knows no other hash (RFC 5155 section 11). Nothing is kept secret with it. */
#ifndef DDNS_SHA1_H
#define DDNS_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20 /* octets of a digest */

/* Put the digest of *size* octets into *digest*, which may be where they are. */
void sha1(const uint8_t *octets, size_t size, uint8_t digest[SHA1_SIZE]);

#endif
