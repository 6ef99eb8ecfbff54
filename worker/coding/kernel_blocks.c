/* Integers in blocks: every decision of a kind at once, with one probability from the blocks before.
 *
 * A translation of `_PlainBlocks` of weights.py, and held against it as kernel.c is against the rest.
 */
#include "kernel_stream.h"

enum { MAX_BLOCK = 4096 };

typedef struct {
    Sink *sink;
    int64_t (*counts)[2]; /* (MAX_NODES): by node, how much a 0 and a 1 count so far */
    uint8_t bits[MAX_BLOCK];
} Block;

/* The decisions of one node for the first `count` of the bits. Unlike single ones they are not counted: they are as
 * many as the file's head says. */
static int code_group(Block *block, int64_t node, int64_t count) {
    Sink *sink = block->sink;
    int64_t *zeros = &block->counts[node][0], *ones = &block->counts[node][1], num_ones = 0;
    int64_t probability = least(65535, (*ones << 16) / (*zeros + *ones));
    if (probability < 1) probability = 1;
    for (int64_t i = 0; i < count; i++) {
        int bit = block->bits[i];
        if (sink->reader) bit = read_bit(sink->reader, (uint32_t)probability);
        if (sink->writer) bit = write_bit(sink->writer, (uint32_t)probability, bit);
        if (bit < 0) return bit;
        block->bits[i] = (uint8_t)bit;
        num_ones += bit;
    }
    if (sink->costs) {
        double cost = (double)num_ones * sink->costs[probability];
        sink->bits += cost + (double)(count - num_ones) * sink->costs[65536 - probability];
    }
    *zeros += 2 * (count - num_ones);
    *ones += 2 * num_ones;
    return 0;
}

/* The bits of magnitudes of `size` bits below the first. ending: their places, in order; magnitudes: all 1 here. */
static int code_low_bits(Block *block, const int8_t *values, int size, int16_t *ending, int64_t count,
                         int16_t *magnitudes) {
    int16_t sorted[MAX_BLOCK];
    for (int shift = size - 1; shift >= 0; shift--) {
        /* Those of one prefix lie together, lower prefixes first. */
        for (int64_t start = 0, end; start < count; start = end) {
            int16_t prefix = magnitudes[ending[start]];
            for (end = start; end < count && magnitudes[ending[end]] == prefix; end++)
                block->bits[end - start] = (uint8_t)(abs(values[ending[end]]) >> shift & 1);
            int status = code_group(block, 16 + (1 << size) + prefix, end - start);
            if (status < 0) return status;
            int64_t next = start;
            for (int bit = 0; bit < 2; bit++)
                for (int64_t i = start; i < end; i++)
                    if (block->bits[i - start] == bit) {
                        sorted[next++] = ending[i];
                        magnitudes[ending[i]] = (int16_t)(2 * prefix + bit);
                    }
        }
        memcpy(ending, sorted, (size_t)count * sizeof *ending);
    }
    return 0;
}

/* values, read: (count), of MAX_BLOCK at most. A reader looks at no value. */
static int code_integers(Block *block, const int8_t *values, int16_t *read, int64_t count, int bit_width) {
    int16_t active[MAX_BLOCK], ending[MAX_BLOCK], magnitudes[MAX_BLOCK];
    uint8_t negative[MAX_BLOCK];
    int64_t num_active = 0;
    for (int64_t i = 0; i < count; i++) block->bits[i] = values[i] != 0;
    int status = code_group(block, 0, count);
    for (int64_t i = 0; i < count && status == 0; i++)
        if (block->bits[i]) active[num_active++] = (int16_t)i;
    for (int64_t i = 0; i < num_active; i++) {
        block->bits[i] = values[active[i]] < 0;
        magnitudes[active[i]] = 1;
    }
    if (status == 0) status = code_group(block, 1, num_active);
    memset(read, 0, (size_t)count * sizeof *read);
    for (int64_t i = 0; i < num_active && status == 0; i++) {
        negative[active[i]] = block->bits[i];
        read[active[i]] = 1; /* is other than zero */
    }
    for (int size = 0; size < bit_width && status == 0; size++) {
        int is_last = size == bit_width - 1;
        for (int64_t i = 0; i < num_active; i++) block->bits[i] = !is_last && abs(values[active[i]]) >= 2 << size;
        if (!is_last) status = code_group(block, 2 + size, num_active);
        int64_t num_ending = 0, num_longer = 0;
        for (int64_t i = 0; i < num_active && status == 0; i++) {
            if (block->bits[i])
                active[num_longer++] = active[i];
            else
                ending[num_ending++] = active[i];
        }
        num_active = num_longer;
        if (status == 0) status = code_low_bits(block, values, size, ending, num_ending, magnitudes);
    }
    for (int64_t i = 0; i < count && status == 0; i++)
        if (read[i]) read[i] = negative[i] ? (int16_t)-magnitudes[i] : magnitudes[i];
    return status;
}

int tonok_read_integers(Reader *reader, int64_t (*counts)[2], const int8_t *values, int16_t *read, int64_t count,
                        int bit_width) {
    Sink sink = {.reader = reader};
    Block block = {.sink = &sink, .counts = counts};
    return code_integers(&block, values, read, count, bit_width);
}

int tonok_write_integers(Writer *writer, int64_t (*counts)[2], const int8_t *values, int16_t *read, int64_t count,
                         int bit_width) {
    Sink sink = {.writer = writer};
    Block block = {.sink = &sink, .counts = counts};
    return code_integers(&block, values, read, count, bit_width);
}

/* Adds what they cost to `bits`, in the order of the decisions. */
int tonok_measure_integers(double *bits, const double *costs, int64_t (*counts)[2], const int8_t *values,
                           int16_t *read, int64_t count, int bit_width) {
    Sink sink = {.costs = costs, .bits = *bits};
    Block block = {.sink = &sink, .counts = counts};
    int status = code_integers(&block, values, read, count, bit_width);
    *bits = sink.bits;
    return status;
}
