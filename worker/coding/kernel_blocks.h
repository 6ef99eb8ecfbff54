/* Integers in blocks, as others call for them. */
#ifndef TONOK_KERNEL_BLOCKS_H
#define TONOK_KERNEL_BLOCKS_H

#include "kernel_stream.h"

enum { MAX_BLOCK = 4096 };

/* What one block is taken apart in: (MAX_BLOCK) each. */
typedef struct {
    int16_t *active, *ending, *sorted, *magnitudes;
    uint8_t *bits, *negative;
} Parts;

#ifdef TONOK_DEVICE
/* read: (count), of MAX_BLOCK at most. counts: (MAX_NODES), of the layer, all 1 at first. 0, or what is wrong. */
int tonok_read_integers(Reader *reader, uint32_t (*counts)[2], const Parts *parts, int8_t *read, int64_t count,
                        int bit_width);
#endif

#endif
