/* The weights of a compressed network, read once, at start, out of the bytes of its .tonok file.
 *
 * What lies in the file before the weights - what the network is, its scales and biases - is in network.c as constants.
 * The decoder's state behind them is there too, so that it begins with the first weight.
 */
#ifndef TONOK_DECODER_H
#define TONOK_DECODER_H

#include <stddef.h>
#include <stdint.h>

enum {
    TONOK_DAMAGED = -1,   /* the bytes are not those that were exported */
    TONOK_NO_MEMORY = -3, /* a workspace smaller than its layers say */
};

/* The whole file. next, lower, range, point, decisions_left: of the range decoder, where the weights begin. */
struct tonok_file {
    const uint8_t *bytes;
    size_t size, next;
    uint64_t lower, range, point;
    int32_t decisions_left;
};

/* One layer: its weights (rows, columns) of `bits` bits; positions, stride: how it lies by nature (the format's page);
 * num_contexts: how many contexts of magnitudes come by row, by column and by density. */
struct tonok_coded_layer {
    uint32_t rows, columns, positions, stride, bits, num_contexts[3];
};

/* What decoding takes besides what it gives: free again afterwards. */
struct tonok_workspace {
    uint32_t *words;
    uint16_t *halves;
    uint8_t *bytes;
    size_t num_words, num_halves, num_bytes;
};

/* Writes the weights of all layers to `packed`, each layer from a byte of its own on, as `struct tonok_weights` has them.
 * Returns 0 or one of the above. */
int tonok_decode(const struct tonok_file *file, const struct tonok_coded_layer *layers, size_t count,
                 const struct tonok_workspace *workspace, uint8_t *packed);

#endif
