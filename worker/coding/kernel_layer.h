/* A layer as the kernel codes it, and what it learns on the way. */
#ifndef TONOK_KERNEL_LAYER_H
#define TONOK_KERNEL_LAYER_H

#include "kernel_contexts.h"

enum { MAX_INPUTS = 6, LOGIT_LIMIT = 2816, NUM_STEPS = 3018, SMALL_KERNEL = 16, SIGNS = 81 };

typedef struct {
    int64_t num_inputs;
    int64_t *weights; /* (sets, inputs) */
    int64_t *counts;  /* (sets) */
} Mixer;

/* The logistic function and its inverse, in the units of docs/format.md. */
#ifdef TONOK_DEVICE
typedef struct {
    const uint16_t *steps;         /* (NUM_STEPS): by logit, the first probability of it; from the middle on */
    const uint16_t *probabilities; /* (LOGIT_LIMIT + 1): likewise from the middle on */
} Logistic;
#else
typedef struct {
    const int32_t *logits;        /* (65536) */
    const int32_t *probabilities; /* (2 * LOGIT_LIMIT + 1) */
} Logistic;
#endif

#ifdef TONOK_DEVICE
typedef uint8_t Weights; /* of the layer's bit width each, two's complement, from the lowest bit of the first byte on */
#else
typedef int8_t Weights;
#endif

typedef struct {
    uint32_t rows, columns; /* of the layer; together at most 2^20 weights */
    uint32_t num_live_rows, num_live_columns;
    const uint32_t *live_rows, *live_columns; /* those that are walked, in order */
    uint32_t positions, stride, by_column, bit_width;
    const int8_t *weight;   /* (rows, columns); NULL for a reader */
    Weights *read;          /* (rows, columns), zeros: what is in the file */
    uint32_t *num_contexts; /* (3), of magnitudes: by row, column and density. How many to expect; then how many came */
    Mixer nonzero, negative, magnitude;
} Layer;

typedef struct {
    uint32_t one, *row, *column, *position, *area, *line; /* zero or not */
    uint32_t plain, cross[SIGNS], around[SIGNS];          /* sign */
    uint32_t node[MAX_NODES];                             /* magnitude */
    Contexts node_of_row, node_of_column, node_of_density;
    uint32_t *in_row, *in_column; /* weights other than zero so far */
    uint8_t *in_block;            /* the same of one kernel: of SMALL_KERNEL positions at most, else unused */
} Tables;

#ifdef TONOK_DEVICE
static inline int get_weight(const Layer *layer, uint32_t index) {
    const int sign = 1 << (layer->bit_width - 1);
    uint32_t place = index * layer->bit_width;
    const uint8_t *byte = layer->read + place / 8;
    int code = byte[0] >> place % 8;
    if (place % 8 + layer->bit_width > 8) code |= byte[1] << (8 - place % 8);
    return ((code & (2 * sign - 1)) ^ sign) - sign;
}

/* Of a place where there is a zero so far. */
static inline void put_weight(const Layer *layer, uint32_t index, int value) {
    uint32_t place = index * layer->bit_width;
    uint8_t *byte = layer->read + place / 8;
    int code = (value & ((1 << layer->bit_width) - 1)) << place % 8;
    byte[0] = (uint8_t)(byte[0] | code);
    if (place % 8 + layer->bit_width > 8) byte[1] = (uint8_t)(byte[1] | code >> 8);
}
#else
static inline int get_weight(const Layer *layer, uint32_t index) { return layer->read[index]; }

static inline void put_weight(const Layer *layer, uint32_t index, int value) { layer->read[index] = (int8_t)value; }
#endif

#ifdef TONOK_DEVICE
void tonok_open(Reader *reader, const uint8_t *data, uint64_t size, int64_t max_decisions);
int tonok_read(Reader *reader, uint32_t probability);
int tonok_read_layer(Reader *reader, const Layer *layer, const Logistic *logistic, Memory *memory, Tables *tables);
#endif

#endif
