/* What both halves of the coder's kernel share: where decisions come from, and where they go.
 *
 * docs/format.md describes the format; ranges.py says why it is as it is.
 *
 * Right shifts of negative numbers round down here as in Python: C leaves that to the compiler, and those that build
 * this file (GCC, Clang) define it so.
 */
#ifndef TONOK_KERNEL_STREAM_H
#define TONOK_KERNEL_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { INVALID_STREAM = -1, TOO_MANY_DECISIONS = -2, OUT_OF_MEMORY = -3 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- The range decoder: 64-bit state, 32-bit words, probabilities of 24 bits. Past the end come zeros. ---- */

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

/* A bit that is 1 with probability / 65536, or INVALID_STREAM. A 0 owns the lower part of the interval. */
static inline int read_bit(Reader *reader, uint32_t probability) {
    const uint64_t whole = 1 << 24;
    uint64_t split = ((65536 - (uint64_t)probability) * (whole - 2) >> 16) + 1;
    uint64_t scale = reader->range >> 24;
    uint64_t quantile = (reader->point - reader->lower) / scale;
    if (quantile >= whole) return INVALID_STREAM;
    int bit = quantile >= split;
    if (bit) reader->lower += scale * split;
    reader->range = scale * (bit ? whole - split : split);
    if (reader->range >> 32 == 0) {
        reader->lower <<= 32;
        reader->range <<= 32;
        reader->point = reader->point << 32 | read_word(reader);
    }
    return bit;
}

/* ---- The range encoder: what is written so far is `words` and then `lower`, `range` wide. ---- */

typedef struct {
    uint32_t *words;
    uint64_t size, capacity, lower, range;
    int64_t decisions_left;
} Writer;

static inline int write_bit(Writer *writer, uint32_t probability, int bit) {
    const uint64_t whole = 1 << 24;
    uint64_t split = ((65536 - (uint64_t)probability) * (whole - 2) >> 16) + 1;
    uint64_t scale = writer->range >> 24, lower = writer->lower;
    if (bit) writer->lower += scale * split;
    if (writer->lower < lower) /* carried over: never beyond the first word, since the whole is below 1 */
        for (uint64_t i = writer->size; i > 0 && ++writer->words[i - 1] == 0; i--) continue;
    writer->range = scale * (bit ? whole - split : split);
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
