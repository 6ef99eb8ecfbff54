#include "kernels.h"

#include <math.h>
#include <string.h>

/* ---- From values to the integers of a layer ---- */

static float clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

static int32_t quantize(float x, struct tonok_quantizer quantizer) {
    float nearest = rintf(x / quantizer.scale);
    /* Written so that what is no number becomes the lowest: to convert it would be undefined. */
    if (!(nearest > (float)quantizer.low)) return 0;
    if (nearest > (float)quantizer.high) return quantizer.high - quantizer.low;
    return (int32_t)nearest - quantizer.low;
}

/* The value `i` of those that a layer reads: in one byte, or in two where it has more than eight bits. */
static inline void put_value(uint8_t *y, size_t i, int32_t value, int is_wide) {
    y[is_wide ? 2 * i : i] = (uint8_t)value;
    if (is_wide) y[2 * i + 1] = (uint8_t)(value >> 8);
}

static inline int32_t get_value(const uint8_t *x, ptrdiff_t i, int is_wide) {
    return is_wide ? x[2 * i] | x[2 * i + 1] << 8 : x[i];
}

static float normalize(uint8_t pixel, const struct tonok_normalization *how, size_t channel) {
    return ((float)pixel / 255.0f - how->mean[channel * how->mean_step]) / how->std[channel * how->std_step];
}

void tonok_read_picture(const uint8_t *picture, struct tonok_size size, const struct tonok_normalization *how, float *y) {
    size_t area = (size_t)size.height * (size_t)size.width;
    for (size_t channel = 0; channel < (size_t)size.channels; channel++)
        for (size_t i = 0; i < area; i++) *y++ = normalize(*picture++, how, channel);
}

static inline void quantize_picture(const uint8_t *picture, struct tonok_size size,
                                    const struct tonok_normalization *how, struct tonok_quantizer quantizer,
                                    uint8_t *y, int is_wide) {
    size_t area = (size_t)size.height * (size_t)size.width;
    for (size_t channel = 0; channel < (size_t)size.channels; channel++)
        for (size_t i = channel * area; i < (channel + 1) * area; i++)
            put_value(y, i, quantize(normalize(picture[i], how, channel), quantizer), is_wide);
}

void tonok_quantize_picture(const uint8_t *picture, struct tonok_size size, const struct tonok_normalization *how,
                            struct tonok_quantizer quantizer, uint8_t *y) {
    quantize_picture(picture, size, how, quantizer, y, 0);
}

void tonok_quantize_picture_wide(const uint8_t *picture, struct tonok_size size,
                                 const struct tonok_normalization *how, struct tonok_quantizer quantizer, uint8_t *y) {
    quantize_picture(picture, size, how, quantizer, y, 1);
}

void tonok_quantize(const float *x, size_t count, struct tonok_quantizer quantizer, uint8_t *y) {
    for (size_t i = 0; i < count; i++) put_value(y, i, quantize(x[i], quantizer), 0);
}

void tonok_quantize_wide(const float *x, size_t count, struct tonok_quantizer quantizer, uint8_t *y) {
    for (size_t i = 0; i < count; i++) put_value(y, i, quantize(x[i], quantizer), 1);
}

/* ---- Layers ---- */

/* The weights from the `first` on. At eight bits and fewer, one lies in two bytes at most. */
static void unpack(const uint8_t *packed, uint32_t bits, size_t first, size_t count, int8_t *weights) {
    const int32_t sign = (int32_t)1 << (bits - 1);
    const uint8_t *byte = packed + first / 8 * bits;
    uint32_t place = (uint32_t)(first % 8) * bits;
    byte += place / 8;
    place %= 8;
    for (size_t i = 0; i < count; i++) {
        uint32_t word = byte[0];
        if (place + bits > 8) word |= (uint32_t)byte[1] << 8;
        int32_t code = (int32_t)(word >> place & ((1u << bits) - 1));
        weights[i] = (int8_t)((code ^ sign) - sign);
        place += bits;
        byte += place / 8;
        place %= 8;
    }
}

