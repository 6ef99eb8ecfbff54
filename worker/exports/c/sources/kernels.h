/* The operations of a network in whole numbers. Pictures lie channel by channel, row by row.
 *
 * Every result is that of Tonok's own pass, bit for bit: sums are of integers, and every step on floats is one
 * operation of IEEE 754, in the same order. So build without -ffast-math and with -ffp-contract=off. Of the C library
 * they need memcpy, memset and what is exact everywhere: rintf, rint, fabs and ldexp.
 *
 * Nothing here is allocated and nothing is kept between calls. Where an operation reads each value once, `y` may be `x`.
 */
#ifndef TONOK_KERNELS_H
#define TONOK_KERNELS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#if FLT_EVAL_METHOD != 0
#error "floats must be computed as floats: on x86, build with -msse2 -mfpmath=sse"
#endif

/* What a layer makes of a value x: clamp(round(x / scale), low, high), kept as the distance from `low`: in a byte, or by
 * what is called `wide` in two bytes, the lower one first. */
struct tonok_quantizer {
    float scale;
    int32_t low, high;
};

/* Weights of `bits` bits each, two's complement, one behind the other from the lowest bit of the first byte on.
 * Output channel o is sum * multiplier[o * multiplier_step] + bias[o]. */
struct tonok_weights {
    const uint8_t *packed;
    uint32_t bits;
    const float *multiplier;
    size_t multiplier_step;
    const float *bias;
};

struct tonok_size {
    int32_t channels, height, width;
};

struct tonok_window {
    int32_t height, width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
};

/* The pixel p of a channel enters as (p / 255 - mean) / std; mean and std lie `step` apart. */
struct tonok_normalization {
    const float *mean, *std;
    size_t mean_step, std_step;
};

void tonok_read_picture(const uint8_t *picture, struct tonok_size size, const struct tonok_normalization *how, float *y);
void tonok_quantize_picture(const uint8_t *picture, struct tonok_size size, const struct tonok_normalization *how,
                            struct tonok_quantizer quantizer, uint8_t *y);
void tonok_quantize_picture_wide(const uint8_t *picture, struct tonok_size size,
                                 const struct tonok_normalization *how, struct tonok_quantizer quantizer, uint8_t *y);
void tonok_quantize(const float *x, size_t count, struct tonok_quantizer quantizer, uint8_t *y);
void tonok_quantize_wide(const float *x, size_t count, struct tonok_quantizer quantizer, uint8_t *y);

/* filter: room for one output channel's weights. sums: room for one row of the output. */
void tonok_convolve(const uint8_t *x, struct tonok_size in, int32_t low, const struct tonok_weights *weights,
                    const struct tonok_window *window, int32_t groups, int8_t *filter, int32_t *sums,
                    struct tonok_size out, float *y);
void tonok_convolve_wide(const uint8_t *x, struct tonok_size in, int32_t low, const struct tonok_weights *weights,
                         const struct tonok_window *window, int32_t groups, int8_t *filter, int32_t *sums,
                         struct tonok_size out, float *y);
void tonok_multiply_matrix(const uint8_t *x, size_t inputs, int32_t low, const struct tonok_weights *weights,
                           size_t outputs, float *y);
void tonok_multiply_matrix_wide(const uint8_t *x, size_t inputs, int32_t low, const struct tonok_weights *weights,
                                size_t outputs, float *y);

void tonok_max_pool(const float *x, struct tonok_size in, const struct tonok_window *window, struct tonok_size out,
                    float *y);
void tonok_average_pool(const float *x, struct tonok_size in, const struct tonok_window *window, int count_padding,
                        struct tonok_size out, float *y);
void tonok_adaptive_average(const float *x, struct tonok_size in, struct tonok_size out, float *y);

void tonok_scale_channels(const float *x, size_t channels, size_t area, const float *gain, const float *shift, float *y);
void tonok_add(const float *x, const float *other, size_t count, float *y);
void tonok_multiply(const float *x, const float *other, size_t count, float *y);
/* Each channel of x times its one number. */
void tonok_multiply_channels(const float *x, const float *numbers, size_t channels, size_t area, float *y);

void tonok_relu(const float *x, size_t count, float *y);
void tonok_relu6(const float *x, size_t count, float *y);
void tonok_leaky_relu(const float *x, size_t count, float negative_slope, float *y);
void tonok_hard_swish(const float *x, size_t count, float *y);
void tonok_hard_sigmoid(const float *x, size_t count, float *y);
void tonok_sigmoid(const float *x, size_t count, float *y);
void tonok_silu(const float *x, size_t count, float *y);
void tonok_gelu(const float *x, size_t count, float *y);

#endif
