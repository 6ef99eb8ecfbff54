/* Integers in blocks: every decision of a kind at once, with one probability from the blocks before.
 *
 * A translation of `_PlainBlocks` of weights.py, and held against it as kernel.c is against the rest.
 */
#include "kernel_blocks.h"

typedef struct {
    Sink *sink;
    uint32_t (*counts)[2]; /* (MAX_NODES): by node, how much a 0 and a 1 count so far */
    const Parts *parts;
} Block;

static int value_of(const int8_t *values, int64_t i) { return values ? values[i] : 0; }

/* The decisions of one node for the first `count` of the bits. Unlike single ones they are not counted: they are as
 * many as the file's head says. */
static int code_group(Block *block, int64_t node, int64_t count) {
    Sink *sink = block->sink;
    uint8_t *bits = block->parts->bits;
    uint32_t *zeros = &block->counts[node][0], *ones = &block->counts[node][1], num_ones = 0;
    uint32_t probability = (uint32_t)least(65535, (int64_t)(((uint64_t)*ones << 16) / (*zeros + *ones)));
    if (probability < 1) probability = 1;
    for (int64_t i = 0; i < count; i++) {
        int bit = bits[i];
        if (sink->reader) bit = read_bit(sink->reader, probability);
#ifndef TONOK_DEVICE
        if (sink->writer) bit = write_bit(sink->writer, probability, bit);
#endif
        if (bit < 0) return bit;
        bits[i] = (uint8_t)bit;
        num_ones += (uint32_t)bit;
    }
#ifndef TONOK_DEVICE
    if (sink->costs) {
        double cost = (double)num_ones * sink->costs[probability];
        sink->bits += cost + (double)(count - num_ones) * sink->costs[65536 - probability];
    }
#endif
    *zeros += 2 * ((uint32_t)count - num_ones);
    *ones += 2 * num_ones;
    return 0;
}

/* The bits of magnitudes of `size` bits below the first. ending: their places, in order; magnitudes: all 1 here. */
static int code_low_bits(Block *block, const int8_t *values, int size, int64_t count) {
    int16_t *ending = block->parts->ending, *sorted = block->parts->sorted, *magnitudes = block->parts->magnitudes;
    uint8_t *bits = block->parts->bits;
    for (int shift = size - 1; shift >= 0; shift--) {
        /* Those of one prefix lie together, lower prefixes first. */
        for (int64_t start = 0, end; start < count; start = end) {
            int16_t prefix = magnitudes[ending[start]];
            for (end = start; end < count && magnitudes[ending[end]] == prefix; end++)
                bits[end - start] = (uint8_t)(abs(value_of(values, ending[end])) >> shift & 1);
            int status = code_group(block, 16 + (1 << size) + prefix, end - start);
            if (status < 0) return status;
            int64_t next = start;
            for (int bit = 0; bit < 2; bit++)
                for (int64_t i = start; i < end; i++)
                    if (bits[i - start] == bit) {
                        sorted[next++] = ending[i];
                        magnitudes[ending[i]] = (int16_t)(2 * prefix + bit);
                    }
        }
        memcpy(ending, sorted, (size_t)count * sizeof *ending);
    }
    return 0;
}

/* values, read: (count), of MAX_BLOCK at most. A reader has no values. */
static int code_integers(Block *block, const int8_t *values, int8_t *read, int64_t count, int bit_width) {
    int16_t *active = block->parts->active, *ending = block->parts->ending, *magnitudes = block->parts->magnitudes;
    uint8_t *bits = block->parts->bits, *negative = block->parts->negative;
    int64_t num_active = 0;
    for (int64_t i = 0; i < count; i++) {
        bits[i] = value_of(values, i) != 0;
        read[i] = 0;
    }
    int status = code_group(block, 0, count);
    for (int64_t i = 0; i < count && status == 0; i++)
        if (bits[i]) active[num_active++] = (int16_t)i;
    for (int64_t i = 0; i < num_active; i++) {
        bits[i] = value_of(values, active[i]) < 0;
        magnitudes[active[i]] = 1;
    }
    if (status == 0) status = code_group(block, 1, num_active);
    for (int64_t i = 0; i < num_active && status == 0; i++) {
        negative[active[i]] = bits[i];
        read[active[i]] = 1; /* is other than zero */
    }
    for (int size = 0; size < bit_width && status == 0; size++) {
        int is_last = size == bit_width - 1;
        for (int64_t i = 0; i < num_active; i++)
            bits[i] = !is_last && abs(value_of(values, active[i])) >= 2 << size;
        if (!is_last) status = code_group(block, 2 + size, num_active);
        int64_t num_ending = 0, num_longer = 0;
        for (int64_t i = 0; i < num_active && status == 0; i++) {
            if (bits[i])
                active[num_longer++] = active[i];
            else
                ending[num_ending++] = active[i];
        }
        num_active = num_longer;
        if (status == 0) status = code_low_bits(block, values, size, num_ending);
    }
    for (int64_t i = 0; i < count && status == 0; i++) {
        if (!read[i]) continue;
        if (magnitudes[i] - negative[i] >= 1 << (bit_width - 1)) return OUTSIDE_OF_BITS;
        read[i] = (int8_t)(negative[i] ? -magnitudes[i] : magnitudes[i]);
    }
    return status;
}

#ifdef TONOK_DEVICE
int tonok_read_integers(Reader *reader, uint32_t (*counts)[2], const Parts *parts, int8_t *read, int64_t count,
                        int bit_width) {
    Sink sink = {.reader = reader};
    Block block = {.sink = &sink, .counts = counts, .parts = parts};
    return code_integers(&block, NULL, read, count, bit_width);
}
#else
static int code_on_stack(Sink *sink, uint32_t (*counts)[2], const int8_t *values, int8_t *read, int64_t count,
                         int bit_width) {
    int16_t active[MAX_BLOCK], ending[MAX_BLOCK], sorted[MAX_BLOCK], magnitudes[MAX_BLOCK];
    uint8_t bits[MAX_BLOCK], negative[MAX_BLOCK];
    Parts parts = {active, ending, sorted, magnitudes, bits, negative};
    Block block = {.sink = sink, .counts = counts, .parts = &parts};
    return code_integers(&block, values, read, count, bit_width);
}

int tonok_read_integers(Reader *reader, uint32_t (*counts)[2], const int8_t *values, int8_t *read, int64_t count,
                        int bit_width) {
    Sink sink = {.reader = reader};
    return code_on_stack(&sink, counts, values, read, count, bit_width);
}

int tonok_write_integers(Writer *writer, uint32_t (*counts)[2], const int8_t *values, int8_t *read, int64_t count,
                         int bit_width) {
    Sink sink = {.writer = writer};
    return code_on_stack(&sink, counts, values, read, count, bit_width);
}

/* Adds what they cost to `bits`, in the order of the decisions. */
int tonok_measure_integers(double *bits, const double *costs, uint32_t (*counts)[2], const int8_t *values,
                           int8_t *read, int64_t count, int bit_width) {
    Sink sink = {.costs = costs, .bits = *bits};
    int status = code_on_stack(&sink, counts, values, read, count, bit_width);
    *bits = sink.bits;
    return status;
}
#endif