static float finish(int32_t sum, const struct tonok_weights *weights, size_t channel) {
    float product = (float)sum * weights->multiplier[channel * weights->multiplier_step];
    return product + weights->bias[channel];
}

/* The smallest i with i * step >= from. */
static int32_t divide_up(int32_t from, int32_t step) {
    return from <= 0 ? 0 : (from - 1) / step + 1;
}

static inline void convolve(const uint8_t *x, struct tonok_size in, int32_t low, const struct tonok_weights *weights,
                            const struct tonok_window *window, int32_t groups, int8_t *filter, int32_t *sums,
                            struct tonok_size out, float *y, int is_wide) {
    const size_t area = (size_t)in.height * (size_t)in.width;
    const int32_t group_inputs = in.channels / groups, group_outputs = out.channels / groups;
    const size_t filter_size = (size_t)group_inputs * (size_t)window->height * (size_t)window->width;
    for (int32_t channel = 0; channel < out.channels; channel++) {
        const uint8_t *group = x + (size_t)(channel / group_outputs * group_inputs) * area * (is_wide ? 2 : 1);
        unpack(weights->packed, weights->bits, (size_t)channel * filter_size, filter_size, filter);
        for (int32_t row = 0; row < out.height; row++) {
            memset(sums, 0, (size_t)out.width * sizeof *sums);
            const int8_t *weight = filter;
            for (int32_t input = 0; input < group_inputs; input++)
                for (int32_t ky = 0; ky < window->height; ky++) {
                    int32_t from_row = row * window->stride_y - window->padding_y + ky * window->dilation_y;
                    if (from_row < 0 || from_row >= in.height) {
                        weight += window->width;
                        continue;
                    }
                    const size_t before = (size_t)input * area + (size_t)from_row * (size_t)in.width;
                    const uint8_t *line = group + before * (is_wide ? 2 : 1);
                    for (int32_t kx = 0; kx < window->width; kx++) {
                        const int32_t factor = *weight++;
                        if (factor == 0) continue; /* most of a pruned network's */
                        /* Of a row of outputs, those that read a pixel and not the padding, which is zero. */
                        int32_t shift = kx * window->dilation_x - window->padding_x;
                        int32_t first = divide_up(-shift, window->stride_x);
                        int32_t end = divide_up(in.width - shift, window->stride_x);
                        if (end > out.width) end = out.width;
                        const int32_t stride = window->stride_x;
                        for (int32_t i = first; i < end; i++)
                            sums[i] += factor * (get_value(line, i * stride + shift, is_wide) + low);
                    }
                }
            for (int32_t i = 0; i < out.width; i++) *y++ = finish(sums[i], weights, (size_t)channel);
        }
    }
}

void tonok_convolve(const uint8_t *x, struct tonok_size in, int32_t low, const struct tonok_weights *weights,
                    const struct tonok_window *window, int32_t groups, int8_t *filter, int32_t *sums,
                    struct tonok_size out, float *y) {
    convolve(x, in, low, weights, window, groups, filter, sums, out, y, 0);
}

void tonok_convolve_wide(const uint8_t *x, struct tonok_size in, int32_t low, const struct tonok_weights *weights,
                         const struct tonok_window *window, int32_t groups, int8_t *filter, int32_t *sums,
                         struct tonok_size out, float *y) {
    convolve(x, in, low, weights, window, groups, filter, sums, out, y, 1);
}

static inline void multiply_matrix(const uint8_t *x, size_t inputs, int32_t low, const struct tonok_weights *weights,
                                   size_t outputs, float *y, int is_wide) {
    int8_t part[64];
    for (size_t channel = 0; channel < outputs; channel++) {
        int32_t sum = 0;
        for (size_t first = 0; first < inputs; first += sizeof part) {
            size_t count = inputs - first < sizeof part ? inputs - first : sizeof part;
            unpack(weights->packed, weights->bits, channel * inputs + first, count, part);
            for (size_t i = 0; i < count; i++) sum += part[i] * (get_value(x, (ptrdiff_t)(first + i), is_wide) + low);
        }
        y[channel] = finish(sum, weights, channel);
    }
}

