/* Texts to terms in one pass: bytes are mapped, terms cut at separators, each found in a hash table of terms.

   The table is arrays of the caller: `slots` (a power of two of them, -1 where empty) hold numbers of terms; term i is
   arena[starts[i]] to arena[starts[i + 1]], its hash is hashes[i]. Linear probing; FNV-1a (Fowler, Noll and Vo 1991).

   map[byte] is what a byte becomes, or one of these; a byte that is deleted separates nothing. */

#include "vectors.h"

enum { DELETED = 256, SEPARATOR = 257 };

static const uint64_t OFFSET = 0xcbf29ce484222325u, PRIME = 0x100000001b3u;

static inline uint64_t spread(uint64_t hash) { return hash ^ hash >> 29; } /* the low bits of FNV alone are weak */

/* The number of a term, or -1 and the empty slot for it. */
static inline int64_t find(const uint8_t *term, int64_t length, uint64_t hash, const int32_t *slots, int64_t mask,
                           const int64_t *starts, const uint64_t *hashes, const uint8_t *arena, int64_t *slot) {
    int64_t at = (int64_t)spread(hash) & mask;
    for (; slots[at] >= 0; at = (at + 1) & mask) {
        int64_t i = slots[at];
        if (hashes[i] == hash && starts[i + 1] - starts[i] == length && !memcmp(arena + starts[i], term, (size_t)length)) {
            return i;
        }
    }
    *slot = at;
    return -1;
}

/* Read the next term from *at on, up to `end`; its length, 0 where only separators were left. */
static inline int64_t next(const uint8_t *text, int64_t *at, int64_t end, const int16_t *map, uint8_t *term,
                           uint64_t *hash) {
    int64_t length = 0, here = *at;
    uint64_t h = OFFSET;
    while (here < end) {
        int kind = map[text[here++]];
        if (kind < 256) {
            term[length++] = (uint8_t)kind;
            h = (h ^ (uint64_t)kind) * PRIME;
        } else if (kind == SEPARATOR && length) {
            break;
        }
    }
    *at = here;
    *hash = h;
    return length;
}

/* Count the terms of texts, which end at ends[0], ends[1], ...; new terms are added. state: bytes read, terms, texts read,
   texts read in calls before. Where the table or the arena may be too small for the next term it stops and says 1; the
   caller makes room and calls again. */
EXPORT int NAME(count_terms)(const uint8_t *text, const int64_t *ends, int64_t texts, const int16_t *map, int32_t *slots,
                             int64_t mask, int64_t *starts, uint64_t *hashes, int64_t *counts, int64_t *documents,
                             int64_t *last_seen, int64_t most_terms, uint8_t *arena, int64_t arena_size,
                             int64_t *state) {
    int64_t at = state[0], terms = state[1];
    int full = 0;
    for (; state[2] < texts && !full; state[2] += !full) {
        int64_t end = ends[state[2]], number = state[2] + state[3];
        while (at < end) {
            int64_t used = starts[terms];
            full = terms >= most_terms || terms * 2 > mask || used + (end - at) > arena_size;
            if (full) {
                break;
            }
            uint64_t hash;
            int64_t slot = 0, length = next(text, &at, end, map, arena + used, &hash);
            if (!length) {
                continue;
            }
            int64_t i = find(arena + used, length, hash, slots, mask, starts, hashes, arena, &slot);
            if (i < 0) {
                i = terms++;
                slots[slot] = (int32_t)i;
                hashes[i] = hash;
                starts[terms] = used + length;
                counts[i] = documents[i] = 0;
                last_seen[i] = -1;
            }
            counts[i]++;
            documents[i] += last_seen[i] != number;
            last_seen[i] = number;
        }
    }
    state[0] = at;
    state[1] = terms;
    return full;
}

/* Fill empty slots with the terms that there are: after the table has grown. */
EXPORT int NAME(place_terms)(int32_t *slots, int64_t mask, const uint64_t *hashes, int64_t terms) {
    for (int64_t i = 0; i < terms; i++) {
        int64_t at = (int64_t)spread(hashes[i]) & mask;
        while (slots[at] >= 0) {
            at = (at + 1) & mask;
        }
        slots[at] = (int32_t)i;
    }
    return 0;
}

/* Hash the terms that the arena holds. */
EXPORT int NAME(hash_terms)(const uint8_t *arena, const int64_t *starts, uint64_t *hashes, int64_t terms) {
    for (int64_t i = 0; i < terms; i++) {
        uint64_t hash = OFFSET;
        for (int64_t at = starts[i]; at < starts[i + 1]; at++) {
            hash = (hash ^ arena[at]) * PRIME;
        }
        hashes[i] = hash;
    }
    return 0;
}

/* The number of each term of texts, -1 for unknown ones, and how many each text has; `term` has room for the longest text.
   found[0] is how many there are in all. */
EXPORT int NAME(find_terms)(const uint8_t *text, const int64_t *ends, int64_t texts, const int16_t *map,
                            const int32_t *slots, int64_t mask, const int64_t *starts, const uint64_t *hashes,
                            const uint8_t *arena, uint8_t *term, int32_t *ids, int64_t *lengths, int64_t *found) {
    int64_t at = 0, count = 0;
    for (int64_t number = 0; number < texts; number++) {
        int64_t before = count;
        while (at < ends[number]) {
            uint64_t hash;
            int64_t slot = 0, length = next(text, &at, ends[number], map, term, &hash);
            if (length) {
                ids[count++] = (int32_t)find(term, length, hash, slots, mask, starts, hashes, arena, &slot);
            }
        }
        lengths[number] = count - before;
    }
    found[0] = count;
    return 0;
}
