/* What both halves of the coder's kernel share: where decisions come from, and where they go.
 *
 * docs/format.md describes the format; ranges.py says why it is as it is. Built with TONOK_DEVICE, as the C export of a
 * compressed network is, the kernel reads and does not write, and nothing is allocated.
 */
#ifndef TONOK_KERNEL_STREAM_H
#define TONOK_KERNEL_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    INVALID_STREAM = -1,
    TOO_MANY_TO_READ = -2,
    OUT_OF_MEMORY = -3,
    TOO_MANY_TO_WRITE = -4,
    OUTSIDE_OF_BITS = -5 /* a weight that its layer's bit width does not hold */
};
enum { MAX_NODES = 512 }; /* of an integer's sign, size and bits: each is decided by what went before */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- The range coder: 64-bit state, 32-bit words, probabilities of 24 bits. A 0 owns the lower part of the interval,
 * `split` of `WHOLE`. ---- */

static const uint64_t WHOLE = 1 << 24;

static inline uint64_t find_split(uint32_t probability) {
    return ((65536 - (uint64_t)probability) * (WHOLE - 2) >> 16) + 1;
}

/* ---- The decoder. Past the end come zeros. ---- */

typedef struct {
    const uint8_t *data;
    uint64_t size, next, lower, range, point;
    int64_t decisions_left;
} Reader;

static inline uint64_t read_word(Reader *reader) {
    uint64_t word = 0;
    for (int i = 0; i < 4; i++) {
        word = word << 8 | (reader->next < reader->size ? reader->data[reader->next] : 0);
        reader->next++;
    }
    return word;
}

/* A bit that is 1 with probability / 65536, or INVALID_STREAM. */
static inline int read_bit(Reader *reader, uint32_t probability) {
    uint64_t split = find_split(probability);
    uint64_t scale = reader->range >> 24;
    uint64_t distance = reader->point - reader->lower; /* its quotient by `scale` is compared, without a division */
    if (distance >= scale << 24) return INVALID_STREAM;
    int bit = distance >= scale * split;
    if (bit) reader->lower += scale * split;
    reader->range = scale * (bit ? WHOLE - split : split);
    if (reader->range >> 32 == 0) {
        reader->lower <<= 32;
        reader->range <<= 32;
        reader->point = reader->point << 32 | read_word(reader);
    }
    return bit;
}

#ifdef TONOK_DEVICE
/* Where decisions come from. */
typedef struct {
    Reader *reader;
} Sink;
#else
/* ---- The encoder: what is written so far is `words` and then `lower`, `range` wide. ---- */

typedef struct {
    uint32_t *words;
    uint64_t size, capacity, lower, range;
    int64_t decisions_left;
} Writer;

static inline int write_bit(Writer *writer, uint32_t probability, int bit) {
    uint64_t split = find_split(probability);
    uint64_t scale = writer->range >> 24, lower = writer->lower;
    if (bit) writer->lower += scale * split;
    if (writer->lower < lower) /* carried over: never beyond the first word, since the whole is below 1 */
        for (uint64_t i = writer->size; i > 0 && ++writer->words[i - 1] == 0; i--) continue;
    writer->range = scale * (bit ? WHOLE - split : split);
    if (writer->range >> 32 == 0) {
        if (writer->size == writer->capacity) {
            uint64_t capacity = writer->capacity ? 2 * writer->capacity : 1024;
            uint32_t *words = realloc(writer->words, capacity * sizeof *words);
            if (!words) return OUT_OF_MEMORY;
            writer->words = words;
            writer->capacity = capacity;
        }
        writer->words[writer->size++] = (uint32_t)(writer->lower >> 32);
        writer->lower <<= 32;
        writer->range <<= 32;
    }
    return bit;
}

/* Where decisions go: to one who reads or writes them, or else to a sum of costs. */
typedef struct {
    Reader *reader;
    Writer *writer;
    const double *costs; /* (65537), bits by 65536 times the probability */
    double bits;
} Sink;
#endif

#endif