void tonok_multiply_matrix(const uint8_t *x, size_t inputs, int32_t low, const struct tonok_weights *weights,
                           size_t outputs, float *y) {
    multiply_matrix(x, inputs, low, weights, outputs, y, 0);
}

void tonok_multiply_matrix_wide(const uint8_t *x, size_t inputs, int32_t low, const struct tonok_weights *weights,
                                size_t outputs, float *y) {
    multiply_matrix(x, inputs, low, weights, outputs, y, 1);
}

/* ---- Pools. An average is of whole steps of 2^-24, so that no order of additions changes it. ---- */

struct span {
    int32_t first, end;
};

static struct span cut(int32_t first, int32_t length, int32_t side) {
    int32_t end = first + length;
    return (struct span){first < 0 ? 0 : first, end > side ? side : end};
}

void tonok_max_pool(const float *x, struct tonok_size in, const struct tonok_window *window, struct tonok_size out,
                    float *y) {
    for (int32_t channel = 0; channel < in.channels; channel++, x += (size_t)in.height * (size_t)in.width)
        for (int32_t row = 0; row < out.height; row++)
            for (int32_t column = 0; column < out.width; column++) {
                struct span rows = cut(row * window->stride_y - window->padding_y, window->height, in.height);
                struct span columns = cut(column * window->stride_x - window->padding_x, window->width, in.width);
                float largest = -INFINITY;
                for (int32_t i = rows.first; i < rows.end; i++)
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        float value = x[(size_t)i * (size_t)in.width + (size_t)j];
                        if (value > largest) largest = value;
                    }
                *y++ = largest;
            }
}

static double sum_steps(const float *x, int32_t width, struct span rows, struct span columns) {
    double sum = 0.0;
    for (int32_t i = rows.first; i < rows.end; i++)
        for (int32_t j = columns.first; j < columns.end; j++)
            sum += rint((double)x[(size_t)i * (size_t)width + (size_t)j] * 16777216.0);
    return sum;
}

void tonok_average_pool(const float *x, struct tonok_size in, const struct tonok_window *window, int count_padding,
                        struct tonok_size out, float *y) {
    for (int32_t channel = 0; channel < in.channels; channel++, x += (size_t)in.height * (size_t)in.width)
        for (int32_t row = 0; row < out.height; row++)
            for (int32_t column = 0; column < out.width; column++) {
                int32_t top = row * window->stride_y - window->padding_y;
                int32_t left = column * window->stride_x - window->padding_x;
                struct span rows = cut(top, window->height, in.height);
                struct span columns = cut(left, window->width, in.width);
                double sum = sum_steps(x, in.width, rows, columns);
                /* What is counted of the padding ends where the padding does: a last window may reach beyond it. */
                int32_t bottom = top + window->height, right = left + window->width;
                if (bottom > in.height + window->padding_y) bottom = in.height + window->padding_y;
                if (right > in.width + window->padding_x) right = in.width + window->padding_x;
                double count = count_padding ? (double)(bottom - top) * (right - left)
                                             : (double)(rows.end - rows.first) * (columns.end - columns.first);
                *y++ = (float)(sum / count / 16777216.0);
            }
}

/* The window of output i of `parts` over a side: they overlap where it cannot be divided. */
static struct span choose_span(int32_t i, int32_t parts, int32_t side) {
    int32_t first = (int32_t)((int64_t)i * side / parts);
    int32_t end = (int32_t)((((int64_t)i + 1) * side + parts - 1) / parts);
    return (struct span){first, end};
}

void tonok_adaptive_average(const float *x, struct tonok_size in, struct tonok_size out, float *y) {
    for (int32_t channel = 0; channel < in.channels; channel++, x += (size_t)in.height * (size_t)in.width)
        for (int32_t row = 0; row < out.height; row++)
            for (int32_t column = 0; column < out.width; column++) {
                struct span rows = choose_span(row, out.height, in.height);
                struct span columns = choose_span(column, out.width, in.width);
                double sum = sum_steps(x, in.width, rows, columns);
                double height = rows.end - rows.first, width = columns.end - columns.first;
                /* Two divisions may round otherwise than one. PyTorch does one where there is one window. */
                double average = out.height == 1 && out.width == 1 ? sum / (height * width) : sum / height / width;
                *y++ = (float)(average / 16777216.0);
            }
}

/* ---- Value by value ---- */

void tonok_scale_channels(const float *x, size_t channels, size_t area, const float *gain, const float *shift, float *y) {
    for (size_t channel = 0; channel < channels; channel++)
        for (size_t i = 0; i < area; i++) {
            float product = *x++ * gain[channel];
            *y++ = product + shift[channel];
        }
}

void tonok_add(const float *x, const float *other, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = x[i] + other[i];
}

void tonok_multiply(const float *x, const float *other, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = x[i] * other[i];
}

void tonok_multiply_channels(const float *x, const float *numbers, size_t channels, size_t area, float *y) {
    for (size_t channel = 0; channel < channels; channel++)
        for (size_t i = 0; i < area; i++) *y++ = *x++ * numbers[channel];
}

void tonok_relu(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void tonok_relu6(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = clamp(x[i], 0.0f, 6.0f);
}

void tonok_leaky_relu(const float *x, size_t count, float negative_slope, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = x[i] > 0.0f ? x[i] : x[i] * negative_slope;
}

void tonok_hard_swish(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = x[i] * clamp(x[i] + 3.0f, 0.0f, 6.0f) / 6.0f;
}

void tonok_hard_sigmoid(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = clamp(x[i] + 3.0f, 0.0f, 6.0f) / 6.0f;
}

/* ---- Exponentials, in doubles: those of a C library differ from machine to machine. ---- */

/* e^x to 11 digits, for x from -700 to 700 and as at these bounds beyond. */
static double exponential(double x) {
    static const double inverse_factorials[] = {1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0,
                                                1.0 / 24.0,     1.0 / 6.0,     0.5,          1.0,         1.0};
    x = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
    double power = rint(x * 1.4426950408889634);
    double high = power * 0.6931471803691238, low = power * 1.9082149292705877e-10; /* the logarithm of 2, in two parts */
    double rest = x - high - low;
    double sum = inverse_factorials[0];
    for (size_t i = 1; i < sizeof inverse_factorials / sizeof *inverse_factorials; i++) {
        double product = sum * rest;
        sum = product + inverse_factorials[i];
    }
    return ldexp(sum, (int)power);
}

/* Of the normal distribution: how much lies below x. The part beyond |x| is exp(-x^2 / 2) times a polynomial in
 * u = (t - 3) / (t + 3) over 1 + 2t, with t = |x| / sqrt(2), right to 9 digits (of the kind of Shepherd and Laframboise 1981). */
static double distribution(double x) {
    static const double polynomial[] = {
        -1.196087682896218e-07,  -1.1057229846247156e-05, 4.280479898834326e-06,  0.00011324623928952912,
        -0.00010470633165564504, -0.0007713736754143719,  0.0018885053310358716,  0.0025260688674845592,
        -0.023770472038737642,   0.06830870677174203,     -0.11927366842680621,   0.12964509696900942,
        -0.04756229412652077,    -0.13562110449402134,    1.2530080582680252,
    };
    double t = fabs(x) * 0.7071067811865476;
    double u = (t - 3.0) / (t + 3.0);
    double sum = polynomial[0];
    for (size_t i = 1; i < sizeof polynomial / sizeof *polynomial; i++) {
        double product = sum * u;
        sum = product + polynomial[i];
    }
    double twice = 2.0 * t;
    double beyond = exponential(-(t * t)) * sum / (1.0 + twice) * 0.5;
    return x < 0.0 ? beyond : 1.0 - beyond;
}

void tonok_sigmoid(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = (float)(1.0 / (1.0 + exponential(-(double)x[i])));
}

void tonok_silu(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = (float)((double)x[i] / (1.0 + exponential(-(double)x[i])));
}

void tonok_gelu(const float *x, size_t count, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = (float)((double)x[i] * distribution((double)x[i]));
}
